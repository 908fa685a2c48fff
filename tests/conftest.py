"""Fixtures that several test modules share."""

from __future__ import annotations

import gc
import os
import time
from types import SimpleNamespace

import pytest
import told
from support import Running


def pytest_collection_finish():
    """The thousands of tests stay as long as we do: no collection of garbage need look at them again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def running(tmp_path):
    """A function that starts servers with settings; they end with the test."""
    begun = []

    def start(data=None, **settings) -> Running:
        begun.append(Running(data or tmp_path / "var", **settings))
        return begun[-1]

    yield start
    for one in begun:
        one.__exit__()


@pytest.fixture
def server(running):
    """A server with default settings."""
    return running()


@pytest.fixture
def pass_time(monkeypatch):
    """A function that lets seconds pass on the clock of the loops: a deadline need neither be waited for nor be short."""
    from audiokit.wire import connection, reactor

    ahead = [0.0]
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + ahead[0])
    monkeypatch.setattr(connection, "time", clock)
    monkeypatch.setattr(reactor, "time", clock)

    def pass_time(seconds):
        ahead[0] += seconds

    return pass_time


@pytest.fixture
def tiny(monkeypatch):
    """A store on loopback; its keys are in the environment, and no others."""
    from tiny_s3 import ENVIRONMENT, TinyS3  # here: most tests need none

    from audiokit.blobs import s3

    # A server begins without a store that is silent for two seconds: here it may be held up for longer.
    monkeypatch.setattr(s3, "_HASTY", s3._HASTY._replace(connect=60.0, silence=60.0))
    for name, value in {**ENVIRONMENT, "AWS_CONFIG_FILE": os.devnull}.items():
        monkeypatch.setenv(name, value)
    with TinyS3() as one:
        yield one


@pytest.fixture
def repeating(monkeypatch):
    """Storages opened meanwhile have the same catalogue, in a cluster that carries every write out twice."""
    from tiny_rqlite import TinyRqlite, Watched

    import storage

    with TinyRqlite(1) as nodes:
        nodes.is_twice = True
        monkeypatch.setattr(storage, "open_catalogue", lambda *_: Watched(nodes))
        yield


@pytest.fixture
def clock():
    """A clock that goes on when the test says so."""
    from test_jobs import Clock

    return Clock()


@pytest.fixture
def member(tiny, repeating, clock, tmp_path):
    """A function that begins the server of a cluster whose data is in a folder of that name, ending it first where it runs."""
    from members import Member

    running = {}

    def start(name, **settings):
        if name in running:
            running.pop(name).close()
        running[name] = Member(tmp_path / name, tiny, clock, **settings)
        return running[name]

    yield start
    for one in running.values():
        one.close()


@pytest.fixture
def far(repeating, running):
    """A server with it.  The address is never spoken to."""
    return running(catalogue="rqlite://127.0.0.1:4001")


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    """Three nodes of a real rqlite."""
    from rqlite_nodes import RqliteNodes

    with RqliteNodes(tmp_path_factory.mktemp("nodes"), 3) as three:
        yield three


@pytest.fixture(scope="module")
def pair(nodes, store, tmp_path_factory):
    """Two servers on one catalogue and one store, which the module chooses."""
    from servers import Server

    here, there = tmp_path_factory.mktemp("a"), tmp_path_factory.mktemp("b")
    both = "--catalogue", nodes.url, "--jobs", "2"  # on no machine is a long conversion done before one has looked at it
    with Server(here, store, *both) as first:
        with Server(there, store, *both) as second:
            yield first, second


@pytest.fixture(scope="module", params=["native", "portable"])
def both_ways(request, tmp_path_factory):
    """A server on this platform's own paths, then one on the plain paths that every platform has."""
    data = tmp_path_factory.mktemp("data")
    with Running(data, portable=request.param == "portable") as one:
        yield one


def pytest_terminal_summary(terminalreporter):
    """What was seen while engines were killed and hung."""
    if told.rows:
        terminalreporter.section("what was seen")
        terminalreporter.write_line("\n".join([told.HEAD, *told.rows]))
