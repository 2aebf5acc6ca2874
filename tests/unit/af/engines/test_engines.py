import numpy as np
import pytest

from af.engines import ENGINES, NumpyEngine, WasmEngine, open_engine, usable_engines
from af.errors import AfNotReady, AfRefused
from tests.unit.af.layernets import EXAMPLES, with_weights
from tests.unit.af.samples import exact, network


def opened(name, net):
    try:
        return open_engine(name, net)
    except AfNotReady as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", set(ENGINES) - {"fann"})
@pytest.mark.parametrize("output", ["linear", "relu", "sigmoid", "tanh", "softmax"])
def test_every_engine_computes_the_network(name, output):
    net = network((6, 13, 3), ["tanh", output])
    rows = np.random.default_rng(1).standard_normal((9, 6)).astype(np.float32)
    answers = opened(name, net).forward(rows)
    assert answers.dtype == np.float32
    np.testing.assert_allclose(answers, exact(net, rows), atol=1e-6)


def test_fann_computes_what_it_can_express_and_refuses_the_rest():
    net = network((6, 13, 3), ["tanh", "sigmoid"])
    rows = np.random.default_rng(1).standard_normal((9, 6)).astype(np.float32)
    np.testing.assert_allclose(opened("fann", net).forward(rows), exact(net, rows), atol=1e-6)
    with pytest.raises(AfRefused, match="no activation function relu"):
        opened("fann", network((6, 3), ["relu"]))


def test_an_unknown_engine_is_refused_with_those_there_are():
    with pytest.raises(AfRefused, match="use one of wasm, numpy"):
        open_engine("gpu", network((3, 4), ["linear"]))


@pytest.mark.parametrize("name", ["torch", "onnx", "fann"])
def test_a_missing_library_is_named_with_the_extra_that_brings_it(monkeypatch, name):
    def no_module(module, *arguments):
        raise ImportError(module)

    opened(name, network((3, 4), ["tanh"]))
    module = f"af.engines.{name}_engine"
    monkeypatch.setattr(f"{module}.importlib.import_module", no_module)
    if name == "torch":
        from af.engines import torch_engine  # noqa: PLC0415 - only where it is installed

        torch_engine.torch.cache_clear()
    factory = {"torch": "TorchEngine", "onnx": "OnnxEngine", "fann": "FannEngine"}[name]
    import sys  # noqa: PLC0415

    with pytest.raises(AfNotReady, match=f"pip install 'neural-swarm\\[{name}\\]'"):
        getattr(sys.modules[module], factory)(network((3, 4), ["tanh"]))


def test_a_batch_longer_than_the_module_takes_is_fed_in_pieces():
    net = network((3, 4), ["linear"])
    rows = np.random.default_rng(2).standard_normal((200, 3)).astype(np.float32)
    np.testing.assert_allclose(
        WasmEngine.for_network(net).forward(rows), NumpyEngine(net).forward(rows), atol=1e-6
    )


@pytest.mark.parametrize("name", set(ENGINES) - {"fann"})
def test_an_empty_batch_has_an_empty_answer(name):
    assert opened(name, network((3, 4), ["linear"])).forward(np.empty((0, 3), "f4")).shape == (0, 4)


def test_an_answer_does_not_change_with_the_next_call():
    engine = WasmEngine.for_network(network((3, 4), ["linear"]))
    first = engine.forward_one(np.ones(3, "f4"))
    kept = first.copy()
    engine.forward_one(np.zeros(3, "f4"))
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("name", ["numpy", "torch"])
def test_a_number_that_is_no_token_is_refused(name):
    engine = opened(name, with_weights(*EXAMPLES["embedding"]))
    for bad in (-1, 9, 0.5, np.nan):
        with pytest.raises(AfRefused, match="from 0 to 8"):
            engine.forward(np.full((1, 4), bad, "f4"))


@pytest.mark.parametrize("bad", [-1, 9, 0.5, np.nan, np.inf])
def test_a_number_that_is_no_token_ends_a_compiled_call_and_no_later_one(bad):
    engine = WasmEngine.for_network(with_weights(*EXAMPLES["embedding"]))
    with pytest.raises(Exception, match="unreachable"):
        engine.forward(np.full((1, 4), bad, "f4"))
    assert np.isfinite(engine.forward(np.zeros((1, 4), "f4"))).all()


def test_engines_that_do_not_learn_say_so():
    with pytest.raises(AfNotReady, match="train with torch or wasm"):
        NumpyEngine(network((3, 4), ["linear"])).train(np.zeros((1, 3), "f4"), np.zeros((1, 4), "f4"))


@pytest.mark.parametrize(
    ("name", "output"),
    [("torch", "softmax"), ("torch", "linear"), ("wasm", "softmax"), ("wasm", "linear"), ("fann", "sigmoid")],
)
def test_training_lessens_the_loss(name, output):
    engine = opened(name, network((3, 8, 4), ["tanh", output], seed=1))
    random = np.random.default_rng(0)
    rows, target = (
        random.standard_normal((8, 3)).astype("f4"),
        np.eye(4, dtype="f4")[random.integers(0, 4, 8)],
    )
    losses = [engine.train(rows, target) for _ in range(50)]
    assert losses[-1] < 0.9 * losses[0]


def test_the_usable_engines_are_those_whose_libraries_are_there():
    usable = usable_engines(network((3, 4), ["linear"]))
    assert {"wasm", "numpy"} <= set(usable) <= {"wasm", "numpy", "onnx", "torch"}
