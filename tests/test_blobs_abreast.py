"""Calls side by side: all are carried out, each has its own outcome, and nobody waits for a free thread."""

from __future__ import annotations

import threading

import pytest

from audiokit.blobs.abreast import Abreast
from audiokit.wire.workers import Workers


@pytest.fixture
def crew():
    workers = Workers(3, "test", lambda bug: pytest.fail(repr(bug)))
    yield workers
    workers.close()


class _Busy:
    """A crew none of whose threads is ever free."""

    def __init__(self) -> None:
        self.tasks = []

    def submit(self, task, *arguments):
        self.tasks.append((task, arguments))


def failing(number):
    raise OSError(number)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 40])
def test_outcomes_stand_in_the_order_of_their_calls(crew, count):
    calls = [lambda number=number: number for number in range(count)]
    assert Abreast(crew, 3).outcomes(calls) == list(range(count))


def test_what_a_call_raises_is_its_outcome_and_no_others(crew):
    calls = [lambda number=number: failing(number) if number % 2 else number for number in range(9)]
    assert [getattr(outcome, "args", outcome) for outcome in Abreast(crew, 3).outcomes(calls)] == [
        (number,) if number % 2 else number for number in range(9)
    ]


def test_four_calls_are_under_way_at_once(crew):
    all_here = threading.Barrier(4, timeout=60)  # breaks, and fails the test, where they come one after the other
    outcomes = Abreast(crew, 3).outcomes([all_here.wait] * 8)
    assert sorted(outcomes) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_whoever_asks_does_all_of_it_where_no_thread_is_free():
    busy, here = _Busy(), threading.get_ident()
    assert Abreast(busy, 3).outcomes([threading.get_ident] * 6) == [here] * 6
    assert len(busy.tasks) == 3
    for task, arguments in busy.tasks:  # a thread that comes late finds nothing to do
        task(*arguments)


def test_a_call_alone_wakes_nobody():
    busy = _Busy()
    assert Abreast(busy, 3).outcomes([lambda: 7]) == [7]
    assert busy.tasks == []


def test_many_may_ask_at_once(crew):
    abreast, found = Abreast(crew, 3), {}

    def ask(number):
        found[number] = abreast.outcomes([lambda turn=turn: (number, turn) for turn in range(20)])

    askers = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join(60)
    assert found == {number: [(number, turn) for turn in range(20)] for number in range(6)}
