"""Fixtures that several test modules share."""

from __future__ import annotations

import os
import threading

import pytest


class Running:
    """A real server on a free port of loopback, in a thread, with its data in `data`."""

    def __init__(self, data, host="127.0.0.1", **settings) -> None:
        from audioserver import AudioServer  # here, so that a part's tests need only that part

        # AUDIOSERVER_PORTABLE=yes runs the whole suite on the paths that every platform has.
        settings.setdefault("portable", os.environ.get("AUDIOSERVER_PORTABLE") == "yes")
        self.data = data
        self.server = AudioServer((host, 0), data=str(data), **settings)
        self.address = ("127.0.0.1", self.server.server_port)
        self.url = self.server.url
        self._closed = False
        self._thread = threading.Thread(target=self.server.serve_forever)
        self._thread.start()

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self.server.shutdown()
        self._thread.join()
        if not self._closed:
            self._closed = True
            self.server.server_close()


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
