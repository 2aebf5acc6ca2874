"""What every `Log` promises, asked of each implementation."""

import asyncio

import pytest

from swarm.adapters.raft import PysyncobjLog
from swarm.errors import Conflict, NotLeader, OutcomeUnknown, TooLarge
from swarm.limits import ENTRY_BYTES_MAX
from tests.conformance.log.harness import until

PATIENCE_S = 10
VOTERS = ("n1", "n2", "n3")


async def fill(cluster, count, start=0):
    data = [b"%d" % number for number in range(start, start + count)]
    leader = await cluster.led()
    await asyncio.gather(*(leader.log.propose(item) for item in data))
    return data


def test_an_entry_is_applied_where_it_was_proposed_before_the_caller_is_told(run):
    async def scenario(cluster):
        leader = cluster.leader()
        index = await leader.log.propose(b"first")
        assert leader.machine.entries == [(index, b"first")]
        assert leader.log.applied_index() >= index

    run(scenario)


def test_every_replica_applies_the_same_entries_in_the_order_they_were_proposed(run):
    async def scenario(cluster):
        data = await fill(cluster, 30)
        await cluster.agreed(data)
        entries = [replica.machine.entries for replica in cluster.replicas.values()]
        assert entries[0] == entries[1] == entries[2]

    run(scenario)


def test_a_follower_refuses_and_names_the_leader(run):
    async def scenario(cluster):
        await cluster.leader().log.propose(b"x")
        await cluster.agreed([b"x"])
        for follower in cluster.followers():
            for call in (follower.log.propose(b"y"), follower.log.read_barrier()):
                with pytest.raises(NotLeader) as caught:
                    await call
                assert caught.value.hint == cluster.leader().log.node_id

    run(scenario)


def test_a_read_barrier_covers_everything_acknowledged_before_it(run):
    async def scenario(cluster):
        leader = cluster.leader()
        acknowledged = await leader.log.propose(b"x")
        barrier = await leader.log.read_barrier()
        assert acknowledged < barrier <= leader.log.applied_index()
        assert leader.machine.data == [b"x"]

    run(scenario)


def test_without_a_majority_nothing_is_acknowledged(run):
    async def scenario(cluster):
        leader = cluster.leader()
        for follower in cluster.followers():
            await cluster.kill(follower.log.node_id)
        with pytest.raises(OutcomeUnknown):
            await asyncio.wait_for(cluster.propose_without_majority(b"x"), PATIENCE_S)
        assert leader.machine.data == []
        assert leader.log.leadership().leader is None
        with pytest.raises(NotLeader):
            await leader.log.propose(b"y")

    run(scenario)


def test_the_next_leader_has_a_higher_term_and_everything_acknowledged(run):
    async def scenario(cluster):
        data = await fill(cluster, 20)
        old = cluster.leader()
        await cluster.kill(old.log.node_id)
        new = await cluster.led()
        assert new is not old
        assert new.log.leadership().term > old.log.leadership().term
        await new.log.read_barrier()
        assert new.machine.data == data
        await new.log.propose(b"after")
        await cluster.agreed([*data, b"after"])

    run(scenario)


def test_a_replica_that_comes_back_catches_up(run):
    async def scenario(cluster):
        data = await fill(cluster, 10)
        away = cluster.followers()[0].log.node_id
        await cluster.kill(away)
        data += await fill(cluster, 10, start=10)
        await cluster.boot(away)
        await cluster.agreed(data)

    run(scenario)


def test_a_cluster_that_stops_as_a_whole_loses_nothing_acknowledged(run):
    async def scenario(cluster):
        data = await fill(cluster, 25)
        term = cluster.leader().log.leadership().term
        for node in VOTERS:
            await cluster.kill(node)
        for node in VOTERS:
            await cluster.boot(node)
        leader = await cluster.led()
        await leader.log.read_barrier()
        assert leader.log.leadership().term > term
        await cluster.agreed(data)

    run(scenario)


def test_a_replica_far_behind_is_brought_up_by_a_snapshot(run):
    async def scenario(cluster):
        data = await fill(cluster, 5)
        await cluster.agreed(data)
        away = cluster.followers()[0].log.node_id
        await cluster.kill(away)
        for start in range(5, 2_005, 500):
            data += await fill(cluster, 500, start)
        await cluster.compacted()
        await cluster.boot(away)
        await cluster.agreed(data)
        data += await fill(cluster, 5, start=2_005)
        await cluster.agreed(data)
        assert cluster.replicas[away].machine.restored_at is not None

    run(scenario)


def test_a_restart_begins_from_the_snapshot_and_applies_only_what_follows(run):
    async def scenario(cluster):
        data = await fill(cluster, 200)
        await cluster.agreed(data)
        await cluster.compacted()
        data += await fill(cluster, 10, start=200)
        await cluster.agreed(data)
        for node in VOTERS:
            await cluster.kill(node)
        for node in VOTERS:
            await cluster.boot(node)
        await cluster.led()
        await cluster.agreed(data)
        for replica in cluster.replicas.values():
            assert replica.machine.restored_at is not None

    run(scenario)


def test_terms_only_grow_and_none_has_two_leaders(run):
    async def scenario(cluster):
        seen = [cluster.replicas[node] for node in VOTERS]
        await cluster.kill((await cluster.led()).log.node_id)
        await (await cluster.led()).log.propose(b"x")
        leaders = {}
        for replica in seen:
            terms = [news.term for news in replica.news]
            assert terms == sorted(terms)
            for news in replica.news:
                if news.leader is not None:
                    assert leaders.setdefault(news.term, news.leader) == news.leader

    run(scenario)


def test_an_entry_above_the_bound_is_refused_and_the_log_goes_on(run):
    async def scenario(cluster):
        with pytest.raises(TooLarge):
            await cluster.leader().log.propose(bytes(ENTRY_BYTES_MAX + 1))
        await cluster.leader().log.propose(b"x")

    run(scenario)


def test_a_caller_that_gives_up_does_not_disturb_the_log(run):
    async def scenario(cluster):
        leader = cluster.leader()
        impatient = asyncio.ensure_future(leader.log.propose(b"x"))
        await asyncio.sleep(0)
        impatient.cancel()
        await leader.log.propose(b"y")
        assert leader.machine.data[-1] == b"y"

    run(scenario)


def test_a_stopped_log_takes_nothing_more_and_can_be_stopped_again(run):
    async def scenario(cluster):
        leader = cluster.leader()
        await cluster.kill(leader.log.node_id)
        with pytest.raises(NotLeader):
            await leader.log.propose(b"x")
        await leader.log.stop()

    run(scenario)


voting = pytest.mark.parametrize("run", ["memory", "pysyncobj"], indirect=True)


@pytest.mark.parametrize("run", ["etcd"], indirect=True)
def test_in_etcd_nobody_votes(run):
    async def scenario(cluster):
        assert set(cluster.leader().log.voters().voters) == set(VOTERS)
        for change in (cluster.leader().log.remove_voter("n1"), cluster.leader().log.add_voter("n4", "x:1")):
            with pytest.raises(Conflict, match="coordinators have no votes"):
                await change

    run(scenario)


@voting
def test_a_voter_that_is_removed_counts_no_more(run):
    async def scenario(cluster):
        leader = await cluster.led()
        gone, stays = (follower.log.node_id for follower in cluster.followers())
        await leader.log.propose(b"first")
        await cluster.agreed([b"first"])  # all have answered: nobody is removed where too few would
        voters = await leader.log.remove_voter(gone)
        assert set(voters.voters) == set(VOTERS) - {gone}
        await cluster.kill(gone)
        await leader.log.propose(b"x")  # two of two
        await until(
            lambda: set(cluster.replicas[stays].log.voters().voters) == set(VOTERS) - {gone}, "the news"
        )

    run(scenario)


@voting
def test_a_name_that_was_removed_never_takes_part_again(run):
    async def scenario(cluster):
        leader = await cluster.led()
        gone = cluster.followers()[0].log.node_id
        await leader.log.propose(b"x")
        await cluster.agreed([b"x"])  # all have answered: nobody is removed where too few would
        assert (await leader.log.remove_voter(gone)).removed == {gone}
        with pytest.raises(Conflict, match=f"{gone} was removed") as refused:
            await leader.log.add_voter(gone, "127.0.0.1:1")
        assert "another name" in refused.value.remedy
        assert leader.log.voters().removed == {gone}

    run(scenario)


@voting
def test_a_follower_changes_no_voters(run):
    async def scenario(cluster):
        follower = cluster.followers()[0]
        with pytest.raises(NotLeader):
            await follower.log.remove_voter("n1")
        with pytest.raises(NotLeader):
            await follower.log.add_voter("n4", "127.0.0.1:1")

    run(scenario)


@voting
def test_a_leader_that_is_removed_hands_over(run):
    async def scenario(cluster):
        leader = await cluster.led()
        await leader.log.propose(b"x")
        await cluster.agreed([b"x"])
        with pytest.raises(NotLeader):
            await leader.log.remove_voter(leader.log.node_id)
        await until(lambda: leader.log.leadership().leader != leader.log.node_id, "its end in office")
        again = await cluster.led()
        await again.log.propose(b"y")

    run(scenario)


@voting
def test_nobody_is_removed_where_the_rest_could_commit_nothing(run):
    async def scenario(cluster):
        leader = await cluster.led()
        await leader.log.propose(b"x")
        dead, alive = (follower.log.node_id for follower in cluster.followers())
        await cluster.kill(dead)
        if isinstance(leader.log, PysyncobjLog):
            await until(lambda: dead not in leader.log.status().connected, "the end of its stream")

        async def refused():
            try:
                await leader.log.remove_voter(alive)
            except Conflict:
                return True
            return False

        assert await refused()
        await leader.log.propose(b"y")

    run(scenario)
