from swarm.wire.gen import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Entry(_message.Message):
    __slots__ = ("version", "at_ms", "run_submitted", "steps_recorded", "run_cancelled", "agent_deployed", "agent_removed", "steps_intended", "token_created", "token_used", "token_revoked", "identity_revoked", "certificate_issued", "policy_applied", "key_registered")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    RUN_SUBMITTED_FIELD_NUMBER: _ClassVar[int]
    STEPS_RECORDED_FIELD_NUMBER: _ClassVar[int]
    RUN_CANCELLED_FIELD_NUMBER: _ClassVar[int]
    AGENT_DEPLOYED_FIELD_NUMBER: _ClassVar[int]
    AGENT_REMOVED_FIELD_NUMBER: _ClassVar[int]
    STEPS_INTENDED_FIELD_NUMBER: _ClassVar[int]
    TOKEN_CREATED_FIELD_NUMBER: _ClassVar[int]
    TOKEN_USED_FIELD_NUMBER: _ClassVar[int]
    TOKEN_REVOKED_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_REVOKED_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_ISSUED_FIELD_NUMBER: _ClassVar[int]
    POLICY_APPLIED_FIELD_NUMBER: _ClassVar[int]
    KEY_REGISTERED_FIELD_NUMBER: _ClassVar[int]
    version: int
    at_ms: int
    run_submitted: RunSubmitted
    steps_recorded: StepsRecorded
    run_cancelled: RunCancelled
    agent_deployed: AgentDeployed
    agent_removed: AgentRemoved
    steps_intended: StepsIntended
    token_created: TokenCreated
    token_used: TokenUsed
    token_revoked: TokenRevoked
    identity_revoked: IdentityRevoked
    certificate_issued: CertificateIssued
    policy_applied: PolicyApplied
    key_registered: KeyRegistered
    def __init__(self, version: _Optional[int] = ..., at_ms: _Optional[int] = ..., run_submitted: _Optional[_Union[RunSubmitted, _Mapping]] = ..., steps_recorded: _Optional[_Union[StepsRecorded, _Mapping]] = ..., run_cancelled: _Optional[_Union[RunCancelled, _Mapping]] = ..., agent_deployed: _Optional[_Union[AgentDeployed, _Mapping]] = ..., agent_removed: _Optional[_Union[AgentRemoved, _Mapping]] = ..., steps_intended: _Optional[_Union[StepsIntended, _Mapping]] = ..., token_created: _Optional[_Union[TokenCreated, _Mapping]] = ..., token_used: _Optional[_Union[TokenUsed, _Mapping]] = ..., token_revoked: _Optional[_Union[TokenRevoked, _Mapping]] = ..., identity_revoked: _Optional[_Union[IdentityRevoked, _Mapping]] = ..., certificate_issued: _Optional[_Union[CertificateIssued, _Mapping]] = ..., policy_applied: _Optional[_Union[PolicyApplied, _Mapping]] = ..., key_registered: _Optional[_Union[KeyRegistered, _Mapping]] = ...) -> None: ...

class RunSubmitted(_message.Message):
    __slots__ = ("run", "graph", "inputs", "priority", "principal", "key", "tenant", "sign", "records")
    RUN_FIELD_NUMBER: _ClassVar[int]
    GRAPH_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    SIGN_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    run: str
    graph: bytes
    inputs: _containers.RepeatedCompositeFieldContainer[_common_pb2.PortItems]
    priority: int
    principal: str
    key: str
    tenant: str
    sign: bool
    records: _containers.RepeatedCompositeFieldContainer[RecordPart]
    def __init__(self, run: _Optional[str] = ..., graph: _Optional[bytes] = ..., inputs: _Optional[_Iterable[_Union[_common_pb2.PortItems, _Mapping]]] = ..., priority: _Optional[int] = ..., principal: _Optional[str] = ..., key: _Optional[str] = ..., tenant: _Optional[str] = ..., sign: _Optional[bool] = ..., records: _Optional[_Iterable[_Union[RecordPart, _Mapping]]] = ...) -> None: ...

class ResultRecords(_message.Message):
    __slots__ = ("run", "term", "node", "steps", "attempts", "started_ms", "wall_ms", "outputs", "cached", "signatures")
    RUN_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    STARTED_MS_FIELD_NUMBER: _ClassVar[int]
    WALL_MS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    CACHED_FIELD_NUMBER: _ClassVar[int]
    SIGNATURES_FIELD_NUMBER: _ClassVar[int]
    run: str
    term: int
    node: str
    steps: _containers.RepeatedScalarFieldContainer[int]
    attempts: _containers.RepeatedScalarFieldContainer[int]
    started_ms: _containers.RepeatedScalarFieldContainer[int]
    wall_ms: _containers.RepeatedScalarFieldContainer[float]
    outputs: _containers.RepeatedCompositeFieldContainer[_common_pb2.Column]
    cached: bool
    signatures: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, run: _Optional[str] = ..., term: _Optional[int] = ..., node: _Optional[str] = ..., steps: _Optional[_Iterable[int]] = ..., attempts: _Optional[_Iterable[int]] = ..., started_ms: _Optional[_Iterable[int]] = ..., wall_ms: _Optional[_Iterable[float]] = ..., outputs: _Optional[_Iterable[_Union[_common_pb2.Column, _Mapping]]] = ..., cached: _Optional[bool] = ..., signatures: _Optional[_Iterable[bytes]] = ...) -> None: ...

class FailureRecord(_message.Message):
    __slots__ = ("run", "step", "term", "attempt", "node", "error", "started_ms", "wall_ms")
    RUN_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    STARTED_MS_FIELD_NUMBER: _ClassVar[int]
    WALL_MS_FIELD_NUMBER: _ClassVar[int]
    run: str
    step: int
    term: int
    attempt: int
    node: str
    error: _common_pb2.Error
    started_ms: int
    wall_ms: float
    def __init__(self, run: _Optional[str] = ..., step: _Optional[int] = ..., term: _Optional[int] = ..., attempt: _Optional[int] = ..., node: _Optional[str] = ..., error: _Optional[_Union[_common_pb2.Error, _Mapping]] = ..., started_ms: _Optional[int] = ..., wall_ms: _Optional[float] = ...) -> None: ...

class RecordPart(_message.Message):
    __slots__ = ("results", "failure")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    results: ResultRecords
    failure: FailureRecord
    def __init__(self, results: _Optional[_Union[ResultRecords, _Mapping]] = ..., failure: _Optional[_Union[FailureRecord, _Mapping]] = ...) -> None: ...

class StepsRecorded(_message.Message):
    __slots__ = ("parts",)
    PARTS_FIELD_NUMBER: _ClassVar[int]
    parts: _containers.RepeatedCompositeFieldContainer[RecordPart]
    def __init__(self, parts: _Optional[_Iterable[_Union[RecordPart, _Mapping]]] = ...) -> None: ...

class StepIntent(_message.Message):
    __slots__ = ("run", "step", "term", "attempt", "node")
    RUN_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    run: str
    step: int
    term: int
    attempt: int
    node: str
    def __init__(self, run: _Optional[str] = ..., step: _Optional[int] = ..., term: _Optional[int] = ..., attempt: _Optional[int] = ..., node: _Optional[str] = ...) -> None: ...

class StepsIntended(_message.Message):
    __slots__ = ("intents",)
    INTENTS_FIELD_NUMBER: _ClassVar[int]
    intents: _containers.RepeatedCompositeFieldContainer[StepIntent]
    def __init__(self, intents: _Optional[_Iterable[_Union[StepIntent, _Mapping]]] = ...) -> None: ...

class RunCancelled(_message.Message):
    __slots__ = ("run", "reason", "principal")
    RUN_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    run: str
    reason: str
    principal: str
    def __init__(self, run: _Optional[str] = ..., reason: _Optional[str] = ..., principal: _Optional[str] = ...) -> None: ...

class AgentDeployed(_message.Message):
    __slots__ = ("agent", "principal", "tenant")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    agent: _common_pb2.Agent
    principal: str
    tenant: str
    def __init__(self, agent: _Optional[_Union[_common_pb2.Agent, _Mapping]] = ..., principal: _Optional[str] = ..., tenant: _Optional[str] = ...) -> None: ...

class AgentRemoved(_message.Message):
    __slots__ = ("name", "principal")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    name: str
    principal: str
    def __init__(self, name: _Optional[str] = ..., principal: _Optional[str] = ...) -> None: ...

class TokenCreated(_message.Message):
    __slots__ = ("token", "secret_sha256", "role", "expires_ms", "uses_max", "principal")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    SECRET_SHA256_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_MS_FIELD_NUMBER: _ClassVar[int]
    USES_MAX_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    token: str
    secret_sha256: str
    role: str
    expires_ms: int
    uses_max: int
    principal: str
    def __init__(self, token: _Optional[str] = ..., secret_sha256: _Optional[str] = ..., role: _Optional[str] = ..., expires_ms: _Optional[int] = ..., uses_max: _Optional[int] = ..., principal: _Optional[str] = ...) -> None: ...

class TokenUsed(_message.Message):
    __slots__ = ("token", "name", "key_sha256")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    KEY_SHA256_FIELD_NUMBER: _ClassVar[int]
    token: str
    name: str
    key_sha256: str
    def __init__(self, token: _Optional[str] = ..., name: _Optional[str] = ..., key_sha256: _Optional[str] = ...) -> None: ...

class TokenRevoked(_message.Message):
    __slots__ = ("token", "principal")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    token: str
    principal: str
    def __init__(self, token: _Optional[str] = ..., principal: _Optional[str] = ...) -> None: ...

class IdentityRevoked(_message.Message):
    __slots__ = ("name", "reason", "principal", "serial")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    name: str
    reason: str
    principal: str
    serial: str
    def __init__(self, name: _Optional[str] = ..., reason: _Optional[str] = ..., principal: _Optional[str] = ..., serial: _Optional[str] = ...) -> None: ...

class CertificateIssued(_message.Message):
    __slots__ = ("uri", "serial", "not_after_ms", "origin")
    URI_FIELD_NUMBER: _ClassVar[int]
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    uri: str
    serial: str
    not_after_ms: int
    origin: str
    def __init__(self, uri: _Optional[str] = ..., serial: _Optional[str] = ..., not_after_ms: _Optional[int] = ..., origin: _Optional[str] = ...) -> None: ...

class KeyRegistered(_message.Message):
    __slots__ = ("node", "key")
    NODE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    node: str
    key: str
    def __init__(self, node: _Optional[str] = ..., key: _Optional[str] = ...) -> None: ...

class PolicyApplied(_message.Message):
    __slots__ = ("document", "principal")
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    document: str
    principal: str
    def __init__(self, document: _Optional[str] = ..., principal: _Optional[str] = ...) -> None: ...

class Snapshot(_message.Message):
    __slots__ = ("version", "entries")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    version: int
    entries: _containers.RepeatedCompositeFieldContainer[Entry]
    def __init__(self, version: _Optional[int] = ..., entries: _Optional[_Iterable[_Union[Entry, _Mapping]]] = ...) -> None: ...
