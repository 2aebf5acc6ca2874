import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import wasmtime

from sandbox import edge
from sandbox.aot import NativeCache
from sandbox.cell import State
from sandbox.edge import EdgeWarden
from sandbox.errors import Broken, Exceeded, Refused
from sandbox.spec import AgentImage, CellLimits, CellSpec
from tests.unit.sandbox.test_wasm import CODE, MANIFEST, numbers, row
from tests.unit.sandbox.test_wasmfresh import MANIFEST as COUNTS
from tests.unit.sandbox.test_wasmfresh import TEXT

COUNTING = bytes(wasmtime.wat2wasm(TEXT))


def run(body: Callable[[EdgeWarden], Awaitable[None]]) -> None:
    async def main() -> None:
        async with await EdgeWarden.start() as warden:
            await asyncio.wait_for(body(warden), 30)
            assert not warden._cells

    asyncio.run(main())


def doubling(**limits: int) -> CellSpec:
    return CellSpec(AgentImage("double", "wasm", CODE, MANIFEST), CellLimits(**limits))


def test_a_wasm_agent_answers_and_the_warden_attests_that_layer_alone() -> None:
    async def body(warden: EdgeWarden) -> None:
        assert (warden.attestation.tier, warden.attestation.held) == ("wasm-only", ("wasm",))
        assert {missing.layer for missing in warden.attestation.missing} >= {"network", "syscalls"}
        async with await warden.spawn(doubling()) as cell:
            assert numbers((await cell.process_input("math:double", {"x": row(3)}))["y"]) == [6]
            results = await cell.process_batch("math:double", [{"x": row(n)} for n in (1, 2)])
            assert [numbers(result["y"]) for result in results] == [[2], [4]]
            state = await cell.checkpoint()
            await cell.restore(state)
            assert (await cell.get_metadata())["kind"] == "wasm"
            assert cell.usage().memory_peak_bytes == 65536
        assert (await cell.closed).code == "cell.closed"

    run(body)


def test_a_warden_that_starts_again_loads_the_machine_code_it_has_kept(tmp_path: Path) -> None:
    async def asked() -> NativeCache:
        async with await EdgeWarden.start(tmp_path / "native") as warden:
            async with await warden.spawn(doubling()) as cell:
                assert numbers((await cell.process_input("math:double", {"x": row(3)}))["y"]) == [6]
            return warden._compiler.__self__

    first, second = asyncio.run(asked()).counts, asyncio.run(asked()).counts
    assert (first.compiled, first.hits) == (1, 0)
    assert (second.compiled, second.hits) == (0, 1)


def test_a_python_agent_and_an_agent_that_requires_more_are_refused() -> None:
    async def body(warden: EdgeWarden) -> None:
        with pytest.raises(Refused, match="wasm-only"):
            await warden.spawn(CellSpec(AgentImage("any", "python", b"class Agent: ...")))
        strict = CellSpec(doubling().image, requires=("wasm", "network"))
        with pytest.raises(Refused) as caught:
            await warden.spawn(strict)
        assert caught.value.place == "network"

    run(body)


def test_a_call_that_takes_too_long_costs_its_cell_and_no_other() -> None:
    async def body(warden: EdgeWarden) -> None:
        other = await warden.spawn(doubling())
        late = await warden.spawn(doubling(wall_ms=400))
        with pytest.raises(Exceeded) as caught:
            await late.process_input("math:double", {"x": row(0)}, wall_ms=50)
        assert (caught.value.limit, caught.value.value) == ("wall_ms", 50)
        assert late.state is State.DEAD
        with pytest.raises(Broken):
            await late.process_input("math:double", {"x": row(1)})
        assert numbers((await other.process_input("math:double", {"x": row(3)}))["y"]) == [6]
        await other.close()

    run(body)


def test_a_module_larger_than_its_limit_is_refused() -> None:
    async def body(warden: EdgeWarden) -> None:
        image = AgentImage("large", "wasm", CODE, {**MANIFEST, "pages": 1024})
        with pytest.raises(Exceeded) as caught:
            await warden.spawn(CellSpec(image, CellLimits(memory_bytes=32 << 20)))
        assert caught.value.limit == "memory_bytes"

    run(body)


@pytest.mark.parametrize("trial", edge.TRIALS.values(), ids=lambda trial: trial.__name__)
def test_each_trial_holds_here(trial: Callable[[], str | None]) -> None:
    assert trial() is None


def test_a_warden_whose_trial_fails_does_not_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(edge.TRIALS, "run_without_end", lambda: "it ran on")
    with pytest.raises(Refused, match="it ran on"):
        asyncio.run(EdgeWarden.start())


def test_the_trials_are_able_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    def tolerant(*_: object) -> None:
        """Checks nothing of the memory."""

    monkeypatch.setattr("sandbox.wasm._Module._check_memory", tolerant)
    assert edge.have_a_memory_that_may_grow() == "it was loaded"


def test_an_agent_that_wants_it_meets_a_fresh_state_for_every_request() -> None:
    kept = CellSpec(AgentImage("count", "wasm", COUNTING, COUNTS))
    fresh = CellSpec(AgentImage("count", "wasm", COUNTING, COUNTS | {"instance": "per_request"}))

    async def body(warden: EdgeWarden) -> None:
        for spec, expected in ((kept, [2, 3, 4]), (fresh, [2, 2, 2])):
            async with await warden.spawn(spec) as cell:
                seen = [await cell.process_input("math:count", {"x": row(1)}) for _ in range(3)]
                assert [numbers(each["y"])[0] for each in seen] == expected

    run(body)
