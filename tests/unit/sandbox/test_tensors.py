import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sandbox import tensors
from sandbox.tensors import DTYPES, TensorError, decode, encode

arrays = hnp.arrays(
    st.sampled_from(DTYPES),
    hnp.array_shapes(min_dims=0, max_dims=8, min_side=0, max_side=4),
    fill=st.nothing(),
)


@given(arrays)
def test_an_array_comes_back_as_it_was(array: np.ndarray) -> None:
    found = decode(encode(array))
    assert found.dtype == array.dtype
    assert found.shape == array.shape
    assert found.tobytes() == array.tobytes()
    assert not found.flags.writeable


@given(arrays)
def test_the_items_start_at_a_multiple_of_16(array: np.ndarray) -> None:
    assert (len(encode(array)) - array.nbytes) % 16 == 0


@pytest.mark.parametrize(
    "change", [lambda a: a.T, lambda a: a[::-1], lambda a: a.astype(">f4"), np.asfortranarray]
)
def test_strides_and_byte_order_do_not_show(change) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert encode(change(array)) == encode(np.array(change(array), dtype="<f4", order="C"))


def test_decoding_copies_nothing() -> None:
    data = bytearray(encode(np.zeros(3)))
    found = decode(data)
    data[-8:] = np.float64(7).tobytes()
    assert found[2] == 7


@given(arrays, st.data())
def test_a_changed_length_is_refused(array: np.ndarray, data: st.DataObject) -> None:
    encoded = encode(array)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    for wrong in (encoded[:cut], encoded + b"\0"):
        with pytest.raises(TensorError):
            decode(wrong)


@given(st.binary(max_size=200))
def test_noise_is_refused_or_has_one_encoding(noise: bytes) -> None:
    for data in (noise, b"T\x01" + noise):
        try:
            found = decode(data)
        except TensorError:
            continue
        assert encode(found) == data


def header(*dims: int, code: int = 1) -> bytes:
    pad = -(8 + 8 * len(dims)) % 16
    return (
        bytes([ord("T"), 1, code, len(dims)])
        + bytes(4)
        + b"".join(d.to_bytes(8, "little") for d in dims)
        + bytes(pad)
    )


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(
            header(2**63, 2**63, 4) + bytes(16), id="a product that overflows 64 bits to a small number"
        ),
        pytest.param(header(2**62) + bytes(16), id="more items than bytes"),
        pytest.param(header(0, 2**40), id="an empty array of absurd shape"),
        pytest.param(header(2, code=11) + b"\x01\x02", id="a bool that is 2"),
        pytest.param(header(1, code=12) + bytes(8), id="a dtype that is none"),
        pytest.param(bytes([ord("T"), 1, 1, 9]) + bytes(100), id="nine dimensions"),
        pytest.param(header(1)[:4] + b"\x01" + header(1)[5:] + bytes(4), id="dirty reserved bytes"),
        pytest.param(header(1, 1)[:-1] + b"\x01" + bytes(4), id="dirty padding"),
        pytest.param(b"T\x02" + header(1)[2:] + bytes(4), id="another version"),
    ],
)
def test_a_header_that_lies_is_refused(data: bytes) -> None:
    with pytest.raises(TensorError):
        decode(data)
    with pytest.raises(TensorError):
        tensors.check([data])


@given(st.lists(arrays, max_size=5), st.binary(min_size=1, max_size=40))
def test_what_decodes_passes_the_check_and_noise_among_it_does_not(found: list, noise: bytes) -> None:
    encoded = [encode(array) for array in found]
    tensors.check(encoded)
    with pytest.raises(TensorError):
        tensors.check([*encoded, noise, *encoded])


def test_no_rows_of_a_width_are_an_array_like_others() -> None:
    assert decode(encode(np.zeros((0, 64), np.float32))).shape == (0, 64)


@pytest.mark.parametrize(
    "array", [np.array(["text"]), np.array([1j]), np.array([object()]), np.zeros((1,) * 9)]
)
def test_what_has_no_encoding_is_refused(array: np.ndarray) -> None:
    with pytest.raises(TensorError):
        encode(array)


def test_a_head_written_alone_is_that_of_the_array() -> None:
    array = np.arange(10, dtype=np.float32)
    assert tensors.head(array.dtype, array.shape) + array.tobytes() == encode(array)
