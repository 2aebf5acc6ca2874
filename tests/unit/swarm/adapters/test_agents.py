"""What the runtime reads from an agent file."""

from pathlib import Path

import af
from swarm.adapters.agents import inspect
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
