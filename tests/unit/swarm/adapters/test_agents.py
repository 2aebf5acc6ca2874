"""What the runtime reads from an agent file."""

from pathlib import Path

import pytest

import af
from af.header import Resources
from swarm.adapters.agents import inspect, open_image
from swarm.errors import AgentRefused
from swarm.wire.convert import agent_from_pb, agent_to_pb

REPORT = Path("agents/report/report.af")


def test_a_capability_is_known_by_the_words_of_its_agent():
    record = inspect(REPORT.read_bytes())
    assert [each.description for each in record.capabilities] == [
        "Compares a digit classifier's scores with the true labels, digit by digit."
    ]
    assert agent_from_pb(agent_to_pb(record)) == record


def test_a_capability_that_has_words_of_its_own_is_known_by_those():
    data = REPORT.read_bytes()
    own = data.replace(
        b"- name: report:per-digit\n", b"- name: report:per-digit\n  description: Tells digits apart.\n", 1
    )
    assert own != data
    record = inspect(af.write(af.compile_agent(af.parse(own))))
    assert [each.description for each in record.capabilities] == ["Tells digits apart."]


def with_resources(**resources):
    agent = af.parse(REPORT.read_bytes())
    header = agent.header.model_copy(update={"resources": Resources.model_validate(resources)})
    return af.write(agent.with_header(header))


def test_what_a_file_says_of_its_resources_reaches_the_record_and_the_image():
    data = with_resources(
        limits={"network_bandwidth_mbps": 7, "wall_ms": 9, "output_mb": 3, "open_files": 20, "threads": 5},
        requirements={"sandbox_layers": ["cgroup.cpu", "syscalls"]},
        egress=["api.example.org:443"],
        native_libraries=True,
    )
    assert inspect(data).layers == {"cgroup.cpu", "syscalls"}
    image = open_image(data)
    assert (image.network_mbps, image.wall_ms, image.output_mb) == (7, 9, 3)
    assert (image.open_files, image.threads, image.egress) == (20, 5, ("api.example.org:443",))
    assert image.layers == {"cgroup.cpu", "syscalls"}
    assert image.native_libraries


def test_a_layer_that_does_not_exist_is_refused_with_the_nearest_that_does():
    with pytest.raises(AgentRefused, match=r"did you mean 'cgroup.memory'"):
        inspect(with_resources(requirements={"sandbox_layers": ["cgroup.memry"]}))
