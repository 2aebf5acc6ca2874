"""The Python API against real daemons: functions as steps, an executor, a decomposer, a coordinator."""

import asyncio
import concurrent.futures
import time

import numpy as np
import pytest

from swarm import (
    Edge,
    Endpoint,
    Graph,
    Outlet,
    RunEnded,
    StepDone,
    SwarmCoordinator,
    SwarmExecutor,
    TaskDecomposer,
    step,
)
from swarm.errors import GraphRefused, Mistake, RunFailed
from tests.integration.cluster import slow_graph

PATIENCE_S = 60


@step
def double(x):
    return x * 2


@step
def total(data: memoryview, image: np.ndarray) -> float:
    return float(sum(data)) + float(image.sum())


def shout(text, times=1):
    return text.upper() * times


def fails(text):
    raise ValueError(f"no {text}")


def fails_now_and_then(x):
    if x % 3 == 2:
        raise KeyError(x)
    return x


def nap(seconds):
    time.sleep(seconds)
    return seconds


@pytest.fixture(scope="module")
def executor(whole_cluster):
    with SwarmExecutor(whole_cluster.profile_path) as executor:
        yield executor


def test_a_future_has_what_the_function_gave(executor):
    assert isinstance(executor, concurrent.futures.Executor)
    future = executor.submit(shout, "hi", times=2)
    assert future.result(PATIENCE_S) == "HIHI"
    assert future.done()
    assert not future.cancel()


def test_what_the_function_raises_is_raised_here(executor):
    future = executor.submit(fails, "luck")
    with pytest.raises(ValueError, match="no luck"):
        future.result(PATIENCE_S)
    assert isinstance(future.exception().__cause__, RunFailed)


def test_arrays_and_views_go_there_and_arrays_come_back(executor):
    future = executor.submit(total, memoryview(bytes([1, 2, 3])), np.ones((2, 2), np.float32))
    assert future.result(PATIENCE_S) == 10.0
    doubled = executor.submit(double, np.arange(3)).result(PATIENCE_S)
    assert doubled.tolist() == [0, 2, 4]
    assert memoryview(doubled).nbytes == doubled.nbytes


def test_map_gives_results_in_order_and_the_error_in_its_place(executor):
    assert list(executor.map(shout, ["a", "b", "c"], [1, 2, 3])) == ["A", "BB", "CCC"]
    assert list(executor.map(double, range(7), chunksize=3)) == [0, 2, 4, 6, 8, 10, 12]
    found = executor.map(fails_now_and_then, range(5))
    assert [next(found), next(found)] == [0, 1]
    with pytest.raises(KeyError):
        next(found)


def test_futures_work_with_the_functions_of_the_module(executor):
    futures = [executor.submit(double, number) for number in range(4)]
    done = concurrent.futures.as_completed(futures, timeout=PATIENCE_S)
    assert sorted(future.result() for future in done) == [0, 2, 4, 6]


def test_a_cancelled_future_cancels_its_run_although_it_has_begun(executor, swarm):
    future = executor.submit(nap, 60)
    until = time.monotonic() + PATIENCE_S
    while not any(run.graph.startswith("fn-nap") for run in swarm.runs("running")):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert future.cancel()
    assert future.cancelled()
    while any(run.graph.startswith("fn-nap") for run in swarm.runs("running")):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_what_cannot_travel_is_said_at_once(executor):
    with pytest.raises(Mistake, match="closes over"):
        executor.submit(lambda_of(3))
    with pytest.raises(Mistake, match="cannot be sent"):
        executor.submit(double, object())
    with pytest.raises(Mistake, match="too many"):
        executor.submit(double, 1, 2)


def lambda_of(number):
    def inner():
        return number

    return inner


def test_an_executor_that_was_shut_down_takes_nothing_and_leaves_nothing(whole_cluster, swarm):
    def once(x):
        return x

    with SwarmExecutor(whole_cluster.profile_path) as executor:
        assert executor.submit(once, 1).result(PATIENCE_S) == 1
        assert any(agent.name.startswith("fn-once") for agent in swarm.agents())
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(once, 2)
    assert not any(agent.name.startswith("fn-once") for agent in swarm.agents())


def test_functions_are_steps_of_any_graph(whole_cluster):
    async def scenario():
        async with SwarmCoordinator(whole_cluster.profile_path) as coordinator:
            team = await coordinator.create_swarm([double], nodes_min=3)
            assert team.nodes == tuple(whole_cluster.nodes)
            assert team.capabilities == (double.capability,)
            graph = Graph(
                "twice",
                (double.node("first", 3), double.node("second")),
                (Edge(Endpoint("first", "value"), Endpoint("second", "x")),),
                outlets=(Outlet("y", Endpoint("second", "value")),),
            )
            runs = await coordinator.assign_tasks([graph, slow_graph(2, 0)])
            seen = {run.id: [] for run in runs}
            async for run, event in coordinator.monitor_progress(runs):
                seen[run.id].append(event)
            for run, steps in zip(runs, (2, 2), strict=True):
                assert [type(event) for event in seen[run.id]] == [StepDone] * steps + [RunEnded]
            assert await runs[0].result() == {"y": 12}
            await coordinator.swarm.remove_agent(double.name)

    asyncio.run(scenario())


def test_a_batch_that_is_refused_leaves_nothing_running(whole_cluster, swarm):
    async def scenario():
        async with SwarmCoordinator(whole_cluster.profile_path) as coordinator:
            refused = Graph("nothing", (step(never_deployed).node("one", 1),))
            with pytest.raises(GraphRefused):
                await coordinator.assign_tasks([slow_graph(1, 60), refused])

    asyncio.run(scenario())
    for _ in range(100):  # another client's replica may be a moment behind
        if not (running := [run for run in swarm.runs("running") if run.graph == "slow"]):
            break
        time.sleep(0.05)
    assert not running


def never_deployed(x):
    return [x, "never deployed"]


def test_who_stops_listening_stops_nothing(whole_cluster):
    async def scenario():
        async with SwarmCoordinator(whole_cluster.profile_path) as coordinator:
            (run,) = await coordinator.assign_tasks([slow_graph(3, 0.2)])
            events = coordinator.monitor_progress([run])
            await anext(events)
            await events.aclose()
            assert (await run.wait()).status == "succeeded"

    asyncio.run(scenario())


def test_tasks_in_words_code_and_data_become_graphs(whole_cluster):
    with TaskDecomposer(whole_cluster.profile_path) as decomposer:
        found = decomposer.decompose("Recognise the digit in the image")
        assert "vision:digit" in {node.capability for node in found.graph.nodes}
        data = '[{"name": "wait", "capability": "test:slow", "with": {"seconds": 0}}]'
        assert decomposer.decompose(data, "data").graph.nodes


def test_decomposing_does_not_hold_the_loop_up_and_streams_keep_their_order(whole_cluster):
    async def scenario():
        async with TaskDecomposer(whole_cluster.profile_path) as decomposer:
            one = await decomposer.decompose_async("Recognise the digit in the image")
            assert one.graph.nodes
            tasks = [f"Recognise the digit in image number {number}" for number in range(20)]
            found = [each.task async for each in decomposer.decompose_stream(tasks)]
            assert found == tasks
            stream = decomposer.decompose_stream(tasks)
            assert (await anext(stream)).task == tasks[0]
            await stream.aclose()

    asyncio.run(scenario())
