"""Generated from proto/ by `python -m swarm.wire.generate`; never edited."""

from collections.abc import AsyncIterator

import grpc.aio

from swarm.wire.gen import work_pb2

class WorkStub:
    def __init__(self, channel: grpc.aio.Channel) -> None: ...
    Attach: grpc.aio.StreamStreamMultiCallable[work_pb2.FromNode, work_pb2.ToNodes]

class WorkServicer:
    def Attach(self, request_iterator: AsyncIterator[work_pb2.FromNode], context: grpc.aio.ServicerContext[work_pb2.FromNode, work_pb2.ToNodes]) -> AsyncIterator[work_pb2.ToNodes]: ...

def add_WorkServicer_to_server(
    servicer: WorkServicer, server: grpc.aio.Server
) -> None: ...
