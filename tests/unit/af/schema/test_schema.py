"""The published JSON Schema: made from the models, and of one mind with the reader."""

import json
from pathlib import Path

import jsonschema
import pytest

import af
from af.agentfile import header_end
from af.schema import SCHEMA_FILE, header_schema, schema_text
from af.yamltext import load_mapping

CONFORMANCE = Path(__file__).resolve().parents[3] / "conformance" / "af"
AGENTS = Path(__file__).resolve().parents[4] / "agents"
VALIDATOR = jsonschema.Draft202012Validator(header_schema())
SCHEMA_FINDS = ("unknown_keys", "wrong_values")


def header_of(path):
    data = path.read_bytes()
    return load_mapping(data[: header_end(data)])


def test_the_published_schema_is_what_the_models_say():
    assert SCHEMA_FILE.read_text() == schema_text(), "run: python -m af.schema"


def test_it_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(json.loads(SCHEMA_FILE.read_text()))


@pytest.mark.parametrize("path", sorted((CONFORMANCE / "valid").glob("*.af")), ids=lambda path: path.stem)
def test_it_accepts_every_valid_header(path):
    assert not list(VALIDATOR.iter_errors(header_of(path)))


@pytest.mark.parametrize("path", sorted(AGENTS.glob("*/*.yaml")), ids=lambda path: path.stem)
def test_it_accepts_the_sources_of_the_built_in_agents(path):
    assert not list(VALIDATOR.iter_errors(load_mapping(path.read_bytes())))


@pytest.mark.parametrize("name", SCHEMA_FINDS)
def test_it_finds_what_one_mapping_alone_shows(name):
    path = CONFORMANCE / "invalid" / f"{name}.af"
    with pytest.raises(af.AfRefused):
        af.parse(path.read_bytes())
    assert list(VALIDATOR.iter_errors(header_of(path)))


def test_own_keys_are_allowed_where_the_reader_allows_them():
    header = {"version": "1.0", "name": "a", "x-own": 1, "resources": {"x-own": {}}}
    assert not list(VALIDATOR.iter_errors(header))
    header["capabilities"] = [{"name": "a:b", "inputs": [], "outputs": [], "x-own": 1}]
    assert list(VALIDATOR.iter_errors(header))
