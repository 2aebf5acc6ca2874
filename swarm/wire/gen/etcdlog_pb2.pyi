from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EtcdBatch(_message.Message):
    __slots__ = ("term", "first_index", "entries")
    TERM_FIELD_NUMBER: _ClassVar[int]
    FIRST_INDEX_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    term: int
    first_index: int
    entries: _containers.RepeatedCompositeFieldContainer[EtcdEntry]
    def __init__(self, term: _Optional[int] = ..., first_index: _Optional[int] = ..., entries: _Optional[_Iterable[_Union[EtcdEntry, _Mapping]]] = ...) -> None: ...

class EtcdEntry(_message.Message):
    __slots__ = ("kind", "data")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        PAYLOAD: _ClassVar[EtcdEntry.Kind]
        NOTHING: _ClassVar[EtcdEntry.Kind]
        PIECE: _ClassVar[EtcdEntry.Kind]
    PAYLOAD: EtcdEntry.Kind
    NOTHING: EtcdEntry.Kind
    PIECE: EtcdEntry.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    kind: EtcdEntry.Kind
    data: bytes
    def __init__(self, kind: _Optional[_Union[EtcdEntry.Kind, str]] = ..., data: _Optional[bytes] = ...) -> None: ...

class EtcdSnapshot(_message.Message):
    __slots__ = ("index", "term", "batch", "state_bytes", "parts", "sha256")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    STATE_BYTES_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    index: int
    term: int
    batch: int
    state_bytes: int
    parts: int
    sha256: bytes
    def __init__(self, index: _Optional[int] = ..., term: _Optional[int] = ..., batch: _Optional[int] = ..., state_bytes: _Optional[int] = ..., parts: _Optional[int] = ..., sha256: _Optional[bytes] = ...) -> None: ...

class EtcdOrigin(_message.Message):
    __slots__ = ("term", "complete")
    TERM_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    term: int
    complete: bool
    def __init__(self, term: _Optional[int] = ..., complete: _Optional[bool] = ...) -> None: ...
