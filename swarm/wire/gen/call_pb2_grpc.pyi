"""Generated from proto/ by `python -m swarm.wire.generate`; never edited."""

from collections.abc import AsyncIterator

import grpc.aio

from swarm.wire.gen import call_pb2

class CallsStub:
    def __init__(self, channel: grpc.aio.Channel) -> None: ...
    Open: grpc.aio.StreamStreamMultiCallable[call_pb2.CallBatches, call_pb2.CallReplies]

class CallsServicer:
    def Open(self, request_iterator: AsyncIterator[call_pb2.CallBatches], context: grpc.aio.ServicerContext[call_pb2.CallBatches, call_pb2.CallReplies]) -> AsyncIterator[call_pb2.CallReplies]: ...

def add_CallsServicer_to_server(
    servicer: CallsServicer, server: grpc.aio.Server
) -> None: ...
