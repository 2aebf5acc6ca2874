"""Generated from proto/ by `python -m swarm.wire.generate`; never edited."""

from collections.abc import AsyncIterator

import grpc.aio

from swarm.wire.gen import raft_pb2

class RaftStub:
    def __init__(self, channel: grpc.aio.Channel) -> None: ...
    Pipe: grpc.aio.StreamUnaryMultiCallable[raft_pb2.RaftFrame, raft_pb2.RaftPipeEnd]

class RaftServicer:
    async def Pipe(self, request_iterator: AsyncIterator[raft_pb2.RaftFrame], context: grpc.aio.ServicerContext[raft_pb2.RaftFrame, raft_pb2.RaftPipeEnd]) -> raft_pb2.RaftPipeEnd: ...

def add_RaftServicer_to_server(
    servicer: RaftServicer, server: grpc.aio.Server
) -> None: ...
