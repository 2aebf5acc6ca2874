"""Workflows: the named steps a host takes with an agent, in the order the file lists them.

A file that lists nothing for a phase gets all of the phase's standard steps. One that lists steps gets
exactly those, in its order; an order that cannot work (an answer sent before there is one) is refused. There
are three kinds of steps:

* standard steps, which the host does: load the agent, give it its saved memory, hand over an answer, ...
* hooks of a Python agent: functions of its module. Between `receive_input` and `send_output` they run inside
  the agent's call, `hook(agent, inputs)` before the agent's own `process_input` and `hook(agent, outputs)`
  after it, and what they return (unless None) takes the values' place. In the other phases the host calls
  them one by one, `hook(agent)`, as the capability `workflow:<step>`, which a module gets by `woven_source`.
* steps named `x-...`, which mean something to their author's hosts and are passed over by others.
"""

import ast
import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from af.agentfile import AgentFile
from af.errors import Problem, shown
from af.limits import PYTHON_MODULE_BYTES_MAX

Phase = Literal["initialization", "execution", "shutdown"]
Doer = Literal["host", "hook", "nobody"]

HOOK_GROUP = "workflow"  # the group of the capabilities by which a host calls hooks
PYTHON_MODULE = "python_module"

_PROCESS = "process_neural_network"
_FOREIGN = "x-"

# Standard steps in their standard order, each with the steps it cannot come before.
_STANDARD: dict[Phase, dict[str, tuple[str, ...]]] = {
    "initialization": {
        "load_neural_network": (),
        "initialize_memory": ("load_neural_network",),
        "connect_to_swarm": (),
        "register_capabilities": ("load_neural_network", "connect_to_swarm"),
    },
    "execution": {
        "receive_input": (),
        _PROCESS: ("receive_input",),
        "update_memory": (_PROCESS,),
        "send_output": (_PROCESS,),
    },
    "shutdown": {
        "save_state": (),
        "disconnect_from_swarm": (),
        "cleanup_resources": ("save_state",),
    },
}
# Without these a phase that lists steps does not do what it is for.
_NEEDED: dict[Phase, tuple[str, ...]] = {
    "initialization": ("load_neural_network",),
    "execution": ("receive_input", _PROCESS, "send_output"),
    "shutdown": (),
}
# A hook runs in the loaded agent, and in the execution phase inside its call: after these, before those.
_HOOK_AFTER: dict[Phase, tuple[str, ...]] = {
    "initialization": ("load_neural_network",),
    "execution": ("receive_input",),
    "shutdown": (),
}
_HOOK_BEFORE: dict[Phase, tuple[str, ...]] = {
    "initialization": (),
    "execution": ("update_memory", "send_output"),
    "shutdown": ("cleanup_resources",),
}
PHASES: tuple[Phase, ...] = get_args(Phase)


@dataclass(frozen=True, slots=True)
class Step:
    """One step, and who takes it: the host, a hook of the agent, or nobody here."""

    phase: Phase
    name: str
    doer: Doer

    @property
    def capability(self) -> str:
        """What a host asks a Python agent for, to run this hook outside of the execution phase."""
        return f"{HOOK_GROUP}:{self.name}"


@dataclass(frozen=True, slots=True)
class WorkflowPlan:
    """Every step of an agent's life in order."""

    initialization: tuple[Step, ...]
    execution: tuple[Step, ...]
    shutdown: tuple[Step, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        return (*self.initialization, *self.execution, *self.shutdown)

    def lists(self, name: str) -> bool:
        """Whether a step is to be taken at all."""
        return any(step.name == name for step in self.steps)


def workflow_plan(agent: AgentFile) -> WorkflowPlan:
    """The steps of an agent whose file is in order."""
    return WorkflowPlan(
        _steps(agent, "initialization"), _steps(agent, "execution"), _steps(agent, "shutdown")
    )


def workflow_problems(agent: AgentFile) -> Iterator[Problem]:
    """Steps nobody knows, and orders nobody can follow."""
    functions = _functions(agent)
    for phase in PHASES:
        names: tuple[str, ...] = getattr(agent.header.workflows, phase)
        unknown = list(_unknown_steps(phase, names, functions))
        yield from unknown
        if names and not unknown:
            yield from _order_problems(phase, names)
    for number, capability in enumerate(agent.header.capabilities):
        if capability.name.partition(":")[0] == HOOK_GROUP:
            message = f"the group {HOOK_GROUP} is reserved for the steps of workflows."
            yield Problem(f"header: capabilities[{number}].name", message, "choose another group.")


def woven_source(agent: AgentFile, source: bytes) -> bytes:
    """The module of a Python agent with its hooks tied in; as it is if there are none."""
    plan = workflow_plan(agent)
    if not any(step.doer == "hook" for step in plan.steps):
        return source
    names = [step.name for step in plan.execution]
    middle = names.index(_PROCESS)
    before = [step.name for step in plan.execution[:middle] if step.doer == "hook"]
    after = [step.name for step in plan.execution[middle:] if step.doer == "hook"]
    first = [step.name for step in plan.initialization if step.doer == "hook"]
    last = [step.name for step in plan.shutdown if step.doer == "hook"]
    called = ", ".join(f"{name!r}: {name}" for name in dict.fromkeys((*first, *last)))
    lists = f"{{{called}}}, {first!r}, [{', '.join(before)}], [{', '.join(after)}]"
    return source + _EPILOGUE + f"_af_weave(Agent, {lists})\n".encode()


_EPILOGUE = b"""

# What follows was added by the host: the custom steps of this agent's workflows.
def _af_weave(agent_class, called, first, before, after):
    process, waiting = agent_class.process_input, list(first)

    def process_input(self, capability, inputs):
        group, _, name = capability.partition(":")
        if group == "workflow":
            called[name](self)
            if name in waiting:
                waiting.remove(name)
            return {}
        if waiting:
            raise RuntimeError("the host has not run the step " + waiting[0] + " of the initialization")
        for step in before:
            changed = step(self, inputs)
            inputs = inputs if changed is None else changed
        outputs = process(self, capability, inputs)
        for step in after:
            changed = step(self, outputs)
            outputs = outputs if changed is None else changed
        return outputs

    agent_class.process_input = process_input


"""


def _steps(agent: AgentFile, phase: Phase) -> tuple[Step, ...]:
    names: tuple[str, ...] = getattr(agent.header.workflows, phase) or tuple(_STANDARD[phase])
    return tuple(Step(phase, name, _doer(phase, name)) for name in names)


def _doer(phase: Phase, name: str) -> Doer:
    if name in _STANDARD[phase]:
        return "host"
    return "nobody" if name.startswith(_FOREIGN) else "hook"


def _unknown_steps(phase: Phase, names: tuple[str, ...], functions: frozenset[str]) -> Iterator[Problem]:
    known = tuple(_STANDARD[phase])
    for number, name in enumerate(names):
        if name in known or name in functions or name.startswith(_FOREIGN):
            continue
        close = difflib.get_close_matches(name, (*known, *sorted(functions)), n=1)
        home = next((other for other in PHASES if name in _STANDARD[other]), None)
        if home is not None:
            remedy = f"it is a step of {home}."
        else:
            remedy = f"did you mean {close[0]!r}?" if close else f"use one of {', '.join(known)}."
        yield Problem(f"header: workflows.{phase}[{number}]", f"the step {shown(name)} is unknown.", remedy)


def _order_problems(phase: Phase, names: tuple[str, ...]) -> Iterator[Problem]:
    place = f"header: workflows.{phase}"
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        yield Problem(place, f"the step {shown(name)} is listed twice.", "keep one of the two.")
    for name in _NEEDED[phase]:
        if name not in names:
            message = f"the step {name} is missing; without it the phase does nothing useful."
            yield Problem(place, message, f"add {name}, or leave the whole list out.")
    for number, name in enumerate(names):
        is_hook = _doer(phase, name) == "hook"
        predecessors = _HOOK_AFTER[phase] if is_hook else _STANDARD[phase].get(name, ())
        followers = _HOOK_BEFORE[phase] if is_hook else ()
        late = [other for other in predecessors if other in names[number + 1 :]]
        early = [other for other in followers if other in names[:number]]
        for other in late:
            message = f"the step {shown(name)} cannot come before {other}."
            yield Problem(f"{place}[{number}]", message, f"move it behind {other}.")
        for other in early:
            message = f"the hook {shown(name)} cannot come after {other}."
            yield Problem(f"{place}[{number}]", message, f"move it before {other}.")


def _functions(agent: AgentFile) -> frozenset[str]:
    """The functions a Python agent's module defines; whether it can be parsed at all is asked elsewhere."""
    section = agent.section(PYTHON_MODULE)
    if agent.header.kind != "python" or section is None or len(section.data) > PYTHON_MODULE_BYTES_MAX:
        return frozenset()
    try:
        tree = ast.parse(section.data.decode("utf-8"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset()
    return frozenset(statement.name for statement in tree.body if isinstance(statement, ast.FunctionDef))
