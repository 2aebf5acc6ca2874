from swarm.wire.gen import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JoinCall(_message.Message):
    __slots__ = ("authority", "join")
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    JOIN_FIELD_NUMBER: _ClassVar[int]
    authority: AuthorityAsk
    join: JoinAsk
    def __init__(self, authority: _Optional[_Union[AuthorityAsk, _Mapping]] = ..., join: _Optional[_Union[JoinAsk, _Mapping]] = ...) -> None: ...

class AuthorityAsk(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class JoinAsk(_message.Message):
    __slots__ = ("token", "secret", "name", "addresses", "signing_request")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    SIGNING_REQUEST_FIELD_NUMBER: _ClassVar[int]
    token: str
    secret: bytes
    name: str
    addresses: _containers.RepeatedScalarFieldContainer[str]
    signing_request: bytes
    def __init__(self, token: _Optional[str] = ..., secret: _Optional[bytes] = ..., name: _Optional[str] = ..., addresses: _Optional[_Iterable[str]] = ..., signing_request: _Optional[bytes] = ...) -> None: ...

class JoinReply(_message.Message):
    __slots__ = ("authority", "joined", "refused")
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    JOINED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    authority: bytes
    joined: Joined
    refused: _common_pb2.Error
    def __init__(self, authority: _Optional[bytes] = ..., joined: _Optional[_Union[Joined, _Mapping]] = ..., refused: _Optional[_Union[_common_pb2.Error, _Mapping]] = ...) -> None: ...

class Joined(_message.Message):
    __slots__ = ("certificate", "cluster", "role", "coordinators", "authors")
    class CoordinatorsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    COORDINATORS_FIELD_NUMBER: _ClassVar[int]
    AUTHORS_FIELD_NUMBER: _ClassVar[int]
    certificate: bytes
    cluster: str
    role: str
    coordinators: _containers.ScalarMap[str, str]
    authors: _containers.RepeatedCompositeFieldContainer[TrustedAuthor]
    def __init__(self, certificate: _Optional[bytes] = ..., cluster: _Optional[str] = ..., role: _Optional[str] = ..., coordinators: _Optional[_Mapping[str, str]] = ..., authors: _Optional[_Iterable[_Union[TrustedAuthor, _Mapping]]] = ...) -> None: ...

class TrustedAuthor(_message.Message):
    __slots__ = ("name", "key", "may")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    MAY_FIELD_NUMBER: _ClassVar[int]
    name: str
    key: str
    may: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., key: _Optional[str] = ..., may: _Optional[_Iterable[str]] = ...) -> None: ...
