#!/usr/bin/env python3
"""A polite client: one keep-alive connection that asks again and again, and what it waited.

    python3 bench/polite.py PORT TARGET SECONDS [PAUSE_MS [https]]
"""

import socket
import ssl
import sys
import time


def connect(port, scheme):
    """A connection; nobody asks who is at its other end."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return ssl._create_unverified_context().wrap_socket(sock) if scheme == "https" else sock


def main(port, target, seconds, pause_ms="1", scheme="http"):
    """Print p50, p99 and the longest wait in ms."""
    request = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % target.encode()
    pause, waits = float(pause_ms) / 1e3, []
    with connect(port, scheme) as sock:
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            started = time.perf_counter()
            sock.sendall(request)
            answer = sock.recv(65536)
            waits.append((time.perf_counter() - started) * 1e3)
            assert answer.startswith(b"HTTP/1.1 200"), answer[:200]
            time.sleep(pause)
    waits.sort()
    print("p50 %.2f p99 %.2f max %.1f ms of %d" % (
        waits[len(waits) // 2], waits[len(waits) * 99 // 100], waits[-1], len(waits)))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), *sys.argv[4:])
