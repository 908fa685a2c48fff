"""The pollers: who is ready, and whose turn it is."""

from __future__ import annotations

import select
import socket

import pytest

from audiokit.wire.poller import BEHIND, NEW, READ, WRITE, EpollPoller, PlainPoller

KINDS = {"select": lambda: PlainPoller(force_select=True), "plain": PlainPoller}
if hasattr(select, "epoll"):
    KINDS["epoll"] = EpollPoller


@pytest.fixture(params=list(KINDS))
def poller(request):
    poller = KINDS[request.param]()
    yield poller
    poller.close()


@pytest.fixture
def pairs():
    pairs = [socket.socketpair() for _ in range(50)]
    yield pairs
    for pair in pairs:
        for end in pair:
            end.close()


@pytest.fixture(params=[NEW, BEHIND], ids=["new", "behind"])
def queue(request):
    return request.param


def name(poller, queue):
    """What stands for a queue."""
    return next(name for name, one in poller.names.items() if one == queue)


def named(events):
    return [fd for fd, _ in events]


def test_another_queue_is_named_once_whoever_is_ready_in_it(poller, queue, pairs):
    for ours, theirs in pairs[1:]:
        poller.register(ours.fileno(), READ | queue)
        theirs.send(b"a")
    first, theirs = pairs[0]
    poller.register(first.fileno(), READ)
    assert named(poller.wait(5)) == [name(poller, queue)]
    theirs.send(b"a")
    assert sorted(named(poller.wait(5))) == sorted([name(poller, queue), first.fileno()])


def test_each_of_a_crowd_that_is_always_ready_has_its_turn(poller, queue, pairs):
    for ours, theirs in pairs:
        poller.register(ours.fileno(), READ | queue)
        theirs.send(b"a")
    crowd, seen = {ours.fileno() for ours, _ in pairs}, []
    while len(seen) < 48:
        assert name(poller, queue) in named(poller.wait(5))
        seen += named(poller.wait_in(queue, 16))
    assert len(seen) == len(set(seen)) == 48, "nobody twice before all had theirs once"
    poller.wait(5)
    assert set(seen + named(poller.wait_in(queue, 16))) == crowd


def test_who_is_forgotten_while_it_waits_for_its_turn_has_none(poller, queue, pairs):
    for ours, theirs in pairs:
        poller.register(ours.fileno(), READ | queue)
        theirs.send(b"a")
    assert name(poller, queue) in named(poller.wait(5))
    for ours, _ in pairs[:-1]:
        poller.unregister(ours.fileno(), READ | queue)
    assert named(poller.wait_in(queue, 50)) == [pairs[-1][0].fileno()]
    poller.register(pairs[0][0].fileno(), READ)
    assert pairs[0][0].fileno() in named(poller.wait(5)), "and may be ahead from then on"


def test_a_queue_where_nobody_is_ready_is_not_named(poller, queue, pairs):
    ours, theirs = pairs[0]
    poller.register(ours.fileno(), READ | queue)
    assert poller.wait(0) == []
    theirs.close()
    assert named(poller.wait(5)) == [name(poller, queue)] and named(poller.wait_in(queue, 1)) == [ours.fileno()]


def test_a_socket_that_takes_bytes_is_ready_for_writing_in_either_queue(poller, queue, pairs):
    poller.register(pairs[0][0].fileno(), WRITE)
    poller.register(pairs[1][0].fileno(), WRITE | queue)
    assert sorted(named(poller.wait(5))) == sorted([pairs[0][0].fileno(), name(poller, queue)])
    assert named(poller.wait_in(queue, 1)) == [pairs[1][0].fileno()]


def test_the_queues_know_nothing_of_each_other(poller, pairs):
    for (ours, theirs), queue in zip(pairs, (0, NEW, BEHIND)):
        poller.register(ours.fileno(), READ | queue)
        theirs.send(b"a")
    first, new, behind = (ours.fileno() for ours, _ in pairs[:3])
    assert sorted(named(poller.wait(5))) == sorted([first, *poller.names])
    assert named(poller.wait_in(NEW, 9)) == [new] and named(poller.wait_in(BEHIND, 9)) == [behind]
