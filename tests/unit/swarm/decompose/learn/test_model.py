"""The stacked model from training to asking, as bytes, and beside capabilities it never saw."""

import pytest

pytest.importorskip("sklearn")

from swarm.decompose.learn import forest
from swarm.decompose.learn.codec import decode_model, encode_model
from swarm.decompose.learn.training import train
from swarm.decompose.metric import quality
from swarm.decompose.records import Capability
from swarm.decompose.strategies.hybrid import HybridEngine
from swarm.decompose.strategies.stacked import StackedEngine
from swarm.errors import Mistake
from tests.unit.swarm.decompose.catalogues import CATALOGUE, examples


@pytest.fixture(scope="module")
def model():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forest, "ROUNDS", 20)
        return train(CATALOGUE, examples())


def test_it_learns_words_that_no_description_holds(model):
    found = StackedEngine(model).decompose(
        "Now pull the sound out of the clip, then write down what is said."
    )
    assert found.nodes >= {"Video-to-Audio", "Audio-to-Text"}
    assert ("Video-to-Audio", "Audio-to-Text") in found.links


def test_it_knows_its_own_examples_well(model):
    engine = StackedEngine(model)
    found = quality((engine.decompose(each.text), each) for each in examples())
    assert found.node_f1 > 0.9
    assert found.edge_f1 > 0.8


def test_a_model_that_went_through_bytes_answers_the_same(model):
    copy = StackedEngine(decode_model(encode_model(model)))
    for example in examples()[:10]:
        one, other = StackedEngine(model).decompose(example.text), copy.decompose(example.text)
        assert one.nodes == other.nodes
        assert one.confidence == pytest.approx(other.confidence, abs=0.05)


@pytest.mark.parametrize("cut", [0, 7, 11, 200, -1])
def test_a_cut_model_is_refused(model, cut):
    with pytest.raises(Mistake, match="no trained model"):
        decode_model(encode_model(model)[:cut])


def test_a_model_whose_tree_points_outside_is_refused(model):
    data = bytearray(encode_model(model))
    left = model.link.left.tobytes()
    at = data.rfind(left)
    data[at : at + 4] = (1 << 30).to_bytes(4, "little")
    with pytest.raises(Mistake, match="points outside"):
        decode_model(bytes(data))


def test_a_capability_that_came_later_is_found_by_rules(model):
    engine = HybridEngine([*CATALOGUE, Capability("Grammar Checker", "Corrects grammar errors in a text.")],
                          StackedEngine(model))  # fmt: skip
    found = engine.decompose("Transcribe the speech, then correct the grammar errors.")
    assert found.engine == "hybrid"
    assert "Grammar Checker" in found.nodes


def test_a_capability_that_is_gone_is_not_asked_for(model):
    rest = [each for each in CATALOGUE if each.name != "Audio-to-Text"]
    found = HybridEngine(rest, StackedEngine(model)).decompose(
        "Transcribe the speech, then summarize the text."
    )
    assert "Audio-to-Text" not in found.nodes
    assert "Summarizer" in found.nodes
