import json

import numpy as np
import pytest

from sandbox import tensors
from sandbox.errors import AgentFailed
from sandbox.python_agent import PythonAgent


def agent(body: str, manifest: dict | None = None) -> PythonAgent:
    lines = "\n".join("    " + line for line in body.strip("\n").splitlines())
    return PythonAgent("subject", f"import numpy as np\nclass Agent:\n{lines}\n".encode(), manifest or {})


def answering(expression: str) -> dict:
    return agent(f"def process_input(self, capability, inputs):\n    return {expression}").process_input(
        "x", {}
    )


@pytest.mark.parametrize(
    ("value", "payload"),
    [
        ("b'raw'", ("bytes", b"raw")),
        ("bytearray(b'raw')", ("bytes", b"raw")),
        ("{'a': [1, None]}", ("json", b'{"a":[1,null]}')),
        ("[1, 2]", ("json", b"[1,2]")),
        ("{'a': np.float32(0.5), 'b': np.arange(2)}", ("json", b'{"a":0.5,"b":[0,1]}')),
        ("(1, b'x')", [("json", b"1"), ("bytes", b"x")]),
        ("()", []),
        ("[b'x', b'y']", [("bytes", b"x"), ("bytes", b"y")]),
    ],
)
def test_values_become_payloads_by_their_type(value: str, payload: object) -> None:
    assert answering(f"{{'port': {value}}}") == {"port": payload}


MANY = {"capabilities": [{"name": "a:b", "outputs": [{"name": "items", "many": True}, {"name": "one"}]}]}


@pytest.mark.parametrize("empty", ["[]", "()"])
def test_nothing_on_a_port_of_many_is_no_item(empty: str) -> None:
    source = f"def process_input(self, capability, inputs):\n    return {{'items': {empty}, 'one': [1]}}"
    subject = agent(source, MANY)
    assert subject.process_input("a:b", {}) == {"items": [], "one": ("json", b"[1]")}


def test_a_list_of_numbers_on_a_port_of_many_is_many_numbers() -> None:
    source = "def process_input(self, capability, inputs):\n    return {'items': inputs['items']}"
    subject = agent(source, MANY)
    items = [("json", b"1"), ("json", b"2")]
    assert subject.process_input("a:b", {"items": items}) == {"items": items}
    with pytest.raises(AgentFailed, match="carries many items, got int"):
        subject.process_input("a:b", {"items": ("json", b"1")})


def test_arrays_and_scalars_of_numpy_become_tensors() -> None:
    answer = answering("{'a': np.ones((2, 2)), 's': np.float32(3)}")
    assert tensors.decode(answer["a"][1]).shape == (2, 2)
    assert tensors.decode(answer["s"][1]) == np.float32(3)


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("None", "NoneType, not a dict"),
        ("{1: 2}", "not a dict of ports"),
        ("{'x': {1, 2}}", "'x' cannot be sent"),
        ("{'x': float('inf')}", "'x' cannot be sent"),
        ("{'x': np.array(['text'])}", "'x' cannot be sent"),
        ("1 / 0", "ZeroDivisionError"),
        ("exit(3)", "SystemExit|NameError"),
    ],
)
def test_an_answer_that_cannot_be_sent_names_the_port(expression: str, reason: str) -> None:
    with pytest.raises(AgentFailed, match=reason):
        answering(expression)


def test_an_error_names_the_line_of_the_agents_own_source() -> None:
    with pytest.raises(AgentFailed) as caught:
        answering("inputs['missing']")
    assert caught.value.place == "subject.process_input at line 4"


@pytest.mark.parametrize("payload", [("tensor", b"junk"), ("json", b"{"), ("json", b"NaN")])
def test_an_input_that_does_not_parse_names_the_port(payload: tuple[str, bytes]) -> None:
    subject = agent("def process_input(self, capability, inputs): return {}")
    with pytest.raises(AgentFailed, match="port 'x'"):
        subject.process_input("any", {"x": payload})


def test_an_agent_without_the_optional_calls_is_stateless_and_says_so() -> None:
    subject = agent("def process_input(self, capability, inputs): return {}", {"capabilities": ["a:b"]})
    assert subject.checkpoint() == b""
    subject.restore(b"")
    with pytest.raises(AgentFailed, match="stateless"):
        subject.restore(b"state")
    with pytest.raises(AgentFailed, match="does not learn"):
        subject.update_weights(("json", b"1"))
    assert subject.get_metadata() == {"name": "subject", "kind": "python", "capabilities": ["a:b"]}


def test_the_optional_calls_are_made_where_they_exist() -> None:
    subject = agent(
        """
def __init__(self): self.seen = []
def process_input(self, capability, inputs): return {"seen": self.seen}
def update_weights(self, feedback): self.seen.append(feedback)
def get_metadata(self): return {"version": 3}
def checkpoint(self): return b"abc"
def restore(self, data): self.seen = [data.decode()]
"""
    )
    subject.update_weights(("json", b'{"loss":1}'))
    assert json.loads(subject.process_input("x", {})["seen"][1]) == [{"loss": 1}]
    assert subject.checkpoint() == b"abc"
    subject.restore(b"kept")
    assert json.loads(subject.process_input("x", {})["seen"][1]) == ["kept"]
    assert subject.get_metadata()["agent"] == {"version": 3}


def test_a_checkpoint_that_is_no_bytes_is_refused() -> None:
    subject = agent("def process_input(self, c, i): return {}\ndef checkpoint(self): return 'text'")
    with pytest.raises(AgentFailed, match="str, not bytes"):
        subject.checkpoint()
