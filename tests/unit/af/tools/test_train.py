import json

import numpy as np
import pytest
from typer.testing import CliRunner

import af
from af.tools.train import app
from tests.unit.af.samples import neural_agent

pytest.importorskip("torch")


@pytest.fixture
def place(tmp_path):
    inputs = np.random.default_rng(0).standard_normal((60, 3)).astype("f4")
    labels = (inputs.sum(axis=1) > 0).astype(np.uint8)[:, np.newaxis]
    np.savez(tmp_path / "rows.npz", inputs=inputs, targets=labels)
    (tmp_path / "agent.af").write_bytes(af.write(neural_agent()))
    return tmp_path


def run(place, *arguments):
    return CliRunner().invoke(app, [str(place / "agent.af"), *map(str, arguments)])


def test_it_writes_a_better_file_and_reports_both_scores(place):
    result = run(
        place, "--data", place / "rows.npz", "--epochs", 20, "--lr", 0.02, "-o", place / "new.af", "--json"
    )
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts["ok"] is True
    assert facts["after"]["loss"] < facts["before"]["loss"]
    assert (facts["rows"], facts["scored_rows"]) == (54, 6)
    assert len((place / "new.af").read_bytes()) == facts["bytes"]
    assert af.check(af.parse((place / "new.af").read_bytes())) == []


def test_a_person_sees_each_epoch_and_the_outcome(place):
    result = run(place, "--data", place / "rows.npz", "--epochs", 2, "-o", place / "new.af")
    assert "epoch 2/2: loss" in result.stderr
    assert "before: loss" in result.stdout
    assert "6 rows (held out)" in result.stdout


def test_without_rows_nothing_is_written(place):
    result = run(place, "-o", place / "new.af")
    assert result.exit_code == 1
    assert "--data ROWS.npz" in result.stderr
    assert not (place / "new.af").exists()


def test_data_that_is_none_is_refused(place):
    (place / "rows.npz").write_bytes(b"junk")
    result = run(place, "--data", place / "rows.npz", "-o", place / "new.af")
    assert result.exit_code == 1
    assert "not a readable .npz" in result.stderr
