import io
import itertools
import json

import numpy as np
import pytest

import af
from af.tools.inputs import in_batches, read_inputs

ROWS = af.Capability("a:rows", (af.PortSpec("x", "tensor", "f32", (None, 4)),), ())


def read(*sources, text="", rows=None, white=1.0):
    return list(
        read_inputs([str(source) for source in sources], ROWS, io.StringIO(text), rows=rows, white=white)
    )


def blocks(inputs):
    return [item.values["x"].tolist() for item in inputs]


def refusal(*arguments, **options):
    with pytest.raises(af.AfRefused) as caught:
        read(*arguments, **options)
    return str(caught.value)


@pytest.fixture
def table():
    return np.arange(20, dtype=np.float32).reshape(5, 4)


@pytest.fixture(params=["csv", "npy"])
def row_file(request, tmp_path, table):
    path = tmp_path / f"a.{request.param}"
    if request.param == "npy":
        np.save(path, table)
    else:
        np.savetxt(path, table, delimiter=",")
    return path


def test_the_rows_of_a_file_are_one_input_or_pieces_of_it(row_file, table):
    assert blocks(read(row_file)) == [table.tolist()]
    pieces = read(row_file, rows=2)
    assert blocks(pieces) == [table[:2].tolist(), table[2:4].tolist(), table[4:].tolist()]
    assert pieces[1].place == f"{row_file}, rows 3 to 4"


def test_pieces_are_read_when_they_are_needed(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("1,2,3,4\n" * 10 + "not a number\n")
    inputs = read_inputs([str(path)], ROWS, io.StringIO(), rows=5, white=1.0)
    assert len(list(itertools.islice(inputs, 2))) == 2
    with pytest.raises(af.AfRefused, match="not readable as csv"):
        next(inputs)


def test_a_line_that_cannot_be_used_does_not_end_the_stream():
    first, bad, last = read("-", text='[1, 2, 3, 4]\n\n{"x": \n[5, 6, 7, 8]\n')
    assert blocks([first, last]) == [[[1, 2, 3, 4]], [[5, 6, 7, 8]]]
    assert "standard input, line 3: it is not JSON" in str(bad.values)


def test_many_sources_follow_each_other(row_file, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps([9, 9, 9, 9]))
    found = read(tmp_path / "a.json", row_file, "-", text="[0, 0, 0, 0]\n")
    assert [len(block) for block in blocks(found)] == [1, 5, 1]
    assert [len(batch) for batch in in_batches(found, 2)] == [2, 1]


@pytest.mark.parametrize(
    ("name", "mode", "pixels", "expected"),
    [
        ("a.png", "L", [[0, 255], [51, 102]], [0, 16, 3.2, 6.4]),
        ("a.pgm", "L", [[255, 0], [0, 0]], [16, 0, 0, 0]),
        ("a.png", "RGB", [[[255, 255, 255], [0, 0, 0]], [[0, 0, 0], [0, 0, 0]]], [16, 0, 0, 0]),
    ],
)
def test_a_picture_is_a_row(tmp_path, name, mode, pixels, expected):
    image = pytest.importorskip("PIL.Image")
    image.fromarray(np.uint8(pixels), mode=None).save(tmp_path / name)
    (found,) = read(tmp_path / name, white=16)
    np.testing.assert_allclose(found.values["x"], [expected], atol=1e-5)


def test_a_coloured_picture_goes_channel_after_channel(tmp_path):
    image = pytest.importorskip("PIL.Image")
    colours = af.Capability("a:c", (af.PortSpec("x", "tensor", "f32", (None, 6)),), ())
    image.fromarray(np.uint8([[[255, 0, 0], [0, 255, 51]]])).save(tmp_path / "a.png")
    (found,) = read_inputs([str(tmp_path / "a.png")], colours, io.StringIO(), rows=None, white=1.0)
    np.testing.assert_allclose(found.values["x"], [[1, 0, 0, 1, 0, 0.2]], atol=1e-6)


def test_pictures_that_do_not_fit_or_are_none_are_refused(tmp_path):
    image = pytest.importorskip("PIL.Image")
    image.new("L", (3, 3)).save(tmp_path / "a.png")
    assert "it has 3 x 3 pixels; the port x takes 4 numbers" in refusal(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    assert "not a readable picture" in refusal(tmp_path / "a.png")
    header = b"P5\n100000 100000\n255\n"
    (tmp_path / "a.pgm").write_bytes(header)
    assert "a.pgm" in refusal(tmp_path / "a.pgm")


@pytest.mark.parametrize("name", ["a.csv", "a.npy", "a.png", "a.json"])
def test_a_file_that_is_not_there_is_refused(tmp_path, name):
    assert "No such file" in refusal(tmp_path / name, rows=2)


def test_an_array_of_objects_is_never_loaded(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    assert "not readable as npy" in refusal(tmp_path / "a.npy", rows=2)
