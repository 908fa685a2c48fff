#!/usr/bin/env python3
"""Two minutes of use: nothing is lost, no answer is 5xx, memory, descriptors and threads stay as they were.

    python3 bench/soak.py [--seconds 60] [--requests 1000000] [--uploads 1000]

First 64 clients post, list, fetch, rename and delete at once, and everything that was acknowledged is compared
byte for byte; then a million requests and a thousand uploads pass, and the server's RSS, descriptors and
threads are printed before and after.  Exit 1 when anything is lost, wrong, or grows.  Linux only.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from bench_http import ROOT, header, ours, wav  # noqa: E402

GROWTH_MB = 8  # of RSS that a warm server may still gain: allocator's arenas, SQLite's page caches
ROUNDS = 3  # in one of which it has to stay as it was


class Client(threading.Thread):
    """One of many users, each with names of its own; `wrong` says what it saw that must not be."""

    def __init__(self, address, number, until):
        super().__init__()
        self.random = random.Random(number)
        self.number, self.until = number, until
        self.connection = http.client.HTTPConnection(*address, timeout=300)
        self.have, self.count, self.wrong = {}, 0, []

    def ask(self, method, target, body=None):
        self.connection.request(method, target, body)
        answer = self.connection.getresponse()
        data = answer.read()
        self.count += 1
        if answer.status >= 500:
            self.wrong.append(f"{method} {target}: {answer.status} {data[:200]!r}")
        return answer.status, data

    def run(self):
        acts = [self.post, self.post, self.fetch, self.list, self.rename, self.delete]
        while time.monotonic() < self.until and not self.wrong:
            self.random.choice(acts)()
        for id, (name, body) in self.have.items():
            status, data = self.ask("GET", f"/files/{id}/content")
            if status != 200 or data != body:
                self.wrong.append(f"{name} was acknowledged and is {status}, {len(data)} bytes")
        self.connection.close()

    def post(self):
        body = wav(self.random.uniform(0.01, 0.2), self.random.randrange(100, 3000))
        name = f"{self.number}-{self.count}.wav"
        status, data = self.ask("POST", f"/post?name={name}", body)
        if status != 201:
            self.wrong.append(f"POST {name}: {status}")
        else:
            self.have[json.loads(data)["id"]] = (name, body)

    def any(self):
        return self.random.choice(list(self.have)) if self.have else None

    def fetch(self):
        id = self.any()
        if id and self.ask("GET", f"/files/{id}/content") != (200, self.have[id][1]):
            self.wrong.append(f"{id}: other bytes came back")

    def list(self):
        filters = ["minduration=0.1", "format=wav&sort=duration", "q=" + str(self.number), f"name={self.number}-*", "limit=7"]
        self.ask("GET", "/list?" + self.random.choice(filters))

    def rename(self):
        id = self.any()
        if id:
            name = f"renamed-{self.number}-{self.count}.wav"
            if self.ask("PATCH", f"/files/{id}", json.dumps({"name": name}))[0] != 200:
                self.wrong.append(f"{id} was not renamed")
            self.have[id] = (name, self.have[id][1])

    def delete(self):
        id = self.any()
        if id:
            del self.have[id]
            if self.ask("DELETE", f"/files/{id}")[0] != 204:
                self.wrong.append(f"{id} was not removed")


def many_clients(server, seconds):
    until = time.monotonic() + seconds
    crew = [Client(server.address, number, until) for number in range(64)]
    for client in crew:
        client.start()
    for client in crew:
        client.join()
    wrong = [text for client in crew for text in client.wrong]
    kept = sum(len(client.have) for client in crew)
    print(f"64 clients, {seconds} s: {sum(c.count for c in crew)} requests, {kept} files kept, {len(wrong)} wrong", flush=True)
    for text in wrong[:10]:
        print("  " + text)
    return not wrong


def many_requests(address, count):
    """`count` requests, fifty at a time on one connection."""
    batch = b"GET /list?limit=1 HTTP/1.1\r\nHost: localhost\r\n\r\n" * 25 + b"GET /info?name=none HTTP/1.1\r\nHost: localhost\r\n\r\n" * 25
    with socket.create_connection(address) as sock:
        for _ in range(count // 50):
            sock.sendall(batch)
            seen, tail = 0, b""
            while seen < 50:
                data = tail + sock.recv(1 << 20)
                seen += data.count(b"HTTP/1.1 ")
                tail = data[-8:]  # a status line may be cut in two


def many_uploads(address, count):
    connection = http.client.HTTPConnection(*address, timeout=300)
    for number in range(count):
        connection.request("POST", "/post?name=%d.wav&overwrite=true" % (number % 50), wav(0.05, 100 + number))
        answer = connection.getresponse()
        answer.read()
        assert answer.status in (200, 201), answer.status
    connection.close()


def settled(server, before):
    """What the server has when it is done with those that left: nobody else knows when that is."""
    until = time.monotonic() + 60
    while True:
        after = census(server)
        if after["descriptors"] <= before["descriptors"] or time.monotonic() > until:
            return after
        time.sleep(0.1)


def census(server):
    pid = server.process.pid
    return {"RSS MB": server.rss_mb(), "descriptors": len(os.listdir(f"/proc/{pid}/fd")), "threads": server.threads()}


def flat(server, requests, uploads):
    """Whether it stays as it was; what grows once may be a thread's arena that was late, what leaks grows each time."""
    many_uploads(server.address, uploads // 10)
    many_requests(server.address, requests // 10)  # warm
    return any(stays(server, requests, uploads) for _ in range(ROUNDS))


def stays(server, requests, uploads):
    before = census(server)
    many_requests(server.address, requests)
    many_uploads(server.address, uploads)
    after = settled(server, before)
    print(f"{requests} requests and {uploads} uploads:")
    for key, value in before.items():
        print(f"  {key:12} {value:6.0f} -> {after[key]:6.0f}")
    return (after["RSS MB"] - before["RSS MB"] < GROWTH_MB and after["descriptors"] <= before["descriptors"] + 2
            and after["threads"] <= before["threads"] + 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--uploads", type=int, default=1000)
    given = parser.parse_args()
    print(header())
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    server = ours(folder / "var", None)
    try:
        good = many_clients(server, given.seconds) and flat(server, given.requests, given.uploads)
        server.stop()
        check = subprocess.run([sys.executable, ROOT / "audioserver.py", "db", "check", "--deep", "--data", folder / "var"],
                               capture_output=True, text=True)
        print("db check --deep:", check.stdout.strip().splitlines()[-1])
        good = good and check.returncode == 0
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
