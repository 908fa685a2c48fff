#!/usr/bin/env python3
"""A polite client: one keep-alive connection that asks again and again, and what it waited.

    python3 bench/polite.py PORT TARGET SECONDS
"""

import socket
import sys
import time


def main(port, target, seconds):
    """Print p50, p99 and the longest wait in ms."""
    request = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % target.encode()
    waits = []
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            started = time.perf_counter()
            sock.sendall(request)
            answer = sock.recv(65536)
            waits.append((time.perf_counter() - started) * 1e3)
            assert answer.startswith(b"HTTP/1.1 200"), answer[:200]
            time.sleep(0.001)
    waits.sort()
    print("p50 %.2f p99 %.2f max %.1f ms of %d" % (
        waits[len(waits) // 2], waits[len(waits) * 99 // 100], waits[-1], len(waits)))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
