"""`audioserver.py` as a process of its own, its audio in an engine and its catalogue wherever it is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.parse

from processes import start
from support import ROOT, request


class Server:
    """The program as users start it; a context manager that ends it in order."""

    def __init__(self, data, engine, *more, port=0, prefix="p", headers=None, words=""):
        """`words`: more of the engine's address."""
        self.data, self.url = data, engine.url(prefix) + words
        self.headers = headers or {}  # of every request
        self.command = [sys.executable, ROOT / "audioserver.py", "--port", port, "--data", data, "--blobs", self.url,
                        "--log", "none", *more]
        self.environment = {**os.environ, **engine.environment}
        self.start()

    def start(self):
        self.process = start(self.command, stdout=subprocess.PIPE, text=True, env=self.environment)
        said = self.process.stdout.readline()
        assert ":" in said, f"the server ended with {self.process.wait()}"
        self.address = ("127.0.0.1", int(said.rsplit(":", 1)[1]))

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def ask(self, method, target, body=None, **headers):
        """(status, fields, body) of a request."""
        return request(self.address, method, target, body, {**self.headers, **headers})

    def get(self, target, **headers):
        return self.ask("GET", target, **headers)

    def post(self, name, data, **headers):
        status, fields, body = self.ask("POST", "/post?" + urllib.parse.urlencode({"name": name}), data, **headers)
        return status, fields, json.loads(body)

    def health(self):
        status, _, body = self.get("/health")
        return status, json.loads(body).get("engines", {})

    def is_well(self):
        return self.health() == (200, {})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.stdout.closed:  # it was killed
            return
        self.process.terminate()
        try:
            assert self.process.wait(60) == 0
        finally:
            self.kill()
