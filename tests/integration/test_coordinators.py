"""Coordinators come and go while work goes on: from 1 to 3 to 5, and none of the first is left at the end."""

import asyncio
import json
import time

import pytest
import yaml

from swarm import Swarm
from swarm.adapters.tls import Authority
from swarm.cli import run
from swarm.daemons.founding import prepare_coordinator
from swarm.daemons.layout import AUTHORITY_DIRECTORY, free_ports
from swarm.daemons.local import LocalCluster
from tests.faults.load import Load

PATIENCE_S = 60


class Growing(LocalCluster):
    """A coordinator and a worker, and coordinators that are added later."""

    def prepare(self, *names):
        """Certificates and settings; the client is told where they will be, as an operator would."""
        present = {"n1": self.addresses["n1"]}
        profile = yaml.safe_load(self.profile_path.read_text())
        del profile["endpoints"]["n2"]  # a worker passes on what clients may ask, not what administrators may
        authority = Authority.load(self.data_dir / AUTHORITY_DIRECTORY)
        for name, port in zip(names, free_ports(len(names)), strict=True):
            self.addresses[name] = f"127.0.0.1:{port}"
            path = prepare_coordinator(self.home(name), name, self.addresses[name], present, authority)
            extra = {"trust": {"agents": "any"}, "cells_per_agent": 1}
            path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | extra))
            profile["endpoints"][name] = self.addresses[name]
        self.profile_path.write_text(yaml.safe_dump(profile))


async def until(condition, what):
    deadline = time.monotonic() + PATIENCE_S
    while not await condition():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.1)


@pytest.mark.timeout(400)  # five daemons start one after the other, on a machine that may be busy
def test_a_cluster_grows_from_one_to_five_and_changes_all_of_them_under_load(tmp_path, capsys):
    added = ("n3", "n4", "n5", "n6")

    async def states(swarm):
        return {one.node: one.state for one in await swarm.coordinators()}

    async def add(cluster, swarm, name):
        cluster.restart(name)
        await swarm.add_coordinator(name, cluster.addresses[name])

        async def votes():
            return (await states(swarm)).get(name) in ("voter", "leader")

        await until(votes, f"{name} never votes")

    async def scenario(cluster):
        async with (
            Swarm.connect(cluster.profile_path) as swarm,
            Load(cluster.profile_path, "growing") as load,
        ):
            await load.flowing()
            for name in added[:2]:
                await add(cluster, swarm, name)
            assert len(await states(swarm)) == 3
            cluster.kill("n1")
            await load.flowing()
            cluster.restart("n1")
            for name in added[2:]:
                await add(cluster, swarm, name)
            assert len(await states(swarm)) == 5
            await load.flowing()
            # The founder goes, whoever leads then; a worker that never heard of anybody else works on.
            await swarm.remove_coordinator("n1")
            cluster.terminate("n1")
            await load.flowing(30)
            await load.settle()
            await load.look_again()
            assert load.lost == [] == load.duplicated
            nodes = {node.node: node.state for node in await swarm.nodes()}
            assert nodes["n2"] == "attached"
            assert sorted(await states(swarm)) == sorted(added)

    with Growing(tmp_path / "cluster", nodes=2, settings={"cells_per_agent": 1}) as cluster:
        cluster.prepare(*added)
        asyncio.run(scenario(cluster))
        profile = ("--cluster", str(cluster.profile_path), "--json")
        assert run(["coordinators", "list", *profile]) == 0
        shown = json.loads(capsys.readouterr().out)
        assert sorted(one["node"] for one in shown) == sorted(added)
        assert [one["state"] for one in shown].count("leader") == 1
        assert run(["coordinators", "remove", "nobody", *profile]) == 2
        assert json.loads(capsys.readouterr().out)["error"]["code"] == "not_found"
        cluster.kill("n3")
        cluster.kill("n4")
        assert run(["coordinators", "remove", "n5", "--cluster", str(cluster.profile_path), "--json"]) in (
            2,
            3,
        )
