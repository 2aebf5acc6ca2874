import json

import pytest
from typer.testing import CliRunner

import af
from af.interchange.fann import write_fann
from af.tools.compile import app
from tests.unit.af.interchange.kinds import KINDS
from tests.unit.af.samples import neural_agent, python_agent


@pytest.fixture
def invoke():
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def agent_file(tmp_path):
    path = tmp_path / "agent.af"
    path.write_bytes(af.write(neural_agent()))
    return path


def test_it_writes_the_compiled_file(invoke, agent_file, tmp_path):
    out = tmp_path / "out.af"
    result = invoke(agent_file, "-o", out, "--json")
    assert result.exit_code == 0
    facts = json.loads(result.stdout)
    run = af.executable(af.parse(out.read_bytes()))
    assert (facts["ok"], facts["sha256"], facts["code_bytes"]) == (True, run.sha256, len(run.code))
    assert out.read_bytes() == af.write(af.compile_agent(neural_agent()))


def test_check_writes_nothing_and_reports_every_problem(invoke, tmp_path):
    path = tmp_path / "bad.af"
    path.write_bytes(
        af.write(
            neural_agent(workflows={"execution": ["dance"]}).with_section(
                af.encode_section("neural_weights", b"")
            )
        )
    )
    result = invoke(path, "--check")
    assert result.exit_code == 1
    assert "workflows.execution[0]: the step 'dance' is unknown." in result.stderr
    assert "section neural_weights: it has 0 bytes" in result.stderr
    assert "2 problems." in result.stderr
    assert json.loads(invoke(path, "--check", "--json").stdout)["problems"][0]["place"].startswith("header")
    assert [child.name for child in tmp_path.iterdir()] == ["bad.af"]


def test_check_of_a_good_file_succeeds(invoke, agent_file):
    result = invoke(agent_file, "--check")
    assert (result.exit_code, result.stderr) == (0, "")


def test_emit_shows_the_text(invoke, agent_file):
    result = invoke(agent_file, "--emit", "wat")
    assert result.exit_code == 0
    assert result.stdout.startswith("(module\n")


@pytest.mark.parametrize(
    "options", [[], ["--check", "--emit", "wat"], ["--check", "-o", "x.af"], ["--emit", "elf"]]
)
def test_wrong_usage_has_its_own_exit_code(invoke, agent_file, options):
    assert invoke(agent_file, *options).exit_code == 2


def test_a_file_that_is_not_there_is_a_problem_not_a_crash(invoke, tmp_path):
    result = invoke(tmp_path / "none.af", "--check")
    assert result.exit_code == 1
    assert "No such file" in result.stderr


def test_an_unwritable_target_is_a_problem_not_a_crash(invoke, agent_file, tmp_path):
    result = invoke(agent_file, "-o", tmp_path / "no" / "out.af")
    assert result.exit_code == 1
    assert "is not writable" in result.stderr


def test_a_source_is_built_and_compiled(invoke, tmp_path):
    (tmp_path / "echo.py").write_bytes(python_agent().sections[0].data)
    header = af.write(af.AgentFile(python_agent().header)).decode()
    (tmp_path / "echo.yaml").write_text(header + "sources: {module: echo.py}\n")
    assert invoke(tmp_path / "echo.yaml", "-o", tmp_path / "echo.af").exit_code == 0
    assert (tmp_path / "echo.af").read_bytes() == af.write(af.compile_agent(python_agent()))


def test_a_foreign_network_is_imported_compiled_and_exported(invoke, tmp_path):
    network = KINDS["fann_elliot"]
    (tmp_path / "a.net").write_bytes(write_fann(network, {}, 0.25))
    result = invoke("--from", tmp_path / "a.net", "-o", tmp_path / "a.af", "--json")
    assert result.exit_code == 0, result.stderr
    run = af.executable(af.parse((tmp_path / "a.af").read_bytes()))
    assert json.loads(result.stdout)["sha256"] == run.sha256
    assert invoke(tmp_path / "a.af", "--emit", "fann", "-o", tmp_path / "b.net").exit_code == 0
    assert (tmp_path / "b.net").read_bytes() == (tmp_path / "a.net").read_bytes()
    assert invoke(tmp_path / "a.af", "--emit", "onnx", "-o", tmp_path / "a.onnx").exit_code == 0
    assert invoke("--from", tmp_path / "b.net", "--check").exit_code == 0


def test_a_foreign_file_with_a_fault_is_refused_with_its_place(invoke, tmp_path):
    (tmp_path / "a.net").write_bytes(write_fann(KINDS["fann_elliot"], {}, None)[:500])
    result = invoke("--from", tmp_path / "a.net", "-o", tmp_path / "a.af")
    assert (result.exit_code, "a.net: FANN file: " in result.stderr) == (1, True)
    assert not (tmp_path / "a.af").exists()


def test_an_export_that_is_no_text_needs_a_place_to_go(invoke, agent_file):
    assert invoke(agent_file, "--emit", "onnx").exit_code == 2
    assert invoke("--emit", "wat").exit_code == 2
