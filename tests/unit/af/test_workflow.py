from types import ModuleType

import pytest

import af
from af.workflow import PHASES, workflow_plan, workflow_problems
from tests.unit.af.samples import neural_header, python_agent, texts

SOURCE = b"""
log = []

def warm_up(agent):
    log.append("warm_up")

def normalise(agent, inputs):
    return {"x": inputs["x"] * 10}

def note(agent, inputs):
    log.append(inputs["x"])

def sign_off(agent, outputs):
    return {"x": outputs["x"] + 1}

def flush(agent):
    log.append("flush")

class Agent:
    def process_input(self, capability, inputs):
        log.append(("process", inputs["x"]))
        return dict(inputs)
"""
WORKFLOWS = {
    "initialization": ["load_neural_network", "warm_up", "x-announce"],
    "execution": [
        "receive_input",
        "normalise",
        "note",
        "process_neural_network",
        "sign_off",
        "update_memory",
        "send_output",
    ],
    "shutdown": ["flush", "save_state", "cleanup_resources"],
}


def problems(workflows, agent=None):
    agent = agent or python_agent(SOURCE, workflows=workflows)
    return texts(workflow_problems(agent))


def load(agent):
    run = af.executable(af.compile_agent(agent))
    module = ModuleType("agent")
    exec(compile(run.code, "agent", "exec"), module.__dict__)
    return module


def test_a_phase_that_lists_nothing_gets_every_standard_step_in_order():
    plan = workflow_plan(python_agent())
    assert [step.name for step in plan.execution] == [
        "receive_input",
        "process_neural_network",
        "update_memory",
        "send_output",
    ]
    assert {step.doer for step in plan.steps} == {"host"}
    assert plan.lists("save_state")


def test_listed_steps_keep_their_order_and_say_who_takes_them():
    plan = workflow_plan(python_agent(SOURCE, workflows=WORKFLOWS))
    for phase in PHASES:
        assert [step.name for step in getattr(plan, phase)] == WORKFLOWS[phase]
    doers = {step.name: step.doer for step in plan.steps}
    assert (doers["warm_up"], doers["x-announce"], doers["save_state"]) == ("hook", "nobody", "host")
    assert not plan.lists("connect_to_swarm")
    assert plan.shutdown[0].capability == "workflow:flush"


def test_a_file_in_this_order_is_in_order():
    assert not problems(WORKFLOWS)


@pytest.mark.parametrize(
    ("phase", "steps", "message"),
    [
        ("execution", ["recieve_input"], "did you mean 'receive_input'?"),
        ("execution", ["normalize"], "did you mean 'normalise'?"),
        ("execution", ["save_state"], "it is a step of shutdown."),
        ("execution", ["receive_input", "process_neural_network"], "the step send_output is missing"),
        (
            "initialization",
            ["register_capabilities", "load_neural_network"],
            "cannot come before load_neural",
        ),
        ("initialization", ["warm_up", "load_neural_network"], "'warm_up' cannot come before load_neural"),
        ("shutdown", ["cleanup_resources", "save_state"], "cannot come before save_state"),
        ("shutdown", ["cleanup_resources", "flush"], "the hook 'flush' cannot come after cleanup_resources"),
        ("shutdown", ["flush", "flush"], "the step 'flush' is listed twice"),
        (
            "execution",
            ["receive_input", "process_neural_network", "send_output", "sign_off"],
            "the hook 'sign_off' cannot come after send_output",
        ),
    ],
)
def test_steps_and_orders_nobody_can_follow_are_refused(phase, steps, message):
    assert message in problems({phase: steps})


def test_only_a_python_agent_has_hooks():
    agent = af.AgentFile(neural_header(workflows={"shutdown": ["flush", "x-flush"]}))
    assert "workflows.shutdown[0]: the step 'flush' is unknown" in problems(None, agent)
    assert "x-flush" not in problems(None, agent)


def test_the_group_of_hooks_is_reserved():
    agent = python_agent(capabilities=[{"name": "workflow:flush", "inputs": [], "outputs": []}])
    assert "the group workflow is reserved" in problems(None, agent)


def test_hooks_run_around_the_agents_call_and_may_change_its_values():
    module = load(python_agent(SOURCE, workflows=WORKFLOWS))
    agent = module.Agent()
    with pytest.raises(RuntimeError, match="has not run the step warm_up"):
        agent.process_input("test:echo", {"x": 1})
    assert agent.process_input("workflow:warm_up", {}) == {}
    assert agent.process_input("test:echo", {"x": 1}) == {"x": 11}
    agent.process_input("workflow:flush", {})
    assert module.log == ["warm_up", 10, ("process", 10), "flush"]


def test_a_module_without_hooks_stays_as_it_is():
    run = af.executable(af.compile_agent(python_agent(SOURCE)))
    assert run.code == SOURCE


def test_a_node_learns_the_steps_with_the_code():
    agent = af.compile_agent(python_agent(SOURCE, workflows=WORKFLOWS))
    assert af.executable(agent).workflow == workflow_plan(agent)
