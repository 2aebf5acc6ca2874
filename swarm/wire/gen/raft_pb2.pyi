from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RaftFrame(_message.Message):
    __slots__ = ("hello", "messages")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    hello: RaftHello
    messages: _containers.RepeatedCompositeFieldContainer[RaftMessage]
    def __init__(self, hello: _Optional[_Union[RaftHello, _Mapping]] = ..., messages: _Optional[_Iterable[_Union[RaftMessage, _Mapping]]] = ...) -> None: ...

class RaftHello(_message.Message):
    __slots__ = ("incarnation", "voters")
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    VOTERS_FIELD_NUMBER: _ClassVar[int]
    incarnation: bytes
    voters: RaftVoters
    def __init__(self, incarnation: _Optional[bytes] = ..., voters: _Optional[_Union[RaftVoters, _Mapping]] = ...) -> None: ...

class RaftVoters(_message.Message):
    __slots__ = ("index", "voters", "removed")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    VOTERS_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    index: int
    voters: _containers.RepeatedCompositeFieldContainer[RaftVoter]
    removed: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, index: _Optional[int] = ..., voters: _Optional[_Iterable[_Union[RaftVoter, _Mapping]]] = ..., removed: _Optional[_Iterable[str]] = ...) -> None: ...

class RaftVoter(_message.Message):
    __slots__ = ("node", "address", "learns")
    NODE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    LEARNS_FIELD_NUMBER: _ClassVar[int]
    node: str
    address: str
    learns: bool
    def __init__(self, node: _Optional[str] = ..., address: _Optional[str] = ..., learns: _Optional[bool] = ...) -> None: ...

class RaftPipeEnd(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RaftMessage(_message.Message):
    __slots__ = ("term", "vote_request", "vote_reply", "append", "append_reply", "snapshot_chunk", "fragment", "farewell")
    TERM_FIELD_NUMBER: _ClassVar[int]
    VOTE_REQUEST_FIELD_NUMBER: _ClassVar[int]
    VOTE_REPLY_FIELD_NUMBER: _ClassVar[int]
    APPEND_FIELD_NUMBER: _ClassVar[int]
    APPEND_REPLY_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_CHUNK_FIELD_NUMBER: _ClassVar[int]
    FRAGMENT_FIELD_NUMBER: _ClassVar[int]
    FAREWELL_FIELD_NUMBER: _ClassVar[int]
    term: int
    vote_request: RaftVoteRequest
    vote_reply: RaftVoteReply
    append: RaftAppend
    append_reply: RaftAppendReply
    snapshot_chunk: RaftSnapshotChunk
    fragment: RaftFragment
    farewell: RaftFarewell
    def __init__(self, term: _Optional[int] = ..., vote_request: _Optional[_Union[RaftVoteRequest, _Mapping]] = ..., vote_reply: _Optional[_Union[RaftVoteReply, _Mapping]] = ..., append: _Optional[_Union[RaftAppend, _Mapping]] = ..., append_reply: _Optional[_Union[RaftAppendReply, _Mapping]] = ..., snapshot_chunk: _Optional[_Union[RaftSnapshotChunk, _Mapping]] = ..., fragment: _Optional[_Union[RaftFragment, _Mapping]] = ..., farewell: _Optional[_Union[RaftFarewell, _Mapping]] = ...) -> None: ...

class RaftVoteRequest(_message.Message):
    __slots__ = ("last_index", "last_term", "trial")
    LAST_INDEX_FIELD_NUMBER: _ClassVar[int]
    LAST_TERM_FIELD_NUMBER: _ClassVar[int]
    TRIAL_FIELD_NUMBER: _ClassVar[int]
    last_index: int
    last_term: int
    trial: bool
    def __init__(self, last_index: _Optional[int] = ..., last_term: _Optional[int] = ..., trial: _Optional[bool] = ...) -> None: ...

class RaftVoteReply(_message.Message):
    __slots__ = ("granted", "trial")
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    TRIAL_FIELD_NUMBER: _ClassVar[int]
    granted: bool
    trial: bool
    def __init__(self, granted: _Optional[bool] = ..., trial: _Optional[bool] = ...) -> None: ...

class RaftEntry(_message.Message):
    __slots__ = ("command", "index", "term")
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    command: bytes
    index: int
    term: int
    def __init__(self, command: _Optional[bytes] = ..., index: _Optional[int] = ..., term: _Optional[int] = ...) -> None: ...

class RaftAppend(_message.Message):
    __slots__ = ("previous_index", "previous_term", "commit_index", "entries")
    PREVIOUS_INDEX_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_TERM_FIELD_NUMBER: _ClassVar[int]
    COMMIT_INDEX_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    previous_index: int
    previous_term: int
    commit_index: int
    entries: _containers.RepeatedCompositeFieldContainer[RaftEntry]
    def __init__(self, previous_index: _Optional[int] = ..., previous_term: _Optional[int] = ..., commit_index: _Optional[int] = ..., entries: _Optional[_Iterable[_Union[RaftEntry, _Mapping]]] = ...) -> None: ...

class RaftAppendReply(_message.Message):
    __slots__ = ("accepted", "next_index", "previous_index", "awaits")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    NEXT_INDEX_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_INDEX_FIELD_NUMBER: _ClassVar[int]
    AWAITS_FIELD_NUMBER: _ClassVar[int]
    accepted: bool
    next_index: int
    previous_index: int
    awaits: bool
    def __init__(self, accepted: _Optional[bool] = ..., next_index: _Optional[int] = ..., previous_index: _Optional[int] = ..., awaits: _Optional[bool] = ...) -> None: ...

class RaftSnapshotChunk(_message.Message):
    __slots__ = ("index", "entry_term", "offset", "data", "last")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ENTRY_TERM_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    index: int
    entry_term: int
    offset: int
    data: bytes
    last: bool
    def __init__(self, index: _Optional[int] = ..., entry_term: _Optional[int] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ..., last: _Optional[bool] = ...) -> None: ...

class RaftFarewell(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RaftFragment(_message.Message):
    __slots__ = ("data", "last")
    DATA_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    last: bool
    def __init__(self, data: _Optional[bytes] = ..., last: _Optional[bool] = ...) -> None: ...

class RaftSnapshotHeader(_message.Message):
    __slots__ = ("index", "term", "state_bytes", "state_crc32", "voters")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    STATE_BYTES_FIELD_NUMBER: _ClassVar[int]
    STATE_CRC32_FIELD_NUMBER: _ClassVar[int]
    VOTERS_FIELD_NUMBER: _ClassVar[int]
    index: int
    term: int
    state_bytes: int
    state_crc32: int
    voters: RaftVoters
    def __init__(self, index: _Optional[int] = ..., term: _Optional[int] = ..., state_bytes: _Optional[int] = ..., state_crc32: _Optional[int] = ..., voters: _Optional[_Union[RaftVoters, _Mapping]] = ...) -> None: ...
