"""Contexts are a partial order with a bottom, meets, and joins where there are any."""

from hypothesis import given
from hypothesis import strategies as st

from swarm.graph import PLAIN, UNBOUNDED, Clearance, Context, Transition, dominates, join, meet

words = st.sampled_from(["", "a", "b"])
sets = st.frozensets(st.sampled_from(["p", "q", "r"]))
contexts = st.builds(Context, st.integers(0, 3), words, words, sets)
clearances = st.builds(Clearance, st.integers(0, 3), st.none() | sets, st.none() | sets, st.none() | sets)


@given(contexts, contexts, contexts)
def test_dominance_is_a_partial_order_with_a_bottom(one, two, three):
    assert dominates(one, one)
    assert dominates(one, PLAIN)
    assert one == two or not (dominates(one, two) and dominates(two, one))
    if dominates(one, two) and dominates(two, three):
        assert dominates(one, three)


@given(contexts, contexts, contexts)
def test_a_join_is_the_least_context_above_both(one, two, other):
    both = join(one, two)
    assert both == join(two, one)
    if both is None:
        assert not (dominates(other, one) and dominates(other, two))
        return
    assert dominates(both, one)
    assert dominates(both, two)
    if dominates(other, one) and dominates(other, two):
        assert dominates(other, both)


@given(contexts, contexts, contexts)
def test_a_meet_is_the_greatest_context_below_both(one, two, other):
    both = meet(one, two)
    assert dominates(one, both)
    assert dominates(two, both)
    if dominates(one, other) and dominates(two, other):
        assert dominates(both, other)


@given(clearances, contexts, contexts)
def test_whoever_is_cleared_for_a_context_is_cleared_for_what_flows_to_it(clearance, above, below):
    if clearance.covers(above) and dominates(above, below):
        assert clearance.covers(below)
    assert UNBOUNDED.covers(above)


@given(contexts, contexts, contexts, contexts)
def test_a_transition_lets_out_what_is_below_its_source_to_what_is_above_its_target(
    source, target, low, high
):
    transition = Transition(source, target)
    if transition.allows(low, high):
        assert source.level >= low.level
        assert high.level >= target.level
        assert source.domain in (low.domain, low.domain or source.domain)
        if not (source.tenant or target.tenant):
            assert low.tenant in ("", high.tenant)
    if source.tenant or target.tenant:
        assert transition.allows(low, high) == (dominates(source, low) and dominates(high, target))


def test_a_transition_without_a_tenant_serves_every_tenant_and_joins_none():
    out = Transition(Context(2), Context(0))
    assert out.allows(Context(2, tenant="a"), Context(0, tenant="a"))
    assert out.allows(Context(2), Context(0, tenant="a"))
    assert not out.allows(Context(2, tenant="a"), Context(0, tenant="b"))
    assert not out.allows(Context(2, tenant="a"), Context(0))


def test_nothing_is_above_two_tenants():
    assert join(Context(tenant="a"), Context(tenant="b")) is None
    assert not dominates(Context(level=9, tenant="b"), Context(tenant="a"))
