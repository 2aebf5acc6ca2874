from swarm.wire.gen import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ToNodes(_message.Message):
    __slots__ = ("parts",)
    PARTS_FIELD_NUMBER: _ClassVar[int]
    parts: _containers.RepeatedCompositeFieldContainer[ToNode]
    def __init__(self, parts: _Optional[_Iterable[_Union[ToNode, _Mapping]]] = ...) -> None: ...

class FromNode(_message.Message):
    __slots__ = ("hello", "outcomes", "heartbeat", "hosting", "idle_blobs", "held_blobs", "blob_copied")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    HOSTING_FIELD_NUMBER: _ClassVar[int]
    IDLE_BLOBS_FIELD_NUMBER: _ClassVar[int]
    HELD_BLOBS_FIELD_NUMBER: _ClassVar[int]
    BLOB_COPIED_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    outcomes: Outcomes
    heartbeat: Heartbeat
    hosting: Hosting
    idle_blobs: IdleBlobs
    held_blobs: HeldBlobs
    blob_copied: BlobCopied
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., outcomes: _Optional[_Union[Outcomes, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., hosting: _Optional[_Union[Hosting, _Mapping]] = ..., idle_blobs: _Optional[_Union[IdleBlobs, _Mapping]] = ..., held_blobs: _Optional[_Union[HeldBlobs, _Mapping]] = ..., blob_copied: _Optional[_Union[BlobCopied, _Mapping]] = ...) -> None: ...

class ToNode(_message.Message):
    __slots__ = ("welcome", "assignments", "withdrawals", "receipts", "agents", "pulse", "revoked", "renew", "peers", "unneeded_blobs", "copy_blob")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    ASSIGNMENTS_FIELD_NUMBER: _ClassVar[int]
    WITHDRAWALS_FIELD_NUMBER: _ClassVar[int]
    RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    PULSE_FIELD_NUMBER: _ClassVar[int]
    REVOKED_FIELD_NUMBER: _ClassVar[int]
    RENEW_FIELD_NUMBER: _ClassVar[int]
    PEERS_FIELD_NUMBER: _ClassVar[int]
    UNNEEDED_BLOBS_FIELD_NUMBER: _ClassVar[int]
    COPY_BLOB_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    assignments: Assignments
    withdrawals: Withdrawals
    receipts: Receipts
    agents: AgentSet
    pulse: Pulse
    revoked: RevokedSet
    renew: Renew
    peers: Peers
    unneeded_blobs: UnneededBlobs
    copy_blob: CopyBlob
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., assignments: _Optional[_Union[Assignments, _Mapping]] = ..., withdrawals: _Optional[_Union[Withdrawals, _Mapping]] = ..., receipts: _Optional[_Union[Receipts, _Mapping]] = ..., agents: _Optional[_Union[AgentSet, _Mapping]] = ..., pulse: _Optional[_Union[Pulse, _Mapping]] = ..., revoked: _Optional[_Union[RevokedSet, _Mapping]] = ..., renew: _Optional[_Union[Renew, _Mapping]] = ..., peers: _Optional[_Union[Peers, _Mapping]] = ..., unneeded_blobs: _Optional[_Union[UnneededBlobs, _Mapping]] = ..., copy_blob: _Optional[_Union[CopyBlob, _Mapping]] = ...) -> None: ...

class Peers(_message.Message):
    __slots__ = ("nodes",)
    NODES_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[Peer]
    def __init__(self, nodes: _Optional[_Iterable[_Union[Peer, _Mapping]]] = ...) -> None: ...

class Peer(_message.Message):
    __slots__ = ("node", "address", "clearance")
    NODE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    CLEARANCE_FIELD_NUMBER: _ClassVar[int]
    node: str
    address: str
    clearance: _common_pb2.Clearance
    def __init__(self, node: _Optional[str] = ..., address: _Optional[str] = ..., clearance: _Optional[_Union[_common_pb2.Clearance, _Mapping]] = ...) -> None: ...

class IdleBlobs(_message.Message):
    __slots__ = ("digests",)
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    digests: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, digests: _Optional[_Iterable[bytes]] = ...) -> None: ...

class UnneededBlobs(_message.Message):
    __slots__ = ("digests",)
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    digests: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, digests: _Optional[_Iterable[bytes]] = ...) -> None: ...

class HeldBlobs(_message.Message):
    __slots__ = ("kept", "passing", "gone")
    KEPT_FIELD_NUMBER: _ClassVar[int]
    PASSING_FIELD_NUMBER: _ClassVar[int]
    GONE_FIELD_NUMBER: _ClassVar[int]
    kept: _containers.RepeatedScalarFieldContainer[bytes]
    passing: _containers.RepeatedScalarFieldContainer[bytes]
    gone: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, kept: _Optional[_Iterable[bytes]] = ..., passing: _Optional[_Iterable[bytes]] = ..., gone: _Optional[_Iterable[bytes]] = ...) -> None: ...

class CopyBlob(_message.Message):
    __slots__ = ("digest", "target")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    digest: bytes
    target: str
    def __init__(self, digest: _Optional[bytes] = ..., target: _Optional[str] = ...) -> None: ...

class BlobCopied(_message.Message):
    __slots__ = ("digest", "target", "error")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    digest: bytes
    target: str
    error: _common_pb2.Error
    def __init__(self, digest: _Optional[bytes] = ..., target: _Optional[str] = ..., error: _Optional[_Union[_common_pb2.Error, _Mapping]] = ...) -> None: ...

class StepKey(_message.Message):
    __slots__ = ("run", "step", "term", "attempt")
    RUN_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    run: str
    step: int
    term: int
    attempt: int
    def __init__(self, run: _Optional[str] = ..., step: _Optional[int] = ..., term: _Optional[int] = ..., attempt: _Optional[int] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("node", "slots", "agents", "layers", "running", "address", "tier", "memory_mb", "cpu_cores", "lacks", "clearance", "result_key")
    NODE_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    MEMORY_MB_FIELD_NUMBER: _ClassVar[int]
    CPU_CORES_FIELD_NUMBER: _ClassVar[int]
    LACKS_FIELD_NUMBER: _ClassVar[int]
    CLEARANCE_FIELD_NUMBER: _ClassVar[int]
    RESULT_KEY_FIELD_NUMBER: _ClassVar[int]
    node: str
    slots: int
    agents: _containers.RepeatedScalarFieldContainer[str]
    layers: _containers.RepeatedScalarFieldContainer[str]
    running: _containers.RepeatedCompositeFieldContainer[StepKey]
    address: str
    tier: str
    memory_mb: int
    cpu_cores: float
    lacks: _containers.RepeatedCompositeFieldContainer[_common_pb2.Lack]
    clearance: _common_pb2.Clearance
    result_key: str
    def __init__(self, node: _Optional[str] = ..., slots: _Optional[int] = ..., agents: _Optional[_Iterable[str]] = ..., layers: _Optional[_Iterable[str]] = ..., running: _Optional[_Iterable[_Union[StepKey, _Mapping]]] = ..., address: _Optional[str] = ..., tier: _Optional[str] = ..., memory_mb: _Optional[int] = ..., cpu_cores: _Optional[float] = ..., lacks: _Optional[_Iterable[_Union[_common_pb2.Lack, _Mapping]]] = ..., clearance: _Optional[_Union[_common_pb2.Clearance, _Mapping]] = ..., result_key: _Optional[str] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("term",)
    TERM_FIELD_NUMBER: _ClassVar[int]
    term: int
    def __init__(self, term: _Optional[int] = ...) -> None: ...

class Pulse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RevokedSet(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[RevokedEntry]
    def __init__(self, entries: _Optional[_Iterable[_Union[RevokedEntry, _Mapping]]] = ...) -> None: ...

class RevokedEntry(_message.Message):
    __slots__ = ("name", "serial", "reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    serial: str
    reason: str
    def __init__(self, name: _Optional[str] = ..., serial: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class Renew(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("load", "cells", "draining", "usage")
    LOAD_FIELD_NUMBER: _ClassVar[int]
    CELLS_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    load: float
    cells: int
    draining: bool
    usage: _containers.RepeatedCompositeFieldContainer[_common_pb2.Usage]
    def __init__(self, load: _Optional[float] = ..., cells: _Optional[int] = ..., draining: _Optional[bool] = ..., usage: _Optional[_Iterable[_Union[_common_pb2.Usage, _Mapping]]] = ...) -> None: ...

class Hosting(_message.Message):
    __slots__ = ("agents", "refused")
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    agents: _containers.RepeatedScalarFieldContainer[str]
    refused: _containers.RepeatedCompositeFieldContainer[Refusal]
    def __init__(self, agents: _Optional[_Iterable[str]] = ..., refused: _Optional[_Iterable[_Union[Refusal, _Mapping]]] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("digest", "error")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    digest: str
    error: _common_pb2.Error
    def __init__(self, digest: _Optional[str] = ..., error: _Optional[_Union[_common_pb2.Error, _Mapping]] = ...) -> None: ...

class AgentSet(_message.Message):
    __slots__ = ("digests",)
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    digests: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, digests: _Optional[_Iterable[str]] = ...) -> None: ...

class Order(_message.Message):
    __slots__ = ("run", "term", "agent", "capability", "timeout_ms", "scatter", "steps", "attempts", "inputs", "context", "priority", "sign", "followers", "about_term", "about_attempt")
    RUN_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    CAPABILITY_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    SCATTER_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    SIGN_FIELD_NUMBER: _ClassVar[int]
    FOLLOWERS_FIELD_NUMBER: _ClassVar[int]
    ABOUT_TERM_FIELD_NUMBER: _ClassVar[int]
    ABOUT_ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    run: str
    term: int
    agent: str
    capability: str
    timeout_ms: int
    scatter: _containers.RepeatedCompositeFieldContainer[ScatterCount]
    steps: _containers.RepeatedScalarFieldContainer[int]
    attempts: _containers.RepeatedScalarFieldContainer[int]
    inputs: _containers.RepeatedCompositeFieldContainer[_common_pb2.Column]
    context: _common_pb2.Context
    priority: int
    sign: bool
    followers: _containers.RepeatedCompositeFieldContainer[Follower]
    about_term: int
    about_attempt: int
    def __init__(self, run: _Optional[str] = ..., term: _Optional[int] = ..., agent: _Optional[str] = ..., capability: _Optional[str] = ..., timeout_ms: _Optional[int] = ..., scatter: _Optional[_Iterable[_Union[ScatterCount, _Mapping]]] = ..., steps: _Optional[_Iterable[int]] = ..., attempts: _Optional[_Iterable[int]] = ..., inputs: _Optional[_Iterable[_Union[_common_pb2.Column, _Mapping]]] = ..., context: _Optional[_Union[_common_pb2.Context, _Mapping]] = ..., priority: _Optional[int] = ..., sign: _Optional[bool] = ..., followers: _Optional[_Iterable[_Union[Follower, _Mapping]]] = ..., about_term: _Optional[int] = ..., about_attempt: _Optional[int] = ...) -> None: ...

class Follower(_message.Message):
    __slots__ = ("step", "attempt", "agent", "capability", "timeout_ms", "scatter", "inputs", "wires")
    STEP_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    CAPABILITY_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    SCATTER_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    WIRES_FIELD_NUMBER: _ClassVar[int]
    step: int
    attempt: int
    agent: str
    capability: str
    timeout_ms: int
    scatter: _containers.RepeatedCompositeFieldContainer[ScatterCount]
    inputs: _containers.RepeatedCompositeFieldContainer[_common_pb2.PortItems]
    wires: _containers.RepeatedCompositeFieldContainer[Wire]
    def __init__(self, step: _Optional[int] = ..., attempt: _Optional[int] = ..., agent: _Optional[str] = ..., capability: _Optional[str] = ..., timeout_ms: _Optional[int] = ..., scatter: _Optional[_Iterable[_Union[ScatterCount, _Mapping]]] = ..., inputs: _Optional[_Iterable[_Union[_common_pb2.PortItems, _Mapping]]] = ..., wires: _Optional[_Iterable[_Union[Wire, _Mapping]]] = ...) -> None: ...

class Wire(_message.Message):
    __slots__ = ("out", "slot", "into", "gathers")
    OUT_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    INTO_FIELD_NUMBER: _ClassVar[int]
    GATHERS_FIELD_NUMBER: _ClassVar[int]
    out: str
    slot: int
    into: str
    gathers: bool
    def __init__(self, out: _Optional[str] = ..., slot: _Optional[int] = ..., into: _Optional[str] = ..., gathers: _Optional[bool] = ...) -> None: ...

class ScatterCount(_message.Message):
    __slots__ = ("port", "count")
    PORT_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    port: str
    count: int
    def __init__(self, port: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class Assignments(_message.Message):
    __slots__ = ("orders",)
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    orders: _containers.RepeatedCompositeFieldContainer[Order]
    def __init__(self, orders: _Optional[_Iterable[_Union[Order, _Mapping]]] = ...) -> None: ...

class Attempts(_message.Message):
    __slots__ = ("run", "term", "steps", "attempts")
    RUN_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    run: str
    term: int
    steps: _containers.RepeatedScalarFieldContainer[int]
    attempts: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, run: _Optional[str] = ..., term: _Optional[int] = ..., steps: _Optional[_Iterable[int]] = ..., attempts: _Optional[_Iterable[int]] = ...) -> None: ...

class Withdrawals(_message.Message):
    __slots__ = ("keys",)
    KEYS_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[Attempts]
    def __init__(self, keys: _Optional[_Iterable[_Union[Attempts, _Mapping]]] = ...) -> None: ...

class Results(_message.Message):
    __slots__ = ("run", "term", "steps", "attempts", "started_ms", "wall_ms", "outputs", "cached", "signatures", "after_term", "after_attempts")
    RUN_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    STARTED_MS_FIELD_NUMBER: _ClassVar[int]
    WALL_MS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    CACHED_FIELD_NUMBER: _ClassVar[int]
    SIGNATURES_FIELD_NUMBER: _ClassVar[int]
    AFTER_TERM_FIELD_NUMBER: _ClassVar[int]
    AFTER_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    run: str
    term: int
    steps: _containers.RepeatedScalarFieldContainer[int]
    attempts: _containers.RepeatedScalarFieldContainer[int]
    started_ms: _containers.RepeatedScalarFieldContainer[int]
    wall_ms: _containers.RepeatedScalarFieldContainer[float]
    outputs: _containers.RepeatedCompositeFieldContainer[_common_pb2.Column]
    cached: bool
    signatures: _containers.RepeatedScalarFieldContainer[bytes]
    after_term: int
    after_attempts: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, run: _Optional[str] = ..., term: _Optional[int] = ..., steps: _Optional[_Iterable[int]] = ..., attempts: _Optional[_Iterable[int]] = ..., started_ms: _Optional[_Iterable[int]] = ..., wall_ms: _Optional[_Iterable[float]] = ..., outputs: _Optional[_Iterable[_Union[_common_pb2.Column, _Mapping]]] = ..., cached: _Optional[bool] = ..., signatures: _Optional[_Iterable[bytes]] = ..., after_term: _Optional[int] = ..., after_attempts: _Optional[_Iterable[int]] = ...) -> None: ...

class KeptResult(_message.Message):
    __slots__ = ("outputs",)
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    outputs: _containers.RepeatedCompositeFieldContainer[_common_pb2.PortItems]
    def __init__(self, outputs: _Optional[_Iterable[_Union[_common_pb2.PortItems, _Mapping]]] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("key", "error", "retryable", "started_ms", "wall_ms", "after_term", "after_attempt")
    KEY_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    STARTED_MS_FIELD_NUMBER: _ClassVar[int]
    WALL_MS_FIELD_NUMBER: _ClassVar[int]
    AFTER_TERM_FIELD_NUMBER: _ClassVar[int]
    AFTER_ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    key: StepKey
    error: _common_pb2.Error
    retryable: bool
    started_ms: int
    wall_ms: float
    after_term: int
    after_attempt: int
    def __init__(self, key: _Optional[_Union[StepKey, _Mapping]] = ..., error: _Optional[_Union[_common_pb2.Error, _Mapping]] = ..., retryable: _Optional[bool] = ..., started_ms: _Optional[int] = ..., wall_ms: _Optional[float] = ..., after_term: _Optional[int] = ..., after_attempt: _Optional[int] = ...) -> None: ...

class Outcomes(_message.Message):
    __slots__ = ("parts",)
    PARTS_FIELD_NUMBER: _ClassVar[int]
    parts: _containers.RepeatedCompositeFieldContainer[OutcomePart]
    def __init__(self, parts: _Optional[_Iterable[_Union[OutcomePart, _Mapping]]] = ...) -> None: ...

class OutcomePart(_message.Message):
    __slots__ = ("results", "failure")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    results: Results
    failure: Failure
    def __init__(self, results: _Optional[_Union[Results, _Mapping]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ...) -> None: ...

class Receipts(_message.Message):
    __slots__ = ("keys",)
    KEYS_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[Attempts]
    def __init__(self, keys: _Optional[_Iterable[_Union[Attempts, _Mapping]]] = ...) -> None: ...
