from swarm.wire.gen import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CallBatches(_message.Message):
    __slots__ = ("parts",)
    PARTS_FIELD_NUMBER: _ClassVar[int]
    parts: _containers.RepeatedCompositeFieldContainer[CallBatch]
    def __init__(self, parts: _Optional[_Iterable[_Union[CallBatch, _Mapping]]] = ...) -> None: ...

class CallBatch(_message.Message):
    __slots__ = ("capability", "timeout_ms", "ids", "inputs")
    CAPABILITY_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    capability: str
    timeout_ms: int
    ids: _containers.RepeatedScalarFieldContainer[int]
    inputs: _containers.RepeatedCompositeFieldContainer[_common_pb2.Column]
    def __init__(self, capability: _Optional[str] = ..., timeout_ms: _Optional[int] = ..., ids: _Optional[_Iterable[int]] = ..., inputs: _Optional[_Iterable[_Union[_common_pb2.Column, _Mapping]]] = ...) -> None: ...

class CallReplies(_message.Message):
    __slots__ = ("results", "failures")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[CallResults]
    failures: _containers.RepeatedCompositeFieldContainer[CallFailure]
    def __init__(self, results: _Optional[_Iterable[_Union[CallResults, _Mapping]]] = ..., failures: _Optional[_Iterable[_Union[CallFailure, _Mapping]]] = ...) -> None: ...

class CallResults(_message.Message):
    __slots__ = ("ids", "outputs")
    IDS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[int]
    outputs: _containers.RepeatedCompositeFieldContainer[_common_pb2.Column]
    def __init__(self, ids: _Optional[_Iterable[int]] = ..., outputs: _Optional[_Iterable[_Union[_common_pb2.Column, _Mapping]]] = ...) -> None: ...

class CallFailure(_message.Message):
    __slots__ = ("id", "error")
    ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    id: int
    error: _common_pb2.Error
    def __init__(self, id: _Optional[int] = ..., error: _Optional[_Union[_common_pb2.Error, _Mapping]] = ...) -> None: ...
