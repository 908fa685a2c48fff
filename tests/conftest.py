"""Fixtures that several test modules share."""

from __future__ import annotations

import pytest
import told
from support import Running


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
