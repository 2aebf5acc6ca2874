"""An agent's life in a tool: the steps of its workflows in their order, around as many calls as there are.

What a node does beyond this process (joining the swarm, offering capabilities) is named and passed over.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path

from af.agentfile import AgentFile
from af.compiler import executable
from af.errors import refused
from af.records import Capability
from af.tools.console import read_bytes, write_file
from af.tools.hosts import Answer, EngineHost, Host, Values, cell_host
from af.workflow import Step, workflow_plan

CELL = "wasm"  # the engine that is the cell itself

Tell = Callable[[str], None]
Send = Callable[[Sequence[Answer]], None]

_OF_A_NODE = frozenset({"connect_to_swarm", "register_capabilities", "disconnect_from_swarm"})


class Life:
    """Runs one agent through its workflows. `state` is the file its memory is kept in, if it is kept."""

    def __init__(self, agent: AgentFile, engine: str | None, state: Path | None, tell: Tell) -> None:
        self._agent = agent
        self._engine = engine
        self._state = state
        self._tell = tell
        self._plan = workflow_plan(agent)

    async def run(self, capability: Capability, batches: Iterable[Sequence[Values]], send: Send) -> None:
        """Initialise, answer every batch, shut down. A failure ends the host before it is passed on."""
        async with contextlib.AsyncExitStack() as stack:
            host = await self._initialise(stack)
            for batch in batches:
                await self._execute(host, capability, batch, send)
            await self._shut_down(host, stack)

    async def _initialise(self, stack: contextlib.AsyncExitStack) -> Host:
        host: Host | None = None
        for step in self._plan.initialization:
            match step.name:
                case "load_neural_network":
                    host = await stack.enter_async_context(self._host())
                    self._say(step, f"in the engine {self._engine}" if self._is_bare else "in a cell")
                case "initialize_memory":
                    assert host is not None, "check() lets no file load late"
                    self._say(step, await self._restored(host))
                case _:
                    await self._other(step, host)
        assert host is not None, "check() lets no file leave the loading out"
        return host

    async def _execute(self, host: Host, capability: Capability, batch: Sequence[Values], send: Send) -> None:
        answers: list[Answer] = []
        for step in self._plan.execution:
            match step.name:
                case "receive_input":
                    self._say(step, f"{len(batch)} of {capability.name}")
                case "process_neural_network":
                    answers = await host.process(capability, batch)
                    self._say(step, f"{len(answers)} answers")
                case "update_memory":
                    self._say(step, await self._saved(host))
                case "send_output":
                    send(answers)
                    self._say(step, "")
                case _:
                    doing = "inside the agent's call" if step.doer == "hook" else "passed over"
                    self._say(step, doing)

    async def _shut_down(self, host: Host, stack: contextlib.AsyncExitStack) -> None:
        for step in self._plan.shutdown:
            match step.name:
                case "save_state":
                    self._say(step, await self._saved(host))
                case "cleanup_resources":
                    await stack.aclose()
                    self._say(step, "the cell is gone" if not self._is_bare else "")
                case _:
                    await self._other(step, host)

    async def _other(self, step: Step, host: Host | None) -> None:
        if step.doer == "hook":
            assert host is not None, "check() lets no hook come before the loading"
            await host.run_hook(step.capability)
            self._say(step, "by the agent")
        else:
            self._say(step, "not on a node" if step.name in _OF_A_NODE else "passed over")

    async def _restored(self, host: Host) -> str:
        if self._state is None or not self._state.exists():
            return "nothing was saved"
        state = read_bytes(self._state)
        await host.restore(state)
        return f"{len(state)} bytes from {self._state}"

    async def _saved(self, host: Host) -> str:
        if self._state is None:
            return "nothing to keep"
        state = await host.checkpoint()
        write_file(self._state, state)
        return f"{len(state)} bytes to {self._state}"

    @property
    def _is_bare(self) -> bool:
        return self._engine not in (None, CELL)

    @contextlib.asynccontextmanager
    async def _host(self) -> AsyncIterator[Host]:
        if self._engine is not None and self._is_bare:
            if self._state is not None:
                message = "an engine beside the sandbox keeps no state."
                raise refused("--state", message, "leave --engine out.")
            yield EngineHost(self._agent, self._engine)
            return
        run = executable(self._agent)
        if self._engine == CELL and run.kind != "wasm":
            raise refused("--engine", f"this agent is {run.kind}.", "leave --engine out.")
        async with cell_host(run) as host:
            yield host

    def _say(self, step: Step, what: str) -> None:
        self._tell(f"{step.phase}: {step.name}" + (f": {what}" if what else ""))
