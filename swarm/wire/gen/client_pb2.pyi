from swarm.wire.gen import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Freshness(_message.Message):
    __slots__ = ("applied_index", "term", "leader", "answered_by")
    APPLIED_INDEX_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    LEADER_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_BY_FIELD_NUMBER: _ClassVar[int]
    applied_index: int
    term: int
    leader: str
    answered_by: str
    def __init__(self, applied_index: _Optional[int] = ..., term: _Optional[int] = ..., leader: _Optional[str] = ..., answered_by: _Optional[str] = ...) -> None: ...

class SubmitRequest(_message.Message):
    __slots__ = ("graph", "inputs", "priority", "key", "on_behalf_of", "sign", "linger_ms")
    GRAPH_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    ON_BEHALF_OF_FIELD_NUMBER: _ClassVar[int]
    SIGN_FIELD_NUMBER: _ClassVar[int]
    LINGER_MS_FIELD_NUMBER: _ClassVar[int]
    graph: bytes
    inputs: _containers.RepeatedCompositeFieldContainer[_common_pb2.PortItems]
    priority: int
    key: str
    on_behalf_of: str
    sign: bool
    linger_ms: int
    def __init__(self, graph: _Optional[bytes] = ..., inputs: _Optional[_Iterable[_Union[_common_pb2.PortItems, _Mapping]]] = ..., priority: _Optional[int] = ..., key: _Optional[str] = ..., on_behalf_of: _Optional[str] = ..., sign: _Optional[bool] = ..., linger_ms: _Optional[int] = ...) -> None: ...

class SubmitReply(_message.Message):
    __slots__ = ("run", "index", "existed", "leader", "end")
    RUN_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    EXISTED_FIELD_NUMBER: _ClassVar[int]
    LEADER_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    run: str
    index: int
    existed: bool
    leader: str
    end: WatchReply
    def __init__(self, run: _Optional[str] = ..., index: _Optional[int] = ..., existed: _Optional[bool] = ..., leader: _Optional[str] = ..., end: _Optional[_Union[WatchReply, _Mapping]] = ...) -> None: ...

class Submissions(_message.Message):
    __slots__ = ("parts",)
    PARTS_FIELD_NUMBER: _ClassVar[int]
    parts: _containers.RepeatedCompositeFieldContainer[Submission]
    def __init__(self, parts: _Optional[_Iterable[_Union[Submission, _Mapping]]] = ...) -> None: ...

class Submission(_message.Message):
    __slots__ = ("id", "request")
    ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    id: int
    request: SubmitRequest
    def __init__(self, id: _Optional[int] = ..., request: _Optional[_Union[SubmitRequest, _Mapping]] = ...) -> None: ...

class SubmissionAnswers(_message.Message):
    __slots__ = ("parts",)
    PARTS_FIELD_NUMBER: _ClassVar[int]
    parts: _containers.RepeatedCompositeFieldContainer[SubmissionAnswer]
    def __init__(self, parts: _Optional[_Iterable[_Union[SubmissionAnswer, _Mapping]]] = ...) -> None: ...

class SubmissionAnswer(_message.Message):
    __slots__ = ("id", "reply", "error")
    ID_FIELD_NUMBER: _ClassVar[int]
    REPLY_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    id: int
    reply: SubmitReply
    error: _common_pb2.Error
    def __init__(self, id: _Optional[int] = ..., reply: _Optional[_Union[SubmitReply, _Mapping]] = ..., error: _Optional[_Union[_common_pb2.Error, _Mapping]] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("run", "offset", "follow", "on_behalf_of", "outputs")
    RUN_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    ON_BEHALF_OF_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    run: str
    offset: int
    follow: bool
    on_behalf_of: str
    outputs: bool
    def __init__(self, run: _Optional[str] = ..., offset: _Optional[int] = ..., follow: _Optional[bool] = ..., on_behalf_of: _Optional[str] = ..., outputs: _Optional[bool] = ...) -> None: ...

class StepEvent(_message.Message):
    __slots__ = ("offset", "step", "capability", "node", "attempt", "status", "error", "started_ms", "wall_ms", "cached")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    CAPABILITY_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    STARTED_MS_FIELD_NUMBER: _ClassVar[int]
    WALL_MS_FIELD_NUMBER: _ClassVar[int]
    CACHED_FIELD_NUMBER: _ClassVar[int]
    offset: int
    step: str
    capability: str
    node: str
    attempt: int
    status: str
    error: _common_pb2.Error
    started_ms: int
    wall_ms: float
    cached: bool
    def __init__(self, offset: _Optional[int] = ..., step: _Optional[str] = ..., capability: _Optional[str] = ..., node: _Optional[str] = ..., attempt: _Optional[int] = ..., status: _Optional[str] = ..., error: _Optional[_Union[_common_pb2.Error, _Mapping]] = ..., started_ms: _Optional[int] = ..., wall_ms: _Optional[float] = ..., cached: _Optional[bool] = ...) -> None: ...

class WatchReply(_message.Message):
    __slots__ = ("events", "run", "freshness", "outputs")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    FRESHNESS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[StepEvent]
    run: RunSummary
    freshness: Freshness
    outputs: RunOutputs
    def __init__(self, events: _Optional[_Iterable[_Union[StepEvent, _Mapping]]] = ..., run: _Optional[_Union[RunSummary, _Mapping]] = ..., freshness: _Optional[_Union[Freshness, _Mapping]] = ..., outputs: _Optional[_Union[RunOutputs, _Mapping]] = ...) -> None: ...

class RunOutputs(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[_common_pb2.PortItems]
    def __init__(self, items: _Optional[_Iterable[_Union[_common_pb2.PortItems, _Mapping]]] = ...) -> None: ...

class RunSummary(_message.Message):
    __slots__ = ("run", "graph", "graph_digest", "status", "reason", "steps_total", "steps_ok", "steps_failed", "steps_skipped", "submitted_ms", "ended_ms", "principal", "priority", "settled", "tenant")
    RUN_FIELD_NUMBER: _ClassVar[int]
    GRAPH_FIELD_NUMBER: _ClassVar[int]
    GRAPH_DIGEST_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    STEPS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    STEPS_OK_FIELD_NUMBER: _ClassVar[int]
    STEPS_FAILED_FIELD_NUMBER: _ClassVar[int]
    STEPS_SKIPPED_FIELD_NUMBER: _ClassVar[int]
    SUBMITTED_MS_FIELD_NUMBER: _ClassVar[int]
    ENDED_MS_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    run: str
    graph: str
    graph_digest: str
    status: str
    reason: str
    steps_total: int
    steps_ok: int
    steps_failed: int
    steps_skipped: int
    submitted_ms: int
    ended_ms: int
    principal: str
    priority: int
    settled: bool
    tenant: str
    def __init__(self, run: _Optional[str] = ..., graph: _Optional[str] = ..., graph_digest: _Optional[str] = ..., status: _Optional[str] = ..., reason: _Optional[str] = ..., steps_total: _Optional[int] = ..., steps_ok: _Optional[int] = ..., steps_failed: _Optional[int] = ..., steps_skipped: _Optional[int] = ..., submitted_ms: _Optional[int] = ..., ended_ms: _Optional[int] = ..., principal: _Optional[str] = ..., priority: _Optional[int] = ..., settled: _Optional[bool] = ..., tenant: _Optional[str] = ...) -> None: ...

class ListRunsRequest(_message.Message):
    __slots__ = ("limit", "status", "on_behalf_of")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ON_BEHALF_OF_FIELD_NUMBER: _ClassVar[int]
    limit: int
    status: str
    on_behalf_of: str
    def __init__(self, limit: _Optional[int] = ..., status: _Optional[str] = ..., on_behalf_of: _Optional[str] = ...) -> None: ...

class ListRunsReply(_message.Message):
    __slots__ = ("runs", "freshness")
    RUNS_FIELD_NUMBER: _ClassVar[int]
    FRESHNESS_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[RunSummary]
    freshness: Freshness
    def __init__(self, runs: _Optional[_Iterable[_Union[RunSummary, _Mapping]]] = ..., freshness: _Optional[_Union[Freshness, _Mapping]] = ...) -> None: ...

class ShowRunRequest(_message.Message):
    __slots__ = ("run", "outputs", "on_behalf_of")
    RUN_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    ON_BEHALF_OF_FIELD_NUMBER: _ClassVar[int]
    run: str
    outputs: bool
    on_behalf_of: str
    def __init__(self, run: _Optional[str] = ..., outputs: _Optional[bool] = ..., on_behalf_of: _Optional[str] = ...) -> None: ...

class ShowRunReply(_message.Message):
    __slots__ = ("run", "outputs", "steps", "freshness", "progress")
    RUN_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    FRESHNESS_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    run: RunSummary
    outputs: _containers.RepeatedCompositeFieldContainer[_common_pb2.PortItems]
    steps: _containers.RepeatedCompositeFieldContainer[StepState]
    freshness: Freshness
    progress: Progress
    def __init__(self, run: _Optional[_Union[RunSummary, _Mapping]] = ..., outputs: _Optional[_Iterable[_Union[_common_pb2.PortItems, _Mapping]]] = ..., steps: _Optional[_Iterable[_Union[StepState, _Mapping]]] = ..., freshness: _Optional[_Union[Freshness, _Mapping]] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("done", "running", "ready", "waiting", "left_ms", "critical_path")
    DONE_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    LEFT_MS_FIELD_NUMBER: _ClassVar[int]
    CRITICAL_PATH_FIELD_NUMBER: _ClassVar[int]
    done: int
    running: int
    ready: int
    waiting: int
    left_ms: float
    critical_path: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, done: _Optional[int] = ..., running: _Optional[int] = ..., ready: _Optional[int] = ..., waiting: _Optional[int] = ..., left_ms: _Optional[float] = ..., critical_path: _Optional[_Iterable[str]] = ...) -> None: ...

class StepState(_message.Message):
    __slots__ = ("step", "capability", "status", "node", "attempt", "error", "wall_ms", "cached")
    STEP_FIELD_NUMBER: _ClassVar[int]
    CAPABILITY_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    WALL_MS_FIELD_NUMBER: _ClassVar[int]
    CACHED_FIELD_NUMBER: _ClassVar[int]
    step: str
    capability: str
    status: str
    node: str
    attempt: int
    error: _common_pb2.Error
    wall_ms: float
    cached: bool
    def __init__(self, step: _Optional[str] = ..., capability: _Optional[str] = ..., status: _Optional[str] = ..., node: _Optional[str] = ..., attempt: _Optional[int] = ..., error: _Optional[_Union[_common_pb2.Error, _Mapping]] = ..., wall_ms: _Optional[float] = ..., cached: _Optional[bool] = ...) -> None: ...

class ExplainStepRequest(_message.Message):
    __slots__ = ("run", "step", "on_behalf_of")
    RUN_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    ON_BEHALF_OF_FIELD_NUMBER: _ClassVar[int]
    run: str
    step: str
    on_behalf_of: str
    def __init__(self, run: _Optional[str] = ..., step: _Optional[str] = ..., on_behalf_of: _Optional[str] = ...) -> None: ...

class ExplainStepReply(_message.Message):
    __slots__ = ("step", "capability", "status", "placed", "node", "runner_up", "how", "note", "candidates", "freshness")
    STEP_FIELD_NUMBER: _ClassVar[int]
    CAPABILITY_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PLACED_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    RUNNER_UP_FIELD_NUMBER: _ClassVar[int]
    HOW_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    FRESHNESS_FIELD_NUMBER: _ClassVar[int]
    step: str
    capability: str
    status: str
    placed: bool
    node: str
    runner_up: str
    how: str
    note: str
    candidates: _containers.RepeatedCompositeFieldContainer[PlaceCandidate]
    freshness: Freshness
    def __init__(self, step: _Optional[str] = ..., capability: _Optional[str] = ..., status: _Optional[str] = ..., placed: _Optional[bool] = ..., node: _Optional[str] = ..., runner_up: _Optional[str] = ..., how: _Optional[str] = ..., note: _Optional[str] = ..., candidates: _Optional[_Iterable[_Union[PlaceCandidate, _Mapping]]] = ..., freshness: _Optional[_Union[Freshness, _Mapping]] = ...) -> None: ...

class PlaceCandidate(_message.Message):
    __slots__ = ("node", "why_not", "score", "terms")
    NODE_FIELD_NUMBER: _ClassVar[int]
    WHY_NOT_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    TERMS_FIELD_NUMBER: _ClassVar[int]
    node: str
    why_not: str
    score: float
    terms: _containers.RepeatedCompositeFieldContainer[ScoreTerm]
    def __init__(self, node: _Optional[str] = ..., why_not: _Optional[str] = ..., score: _Optional[float] = ..., terms: _Optional[_Iterable[_Union[ScoreTerm, _Mapping]]] = ...) -> None: ...

class ScoreTerm(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: float
    def __init__(self, name: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...

class CancelRunRequest(_message.Message):
    __slots__ = ("run", "reason", "on_behalf_of")
    RUN_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ON_BEHALF_OF_FIELD_NUMBER: _ClassVar[int]
    run: str
    reason: str
    on_behalf_of: str
    def __init__(self, run: _Optional[str] = ..., reason: _Optional[str] = ..., on_behalf_of: _Optional[str] = ...) -> None: ...

class CancelRunReply(_message.Message):
    __slots__ = ("run",)
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: RunSummary
    def __init__(self, run: _Optional[_Union[RunSummary, _Mapping]] = ...) -> None: ...

class DeployRequest(_message.Message):
    __slots__ = ("start", "chunk")
    START_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    start: DeployStart
    chunk: bytes
    def __init__(self, start: _Optional[_Union[DeployStart, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class DeployStart(_message.Message):
    __slots__ = ("size_bytes", "sha256", "on_behalf_of")
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    ON_BEHALF_OF_FIELD_NUMBER: _ClassVar[int]
    size_bytes: int
    sha256: str
    on_behalf_of: str
    def __init__(self, size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ..., on_behalf_of: _Optional[str] = ...) -> None: ...

class DeployReply(_message.Message):
    __slots__ = ("agent", "nodes", "index")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    agent: _common_pb2.Agent
    nodes: _containers.RepeatedScalarFieldContainer[str]
    index: int
    def __init__(self, agent: _Optional[_Union[_common_pb2.Agent, _Mapping]] = ..., nodes: _Optional[_Iterable[str]] = ..., index: _Optional[int] = ...) -> None: ...

class RemoveAgentRequest(_message.Message):
    __slots__ = ("name", "on_behalf_of")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ON_BEHALF_OF_FIELD_NUMBER: _ClassVar[int]
    name: str
    on_behalf_of: str
    def __init__(self, name: _Optional[str] = ..., on_behalf_of: _Optional[str] = ...) -> None: ...

class RemoveAgentReply(_message.Message):
    __slots__ = ("agent",)
    AGENT_FIELD_NUMBER: _ClassVar[int]
    agent: _common_pb2.Agent
    def __init__(self, agent: _Optional[_Union[_common_pb2.Agent, _Mapping]] = ...) -> None: ...

class ListAgentsRequest(_message.Message):
    __slots__ = ("on_behalf_of",)
    ON_BEHALF_OF_FIELD_NUMBER: _ClassVar[int]
    on_behalf_of: str
    def __init__(self, on_behalf_of: _Optional[str] = ...) -> None: ...

class AgentState(_message.Message):
    __slots__ = ("agent", "nodes", "refused", "tenant")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    agent: _common_pb2.Agent
    nodes: _containers.RepeatedScalarFieldContainer[str]
    refused: _containers.RepeatedCompositeFieldContainer[AgentRefusal]
    tenant: str
    def __init__(self, agent: _Optional[_Union[_common_pb2.Agent, _Mapping]] = ..., nodes: _Optional[_Iterable[str]] = ..., refused: _Optional[_Iterable[_Union[AgentRefusal, _Mapping]]] = ..., tenant: _Optional[str] = ...) -> None: ...

class AgentRefusal(_message.Message):
    __slots__ = ("node", "error")
    NODE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    node: str
    error: _common_pb2.Error
    def __init__(self, node: _Optional[str] = ..., error: _Optional[_Union[_common_pb2.Error, _Mapping]] = ...) -> None: ...

class ListAgentsReply(_message.Message):
    __slots__ = ("agents", "freshness")
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    FRESHNESS_FIELD_NUMBER: _ClassVar[int]
    agents: _containers.RepeatedCompositeFieldContainer[AgentState]
    freshness: Freshness
    def __init__(self, agents: _Optional[_Iterable[_Union[AgentState, _Mapping]]] = ..., freshness: _Optional[_Union[Freshness, _Mapping]] = ...) -> None: ...

class ListNodesRequest(_message.Message):
    __slots__ = ("on_behalf_of",)
    ON_BEHALF_OF_FIELD_NUMBER: _ClassVar[int]
    on_behalf_of: str
    def __init__(self, on_behalf_of: _Optional[str] = ...) -> None: ...

class NodeState(_message.Message):
    __slots__ = ("node", "address", "role", "state", "slots", "in_flight", "layers", "tier", "agents", "load", "steps_done", "lacks", "usage")
    NODE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    LOAD_FIELD_NUMBER: _ClassVar[int]
    STEPS_DONE_FIELD_NUMBER: _ClassVar[int]
    LACKS_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    node: str
    address: str
    role: str
    state: str
    slots: int
    in_flight: int
    layers: _containers.RepeatedScalarFieldContainer[str]
    tier: str
    agents: _containers.RepeatedScalarFieldContainer[str]
    load: float
    steps_done: int
    lacks: _containers.RepeatedCompositeFieldContainer[_common_pb2.Lack]
    usage: _containers.RepeatedCompositeFieldContainer[_common_pb2.Usage]
    def __init__(self, node: _Optional[str] = ..., address: _Optional[str] = ..., role: _Optional[str] = ..., state: _Optional[str] = ..., slots: _Optional[int] = ..., in_flight: _Optional[int] = ..., layers: _Optional[_Iterable[str]] = ..., tier: _Optional[str] = ..., agents: _Optional[_Iterable[str]] = ..., load: _Optional[float] = ..., steps_done: _Optional[int] = ..., lacks: _Optional[_Iterable[_Union[_common_pb2.Lack, _Mapping]]] = ..., usage: _Optional[_Iterable[_Union[_common_pb2.Usage, _Mapping]]] = ...) -> None: ...

class ListNodesReply(_message.Message):
    __slots__ = ("nodes", "freshness")
    NODES_FIELD_NUMBER: _ClassVar[int]
    FRESHNESS_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[NodeState]
    freshness: Freshness
    def __init__(self, nodes: _Optional[_Iterable[_Union[NodeState, _Mapping]]] = ..., freshness: _Optional[_Union[Freshness, _Mapping]] = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ("on_behalf_of",)
    ON_BEHALF_OF_FIELD_NUMBER: _ClassVar[int]
    on_behalf_of: str
    def __init__(self, on_behalf_of: _Optional[str] = ...) -> None: ...

class StatusReply(_message.Message):
    __slots__ = ("cluster", "node", "leader", "term", "applied_index", "nodes_attached", "agents", "runs_active", "steps_ready", "steps_in_flight", "version", "uptime_ms", "draining", "voters", "pid", "relaxed", "payloads_short", "payloads_lost", "copies_in_flight")
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    LEADER_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    APPLIED_INDEX_FIELD_NUMBER: _ClassVar[int]
    NODES_ATTACHED_FIELD_NUMBER: _ClassVar[int]
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    RUNS_ACTIVE_FIELD_NUMBER: _ClassVar[int]
    STEPS_READY_FIELD_NUMBER: _ClassVar[int]
    STEPS_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    UPTIME_MS_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    VOTERS_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    RELAXED_FIELD_NUMBER: _ClassVar[int]
    PAYLOADS_SHORT_FIELD_NUMBER: _ClassVar[int]
    PAYLOADS_LOST_FIELD_NUMBER: _ClassVar[int]
    COPIES_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    cluster: str
    node: str
    leader: str
    term: int
    applied_index: int
    nodes_attached: int
    agents: int
    runs_active: int
    steps_ready: int
    steps_in_flight: int
    version: str
    uptime_ms: int
    draining: bool
    voters: _containers.RepeatedScalarFieldContainer[str]
    pid: int
    relaxed: bool
    payloads_short: int
    payloads_lost: int
    copies_in_flight: int
    def __init__(self, cluster: _Optional[str] = ..., node: _Optional[str] = ..., leader: _Optional[str] = ..., term: _Optional[int] = ..., applied_index: _Optional[int] = ..., nodes_attached: _Optional[int] = ..., agents: _Optional[int] = ..., runs_active: _Optional[int] = ..., steps_ready: _Optional[int] = ..., steps_in_flight: _Optional[int] = ..., version: _Optional[str] = ..., uptime_ms: _Optional[int] = ..., draining: _Optional[bool] = ..., voters: _Optional[_Iterable[str]] = ..., pid: _Optional[int] = ..., relaxed: _Optional[bool] = ..., payloads_short: _Optional[int] = ..., payloads_lost: _Optional[int] = ..., copies_in_flight: _Optional[int] = ...) -> None: ...

class CreateTokenRequest(_message.Message):
    __slots__ = ("token", "secret_sha256", "role", "life_ms", "uses_max", "on_behalf_of")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    SECRET_SHA256_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    LIFE_MS_FIELD_NUMBER: _ClassVar[int]
    USES_MAX_FIELD_NUMBER: _ClassVar[int]
    ON_BEHALF_OF_FIELD_NUMBER: _ClassVar[int]
    token: str
    secret_sha256: str
    role: str
    life_ms: int
    uses_max: int
    on_behalf_of: str
    def __init__(self, token: _Optional[str] = ..., secret_sha256: _Optional[str] = ..., role: _Optional[str] = ..., life_ms: _Optional[int] = ..., uses_max: _Optional[int] = ..., on_behalf_of: _Optional[str] = ...) -> None: ...

class CreateTokenReply(_message.Message):
    __slots__ = ("token",)
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    token: TokenState
    def __init__(self, token: _Optional[_Union[TokenState, _Mapping]] = ...) -> None: ...

class RevokeTokenRequest(_message.Message):
    __slots__ = ("token", "on_behalf_of")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    ON_BEHALF_OF_FIELD_NUMBER: _ClassVar[int]
    token: str
    on_behalf_of: str
    def __init__(self, token: _Optional[str] = ..., on_behalf_of: _Optional[str] = ...) -> None: ...

class RevokeTokenReply(_message.Message):
    __slots__ = ("token",)
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    token: TokenState
    def __init__(self, token: _Optional[_Union[TokenState, _Mapping]] = ...) -> None: ...

class ListTokensRequest(_message.Message):
    __slots__ = ("on_behalf_of",)
    ON_BEHALF_OF_FIELD_NUMBER: _ClassVar[int]
    on_behalf_of: str
    def __init__(self, on_behalf_of: _Optional[str] = ...) -> None: ...

class TokenState(_message.Message):
    __slots__ = ("token", "role", "status", "created_ms", "expires_ms", "uses_max", "names", "principal")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CREATED_MS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_MS_FIELD_NUMBER: _ClassVar[int]
    USES_MAX_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    token: str
    role: str
    status: str
    created_ms: int
    expires_ms: int
    uses_max: int
    names: _containers.RepeatedScalarFieldContainer[str]
    principal: str
    def __init__(self, token: _Optional[str] = ..., role: _Optional[str] = ..., status: _Optional[str] = ..., created_ms: _Optional[int] = ..., expires_ms: _Optional[int] = ..., uses_max: _Optional[int] = ..., names: _Optional[_Iterable[str]] = ..., principal: _Optional[str] = ...) -> None: ...

class ListTokensReply(_message.Message):
    __slots__ = ("tokens", "freshness")
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    FRESHNESS_FIELD_NUMBER: _ClassVar[int]
    tokens: _containers.RepeatedCompositeFieldContainer[TokenState]
    freshness: Freshness
    def __init__(self, tokens: _Optional[_Iterable[_Union[TokenState, _Mapping]]] = ..., freshness: _Optional[_Union[Freshness, _Mapping]] = ...) -> None: ...

class SpendTokenRequest(_message.Message):
    __slots__ = ("token", "secret_sha256", "name", "key_sha256")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    SECRET_SHA256_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    KEY_SHA256_FIELD_NUMBER: _ClassVar[int]
    token: str
    secret_sha256: str
    name: str
    key_sha256: str
    def __init__(self, token: _Optional[str] = ..., secret_sha256: _Optional[str] = ..., name: _Optional[str] = ..., key_sha256: _Optional[str] = ...) -> None: ...

class SpendTokenReply(_message.Message):
    __slots__ = ("role",)
    ROLE_FIELD_NUMBER: _ClassVar[int]
    role: str
    def __init__(self, role: _Optional[str] = ...) -> None: ...

class ExportRunRequest(_message.Message):
    __slots__ = ("run", "on_behalf_of")
    RUN_FIELD_NUMBER: _ClassVar[int]
    ON_BEHALF_OF_FIELD_NUMBER: _ClassVar[int]
    run: str
    on_behalf_of: str
    def __init__(self, run: _Optional[str] = ..., on_behalf_of: _Optional[str] = ...) -> None: ...

class ExportRunReply(_message.Message):
    __slots__ = ("entries", "keys")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedScalarFieldContainer[bytes]
    keys: _containers.RepeatedCompositeFieldContainer[NodeKey]
    def __init__(self, entries: _Optional[_Iterable[bytes]] = ..., keys: _Optional[_Iterable[_Union[NodeKey, _Mapping]]] = ...) -> None: ...

class NodeKey(_message.Message):
    __slots__ = ("node", "key", "from_ms", "until_ms")
    NODE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    FROM_MS_FIELD_NUMBER: _ClassVar[int]
    UNTIL_MS_FIELD_NUMBER: _ClassVar[int]
    node: str
    key: bytes
    from_ms: int
    until_ms: int
    def __init__(self, node: _Optional[str] = ..., key: _Optional[bytes] = ..., from_ms: _Optional[int] = ..., until_ms: _Optional[int] = ...) -> None: ...

class ApplyPolicyRequest(_message.Message):
    __slots__ = ("document", "on_behalf_of")
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    ON_BEHALF_OF_FIELD_NUMBER: _ClassVar[int]
    document: str
    on_behalf_of: str
    def __init__(self, document: _Optional[str] = ..., on_behalf_of: _Optional[str] = ...) -> None: ...

class ApplyPolicyReply(_message.Message):
    __slots__ = ("index",)
    INDEX_FIELD_NUMBER: _ClassVar[int]
    index: int
    def __init__(self, index: _Optional[int] = ...) -> None: ...

class ShowPolicyRequest(_message.Message):
    __slots__ = ("on_behalf_of",)
    ON_BEHALF_OF_FIELD_NUMBER: _ClassVar[int]
    on_behalf_of: str
    def __init__(self, on_behalf_of: _Optional[str] = ...) -> None: ...

class ShowPolicyReply(_message.Message):
    __slots__ = ("document", "applied_ms", "principal", "freshness")
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    APPLIED_MS_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    FRESHNESS_FIELD_NUMBER: _ClassVar[int]
    document: str
    applied_ms: int
    principal: str
    freshness: Freshness
    def __init__(self, document: _Optional[str] = ..., applied_ms: _Optional[int] = ..., principal: _Optional[str] = ..., freshness: _Optional[_Union[Freshness, _Mapping]] = ...) -> None: ...

class RenewCertificateRequest(_message.Message):
    __slots__ = ("signing_request",)
    SIGNING_REQUEST_FIELD_NUMBER: _ClassVar[int]
    signing_request: bytes
    def __init__(self, signing_request: _Optional[bytes] = ...) -> None: ...

class RenewCertificateReply(_message.Message):
    __slots__ = ("certificate",)
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    certificate: bytes
    def __init__(self, certificate: _Optional[bytes] = ...) -> None: ...

class RecordCertificateRequest(_message.Message):
    __slots__ = ("certificate",)
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    certificate: CertificateState
    def __init__(self, certificate: _Optional[_Union[CertificateState, _Mapping]] = ...) -> None: ...

class RecordCertificateReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CertificateState(_message.Message):
    __slots__ = ("uri", "name", "role", "serial", "not_after_ms", "origin", "state", "reason")
    URI_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    uri: str
    name: str
    role: str
    serial: str
    not_after_ms: int
    origin: str
    state: str
    reason: str
    def __init__(self, uri: _Optional[str] = ..., name: _Optional[str] = ..., role: _Optional[str] = ..., serial: _Optional[str] = ..., not_after_ms: _Optional[int] = ..., origin: _Optional[str] = ..., state: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ListCertificatesRequest(_message.Message):
    __slots__ = ("on_behalf_of",)
    ON_BEHALF_OF_FIELD_NUMBER: _ClassVar[int]
    on_behalf_of: str
    def __init__(self, on_behalf_of: _Optional[str] = ...) -> None: ...

class ListCertificatesReply(_message.Message):
    __slots__ = ("certificates", "freshness")
    CERTIFICATES_FIELD_NUMBER: _ClassVar[int]
    FRESHNESS_FIELD_NUMBER: _ClassVar[int]
    certificates: _containers.RepeatedCompositeFieldContainer[CertificateState]
    freshness: Freshness
    def __init__(self, certificates: _Optional[_Iterable[_Union[CertificateState, _Mapping]]] = ..., freshness: _Optional[_Union[Freshness, _Mapping]] = ...) -> None: ...

class RotateCertificatesRequest(_message.Message):
    __slots__ = ("nodes", "on_behalf_of")
    NODES_FIELD_NUMBER: _ClassVar[int]
    ON_BEHALF_OF_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedScalarFieldContainer[str]
    on_behalf_of: str
    def __init__(self, nodes: _Optional[_Iterable[str]] = ..., on_behalf_of: _Optional[str] = ...) -> None: ...

class RotateCertificatesReply(_message.Message):
    __slots__ = ("told",)
    TOLD_FIELD_NUMBER: _ClassVar[int]
    told: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, told: _Optional[_Iterable[str]] = ...) -> None: ...

class RevokeRequest(_message.Message):
    __slots__ = ("id", "reason", "on_behalf_of")
    ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ON_BEHALF_OF_FIELD_NUMBER: _ClassVar[int]
    id: str
    reason: str
    on_behalf_of: str
    def __init__(self, id: _Optional[str] = ..., reason: _Optional[str] = ..., on_behalf_of: _Optional[str] = ...) -> None: ...

class RevokeReply(_message.Message):
    __slots__ = ("name", "serial")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    name: str
    serial: str
    def __init__(self, name: _Optional[str] = ..., serial: _Optional[str] = ...) -> None: ...

class BlobPart(_message.Message):
    __slots__ = ("offer", "data")
    OFFER_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    offer: BlobOffer
    data: bytes
    def __init__(self, offer: _Optional[_Union[BlobOffer, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...

class BlobOffer(_message.Message):
    __slots__ = ("blobs",)
    BLOBS_FIELD_NUMBER: _ClassVar[int]
    blobs: _containers.RepeatedCompositeFieldContainer[BlobName]
    def __init__(self, blobs: _Optional[_Iterable[_Union[BlobName, _Mapping]]] = ...) -> None: ...

class BlobName(_message.Message):
    __slots__ = ("sha256", "size_bytes")
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    size_bytes: int
    def __init__(self, sha256: _Optional[str] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class BlobAnswer(_message.Message):
    __slots__ = ("wanted", "taken")
    WANTED_FIELD_NUMBER: _ClassVar[int]
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    wanted: BlobWanted
    taken: BlobTaken
    def __init__(self, wanted: _Optional[_Union[BlobWanted, _Mapping]] = ..., taken: _Optional[_Union[BlobTaken, _Mapping]] = ...) -> None: ...

class BlobWanted(_message.Message):
    __slots__ = ("starts",)
    STARTS_FIELD_NUMBER: _ClassVar[int]
    starts: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, starts: _Optional[_Iterable[int]] = ...) -> None: ...

class BlobTaken(_message.Message):
    __slots__ = ("nodes",)
    NODES_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, nodes: _Optional[_Iterable[str]] = ...) -> None: ...

class BlobGetRequest(_message.Message):
    __slots__ = ("sha256", "start")
    SHA256_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    start: int
    def __init__(self, sha256: _Optional[str] = ..., start: _Optional[int] = ...) -> None: ...

class BlobChunk(_message.Message):
    __slots__ = ("size_bytes", "data")
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    size_bytes: int
    data: bytes
    def __init__(self, size_bytes: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class DownloadRequest(_message.Message):
    __slots__ = ("run", "sha256", "start", "on_behalf_of")
    RUN_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    ON_BEHALF_OF_FIELD_NUMBER: _ClassVar[int]
    run: str
    sha256: str
    start: int
    on_behalf_of: str
    def __init__(self, run: _Optional[str] = ..., sha256: _Optional[str] = ..., start: _Optional[int] = ..., on_behalf_of: _Optional[str] = ...) -> None: ...

class ListCoordinatorsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AddCoordinatorRequest(_message.Message):
    __slots__ = ("node", "address", "on_behalf_of")
    NODE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    ON_BEHALF_OF_FIELD_NUMBER: _ClassVar[int]
    node: str
    address: str
    on_behalf_of: str
    def __init__(self, node: _Optional[str] = ..., address: _Optional[str] = ..., on_behalf_of: _Optional[str] = ...) -> None: ...

class RemoveCoordinatorRequest(_message.Message):
    __slots__ = ("node", "on_behalf_of")
    NODE_FIELD_NUMBER: _ClassVar[int]
    ON_BEHALF_OF_FIELD_NUMBER: _ClassVar[int]
    node: str
    on_behalf_of: str
    def __init__(self, node: _Optional[str] = ..., on_behalf_of: _Optional[str] = ...) -> None: ...

class CoordinatorState(_message.Message):
    __slots__ = ("node", "address", "learns")
    NODE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    LEARNS_FIELD_NUMBER: _ClassVar[int]
    node: str
    address: str
    learns: bool
    def __init__(self, node: _Optional[str] = ..., address: _Optional[str] = ..., learns: _Optional[bool] = ...) -> None: ...

class CoordinatorsReply(_message.Message):
    __slots__ = ("coordinators", "freshness")
    COORDINATORS_FIELD_NUMBER: _ClassVar[int]
    FRESHNESS_FIELD_NUMBER: _ClassVar[int]
    coordinators: _containers.RepeatedCompositeFieldContainer[CoordinatorState]
    freshness: Freshness
    def __init__(self, coordinators: _Optional[_Iterable[_Union[CoordinatorState, _Mapping]]] = ..., freshness: _Optional[_Union[Freshness, _Mapping]] = ...) -> None: ...
