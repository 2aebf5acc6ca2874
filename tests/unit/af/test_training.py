import numpy as np
import pytest

import af
from af.errors import AfError, AfRefused
from af.training import Course, train_agent
from af.trainingdata import TrainingData, training_section
from tests.unit.af.samples import network, neural_agent, neural_header, python_agent

pytest.importorskip("torch")

WIDTHS = (3, 8, 2)


def rows(count=200, targets="labels"):
    inputs = np.random.default_rng(0).standard_normal((count, 3)).astype("f4")
    classes = (inputs.sum(axis=1) > 0).astype(np.uint8)
    return TrainingData(
        inputs, classes[:, np.newaxis] if targets == "labels" else np.eye(2, dtype="f4")[classes]
    )


def trained(agent=None, data=None, heard=None, **course):
    heard = [] if heard is None else heard
    chosen = Course(**{"epochs": 8, "rate": 0.02, **course})
    return train_agent(
        agent or neural_agent(WIDTHS), data or rows(), chosen, lambda *epoch: heard.append(epoch)
    )


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("targets", ["labels", "rows"])
def test_a_course_makes_the_network_better_and_says_so_in_the_header(optimizer, targets):
    heard = []
    result = trained(data=rows(targets=targets), heard=heard, optimizer=optimizer, momentum=0.9, held_out=0.2)
    assert result.after.loss < result.before.loss
    assert result.after.accuracy > 0.8
    assert (result.training_rows, result.scored_rows, result.scored_on) == (160, 40, "held_out")
    assert [epoch for epoch, _ in heard] == list(range(1, 9))
    record = result.agent.header.extras["x-training"]
    assert record["after"]["accuracy"] == result.after.accuracy
    assert af.check(result.agent) == []
    assert af.parse(af.write(result.agent)).header.extras["x-training"] == record


def test_the_same_seed_gives_the_same_bytes_and_another_one_others():
    first, second, third = (af.write(trained(seed=seed).agent) for seed in (1, 1, 2))
    assert first == second != third


def test_the_files_own_rows_serve_when_no_others_are_given():
    agent = neural_agent(WIDTHS).with_section(training_section(rows()))
    chosen = Course(epochs=2, held_out=0)
    result = train_agent(agent, None, chosen, lambda *_: None)
    assert (result.scored_on, result.scored_rows) == ("training", 200)
    assert result.agent.section("training_data") == agent.section("training_data")


def test_a_compiled_file_stays_compiled_and_answers_with_the_new_weights():
    result = trained(af.compile_agent(neural_agent(WIDTHS)))
    assert af.executable(result.agent).code != af.executable(af.compile_agent(neural_agent(WIDTHS))).code
    assert trained().agent.header.manifest is None


def test_numbers_without_classes_are_scored_by_their_loss():
    header = neural_header((3, 4, 1), neural_config={"input_size": 3, "hidden_layers": [4], "output_size": 1})
    agent = af.AgentFile(header, (af.weights.weights_section(network((3, 4, 1), ["relu", "linear"])),))
    inputs = rows().inputs
    result = trained(agent, TrainingData(inputs, inputs[:, :1] * 2))
    assert result.after.loss < result.before.loss
    assert result.after.accuracy is None


@pytest.mark.parametrize(
    ("agent", "data", "reason"),
    [
        (python_agent(), rows(), "kind python has no weights"),
        (neural_agent(WIDTHS), TrainingData(np.zeros((4, 2), "f4"), np.zeros((4, 1), "u1")), "have 2 values"),
        (neural_agent(WIDTHS), TrainingData(np.zeros((4, 3), "f4"), np.full((4, 1), 2, "u1")), "0 to 1"),
        (neural_agent(WIDTHS), TrainingData(np.full((4, 3), np.nan, "f4"), np.zeros((4, 1), "u1")), "finite"),
        (neural_agent(WIDTHS), TrainingData(np.zeros((0, 3), "f4"), np.zeros((0, 1), "u1")), "leave none"),
    ],
)
def test_what_cannot_be_trained_is_refused(agent, data, reason):
    with pytest.raises(AfRefused, match=reason):
        trained(agent, data)


def test_a_file_without_rows_asks_for_some():
    with pytest.raises(AfRefused, match="no training data of its own"):
        train_agent(neural_agent(WIDTHS), None, Course(), lambda *_: None)


def test_a_course_that_leads_nowhere_ends_with_an_error():
    huge = TrainingData(rows().inputs * np.float32(1e30), rows().targets)
    with pytest.raises(AfError, match=r"loss is|no longer finite"):
        trained(data=huge, rate=1e6, optimizer="sgd")
