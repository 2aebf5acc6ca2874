"""Decompositions are remembered within bytes and time, and never for other capabilities."""

from hypothesis import given
from hypothesis import strategies as st

from swarm.decompose.cache import CachedEngine, DecompositionCache, size_of
from swarm.decompose.records import Capability, Decomposition
from swarm.decompose.strategies.heuristic import HeuristicEngine
from tests.unit.swarm.decompose.catalogues import CATALOGUE


class Clock:
    now = 0

    def __call__(self):
        return self.now


def thing(name):
    return Decomposition("e", name, (), (), 0.5)


def test_the_same_request_is_thought_about_once():
    cache = DecompositionCache(Clock())
    engine = CachedEngine(HeuristicEngine(CATALOGUE), cache)
    first = engine.decompose("Transcribe the speech, then translate it.")
    assert engine.decompose("Transcribe the speech, then translate it.") is first
    assert first.nodes == {"Audio-to-Text", "Translator"}
    assert (cache.counts().hits, cache.counts().misses) == (1, 1)


def test_other_capabilities_or_descriptions_are_another_question():
    cache = DecompositionCache(Clock())
    request = "Translate the text"
    CachedEngine(HeuristicEngine(CATALOGUE), cache).decompose(request)
    CachedEngine(HeuristicEngine(CATALOGUE[:2]), cache).decompose(request)
    CachedEngine(HeuristicEngine([Capability("Translator", "Something else.")]), cache).decompose(request)
    assert cache.counts().entries == 3


def test_what_is_old_is_not_given():
    clock = Clock()
    cache = DecompositionCache(clock, ttl_ms=100)
    cache.put(b"a", thing("x"))
    clock.now = 99
    assert cache.get(b"a")
    clock.now = 100
    assert cache.get(b"a") is None
    assert (cache.counts().entries, cache.counts().size_bytes) == (0, 0)


def test_the_least_recently_used_goes_first_and_what_never_fits_is_not_kept():
    one = 1 + size_of(thing("x"))
    cache = DecompositionCache(Clock(), bytes_max=2 * one)
    for key in (b"a", b"b"):
        cache.put(key, thing("x"))
    cache.get(b"a")
    cache.put(b"c", thing("x"))
    assert [key for key in (b"a", b"b", b"c") if cache.get(key)] == [b"a", b"c"]
    cache.put(b"d", thing("x" * 10_000))
    assert cache.counts().entries == 2


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 400), st.booleans())))
def test_it_never_holds_more_bytes_than_it_may(moves):
    clock = Clock()
    cache = DecompositionCache(clock, bytes_max=2_000, ttl_ms=50)
    held = {}
    for key, size, reads in moves:
        clock.now += 7
        if reads:
            found = cache.get(key.encode())
            assert found is None or found is held[key]
        else:
            held[key] = thing("x" * size)
            cache.put(key.encode(), held[key])
        counts = cache.counts()
        assert counts.size_bytes <= 2_000
        assert counts.size_bytes == sum(len(k) + size_of(e.found) for k, e in cache._entries.items())
