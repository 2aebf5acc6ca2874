import numpy as np
import pytest

import af
from af.engines import NumpyEngine
from af.errors import AfError, AfNotReady, AfRefused
from af.onlinelearning import WEIGHTS_BYTES_MAX, torch_problems
from af.weights import weights_section
from tests.unit.af.layernets import EXAMPLES, rows_for, with_weights
from tests.unit.af.samples import neural_header, texts

LEARNS = {"learns": True, "learning_rate": 0.05}


def agent_file(kind, **more):
    """A file of this kind of layer that learns, compiled."""
    net = with_weights(*EXAMPLES[kind])
    config = {
        "network_type": "layered",
        "input_size": net.input_size,
        "output_size": net.output_size,
        "layers": [spec.model_dump(mode="json", by_alias=True, exclude_unset=True) for spec in net.specs],
    }
    header = neural_header((net.input_size, net.output_size), neural_config=config | LEARNS | more)
    return net, af.compile_agent(af.AgentFile(header, (weights_section(net),)))


def opened(kind, **more):
    """The agent as its cell loads it."""
    pytest.importorskip("torch")
    net, compiled = agent_file(kind, **more)
    run = af.executable(compiled)
    assert (run.kind, run.manifest["abi"], run.resources.native_libraries) == ("python", "af-torch-1", True)
    module = {}
    exec(compile(run.code, "agent", "exec"), module)
    return net, module["Agent"]()


def ask(agent, rows):
    return agent.process_input("test:sample", {"x": rows})["y"]


WITHOUT_WEIGHTS = {kind for kind, example in EXAMPLES.items() if not [*with_weights(*example).tensors()]}


@pytest.mark.parametrize("kind", sorted(set(EXAMPLES) - {"dense"} - WITHOUT_WEIGHTS))
def test_every_kind_of_layer_answers_as_before_and_keeps_what_it_learns_exactly(kind):
    net, agent = opened(kind, momentum=0.5)
    rows = rows_for(net, 3)
    before = ask(agent, rows)
    np.testing.assert_allclose(before, NumpyEngine(net).forward(rows), atol=1e-5)
    empty = agent.checkpoint()
    target = np.ones((3, net.output_size), "f4")
    agent.update_weights([rows, target])
    learned, after = agent.checkpoint(), ask(agent, rows)
    assert (after != before).any()
    agent.restore(empty)
    assert ask(agent, rows).tobytes() == before.tobytes()
    agent.restore(learned)
    assert (ask(agent, rows).tobytes(), agent.checkpoint()) == (after.tobytes(), learned)
    # The velocities are part of it: learning goes on as if nothing had been restored.
    _, other = opened(kind, momentum=0.5)
    other.restore(learned)
    for each in (agent, other):
        each.update_weights([rows, target])
    assert agent.checkpoint() == other.checkpoint()


@pytest.mark.parametrize("kind", ["conv2d", "gru", "transformer_encoder", "embedding"])
def test_learning_comes_nearer_to_the_target(kind):
    net, agent = opened(kind)
    rows = rows_for(net, 4, seed=5)
    target = np.zeros((4, net.output_size), "f4")
    before = np.square(ask(agent, rows)).mean()
    for _ in range(30):
        agent.update_weights([rows, target])
    assert np.square(ask(agent, rows)).mean() < 0.8 * before


def test_an_update_that_fails_leaves_weights_and_velocities_as_they_were():
    net, agent = opened("gru", momentum=0.9)
    rows, target = rows_for(net, 3), np.zeros((3, net.output_size), "f4")
    agent.update_weights([rows, target])
    kept = agent.checkpoint()
    rows[2, 0] = np.nan
    with pytest.raises(AfRefused, match="row 2 was not learned"):
        agent.update_weights([rows, target])
    assert agent.checkpoint() == kept
    with pytest.raises(AfRefused, match="row 0 was not learned"):
        agent.update_weights([rows[:2], target[:2] + 1e12, 1e6])
    assert agent.checkpoint() == kept


@pytest.mark.parametrize(
    ("feedback", "reason"),
    [
        (None, "no list of two or three"),
        ([np.zeros(12, "f4")], "no list of two or three"),
        ([np.zeros(11, "f4"), np.zeros(3, "f4")], r"it is \[11\]"),
        ([np.zeros(12, "f4"), np.zeros(4, "f4")], r"not \[3\], or whole numbers"),
        ([np.zeros(12, "f4"), np.array(3)], "not between 0 and 2"),
        ([np.zeros(12, "f4"), np.array(1), 0], "give a number above 0"),
        ([{"a": 1}, np.array(1)], "no tensor of numbers"),
    ],
)
def test_feedback_that_does_not_fit_is_refused(feedback, reason):
    _, agent = opened("gru")
    with pytest.raises(AfRefused, match=reason):
        agent.update_weights(feedback)


def test_a_class_is_a_target_and_a_row_may_come_alone():
    net, agent = opened("gru")
    row = rows_for(net, 1)[0]
    assert ask(agent, row).shape == (3,)
    before = ask(agent, row)[1]
    for _ in range(20):
        agent.update_weights([row, np.array(1), 0.1])
    assert ask(agent, row)[1] > before


def test_checkpoints_of_others_and_damaged_ones_are_refused():
    _, agent = opened("gru")
    good = agent.checkpoint()
    _, other = opened("conv1d")
    for bad, reason in (
        (b"", "no checkpoint"),
        (other.checkpoint(), "of another agent"),
        (good[:-4], "cut or changed"),
        (good[:-1] + bytes([good[-1] ^ 1]), "cut or changed"),
        (good[:4] + b"\x02\x00" + good[6:], "of version 2"),
    ):
        with pytest.raises(AfRefused, match=reason):
            agent.restore(bad)
    assert agent.checkpoint() == good


def test_without_pytorch_the_agent_says_what_to_install(monkeypatch):
    from af.engines import torch_engine  # noqa: PLC0415 - its cache is cleared below

    _, compiled = agent_file("gru")
    module = {}
    exec(compile(af.executable(compiled).code, "agent", "exec"), module)

    def no_module(name):
        raise ImportError(name)

    monkeypatch.setattr(torch_engine.importlib, "import_module", no_module)
    torch_engine.torch.cache_clear()
    with pytest.raises(AfNotReady, match=r"torch is not installed.*pip install 'neural-swarm\[torch\]'"):
        module["Agent"]()
    torch_engine.torch.cache_clear()


def test_a_file_that_learns_through_pytorch_is_held_to_its_bounds():
    _, compiled = agent_file("gru")
    assert not af.check(compiled)
    assert compiled.section("wasm_module") is None
    assert af.compile_agent(compiled) is compiled
    with pytest.raises(AfError, match="eight bits do not learn"):
        af.compile_agent(compiled, "int8")
    small = compiled.header.model_copy(
        update={
            "resources": af.Header.model_validate(
                {"version": "1.0", "name": "x", "resources": {"limits": {"memory_mb": 64}}}
            ).resources
        }
    )
    assert "raise it to 512 or more" in texts(af.check(compiled.with_header(small)))
    other = compiled.header.model_copy(update={"manifest": {"abi": "af-torch-1"}})
    assert "not the manifest of this network" in texts(af.check(compiled.with_header(other)))
    large = af.encode_section("neural_weights", bytes(WEIGHTS_BYTES_MAX + 4))
    assert "does not learn" in texts(torch_problems(large, 512))
    assert "nothing to learn" in texts(torch_problems(af.encode_section("neural_weights", b""), 512))
