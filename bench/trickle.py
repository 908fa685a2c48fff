#!/usr/bin/env python3
"""Thousands of connections that send a byte a second: what is told of slow attackers, from one cheap process.

    python3 bench/trickle.py PORT COUNT KIND WAY SECONDS

KIND: idle (one whole request, then nothing), heads, bodies, tls (a first record that never ends), readers (of a
download, a byte at a time).  WAY: burst (all bytes at the beginning of each second) or spread (over the whole of it).
Connects all at once, trickles for so many seconds, then prints as JSON how many connections were made, how many of
them the server ended and how many are alive.
"""

import json
import os
import resource
import select
import socket
import sys
import time

FIRST = {
    "idle": b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "heads": b"GET /info?name=one.wav HTTP/1.1\r\nHost: localhost\r\nX: ",
    "bodies": b"POST /post HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nRIFF",
    "tls": b"\x16\x03\x01\x20\x00\x01\x00\x1f\xfc",
    "readers": b"GET /download?name=one.wav HTTP/1.1\r\nHost: localhost\r\n\r\n",
}
SLICES = 100  # parts of a second that a spread second has


def connected(port, count, kind):
    """`count` non-blocking sockets that have all sent the beginning."""
    epoll, waiting, socks = select.epoll(), {}, []
    for _ in range(count):
        sock = socket.socket()
        if kind == "readers":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", port))
        waiting[sock.fileno()] = sock
        epoll.register(sock.fileno(), select.EPOLLOUT)
    while waiting:
        for fd, _ in epoll.poll(10):
            epoll.unregister(fd)
            sock = waiting.pop(fd)
            try:
                sock.send(FIRST[kind])
                socks.append(sock)
            except OSError:
                sock.close()
    epoll.close()
    return socks


def trickle(socks, kind):
    """One byte each."""
    for sock in socks:
        try:
            if kind == "readers":
                sock.recv(1)
            elif kind != "idle":
                sock.send(b"a")
        except OSError:  # ended, or full
            pass


def is_alive(sock):
    """Whether the server has left the connection open."""
    try:
        while sock.recv(65536):
            pass
        return False
    except BlockingIOError:
        return True
    except OSError:
        return False


def main(port, count, kind, way, seconds):
    """Do it, and tell."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    os.nice(10)  # the polite client is on the same core, and must not wait for us
    began = time.monotonic()
    socks = connected(port, count, kind)
    took = time.monotonic() - began
    slices = 1 if way == "burst" else SLICES
    began = time.monotonic()
    for turn in range(int(seconds * slices)):
        time.sleep(max(0.0, began + turn / slices - time.monotonic()))
        trickle(socks[turn % slices :: slices], kind)
    time.sleep(max(0.0, began + seconds - time.monotonic()))
    alive = sum(map(is_alive, socks))
    print(json.dumps({"connected": len(socks), "connecting_s": round(took, 2), "ended": len(socks) - alive, "alive": alive}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4], float(sys.argv[5]))
