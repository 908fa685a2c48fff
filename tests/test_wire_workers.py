"""Crews and lanes: who runs what, and what is left for others."""

from __future__ import annotations

import threading

import pytest
from support import begun_since

from audiokit.wire.workers import Crowds, Lane, Workers


@pytest.fixture
def bugs():
    return []


@pytest.fixture
def crew(bugs):
    crew = Workers(4, "test", bugs.append)
    yield crew
    crew.close()


def test_tasks_run_and_one_that_raises_ends_no_thread(crew, bugs):
    done = threading.Semaphore(0)
    for _ in range(8):
        crew.submit(lambda: 1 // 0)
    for _ in range(8):
        crew.submit(done.release)
    for _ in range(8):
        assert done.acquire(timeout=60)
    crew.close()
    assert [type(bug) for bug in bugs] == [ZeroDivisionError] * 8


def test_a_crew_that_has_nothing_to_do_has_no_threads(crew, bugs):
    before, done = threading.enumerate(), threading.Event()
    idle = Workers(4, "idle", bugs.append)
    assert not begun_since(before)
    idle.submit(done.set)
    assert done.wait(60) and len(begun_since(before)) == 4
    idle.close()
    assert not begun_since(before)


def test_a_crew_that_was_closed_before_its_first_task_does_it_at_once_and_begins_nobody(bugs):
    before = threading.enumerate()
    closed, done = Workers(4, "closed", bugs.append), []
    closed.close()
    closed.submit(done.append, 1)
    assert done == [1] and not begun_since(before)


def test_a_lane_never_takes_the_whole_crew(crew):
    lane, go, begun, done = Lane(crew, 2), threading.Event(), threading.Semaphore(0), threading.Semaphore(0)

    def slow():
        begun.release()
        go.wait(60)
        done.release()

    for _ in range(6):
        lane.submit(slow)
    assert begun.acquire(timeout=60) and begun.acquire(timeout=60)
    other = threading.Semaphore(0)
    crew.submit(other.release)
    assert other.acquire(timeout=60), "a thread is left for what is quick"
    assert not begun.acquire(blocking=False), "a third began"
    go.set()
    for _ in range(6):
        assert done.acquire(timeout=60), "those that waited run as well"


def test_what_fails_on_a_lane_gives_its_room_back(crew, bugs):
    lane, done = Lane(crew, 1), threading.Event()
    lane.submit(lambda: 1 // 0)
    lane.submit(done.set)
    assert done.wait(60)
    crew.close()
    assert len(bugs) == 1



@pytest.mark.parametrize("threads, most, items, crowds, why", [
    (1, 4, 3, [3], "all that come at once are one crowd"),
    (2, 4, 10, [4, 4, 2], "no crowd is larger than it may be"),
    (1, 1, 3, [1, 1, 1], "a crowd of one is a crowd"),
])
def test_what_comes_at_once_is_taken_at_once(crew, threads, most, items, crowds, why):
    found, done = [], threading.Semaphore(0)

    def act(crowd):
        found.append(crowd)
        for _ in crowd:
            done.release()

    Crowds(crew, threads, most, act).submit(range(items))
    for _ in range(items):
        assert done.acquire(timeout=60), why
    assert sorted(map(len, found), reverse=True) == crowds and sorted(sum(found, [])) == list(range(items))


def test_no_more_crowds_than_may_be_are_on_their_way_and_the_next_gathers(crew):
    begun, go, found, done = threading.Semaphore(0), threading.Event(), [], threading.Semaphore(0)

    def act(crowd):
        found.append(list(crowd))
        begun.release()
        assert go.wait(60)
        for _ in crowd:
            done.release()

    way = Crowds(crew, 2, 2, act)
    way.submit("abcd")
    for _ in range(2):
        assert begun.acquire(timeout=60)
    for one in "efg":
        way.submit([one])
    assert sorted(found) == [["a", "b"], ["c", "d"]]
    go.set()
    for _ in range(7):
        assert done.acquire(timeout=60)
    assert sorted(found)[2:] == [["e", "f"], ["g"]]
