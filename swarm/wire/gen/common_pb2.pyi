from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Payload(_message.Message):
    __slots__ = ("kind", "data")
    KIND_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    kind: str
    data: bytes
    def __init__(self, kind: _Optional[str] = ..., data: _Optional[bytes] = ...) -> None: ...

class PortItems(_message.Message):
    __slots__ = ("port", "many", "items")
    PORT_FIELD_NUMBER: _ClassVar[int]
    MANY_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    port: str
    many: bool
    items: _containers.RepeatedCompositeFieldContainer[Payload]
    def __init__(self, port: _Optional[str] = ..., many: _Optional[bool] = ..., items: _Optional[_Iterable[_Union[Payload, _Mapping]]] = ...) -> None: ...

class Column(_message.Message):
    __slots__ = ("port", "kind", "many", "data", "counts", "kinds")
    PORT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    MANY_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    port: str
    kind: str
    many: bool
    data: _containers.RepeatedScalarFieldContainer[bytes]
    counts: _containers.RepeatedScalarFieldContainer[int]
    kinds: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, port: _Optional[str] = ..., kind: _Optional[str] = ..., many: _Optional[bool] = ..., data: _Optional[_Iterable[bytes]] = ..., counts: _Optional[_Iterable[int]] = ..., kinds: _Optional[_Iterable[str]] = ...) -> None: ...

class Problem(_message.Message):
    __slots__ = ("code", "place", "message", "remedy")
    CODE_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    code: str
    place: str
    message: str
    remedy: str
    def __init__(self, code: _Optional[str] = ..., place: _Optional[str] = ..., message: _Optional[str] = ..., remedy: _Optional[str] = ...) -> None: ...

class Error(_message.Message):
    __slots__ = ("code", "message", "place", "remedy", "problems", "hint")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    place: str
    remedy: str
    problems: _containers.RepeatedCompositeFieldContainer[Problem]
    hint: str
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ..., place: _Optional[str] = ..., remedy: _Optional[str] = ..., problems: _Optional[_Iterable[_Union[Problem, _Mapping]]] = ..., hint: _Optional[str] = ...) -> None: ...

class Usage(_message.Message):
    __slots__ = ("agent", "cells", "cpu_ms", "memory_peak_bytes", "bytes_in", "bytes_out")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    CELLS_FIELD_NUMBER: _ClassVar[int]
    CPU_MS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_PEAK_BYTES_FIELD_NUMBER: _ClassVar[int]
    BYTES_IN_FIELD_NUMBER: _ClassVar[int]
    BYTES_OUT_FIELD_NUMBER: _ClassVar[int]
    agent: str
    cells: int
    cpu_ms: float
    memory_peak_bytes: int
    bytes_in: int
    bytes_out: int
    def __init__(self, agent: _Optional[str] = ..., cells: _Optional[int] = ..., cpu_ms: _Optional[float] = ..., memory_peak_bytes: _Optional[int] = ..., bytes_in: _Optional[int] = ..., bytes_out: _Optional[int] = ...) -> None: ...

class Lack(_message.Message):
    __slots__ = ("layer", "reason", "remedy")
    LAYER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    layer: str
    reason: str
    remedy: str
    def __init__(self, layer: _Optional[str] = ..., reason: _Optional[str] = ..., remedy: _Optional[str] = ...) -> None: ...

class Port(_message.Message):
    __slots__ = ("name", "kind", "dtype", "has_shape", "shape", "many", "optional")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    HAS_SHAPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    MANY_FIELD_NUMBER: _ClassVar[int]
    OPTIONAL_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: str
    dtype: str
    has_shape: bool
    shape: _containers.RepeatedScalarFieldContainer[int]
    many: bool
    optional: bool
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[str] = ..., dtype: _Optional[str] = ..., has_shape: _Optional[bool] = ..., shape: _Optional[_Iterable[int]] = ..., many: _Optional[bool] = ..., optional: _Optional[bool] = ...) -> None: ...

class Context(_message.Message):
    __slots__ = ("level", "domain", "tenant", "permissions")
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PERMISSIONS_FIELD_NUMBER: _ClassVar[int]
    level: int
    domain: str
    tenant: str
    permissions: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, level: _Optional[int] = ..., domain: _Optional[str] = ..., tenant: _Optional[str] = ..., permissions: _Optional[_Iterable[str]] = ...) -> None: ...

class Transition(_message.Message):
    __slots__ = ("source", "target")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    source: Context
    target: Context
    def __init__(self, source: _Optional[_Union[Context, _Mapping]] = ..., target: _Optional[_Union[Context, _Mapping]] = ...) -> None: ...

class Clearance(_message.Message):
    __slots__ = ("level", "any_domain", "domains", "any_tenant", "tenants", "any_permission", "permissions")
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    ANY_DOMAIN_FIELD_NUMBER: _ClassVar[int]
    DOMAINS_FIELD_NUMBER: _ClassVar[int]
    ANY_TENANT_FIELD_NUMBER: _ClassVar[int]
    TENANTS_FIELD_NUMBER: _ClassVar[int]
    ANY_PERMISSION_FIELD_NUMBER: _ClassVar[int]
    PERMISSIONS_FIELD_NUMBER: _ClassVar[int]
    level: int
    any_domain: bool
    domains: _containers.RepeatedScalarFieldContainer[str]
    any_tenant: bool
    tenants: _containers.RepeatedScalarFieldContainer[str]
    any_permission: bool
    permissions: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, level: _Optional[int] = ..., any_domain: _Optional[bool] = ..., domains: _Optional[_Iterable[str]] = ..., any_tenant: _Optional[bool] = ..., tenants: _Optional[_Iterable[str]] = ..., any_permission: _Optional[bool] = ..., permissions: _Optional[_Iterable[str]] = ...) -> None: ...

class Capability(_message.Message):
    __slots__ = ("name", "inputs", "outputs", "deterministic", "effects", "description", "switches_context", "switches", "reconcile", "rows")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    DETERMINISTIC_FIELD_NUMBER: _ClassVar[int]
    EFFECTS_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    SWITCHES_CONTEXT_FIELD_NUMBER: _ClassVar[int]
    SWITCHES_FIELD_NUMBER: _ClassVar[int]
    RECONCILE_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    name: str
    inputs: _containers.RepeatedCompositeFieldContainer[Port]
    outputs: _containers.RepeatedCompositeFieldContainer[Port]
    deterministic: bool
    effects: str
    description: str
    switches_context: bool
    switches: _containers.RepeatedCompositeFieldContainer[Transition]
    reconcile: str
    rows: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., inputs: _Optional[_Iterable[_Union[Port, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[Port, _Mapping]]] = ..., deterministic: _Optional[bool] = ..., effects: _Optional[str] = ..., description: _Optional[str] = ..., switches_context: _Optional[bool] = ..., switches: _Optional[_Iterable[_Union[Transition, _Mapping]]] = ..., reconcile: _Optional[str] = ..., rows: _Optional[_Iterable[str]] = ...) -> None: ...

class Agent(_message.Message):
    __slots__ = ("name", "version", "digest", "kind", "size_bytes", "capabilities", "memory_mb", "cpu_cores", "layers", "needs")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_MB_FIELD_NUMBER: _ClassVar[int]
    CPU_CORES_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    NEEDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    digest: str
    kind: str
    size_bytes: int
    capabilities: _containers.RepeatedCompositeFieldContainer[Capability]
    memory_mb: int
    cpu_cores: float
    layers: _containers.RepeatedScalarFieldContainer[str]
    needs: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., digest: _Optional[str] = ..., kind: _Optional[str] = ..., size_bytes: _Optional[int] = ..., capabilities: _Optional[_Iterable[_Union[Capability, _Mapping]]] = ..., memory_mb: _Optional[int] = ..., cpu_cores: _Optional[float] = ..., layers: _Optional[_Iterable[str]] = ..., needs: _Optional[_Iterable[str]] = ...) -> None: ...
