"""Generated from proto/ by `python -m swarm.wire.generate`; never edited."""

from collections.abc import AsyncIterator

import grpc.aio

from swarm.wire.gen import etcd_pb2

class KVStub:
    def __init__(self, channel: grpc.aio.Channel) -> None: ...
    Range: grpc.aio.UnaryUnaryMultiCallable[etcd_pb2.RangeRequest, etcd_pb2.RangeResponse]
    Put: grpc.aio.UnaryUnaryMultiCallable[etcd_pb2.PutRequest, etcd_pb2.PutResponse]
    DeleteRange: grpc.aio.UnaryUnaryMultiCallable[etcd_pb2.DeleteRangeRequest, etcd_pb2.DeleteRangeResponse]
    Txn: grpc.aio.UnaryUnaryMultiCallable[etcd_pb2.TxnRequest, etcd_pb2.TxnResponse]
    Compact: grpc.aio.UnaryUnaryMultiCallable[etcd_pb2.CompactionRequest, etcd_pb2.CompactionResponse]

class KVServicer:
    async def Range(self, request: etcd_pb2.RangeRequest, context: grpc.aio.ServicerContext[etcd_pb2.RangeRequest, etcd_pb2.RangeResponse]) -> etcd_pb2.RangeResponse: ...
    async def Put(self, request: etcd_pb2.PutRequest, context: grpc.aio.ServicerContext[etcd_pb2.PutRequest, etcd_pb2.PutResponse]) -> etcd_pb2.PutResponse: ...
    async def DeleteRange(self, request: etcd_pb2.DeleteRangeRequest, context: grpc.aio.ServicerContext[etcd_pb2.DeleteRangeRequest, etcd_pb2.DeleteRangeResponse]) -> etcd_pb2.DeleteRangeResponse: ...
    async def Txn(self, request: etcd_pb2.TxnRequest, context: grpc.aio.ServicerContext[etcd_pb2.TxnRequest, etcd_pb2.TxnResponse]) -> etcd_pb2.TxnResponse: ...
    async def Compact(self, request: etcd_pb2.CompactionRequest, context: grpc.aio.ServicerContext[etcd_pb2.CompactionRequest, etcd_pb2.CompactionResponse]) -> etcd_pb2.CompactionResponse: ...

def add_KVServicer_to_server(
    servicer: KVServicer, server: grpc.aio.Server
) -> None: ...

class WatchStub:
    def __init__(self, channel: grpc.aio.Channel) -> None: ...
    Watch: grpc.aio.StreamStreamMultiCallable[etcd_pb2.WatchRequest, etcd_pb2.WatchResponse]

class WatchServicer:
    def Watch(self, request_iterator: AsyncIterator[etcd_pb2.WatchRequest], context: grpc.aio.ServicerContext[etcd_pb2.WatchRequest, etcd_pb2.WatchResponse]) -> AsyncIterator[etcd_pb2.WatchResponse]: ...

def add_WatchServicer_to_server(
    servicer: WatchServicer, server: grpc.aio.Server
) -> None: ...

class LeaseStub:
    def __init__(self, channel: grpc.aio.Channel) -> None: ...
    LeaseGrant: grpc.aio.UnaryUnaryMultiCallable[etcd_pb2.LeaseGrantRequest, etcd_pb2.LeaseGrantResponse]
    LeaseRevoke: grpc.aio.UnaryUnaryMultiCallable[etcd_pb2.LeaseRevokeRequest, etcd_pb2.LeaseRevokeResponse]
    LeaseKeepAlive: grpc.aio.StreamStreamMultiCallable[etcd_pb2.LeaseKeepAliveRequest, etcd_pb2.LeaseKeepAliveResponse]

class LeaseServicer:
    async def LeaseGrant(self, request: etcd_pb2.LeaseGrantRequest, context: grpc.aio.ServicerContext[etcd_pb2.LeaseGrantRequest, etcd_pb2.LeaseGrantResponse]) -> etcd_pb2.LeaseGrantResponse: ...
    async def LeaseRevoke(self, request: etcd_pb2.LeaseRevokeRequest, context: grpc.aio.ServicerContext[etcd_pb2.LeaseRevokeRequest, etcd_pb2.LeaseRevokeResponse]) -> etcd_pb2.LeaseRevokeResponse: ...
    def LeaseKeepAlive(self, request_iterator: AsyncIterator[etcd_pb2.LeaseKeepAliveRequest], context: grpc.aio.ServicerContext[etcd_pb2.LeaseKeepAliveRequest, etcd_pb2.LeaseKeepAliveResponse]) -> AsyncIterator[etcd_pb2.LeaseKeepAliveResponse]: ...

def add_LeaseServicer_to_server(
    servicer: LeaseServicer, server: grpc.aio.Server
) -> None: ...
