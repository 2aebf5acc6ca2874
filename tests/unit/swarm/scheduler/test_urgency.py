"""First in, first out within a priority, the most urgent first between them."""

from hypothesis import given
from hypothesis import strategies as st

from swarm.graph import Priority
from swarm.scheduler.urgency import Urgent


@given(st.lists(st.sampled_from(Priority), max_size=30))
def test_items_leave_by_priority_and_then_in_the_order_they_came(priorities):
    queue = Urgent()
    for number, priority in enumerate(priorities):
        queue.add(priority, number)
    assert len(queue) == len(priorities)
    left = []
    while queue:
        head = queue.head()
        left.append(queue.pop())
        assert head == left[-1]
    assert left == sorted(range(len(priorities)), key=lambda number: (priorities[number], number))


def test_what_comes_back_is_first_of_its_priority():
    queue = Urgent()
    for name in ("a", "b"):
        queue.add(Priority.LOW, name)
    queue.add(Priority.LOW, queue.pop(), front=True)
    queue.add(Priority.HIGH, "c")
    assert [queue.pop() for _ in range(3)] == ["c", "a", "b"]
    queue.add(Priority.LOW, "d")
    queue.clear()
    assert not queue
