import numpy as np
import pytest

import af
from af.engines import WasmEngine
from af.errors import AfRefused
from af.layers import LayerNorm
from af.wasm.manifest import WasmManifest, manifest_of
from af.wasm.module import generate
from af.wasm.training import Learning
from sandbox import tensors
from sandbox.errors import AgentFailed
from sandbox.wasm import WasmAgent
from tests.unit.af.layernets import with_weights
from tests.unit.af.samples import network, neural_agent, neural_header


def learning_agent(**config):
    header = neural_header((3, 5, 2))
    changed = header.neural_config.model_copy(update={"learns": True, "learning_rate": 0.1, **config})
    return af.compile_agent(
        neural_agent((3, 5, 2)).with_header(header.model_copy(update={"neural_config": changed}))
    )


def served(agent):
    run = af.executable(agent)
    return WasmAgent(run.name, run.code, run.manifest, deadline_ms=5000)


def tensor(values):
    return "tensor", tensors.encode(np.array(values, np.float32))


def test_a_file_that_learns_is_compiled_with_a_step_its_manifest_names():
    agent = learning_agent(momentum=0.5)
    manifest = WasmManifest.model_validate(agent.header.manifest)
    assert (manifest.train.learning_rate, manifest.train.momentum) == (0.1, 0.5)
    assert manifest.train.loss == "cross_entropy"
    assert af.parse(af.write(agent)).header.manifest["train"]["target"]["size"] == 2
    assert "train" not in af.compile_agent(neural_agent()).header.manifest


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_learning_goes_on_from_a_checkpoint_bit_for_bit(momentum):
    first, second = (served(learning_agent(momentum=momentum)) for _ in range(2))
    lesson = [tensor([[1, 2, 3], [3, -1, 0.5]]), ("tensor", tensors.encode(np.array([0, 1])))]
    row = np.array([0.3, -2, 1], np.float32)
    first.update_weights(lesson)
    second.restore(first.checkpoint())
    assert second.infer(row).tobytes() == first.infer(row).tobytes()
    for subject in (first, second):
        subject.update_weights(lesson)
    assert second.checkpoint() == first.checkpoint()
    assert second.infer(row).tobytes() == first.infer(row).tobytes()


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize(
    ("row", "target"),
    [
        ([np.nan, 0, 0], [0, 1]),
        ([np.inf, 0, 0], [0, 1]),
        ([1, 0, 0], [np.nan, 0]),
        ([1e30, 1e30, 1e30], [0, 1e30]),
        ([3e38, 3e38, 3e38], [1, 0]),
    ],
)
def test_a_step_that_is_not_finite_or_too_long_leaves_everything_as_it_was(row, target, momentum):
    subject = served(learning_agent(momentum=momentum))
    subject.update_weights([tensor([1, 2, 3]), tensor([0, 1])])
    before = subject.checkpoint()
    with pytest.raises(AgentFailed, match="was not learned"):
        subject.update_weights([tensor(row), tensor(target)])
    assert subject.checkpoint() == before
    subject.update_weights([tensor([1, 2, 3]), tensor([0, 1])])  # and what was refused left no trace
    other = served(learning_agent(momentum=momentum))
    for _ in range(2):
        other.update_weights([tensor([1, 2, 3]), tensor([0, 1])])
    assert subject.checkpoint() == other.checkpoint()


def test_the_module_itself_moves_no_weight_when_it_refuses():
    engine = WasmEngine.for_network(network((3, 5, 2), ["tanh", "linear"]))
    row = np.ones((1, 3), "f4")
    before = engine.forward(row)
    with pytest.raises(af.AfError, match="row 0 was not learned"):
        engine.train(np.full((1, 3), np.nan, "f4"), np.zeros((1, 2), "f4"))
    assert engine.forward(row).tobytes() == before.tobytes()
    assert engine.train(row, np.zeros((1, 2), "f4")) == pytest.approx(float(np.square(before).mean()))


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        (with_weights(3, [LayerNorm()]), "layer_norm, does not learn"),
        (network((3, 4, 2), ["gelu", "linear"]), "dense with gelu, does not learn"),
        (network((3, 4, 2), ["softmax", "linear"]), "dense with softmax, does not learn"),
    ],
)
def test_what_does_not_learn_is_refused_with_what_does(net, reason):
    with pytest.raises(AfRefused, match=reason) as caught:
        generate(net, learning=Learning())
    assert "leaky_relu" in caught.value.problems[0].remedy


def test_weights_of_eight_bits_do_not_learn():
    with pytest.raises(AfRefused, match="eight bits"):
        generate(network((3, 2), ["linear"]), precision="int8", learning=Learning())


def test_a_momentum_without_learning_is_a_mistake():
    with pytest.raises(ValueError, match="momentum"):
        neural_header(neural_config={"input_size": 3, "output_size": 2, "momentum": 0.5})


def test_the_training_areas_lie_behind_the_rows_and_inside_the_memory():
    module = generate(network((3, 9, 6), ["relu", "linear"]), learning=Learning(momentum=0.5))
    manifest = manifest_of(module, "test:net", "x", "y")
    assert manifest.problems("manifest") == []
    weights = module.weights_end - module.weights_start
    assert manifest.train.state.end - manifest.train.state.start == weights + 64
    assert manifest.train.settings >= module.output.address + module.batch_max * module.output.stride_bytes
