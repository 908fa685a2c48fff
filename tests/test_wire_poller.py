"""The pollers: who is ready, and who comes behind the others."""

from __future__ import annotations

import select
import socket

import pytest

from audiokit.wire.poller import BEHIND, READ, WRITE, EpollPoller, PlainPoller

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


def named(events):
    return [fd for fd, _ in events]


def test_who_is_behind_is_never_among_the_first_who_are_named_once_together(poller, pairs):
    for ours, theirs in pairs[1:]:
        poller.register(ours.fileno(), READ | BEHIND)
        theirs.send(b"a")
    first, theirs = pairs[0]
    poller.register(first.fileno(), READ)
    assert named(poller.wait(5)) == [poller.behind]
    theirs.send(b"a")
    assert sorted(named(poller.wait(5))) == sorted([poller.behind, first.fileno()])


def test_each_of_a_crowd_that_is_always_ready_has_its_turn(poller, pairs):
    for ours, theirs in pairs:
        poller.register(ours.fileno(), READ | BEHIND)
        theirs.send(b"a")
    crowd, seen = {ours.fileno() for ours, _ in pairs}, []
    while len(seen) < 48:
        assert poller.behind in named(poller.wait(5))
        seen += named(poller.wait_behind(16))
    assert len(seen) == len(set(seen)) == 48, "nobody twice before all had theirs once"
    poller.wait(5)
    assert set(seen + named(poller.wait_behind(16))) == crowd


def test_who_is_forgotten_while_it_waits_for_its_turn_has_none(poller, pairs):
    for ours, theirs in pairs:
        poller.register(ours.fileno(), READ | BEHIND)
        theirs.send(b"a")
    assert poller.behind in named(poller.wait(5))
    for ours, _ in pairs[:-1]:
        poller.unregister(ours.fileno(), READ | BEHIND)
    assert named(poller.wait_behind(50)) == [pairs[-1][0].fileno()]
    poller.register(pairs[0][0].fileno(), READ)
    assert pairs[0][0].fileno() in named(poller.wait(5)), "and may be ahead from then on"


def test_nobody_behind_is_ready_nobody_is_named(poller, pairs):
    ours, theirs = pairs[0]
    poller.register(ours.fileno(), READ | BEHIND)
    assert poller.wait(0) == []
    theirs.close()
    assert named(poller.wait(5)) == [poller.behind] and named(poller.wait_behind(1)) == [ours.fileno()]


def test_a_socket_that_takes_bytes_is_ready_for_writing_in_either_queue(poller, pairs):
    poller.register(pairs[0][0].fileno(), WRITE)
    poller.register(pairs[1][0].fileno(), WRITE | BEHIND)
    assert sorted(named(poller.wait(5))) == sorted([pairs[0][0].fileno(), poller.behind])
    assert named(poller.wait_behind(1)) == [pairs[1][0].fileno()]
