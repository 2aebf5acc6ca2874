"""Calls to deployed agents without a run: answers, refusals, company, and the loss of a node."""

import asyncio

import numpy as np
import pytest

from swarm import Swarm
from swarm.client.profile import ClusterProfile
from swarm.demo.material import Examples
from swarm.errors import AgentFailed, Mistake, NotHosted


def digits_of(answers):
    return [int(np.argmax(answer["scores"])) for answer in answers]


def test_a_call_gives_what_a_run_gives_and_leaves_no_run(swarm):
    before = {run.id for run in swarm.runs()}
    known = Examples.load()
    answers = [swarm.call("vision:digit", {"image": image[None]}) for image in known.images[:5]]
    assert digits_of(answers) == list(known.labels[:5])
    assert {run.id for run in swarm.runs()} == before


def test_many_calls_at_once_share_messages_and_batches_and_each_has_its_own_answer(cluster):
    known = Examples.load()

    async def scenario():
        async with Swarm.connect(cluster.profile_path) as swarm:
            good = [swarm.call("vision:digit", {"image": image[None]}) for image in known.images[:100]]
            bad = swarm.call("vision:digit", {"image": np.zeros((1, 7), np.float32)})
            return await asyncio.gather(*good, bad, return_exceptions=True)

    *answers, refused = asyncio.run(scenario())
    right = sum(a == b for a, b in zip(digits_of(answers), known.labels[:100], strict=True))
    assert right >= 95
    assert isinstance(refused, AgentFailed)


def test_a_call_that_cannot_be_answered_says_why(swarm):
    with pytest.raises(NotHosted, match="nobody who offers no:such"):
        swarm.call("no:such", {})
    with pytest.raises(Mistake, match="takes image"):
        swarm.call("vision:digit", {})


def test_calls_go_on_at_another_node_when_theirs_is_killed(cluster):
    image = Examples.load().images[:1]

    async def scenario():
        profile = ClusterProfile.find(cluster.profile_path)
        victim = next(iter(profile.endpoints))
        async with Swarm.connect(profile) as swarm:
            await swarm.call("vision:digit", {"image": image})
            under_way = [asyncio.create_task(swarm.call("vision:digit", {"image": image})) for _ in range(20)]
            await asyncio.sleep(0)
            cluster.kill(victim)
            answers = await asyncio.gather(*under_way)
            answers.append(await swarm.call("vision:digit", {"image": image}))
            return answers

    assert len({tuple(digits_of([answer])) for answer in asyncio.run(scenario())}) == 1


def test_swarm_call_on_the_command_line(command, tmp_path):
    np.save(tmp_path / "image.npy", Examples.load().images[:1])
    code, document = command("call", "vision:digit", "--input", f"image=@{tmp_path / 'image.npy'}")
    assert code == 0
    assert np.asarray(document["outputs"]["scores"]).shape == (1, 10)
    code, document = command("call", "vision:digit")
    assert code == 2
    assert "takes image" in document["error"]["message"]
