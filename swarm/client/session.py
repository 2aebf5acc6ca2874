"""What can be asked of a cluster, each question one call; see `Swarm` for the way in."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import af
from swarm import limits
from swarm.client.calls import Caller
from swarm.client.certificates import CertificateInfo, Revocation, renew_own
from swarm.client.connection import Connection, new_key
from swarm.client.coordinators import CoordinatorCalls
from swarm.client.data import uploaded
from swarm.client.policies import PolicyQuestions
from swarm.client.records import AgentInfo, ClusterStatus, NodeInfo, RunInfo
from swarm.client.run import Run
from swarm.client.submissions import Submitter
from swarm.client.tokens import TokenInfo, new_token
from swarm.client.values import encode_inputs
from swarm.errors import AgentRefused, ConfigRefused, NotFound, OutcomeUnknown, Problem, SwarmError, TooLarge
from swarm.graph import Graph, Priority, encode
from swarm.ids import RunId
from swarm.wire.convert import items_to_pb
from swarm.wire.gen import client_pb2

DEPLOY_S: Final = 60.0  # one attempt: copy the file to a majority, log it, start cells for it everywhere
CANCEL_S: Final = 5.0  # what a cancelled `run` spends on cancelling its run
LINGER_MS: Final = 500  # a run that ends within it is submitted, and its results are told, by one call
LAG_S: Final = 3.0  # how far behind the leader another replica may be


class Session(PolicyQuestions, CoordinatorCalls):
    """The calls. All of them survive the loss of any daemon they were made to."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._caller = Caller(connection)
        self._submitter = Submitter(connection)

    async def close(self) -> None:
        """Hang up. Runs go on; calls do not."""
        await self._submitter.close()
        await self._caller.close()
        await self._connection.close()

    async def call(
        self, capability: str, inputs: Mapping[str, object] | None = None, *, timeout_ms: int = 0
    ) -> dict[str, object]:
        """Ask an agent directly: its outputs, by port. Many of these at once share messages and batches.

        No run is made and nothing is written down: fast, and gone when it fails. Raises the agent's error.
        """
        return await self._caller.call(capability, inputs or {}, timeout_ms)

    # -- runs ---------------------------------------------------------------------------------

    async def submit(
        self,
        graph: Graph,
        inputs: Mapping[str, object] | None = None,
        *,
        priority: Priority = Priority.MEDIUM,
        key: str = "",
        sign: bool = False,
        linger_ms: int = 0,
    ) -> Run:
        """Start a run; when this returns, a majority of the cluster will not forget it.

        Large inputs are uploaded first, to two nodes.

        Two submissions with one `key` are one run. With `sign`, the nodes sign every result, and `Run.verify`
        holds them against the log. Who will wait for the end anyway gives it a moment, `linger_ms`, in which
        a short run ends: that comes in the same answer then. Raises `GraphRefused` with every reason.
        """
        payloads = await uploaded(self._connection, encode_inputs(inputs or {}))
        return await self._submit(
            client_pb2.SubmitRequest(
                graph=encode(graph),
                inputs=items_to_pb(payloads),
                priority=priority,
                key=key or new_key(),
                sign=sign,
                linger_ms=linger_ms,
            )
        )

    async def _submit(self, request: client_pb2.SubmitRequest) -> Run:
        try:
            reply = await self._submitter.submit(request)
        except OutcomeUnknown as error:
            error.remedy = f"submit it again with key={request.key!r}: it will not run twice"
            raise
        self._connection.turn_to(reply.leader)
        end = reply.end if reply.HasField("end") else None
        return Run(self._connection, RunId(reply.run), existed=reply.existed, lag_s=LAG_S, end=end)

    async def run(self, graph: Graph, inputs: Mapping[str, object] | None = None) -> dict[str, object]:
        """Submit and wait: the values of the graph's outlets. Cancelling this cancels the run."""
        payloads = await uploaded(self._connection, encode_inputs(inputs or {}))
        request = client_pb2.SubmitRequest(
            graph=encode(graph),
            inputs=items_to_pb(payloads),
            priority=Priority.MEDIUM,
            key=new_key(),
            linger_ms=LINGER_MS,
        )
        submitting = asyncio.create_task(self._submit(request))
        try:
            return await (await asyncio.shield(submitting)).result()
        except asyncio.CancelledError:
            with suppress(SwarmError, TimeoutError):
                async with asyncio.timeout(CANCEL_S):
                    await (await submitting).cancel("its submitter was cancelled")
            raise

    def attach(self, run_id: str) -> Run:
        """A run somebody submitted earlier."""
        return Run(self._connection, RunId(run_id))

    async def runs(self, status: str = "", limit: int = limits.LIST_ITEMS_MAX) -> list[RunInfo]:
        """The runs the cluster remembers, latest first."""
        request = client_pb2.ListRunsRequest(limit=limit, status=status)
        reply = await self._connection.ask(lambda stub, timeout_s: stub.ListRuns(request, timeout=timeout_s))
        return [RunInfo.from_pb(run) for run in reply.runs]

    # -- agents -------------------------------------------------------------------------------

    async def deploy(self, agent: Path | str | bytes) -> AgentInfo:
        """Offer an agent to everybody: a path to an .af file or its bytes, compiled if it is not yet.

        Returns when every node hosts it or has said why not. Raises `AgentRefused` with every reason.
        """
        data = await asyncio.to_thread(runnable, agent)
        digest = hashlib.sha256(data).hexdigest()
        reply = await self._connection.ask(
            lambda stub, timeout_s: stub.Deploy(_upload(data, digest), timeout=timeout_s), attempt_s=DEPLOY_S
        )
        return AgentInfo.from_pb(reply)

    async def remove_agent(self, name: str) -> AgentInfo:
        """Offer an agent no longer. Steps that were given to it finish."""
        agent = next((agent for agent in await self.agents() if agent.name == name), None)
        if agent is None:
            raise NotFound(f"no agent {name!r}", place="agents", remedy="`swarm agents` lists them")
        request = client_pb2.RemoveAgentRequest(name=name)
        try:
            await self._connection.ask(lambda stub, timeout_s: stub.RemoveAgent(request, timeout=timeout_s))
        except NotFound:
            # The first try did it and its answer was lost; or somebody else did. Either way it is gone.
            return agent
        return agent

    async def agents(self) -> list[AgentInfo]:
        """Every agent deployed, and who hosts it."""
        request = client_pb2.ListAgentsRequest()
        reply = await self._connection.ask(
            lambda stub, timeout_s: stub.ListAgents(request, timeout=timeout_s)
        )
        return [AgentInfo.from_pb(state) for state in reply.agents]

    # -- who may join ---------------------------------------------------------------------------

    async def create_token(self, role: str, life_ms: int, uses_max: int = 1) -> str:
        """A join token. Its secret is made here; the cluster is told but the hash of it."""
        token = await asyncio.to_thread(new_token, self._connection.profile)
        request = client_pb2.CreateTokenRequest(
            token=token.id,
            secret_sha256=token.secret_sha256,
            role=role,
            life_ms=life_ms,
            uses_max=uses_max,
        )
        await self._connection.ask(lambda stub, timeout_s: stub.CreateToken(request, timeout=timeout_s))
        return token.text()

    async def revoke_token(self, token: str) -> TokenInfo:
        """Let nobody in by this token any more; who joined by it stays."""
        request = client_pb2.RevokeTokenRequest(token=token)
        reply = await self._connection.ask(
            lambda stub, timeout_s: stub.RevokeToken(request, timeout=timeout_s)
        )
        return TokenInfo.from_pb(reply.token)

    async def tokens(self) -> list[TokenInfo]:
        """Join tokens, and who joined by them."""
        request = client_pb2.ListTokensRequest()
        reply = await self._connection.ask(
            lambda stub, timeout_s: stub.ListTokens(request, timeout=timeout_s)
        )
        return [TokenInfo.from_pb(token) for token in reply.tokens]

    # -- certificates -----------------------------------------------------------------------------

    async def certificates(self) -> list[CertificateInfo]:
        """Every certificate the cluster knows of, and how it stands."""
        request = client_pb2.ListCertificatesRequest()
        reply = await self._connection.ask(
            lambda stub, timeout_s: stub.ListCertificates(request, timeout=timeout_s)
        )
        return [CertificateInfo.from_pb(state) for state in reply.certificates]

    async def rotate_certificates(self, nodes: Sequence[str] = ()) -> list[str]:
        """Let nodes, or all of them, ask for another certificate now; returns who was told."""
        request = client_pb2.RotateCertificatesRequest(nodes=nodes)
        reply = await self._connection.ask(
            lambda stub, timeout_s: stub.RotateCertificates(request, timeout=timeout_s)
        )
        return list(reply.told)

    async def renew_certificate(self) -> str:
        """Get another certificate for the caller; returns its serial number."""
        return await renew_own(self._connection)

    async def revoke(self, what: str, reason: str = "") -> Revocation:
        """Let a name, or one certificate by its serial number, in no more."""
        request = client_pb2.RevokeRequest(id=what, reason=reason)
        reply = await self._connection.ask(lambda stub, timeout_s: stub.Revoke(request, timeout=timeout_s))
        return Revocation(reply.name, reply.serial)

    # -- the cluster --------------------------------------------------------------------------

    async def nodes(self) -> list[NodeInfo]:
        """Every daemon, what it can do and how busy it is."""
        request = client_pb2.ListNodesRequest()
        reply = await self._connection.ask(lambda stub, timeout_s: stub.ListNodes(request, timeout=timeout_s))
        return [NodeInfo.from_pb(node) for node in reply.nodes]

    async def status(self) -> ClusterStatus:
        """How the cluster is doing, told by its leader if there is one: only it knows what is attached."""
        request = client_pb2.StatusRequest()
        reply = await self._connection.ask_leader(
            lambda stub, timeout_s: stub.Status(request, timeout=timeout_s),
            lambda status: (status.leader, status.node),
        )
        return ClusterStatus.from_pb(reply)


def runnable(agent: Path | str | bytes) -> bytes:
    """The bytes of a compiled agent file; raises `AgentRefused` with every reason, or `TooLarge`."""
    place = "agent file" if isinstance(agent, bytes) else str(agent)
    data = agent if isinstance(agent, bytes) else _read(Path(agent))
    try:
        parsed = af.parse(data)
        if parsed.header.manifest is None:
            data = af.write(af.compile_agent(parsed))
    except af.AfError as error:
        problems = [Problem("agent_refused", p.place, p.message, p.remedy) for p in error.problems]
        raise AgentRefused(
            "this is no agent that could run", place=place, remedy=problems[0].remedy, problems=problems
        ) from error
    _check_size(place, len(data))
    return data


def _read(path: Path) -> bytes:
    try:
        _check_size(str(path), path.stat().st_size)
        return path.read_bytes()
    except OSError as error:
        raise ConfigRefused(
            f"the agent file cannot be read: {error.strerror or error}",
            place=str(path),
            remedy="check the path",
        ) from error


def _check_size(place: str, size_bytes: int) -> None:
    if size_bytes > limits.AGENT_FILE_BYTES_MAX:
        raise TooLarge(
            f"{size_bytes} bytes, an agent file has at most {limits.AGENT_FILE_BYTES_MAX}",
            place=place,
            remedy="leave training data out of it",
        )


async def _upload(data: bytes, digest: str) -> AsyncIterator[client_pb2.DeployRequest]:
    yield client_pb2.DeployRequest(start=client_pb2.DeployStart(size_bytes=len(data), sha256=digest))
    for start in range(0, len(data), limits.CHUNK_BYTES):
        yield client_pb2.DeployRequest(chunk=data[start : start + limits.CHUNK_BYTES])
