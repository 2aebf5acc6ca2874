"""The neural engine learns, at a size a test can afford, and any size is a configuration of the same code."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="pip install 'neural-swarm[torch]'")

import torch

from swarm.decompose.metric import quality
from swarm.decompose.neural.codec import decode_neural, encode_neural
from swarm.decompose.neural.config import SPECIFIED, NeuralConfig
from swarm.decompose.neural.network import fresh, read, shapes_of
from swarm.decompose.neural.training import Course, train_neural
from swarm.decompose.strategies.neural import NeuralEngine
from swarm.errors import Mistake, NotBuilt
from tests.unit.swarm.decompose.catalogues import CATALOGUE, examples

TINY = NeuralConfig(
    hidden=16, layers=1, heads=2, inner=2, decoder_hidden=24, decoder_heads=2, buckets=512, dropout=0.0
)


class Letters:
    """An encoder whose states are counts of letters."""

    name, size = "letters", 26

    def states(self, texts):
        return [np.stack([self._count(word) for word in text.split() or [""]]) for text in texts]

    def vectors(self, texts):
        found = np.stack([states.sum(0) for states in self.states(texts)])
        return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-6)

    def _count(self, word):
        return np.array([word.lower().count(chr(97 + at)) for at in range(26)], np.float32)


@pytest.fixture(scope="module")
def model():
    return train_neural(CATALOGUE, examples(), TINY, Course(epochs=25, rate=1e-2, device="cpu"))


def test_it_learns_nodes_and_edges(model):
    engine = NeuralEngine(model)
    found = quality([(engine.decompose(each.text), each) for each in examples()])
    assert found.node_f1 > 0.9
    assert found.edge_f1 > 0.8


def test_its_answer_is_a_graph_over_its_catalogue(model):
    found = NeuralEngine(model).decompose("Transcribe the speech, then translate it into English.")
    order = [step.capability for step in found.subtasks]
    assert found.nodes <= {each.name for each in CATALOGUE}
    assert all(order.index(a) < order.index(b) for a, b in found.links)
    assert 0.0 <= found.confidence <= 1.0


def test_a_model_is_the_same_after_writing_and_reading(model):
    again = decode_neural(encode_neural(model), device="cpu")
    text = examples()[3].text
    np.testing.assert_allclose(again.ask(text)[0], model.ask(text)[0], atol=0.02)
    assert (again.config, again.capabilities, again.least) == (model.config, model.capabilities, model.least)


@pytest.mark.parametrize("harm", ["short", "shape", "config"])
def test_a_broken_model_is_refused(model, harm):
    data = encode_neural(model)
    broken = {
        "short": data[:-5],
        "shape": data.replace(b'"score.bias","float16",[6]', b'"score.bias","float16",[5]'),
        "config": data.replace(b'"hidden":16', b'"hidden":17'),
    }[harm]
    assert broken != data
    with pytest.raises(Mistake):
        decode_neural(broken, device="cpu")


def test_it_learns_over_a_pretrained_encoders_states_and_needs_that_encoder_again():
    config = replace(TINY, layers=0, pretrained=26)
    trained = train_neural(CATALOGUE, examples(), config, Course(epochs=2, device="cpu"), encoder=Letters())
    data = encode_neural(trained)
    assert decode_neural(data, Letters(), "cpu").ask("translate it")[0].shape == (len(CATALOGUE),)
    with pytest.raises(NotBuilt, match="letters"):
        decode_neural(data, device="cpu")


def test_the_specifications_sizes_are_a_configuration():
    shapes = shapes_of(SPECIFIED, 40, 512)
    assert sum(name.endswith(".query") and name.startswith("encoder") for name in shapes) == 12
    assert sum(name.endswith(".query") and name.startswith("decoder") for name in shapes) == 16  # and self
    assert shapes["encoder.11.query"] == (768, 768)
    assert shapes["decoder.7.merge"] == (1024, 1024)
    assert shapes["decoder.7.key"] == (768, 1024)


def test_every_part_of_the_network_is_used_and_padding_changes_nothing():
    config = replace(TINY, decoder_layers=2, decoder_inner=2, decoder_self=True)
    own = {name: torch.tensor(array, requires_grad=True) for name, array in fresh(config, 5, 7, 0).items()}
    tokens = torch.randint(1, 512, (2, 6, 8))
    mask = torch.ones(2, 6, dtype=torch.bool)
    described = torch.randn(5, 7)
    seen = read(config, own, tokens, mask, described, learning=False)
    seen.scores.sum().backward()
    unused = {name for name, tensor in own.items() if tensor.grad is None}
    assert unused == {name for name in own if name.startswith("pair.")}
    longer = torch.cat([tokens, torch.zeros(2, 3, 8, dtype=torch.long)], 1)
    real = torch.cat([mask, torch.zeros(2, 3, dtype=torch.bool)], 1)
    again = read(config, own, longer, real, described, learning=False)
    torch.testing.assert_close(again.scores, seen.scores, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "wrong", [{"hidden": 10, "heads": 3}, {"decoder_layers": 0}, {"layers": 10_000, "hidden": 4096}]
)
def test_sizes_that_cannot_be_are_refused(wrong):
    with pytest.raises(Mistake):
        NeuralConfig(**{"heads": 4, **wrong})
