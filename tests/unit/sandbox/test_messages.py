import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import failures, messages
from sandbox.bodies import MessageError
from sandbox.errors import AgentFailed, Broken, CellError, Exceeded, Refused
from sandbox.messages import (
    read_items,
    read_process,
    read_results,
    write_items,
    write_process,
    write_results,
)
from sandbox.rows import BULK_BYTES, ITEMS_MAX, PORTS_MAX, Bulk

payloads = st.tuples(st.sampled_from(("json", "bytes")), st.binary(max_size=100))
items = st.one_of(payloads, st.lists(payloads, max_size=4))
ports = st.dictionaries(st.text(max_size=20), items, max_size=4)


def joined(parts: list) -> bytes:
    return b"".join(parts)


@given(st.text(max_size=40), st.lists(ports, max_size=4))
def test_a_call_comes_back_as_it_was(capability: str, batch: list) -> None:
    assert read_process(joined(write_process(capability, batch))) == (capability, batch)


@given(st.lists(ports, max_size=4))
def test_results_come_back_as_they_were(results: list) -> None:
    assert read_results(joined(write_results(results)), len(results)) == results


@given(items)
def test_one_ports_worth_comes_back_as_it_was(one: object) -> None:
    assert read_items(joined(write_items(one))) == one


@given(st.lists(st.one_of(ports, st.just({"x": ("json", b"1")})), max_size=12))
def test_rows_of_different_ports_keep_their_order(rows: list) -> None:
    assert read_process(joined(write_process("a:b", rows)))[1] == rows


def test_large_payloads_lie_outside_the_body_in_their_order() -> None:
    large = [bytes([n]) * (BULK_BYTES + n) for n in range(3)]
    rows = [
        {"x": ("bytes", large[0]), "y": [("json", b"1"), ("bytes", large[1])]},
        {"x": ("bytes", b"small"), "y": [("bytes", large[2])]},
    ]
    shared = bytearray()

    def share(payloads: list, size: int) -> int:
        shared.extend(b"".join(payloads))
        assert len(shared) == size
        return 7

    body = joined(write_process("a:b", rows, share))
    assert len(body) < 200
    assert len(shared) == sum(map(len, large))
    opened = {}

    def give(number: int, size: int) -> Bulk:
        opened[number] = size
        return Bulk(bytes(shared), copied=True)

    assert read_process(body, give) == ("a:b", rows)
    assert opened == {7: len(shared)}
    assert read_process(joined(write_process("a:b", rows, lambda *_: None))) == ("a:b", rows)
    answer = joined(write_results(rows, lambda *_: 1))
    assert read_results(answer, 2, bytes(shared)) == rows
    for wrong in (None, bytes(shared[:-1]), bytes(shared) + b"x"):
        with pytest.raises(MessageError):
            read_results(answer, 2, wrong)


@pytest.mark.parametrize("port", [("tensor", b"none"), [("json", b"1"), ("tensor", b"none")]])
def test_the_daemon_refuses_a_tensor_that_is_none(port: object) -> None:
    with pytest.raises(MessageError, match="tensor"):
        read_results(joined(write_results([{"y": port}])), 1)


@pytest.mark.parametrize(
    "error",
    [
        AgentFailed("it raised", place="agent.py"),
        Broken("it lied", place="frame"),
        Exceeded("memory_bytes", 64.0, "more", place="cell"),
        Refused("no landlock", place="landlock"),
    ],
)
def test_a_failure_keeps_its_type_and_its_words(error: CellError) -> None:
    found = failures.read(joined(failures.write(error)))
    assert type(found) is type(error)
    assert (found.message, found.place) == (error.message, error.place)
    if isinstance(found, Exceeded):
        assert (found.limit, found.value, found.asked) == ("memory_bytes", 64.0, "more")


def test_an_error_takes_its_own_place_among_results() -> None:
    good = {"y": ("json", b"1")}
    found = read_results(joined(write_results([good, AgentFailed("bad row"), good])), 3)
    assert found[0] == found[2] == good
    assert isinstance(found[1], AgentFailed)


@given(st.binary(max_size=300))
def test_noise_is_refused_with_one_kind_of_error(noise: bytes) -> None:
    for read in (read_process, lambda body: read_results(body, 2), read_items, failures.read):
        try:
            read(noise)
        except MessageError:
            continue


@given(st.lists(ports, min_size=1, max_size=3), st.data())
def test_a_body_cut_short_or_made_longer_is_refused(results: list, data: st.DataObject) -> None:
    body = joined(write_results(results))
    for wrong in (body[: data.draw(st.integers(0, len(body) - 1))], body + b"\0"):
        with pytest.raises(MessageError):
            read_results(wrong, len(results))


def test_more_than_the_caps_is_refused_on_both_sides() -> None:
    one = ("bytes", b"")
    with pytest.raises(MessageError, match="items"):
        write_process("x", [{}] * (ITEMS_MAX + 1))
    with pytest.raises(MessageError, match="ports"):
        write_results([{str(n): one for n in range(PORTS_MAX + 1)}])
    with pytest.raises(MessageError, match="port name"):
        write_results([{"x" * 500: one}])
    with pytest.raises(MessageError, match="items"):
        read_process(messages._CALL.pack(ITEMS_MAX + 1, 0, 0, 0))


def test_a_port_named_twice_is_refused() -> None:
    body = joined(write_results([{"a": ("json", b"1"), "b": ("json", b"2")}]))
    with pytest.raises(MessageError, match="twice"):
        read_results(body.replace(b"b", b"a"), 1)
