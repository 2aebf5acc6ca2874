import json

import numpy as np
import pytest

import af
from af.tools.values import json_values, jsonable, numpy_dtype, read_values

IMAGE = af.Capability("a:image", (af.PortSpec("image", "tensor", "f32", (None, 3)),), ())
MIXED = af.Capability(
    "a:mixed",
    (
        af.PortSpec("parts", "tensor", "u8", (None, 2), many=True),
        af.PortSpec("options", "json"),
        af.PortSpec("blob", "bytes", optional=True),
    ),
    (),
)


def refusal(action, *arguments):
    with pytest.raises(af.AfRefused) as caught:
        action(*arguments)
    return str(caught.value)


@pytest.mark.parametrize("text", ["[1, 2, 3]", "[[1, 2, 3]]", '{"image": [[1, 2, 3]]}'])
def test_a_row_rows_or_a_mapping_of_ports_are_the_same_input(text):
    value = json_values(text, IMAGE, "here")["image"]
    assert value.dtype == np.float32
    np.testing.assert_array_equal(value, [[1, 2, 3]])


def test_no_rows_keep_their_width():
    assert json_values("[]", IMAGE, "here")["image"].shape == (0, 3)


def test_many_ports_take_lists_and_bytes_are_base64():
    values = json_values(
        '{"parts": [[[1, 2]], []], "options": {"a": 1}, "blob": {"base64": "aGk="}}', MIXED, "here"
    )
    assert [part.shape for part in values["parts"]] == [(1, 2), (0, 2)]
    assert values["parts"][0].dtype == np.uint8
    assert values["options"] == {"a": 1}
    assert values["blob"] == b"hi"


@pytest.mark.parametrize(
    ("text", "capability", "message"),
    [
        ("[1, 2", IMAGE, "here: it is not JSON"),
        ("[1, 2]", IMAGE, "here, port image: its shape is [1, 2], not [any, 3]"),
        ('[["a", "b", "c"]]', IMAGE, "it is not a tensor of f32"),
        ("[[1, 2], [3]]", IMAGE, "it is not a tensor of f32"),
        ("[1]", MIXED, "a:mixed takes several inputs"),
        ('{"parts": []}', MIXED, "no value for the port options"),
        ('{"parts": 3, "options": 1}', MIXED, "wrap the value in a list"),
        ('{"parts": [[[1, 300]]], "options": 1}', MIXED, "here, port parts[0]: it is not a tensor of u8"),
        ('{"parts": [], "options": 1, "blob": "hi"}', MIXED, "it takes bytes"),
        ('{"parts": [], "options": 1, "blob": {"base64": "?"}}', MIXED, "it is not base64"),
    ],
)
def test_an_input_that_does_not_fit_is_refused_with_its_place(text, capability, message):
    assert message in refusal(json_values, text, capability, "here")


def test_files_are_read_by_their_suffix(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((2, 3)))
    (tmp_path / "a.csv").write_text("1,1,1\n1,1,1\n")
    (tmp_path / "a.json").write_text(json.dumps([[1, 1, 1]] * 2))
    for name in ("a.npy", "a.csv", "a.json"):
        np.testing.assert_array_equal(read_values(tmp_path / name, IMAGE)["image"], np.ones((2, 3)))


@pytest.mark.parametrize(
    ("name", "data"), [("a.npy", b"no"), ("a.csv", b"a,b"), ("a.txt", b""), ("a.csv", b"\xff")]
)
def test_a_file_that_is_not_readable_is_refused(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    assert name in refusal(read_values, tmp_path / name, IMAGE)


def test_a_pickled_array_is_never_loaded(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    assert "not readable as npy" in refusal(read_values, tmp_path / "a.npy", IMAGE)


def test_outputs_become_json():
    value = {"a": np.array([[1.5, np.nan]], "f4"), "b": [b"hi"], "c": (True, None, "x", np.uint8([3]))}
    assert jsonable(value) == {"a": [[1.5, None]], "b": [{"base64": "aGk="}], "c": [True, None, "x", [3]]}


@pytest.mark.parametrize("name", ["f32", "f64", "u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "bool"])
def test_every_dtype_of_the_format_has_an_array_type(name):
    dtype = numpy_dtype(af.PortSpec("x", "tensor", name))
    assert dtype.kind == {"f": "f", "u": "u", "i": "i", "b": "b"}[name[0]]
    assert name == "bool" or dtype.itemsize == int(name[1:]) // 8
