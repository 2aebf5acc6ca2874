"""Every reader of bytes that a stranger may have written, with good bytes to start from.

A target takes any bytes and ends by returning or by an AfError whose every problem has a place, a message and
a remedy. Anything else, also a warning, a hang or memory without bounds, is a finding.
"""

import contextlib
import io
import json
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from nacl.signing import SigningKey

import af
from af.header import NeuralConfig
from af.interchange import read_foreign
from af.interchange.fann import read_fann, write_fann
from af.interchange.letta import read_letta
from af.interchange.onnx_reader import read_onnx
from af.interchange.onnx_writer import write_onnx
from af.interchange.statedict import network_with, read_safetensors, read_state_dict
from af.signing import read_trust, sign
from af.tools.explain import explain
from af.tools.recording import from_bytes, record, to_bytes
from af.weights import network_from
from tests.unit.af.interchange.kinds import KINDS, rows_for
from tests.unit.af.samples import neural_agent, python_agent

KEY = SigningKey(bytes(32))
TIME = "2026-01-05T00:00:00Z"

_MESSAGE_CHARS_MAX = 1_000_000


def agent(data):
    """A whole file: what parses can be written, checked, explained and inspected."""
    found = af.parse(data)
    again = af.write(found)
    assert af.write(af.parse(again)) == again
    explain(data)


def safetensors(data):
    network_with(_config(), read_safetensors(data), None, ordered=False)


def state_dict(data):
    network_with(_config(), read_state_dict(data), None, ordered=True)


def trust(data):
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        read_trust(Path(file.name))


TARGETS = {
    "agent": agent,
    "fann": read_fann,
    "foreign": read_foreign,
    "letta": read_letta,
    "onnx": read_onnx,
    "recording": from_bytes,
    "safetensors": safetensors,
    "torch": state_dict,
    "trust": trust,
}


def run(name, data):
    """One input for one target; raises for a finding."""
    try:
        TARGETS[name](data)
    except af.AfError as error:
        refusal = error
    else:
        return
    assert all(problem.place and problem.message and problem.remedy for problem in refusal.problems)
    assert len(str(refusal)) < _MESSAGE_CHARS_MAX


@cache
def seeds(name):
    """Good inputs of a target, small ones."""
    return SEEDS[name]()


@st.composite
def variations(draw, name):
    """A good input with bytes changed, cut out, doubled or added."""
    data = bytearray(draw(st.sampled_from(seeds(name))))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        stop = draw(st.integers(start, min(len(data), start + 16)))
        filling = st.one_of(
            st.binary(max_size=8),
            st.sampled_from([b"\xff" * 8, b"\x00" * 8, b"9" * 12, b"-1", b"nan", b"1e999", b"[" * 64]),
            st.just(bytes(data[start:stop]) * 3),
        )
        data[start:stop] = draw(filling)
    return bytes(data)


def _config():
    layers = [{"type": "dense", "units": 3}, {"type": "dense", "units": 2}]
    return NeuralConfig.model_validate(
        {"network_type": "layered", "input_size": 3, "output_size": 2, "layers": layers}
    )


def _arrays():
    return {"0.weight": np.ones((3, 3), "f4"), "0.bias": np.ones(3, "f4"), "1.weight": np.ones((2, 3), "f4")}


def _safetensors_seed():
    import safetensors.numpy  # noqa: PLC0415 - an extra

    return safetensors.numpy.save(_arrays())


def _torch_seeds():
    with contextlib.suppress(ImportError):
        import torch  # noqa: PLC0415 - an extra

        buffer = io.BytesIO()
        torch.save({name: torch.from_numpy(array) for name, array in _arrays().items()}, buffer)
        return (buffer.getvalue(),)
    return (b"PK\x03\x04",)


def _agent_seeds():
    packed = af.encode_section("payload", bytes(200), codec="lz4", shuffle=True, dtype="f32", shapes=((50,),))
    compiled = af.write(af.compile_agent(neural_agent()))
    return (compiled, af.write(python_agent().with_section(packed)), sign(compiled, KEY, TIME))


def _letta_seeds():
    one = {"name": "a", "description": "b", "system": "c", "llm_config": {"model": "d"}}
    return tuple(json.dumps(found).encode() for found in (one, {"agents": [one], "blocks": [{}]}))


def _onnx_seeds():
    return tuple(
        write_onnx(KINDS[kind]) for kind in ("dense", "conv2d", "residual", "max pool", "gru", "gru last")
    )


def _recording_seeds():
    found = neural_agent()
    network = network_from(found.header.neural_config, found.section("neural_weights"))
    return (to_bytes(record("a", network, rows_for(network, 2))),)


SEEDS = {
    "agent": _agent_seeds,
    "fann": lambda: (write_fann(KINDS["fann_sigmoid"], {}, 0.5),),
    "foreign": lambda: (*seeds("fann"), *seeds("onnx")[:1], *seeds("letta")),
    "letta": _letta_seeds,
    "onnx": _onnx_seeds,
    "recording": _recording_seeds,
    "safetensors": lambda: (_safetensors_seed(),),
    "torch": _torch_seeds,
    "trust": lambda: (f"# ours\n{'0' * 64} Ada\n{'1' * 64}\n".encode(),),
}
