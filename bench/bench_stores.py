#!/usr/bin/env python3
"""What a store on another machine costs, beside the folder, in one run on loopback; the engines are those of the tests.

    python3 bench/bench_stores.py                 rclone and OpenStack Swift, where they can be had
    python3 bench/bench_stores.py --large 5.2     instead one file of so many GiB, in parts, up and down, compared (twice its size of disk)

For each place: a small upload (ms), a 100 MB upload and download (MB/s), the download as curl gets it from the store itself,
a small download (ms), and the server's largest memory.  Medians; the machine does all of it: client, server, store.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import os
import platform
import re
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from engines import Rclone, Swift  # noqa: E402
from support import long_wav, request, wav  # noqa: E402

from audiokit.blobs import FileOps  # noqa: E402
from audiokit.blobs.s3 import S3Blobs  # noqa: E402

MB = 1_000_000


class Server:
    """The program, with its audio in `engine` (None: in the folder)."""

    def __init__(self, folder, engine):
        self.url = engine.url("bench") if engine else ""
        environment = {**os.environ, **(engine.environment if engine else {}), "AUDIOSERVER_BLOBS": self.url}
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "audioserver.py"), "--port", "0", "--data", str(folder), "--log", "none"],
            stdout=subprocess.PIPE, text=True, env=environment,
        )
        self.address = ("127.0.0.1", int(self.process.stdout.readline().rsplit(":", 1)[1]))

    def peak_mb(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) * 1024 / MB

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


def curl(url):
    """Bytes a second of a download."""
    out = subprocess.run(["curl", "-sf", "-o", os.devnull, "-w", "%{speed_download}", url],
                         stdout=subprocess.PIPE, text=True, check=True)
    return float(out.stdout) / MB


def timed(work):
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure(name, engine, folder, rounds):
    """One row of the table."""
    server = Server(folder, engine)
    large, size = long_wav(3125), 100 * MB
    try:
        small_up, large_up, proxied, direct, small_down = [], [], [], [], []
        connection = http.client.HTTPConnection(*server.address)

        def ask(method, target, body=None):
            connection.request(method, target, body)
            answer = connection.getresponse()
            answer.read()
            assert answer.status < 300, answer.status

        for n in range(40):
            small_up.append(timed(partial(ask, "POST", f"/post?name=s{n}.wav", wav(0.1 + n / 1000))))
            small_down.append(timed(partial(ask, "GET", f"/download?name=s{n}.wav")))
        connection.close()
        for n in range(rounds):
            body = large[:-2] + bytes([n, 1])
            large_up.append(timed(partial(request, server.address, "POST", "/post?overwrite=true&name=l.wav", body)))
            there = store_address(engine, server.url, len(large)) if engine else None
            for _ in range(5):
                proxied.append(curl("http://%s:%d/download?name=l.wav" % server.address))
                if there:
                    direct.append(curl(there))
        middle = statistics.median
        share = f"{middle(proxied) / middle(direct):.2f}" if direct else ""
        alone = f"{middle(direct):.0f}" if direct else ""
        print(f"| {name} | {middle(small_up) * 1000:.1f} | {middle(small_down) * 1000:.1f} "
              f"| {size / MB / middle(large_up):.0f} | {middle(proxied):.0f} | {alone} | {share} "
              f"| {server.peak_mb():.0f} |", flush=True)
    finally:
        server.close()


def rf64(path, size):
    """A file of `size` bytes of silence, but for the last ones; most of it takes no room on the disk."""
    size = size // 4 * 4
    form = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 2, 48000, 192000, 4, 16)
    head = b"WAVE" + b"ds64" + struct.pack("<IQQQI", 28, size + 72, size, size // 4, 0) + form + b"data" + b"\xff" * 4
    with open(path, "wb") as file:
        file.write(b"RF64" + b"\xff" * 4 + head)
        file.seek(size - 1000, os.SEEK_CUR)
        file.write(os.urandom(1000))


def digest(read):
    found = hashlib.sha256()
    for piece in iter(partial(read, 1 << 20), b""):
        found.update(piece)
    return found.hexdigest()


def measure_large(name, engine, folder, gib):
    """One file that takes many requests, and what came back of it."""
    path = folder.parent / "large.wav"
    rf64(path, int(gib * (1 << 30)))
    server = Server(folder, engine)
    try:
        connection = http.client.HTTPConnection(*server.address, timeout=3600)
        with open(path, "rb") as file:
            began = time.perf_counter()
            connection.request("POST", "/post?name=l.wav", file, {"Content-Length": str(path.stat().st_size)})
            answer = connection.getresponse()
            answer.read()
            took = time.perf_counter() - began
            connection.request("GET", "/download?name=l.wav")
            download = connection.getresponse()
            file.seek(0)
            is_same = digest(download.read) == digest(file.read)
        connection.close()
        print(f"{name}: {path.stat().st_size} bytes, {answer.status}, {path.stat().st_size / MB / took:.0f} MB/s up, "
              f"the same came back: {is_same}, {server.peak_mb():.0f} MB of memory", flush=True)
    finally:
        server.close()
        path.unlink()


def store_address(engine, url, size):
    """Where the store itself gives the large file."""
    blobs = S3Blobs(url, FileOps(), engine.environment)
    try:
        key = next(key for key in blobs.scan() if blobs.size(key) == size)
        return blobs.address(key, 600, "attachment", "audio/wav")
    finally:
        blobs.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", type=float, metavar="GIB")
    given = parser.parse_args()
    print(f"{time.strftime('%Y-%m-%d')}, CPython {platform.python_version()}, {os.cpu_count()} cores, loopback\n")
    if given.large is None:
        print("| place | small upload, ms | small download, ms | upload, MB/s | download, MB/s | curl from the store, MB/s | share "
              "| memory, MB |\n|---|---|---|---|---|---|---|---|")
    for name, make in (("folder", None), ("rclone", Rclone), ("Swift", Swift)):
        with tempfile.TemporaryDirectory() as folder:
            try:
                engine = make(folder) if make else None
            except BaseException as error:  # pytest's skip is no Exception
                print(f"| {name} | {error} |")
                continue
            try:
                if given.large is None:
                    measure(name, engine, Path(folder) / "var", given.rounds)
                elif engine:
                    measure_large(name, engine, Path(folder) / "var", given.large)
            finally:
                if engine:
                    engine.__exit__()


if __name__ == "__main__":
    main()
