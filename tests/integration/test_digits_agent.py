"""The compiled digit agent against the framework that trained it, on every held-out image."""

from pathlib import Path

import numpy as np
import pytest

import af
from af.engines import WasmEngine, usable_engines
from af.trainingdata import training_from
from af.wasm.manifest import WasmManifest
from af.weights import network_from

FOLDER = Path(__file__).resolve().parents[2] / "agents" / "digits"
ACCURACY_MIN = 0.975
PROBABILITY_ERROR_MAX = 1e-5


@pytest.fixture(scope="module")
def held_out():
    with np.load(FOLDER / "examples.npz", allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


@pytest.fixture(scope="module")
def compiled():
    return af.parse(af.write(af.compile_agent(af.parse((FOLDER / "digits.af").read_bytes()))))


@pytest.fixture(scope="module")
def scores(compiled, held_out):
    run = af.executable(compiled)
    engine = WasmEngine(run.code, WasmManifest.model_validate(run.manifest))
    return engine.forward(held_out["images"])


def test_the_compiled_agent_is_accurate_on_images_it_never_saw(scores, held_out):
    assert len(held_out["labels"]) == 540
    assert (scores.argmax(axis=1) == held_out["labels"]).mean() >= ACCURACY_MIN


def test_it_gives_the_frameworks_answer_on_every_image(scores, held_out):
    np.testing.assert_array_equal(scores.argmax(axis=1), held_out["framework_labels"])
    np.testing.assert_array_equal(scores.argmax(axis=1), held_out["framework_probabilities"].argmax(axis=1))


def test_its_probabilities_are_the_frameworks(scores, held_out):
    assert np.abs(scores - held_out["framework_probabilities"]).max() <= PROBABILITY_ERROR_MAX


def test_every_engine_agrees(compiled, held_out):
    network = network_from(compiled.header.neural_config, compiled.section("neural_weights"))
    for name, engine in usable_engines(network).items():
        error = np.abs(engine.forward(held_out["images"]) - held_out["framework_probabilities"]).max()
        assert error <= PROBABILITY_ERROR_MAX, name


def test_one_image_alone_gets_the_same_bits_as_in_a_batch(compiled, held_out, scores):
    run = af.executable(compiled)
    engine = WasmEngine(run.code, WasmManifest.model_validate(run.manifest))
    alone = np.array([engine.forward_one(image) for image in held_out["images"]])
    assert alone.tobytes() == scores.tobytes()


def test_no_held_out_image_is_in_the_training_data(compiled, held_out):
    training = training_from(compiled.section("training_data"))
    assert training.inputs.shape == (1257, 64)
    assert training.inputs.max() == held_out["images"].max() == 16
    seen = {row.tobytes() for row in training.inputs}
    assert not [row for row in held_out["images"] if row.tobytes() in seen]


def test_the_images_are_those_scikit_learn_ships(compiled, held_out):
    datasets = pytest.importorskip("sklearn.datasets")
    pixels, labels = datasets.load_digits(return_X_y=True)
    training = training_from(compiled.section("training_data"))
    ours = np.vstack(
        [
            np.hstack([training.inputs, training.targets]),
            np.hstack([held_out["images"], held_out["labels"][:, np.newaxis]]),
        ]
    )
    theirs = np.hstack([pixels.astype(np.uint8), labels.astype(np.uint8)[:, np.newaxis]])
    assert sorted(map(bytes, ours)) == sorted(map(bytes, theirs))
