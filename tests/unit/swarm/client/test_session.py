"""Agents and the cluster, asked through the door."""

import asyncio
import hashlib
from pathlib import Path

import pytest

import af
from swarm import limits
from swarm.client import Swarm
from swarm.client.session import runnable
from swarm.errors import AgentRefused, ConfigRefused, NotFound, TooLarge
from swarm.wire.gen import client_pb2 as pb
from swarm.wire.gen import common_pb2
from tests.unit.swarm.client.fake import LOST

SPLIT = Path(__file__).parents[4] / "agents" / "split" / "split.af"
AGENT = common_pb2.Agent(name="split", version="1.0.0", kind="python")


def with_cluster(world, scripts, scenario):
    """Run `scenario(swarm, fakes)` with these scripts."""

    async def body():
        async with world.serving(**scripts) as (profile, fakes), Swarm.connect(profile) as swarm:
            await scenario(swarm, fakes)

    asyncio.run(asyncio.wait_for(body(), 30))


def uploaded(parts):
    """The bytes a Deploy call streamed, checked against what it announced."""
    start, data = parts[0].start, b"".join(part.chunk for part in parts[1:])
    assert len(data) == start.size_bytes
    assert hashlib.sha256(data).hexdigest() == start.sha256
    return data


def test_an_agent_is_compiled_before_it_is_deployed(world):
    async def scenario(swarm, fakes):
        agent = await swarm.deploy(SPLIT)
        assert (agent.name, agent.nodes) == ("split", ("n1", "n2"))
        deployed = af.parse(uploaded(fakes["n1"].calls("Deploy")[0]))
        assert deployed.header.manifest is not None

    with_cluster(world, {"n1": {"Deploy": [pb.DeployReply(agent=AGENT, nodes=["n1", "n2"])]}}, scenario)


def test_a_deploy_starts_again_elsewhere_when_its_node_is_lost(world):
    async def scenario(swarm, fakes):
        data = runnable(SPLIT)
        await swarm.deploy(data)
        assert uploaded(fakes["n2"].calls("Deploy")[0]) == data

    scripts = {"n1": {"Deploy": [LOST]}, "n2": {"Deploy": [pb.DeployReply(agent=AGENT)]}}
    with_cluster(world, scripts, scenario)


def test_compiling_twice_changes_nothing():
    once = runnable(SPLIT)
    assert runnable(once) == once


@pytest.mark.parametrize("data", [b"", b"version: '1.0'\nname: [", b"name: x\nkind: neural\n"])
def test_a_file_that_is_no_agent_is_refused_with_every_reason(data, tmp_path):
    path = tmp_path / "odd.af"
    path.write_bytes(data)
    with pytest.raises(AgentRefused) as caught:
        runnable(path)
    assert caught.value.place == str(path)
    assert caught.value.problems
    assert all(problem.remedy for problem in caught.value.problems)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigRefused, match="cannot be read"):
        runnable(tmp_path / "none.af")


def test_a_file_above_the_bound_is_refused_unread(tmp_path):
    path = tmp_path / "huge.af"
    with path.open("wb") as file:
        file.truncate(limits.AGENT_FILE_BYTES_MAX + 1)
    with pytest.raises(TooLarge) as caught:
        runnable(path)
    assert caught.value.place == str(path)


def test_an_agent_that_is_gone_after_a_lost_answer_counts_as_removed(world):
    async def scenario(swarm, fakes):
        assert (await swarm.remove_agent("split")).name == "split"
        assert len(fakes["n1"].calls("RemoveAgent")) == 2

    agents = pb.ListAgentsReply(agents=[pb.AgentState(agent=AGENT)])
    script = {"ListAgents": [agents], "RemoveAgent": [LOST, NotFound("no agent")]}
    with_cluster(world, {"n1": script}, scenario)


def test_an_agent_that_never_was_is_not_found(world):
    async def scenario(swarm, fakes):
        with pytest.raises(NotFound, match="no agent 'spilt'"):
            await swarm.remove_agent("spilt")
        assert not fakes["n1"].calls("RemoveAgent")

    with_cluster(world, {"n1": {"ListAgents": [pb.ListAgentsReply()]}}, scenario)
