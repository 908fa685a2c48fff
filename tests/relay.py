"""A relay before a server of tests: counts the requests that pass, and may do something before one goes on.

It reads what clients say (HTTP/1.1 with Content-Length) and hands the answers back as they are.  A request goes on
when `before(path, body)` has returned; the connection ends where that raises `Cut`.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading


class Cut(Exception):
    """The request goes nowhere."""


class Relay:
    """A relay to `port` of loopback, on `self.port`; `asked` has the path and body of each request.  A context manager."""

    def __init__(self, port):
        self.asked, self.before = [], lambda path, body: None
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._sockets, self._threads = [self._listener], []
        self._run(self._accept)

    def _run(self, work, *arguments):
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(client)
            try:
                server = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                _end(client)
                continue
            self._sockets.append(server)
            self._run(self._forth, client, server)
            self._run(self._back, server, client)

    def _forth(self, client, server):
        with contextlib.suppress(OSError, Cut), client.makefile("rb") as said:
            while True:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    line = said.readline()
                    if not line:
                        raise Cut
                    head += line
                length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
                body = said.read(int(length.group(1))) if length else b""
                path = head.split(b" ", 2)[1].decode()
                self.asked.append((path, body.decode()))
                self.before(path, body.decode())
                server.sendall(head + body)
        _end(client, server)

    def _back(self, server, client):
        with contextlib.suppress(OSError):
            for piece in iter(lambda: server.recv(1 << 16), b""):
                client.sendall(piece)
        _end(client, server)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        _end(*self._sockets)
        for thread in self._threads:
            thread.join(60)
        for sock in self._sockets:
            sock.close()


def _end(*sockets):
    for sock in sockets:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
