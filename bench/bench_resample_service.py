#!/usr/bin/env python3
"""The resampling service against FastAPI with ffmpeg, in one run: time, memory, failures, files left behind.

    python3 bench/bench_resample_service.py            all rows
    python3 bench/bench_resample_service.py clients    16 clients at once, 2 s clips
    python3 bench/bench_resample_service.py song       one WAV of 3 minutes, stereo
    python3 bench/bench_resample_service.py batch      8 WAVs of 30 s at once, stereo
    python3 bench/bench_resample_service.py aborts     clients that leave half-way, and what they leave
    python3 bench/bench_resample_service.py polite     /info beside conversions that keep every worker busy

The peer lives in .venv-bench-resample, made on first use; ffmpeg is Debian's.  What is not there is said and left
out.  ffmpeg is native code with a mature encoder: it is faster, and the rows say by how much.  Linux only.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import math
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import bench_http
from bench_http import ROOT, free_port

VENV = ROOT / ".venv-bench-resample"
PACKAGES = ("uvicorn==0.30.6", "fastapi==0.115.6", "python-multipart==0.0.12")
ROWS = ("clients", "song", "batch", "aborts", "polite")


def wav(seconds, rate=44100, channels=2, seed=1):
    """Music of a kind: a few partials that come and go, and a little noise."""
    chance = random.Random(seed)
    block = []
    for n in range(rate):
        tone = sum(
            math.sin(2 * math.pi * (110 * k + seed) * n / rate) / k for k in (1, 2, 3, 5, 8)
        ) * (0.4 + 0.3 * math.sin(2 * math.pi * 3 * n / rate))
        for channel in range(channels):
            block.append(int(6000 * tone * (1 - 0.3 * channel)) + chance.randrange(-300, 300))
    data = (struct.pack("<%dh" % len(block), *block) * math.ceil(seconds))[: int(seconds * rate) * 2 * channels]
    fmt = struct.pack("<IHHIIHH", 16, 1, channels, rate, rate * 2 * channels, 2 * channels, 16)
    return (
        b"RIFF"
        + struct.pack("<I", 36 + len(data))
        + b"WAVEfmt "
        + fmt
        + b"data"
        + struct.pack("<I", len(data))
        + data
    )


class Server(bench_http.Server):
    """A server process, with all that it starts: their memory at the worst, the processes and files it leaves."""

    def __init__(self, name, command, port, folder, cwd=None):
        super().__init__(name, command, port, None, {"TMPDIR": str(folder)}, cwd=cwd, start_new_session=True)
        self.folder = folder
        self.peak = self.peak_one = 0
        self._watching = True
        self._watcher = threading.Thread(target=self._watch)
        self._watcher.start()

    def _watch(self):
        while self._watching:
            sizes = []
            for pid in self.pids():
                with contextlib.suppress(OSError, IndexError):
                    text = Path(f"/proc/{pid}/status").read_text()
                    sizes.append(int(text.split("VmRSS:")[1].split()[0]) / 1024)
            self.peak = max(self.peak, sum(sizes))
            self.peak_one = max(self.peak_one, max(sizes[1:], default=0))
            time.sleep(0.05)

    def left(self):
        """Temporary files that are still there a while after the last answer."""
        until = time.monotonic() + 2
        while self._files() and time.monotonic() < until:
            time.sleep(0.02)
        return self._files()

    def _files(self):
        return sum(len(files) for _, _, files in os.walk(self.folder))

    def close(self):
        self._watching = False
        self._watcher.join()
        self.stop()


class Ours(Server):
    """audioserver."""

    def __init__(self, folder):
        command = [
            sys.executable,
            ROOT / "audioserver.py",
            "--port",
            "0",
            "--data",
            folder / "var",
            "--log",
            "none",
        ]
        super().__init__("audioserver", command, None, folder / "var" / "conversions")

    def convert(self, data):
        connection = http.client.HTTPConnection(*self.address, timeout=600)
        with contextlib.closing(connection):
            connection.request("POST", "/resample?name=in.wav", data)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                raise OSError(body[:200])
            return body


class Peer(Server):
    """FastAPI with ffmpeg."""

    def __init__(self, folder):
        port = free_port()
        command = [
            VENV / "bin/python",
            "-m",
            "uvicorn",
            "--app-dir",
            ROOT / "bench/peers",
            "--port",
            port,
            "--log-level",
            "error",
            "resample_with_fastapi:app",
        ]
        super().__init__("fastapi + ffmpeg", command, port, folder, cwd=folder)

    def convert(self, data):
        body = (
            b'--xyz\r\nContent-Disposition: form-data; name="inFile"; filename="in.wav"\r\n\r\n'
            + data
            + b"\r\n--xyz--\r\n"
        )
        connection = http.client.HTTPConnection(*self.address, timeout=600)
        with contextlib.closing(connection):
            connection.request("POST", "/resample/", body, {"Content-Type": "multipart/form-data; boundary=xyz"})
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200:
                raise OSError(text[:200])
            connection.request("GET", "/resample/?file_path=" + json.loads(text)["path"])
            return connection.getresponse().read()


def make_venv():
    """The peer's venv; None when it is there, else why not."""
    for tool in ("ffmpeg", "ffprobe"):
        if not shutil.which(tool):
            return f"{tool} is not here"
    if not (VENV / "bin/uvicorn").exists():
        made = subprocess.run(
            f"{sys.executable} -m venv {VENV} && {VENV}/bin/pip -q install {' '.join(PACKAGES)}",
            shell=True,
        )
        if made.returncode:
            shutil.rmtree(VENV, ignore_errors=True)
            return "its packages cannot be installed"
    return None


def at_once(server, bodies, clients):
    """Convert them with so many clients: (wall s, failures, waits, bytes of the last result)."""
    waits, failures, work, sizes = [], [], list(bodies), []
    lock = threading.Lock()

    def client():
        while True:
            with lock:
                if not work:
                    return
                body = work.pop()
            began = time.perf_counter()
            try:
                sizes.append(len(server.convert(body)))
            except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
                failures.append(error)
            waits.append(time.perf_counter() - began)

    began = time.perf_counter()
    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began, len(failures), sorted(waits), sizes


def say(server, what):
    print(
        f"  {server.name:18} {what}; {server.peak:.0f} MB in all, {server.peak_one:.0f} MB the largest process beside it"
    )


def clients(server):
    """16 clients at once, 4 clips each, of 2 s; and one alone on a warm server."""
    clip = wav(2)
    server.convert(clip)
    alone = min(at_once(server, [clip], 1)[0] for _ in range(3))
    wall, failures, waits, _ = at_once(server, [clip] * 64, 16)
    say(
        server,
        f"2 s clip alone {alone:.2f} s; 64 by 16 clients {wall:.1f} s ({128 / wall:.0f} x realtime), "
        f"longest wait {waits[-1]:.1f} s, {failures} failed, {server.left()} files left",
    )


def song(server):
    """One WAV of 3 minutes."""
    data = wav(180)
    server.convert(wav(2))
    wall, failures, _, _ = at_once(server, [data], 1)
    say(server, f"3 min stereo {wall:.1f} s ({180 / wall:.0f} x realtime), {failures} failed")


def batch(server):
    """8 files of 30 s at once."""
    server.convert(wav(2))
    wall, failures, waits, _ = at_once(server, [wav(30, seed=n) for n in range(8)], 8)
    say(
        server,
        f"8 x 30 s {wall:.1f} s ({240 / wall:.0f} x realtime), first after {waits[0]:.1f} s, {failures} failed",
    )


def aborts(server):
    """32 clients that leave: while they send, while they wait, while they read; then one that stays."""
    data = wav(10)
    target = "/resample?name=in.wav" if isinstance(server, Ours) else "/resample/"
    head = b'--xyz\r\nContent-Disposition: form-data; name="inFile"; filename="in.wav"\r\n\r\n'
    body = head + data + b"\r\n--xyz--\r\n"
    fields = f"POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=xyz\r\n"
    chance = random.Random(3)
    for number in range(32):
        with socket.create_connection(server.address) as sock:
            sock.sendall((fields + f"Content-Length: {len(body)}\r\n\r\n").encode())
            sock.sendall(body if number % 4 else body[: len(body) // 2])
            time.sleep(chance.random() / 4)
    began = time.perf_counter()
    server.convert(wav(2))
    free = time.perf_counter() - began
    say(
        server,
        f"after 32 aborts a 2 s clip takes {free:.1f} s; {server.left()} files left, "
        f"{len(server.pids()) - 1} processes beside the server",
    )


def polite(server):
    """What /info waits while every worker is busy."""
    if not isinstance(server, Ours):
        return print(f"  {server.name:18} has nothing like /info: left out")
    connection = http.client.HTTPConnection(*server.address)
    connection.request("POST", "/post?name=a.wav", wav(1))
    connection.getresponse().read()
    connection.close()
    ask = [
        sys.executable,
        ROOT / "bench/polite.py",
        str(server.address[1]),
        "/info?name=a.wav",
        "8",
    ]
    still = subprocess.run(ask, capture_output=True, text=True).stdout.strip()
    jobs = [threading.Thread(target=lambda: server.convert(wav(60))) for _ in range(4)]
    for job in jobs:
        job.start()
    time.sleep(1)
    busy = subprocess.run(ask, capture_output=True, text=True).stdout.strip()
    for job in jobs:
        job.join()
    print(f"  {server.name:18} /info alone: {still}\n  {'':18} beside 4 conversions: {busy}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", choices=[*ROWS, []], help="which rows; all by default")
    parser.add_argument("--ours-only", action="store_true", help="leave the peer out")
    given = parser.parse_args()
    missing = "left out as asked" if given.ours_only else make_venv()
    print(f"{os.cpu_count()} cores, {sys.implementation.name} {sys.version.split()[0]}")
    if missing:
        print(f"fastapi + ffmpeg is left out: {missing}")
    for row in given.rows or ROWS:
        print(f"{row}: {globals()[row].__doc__}")
        for kind in (Ours, Peer):
            if kind is Peer and missing:
                continue
            with tempfile.TemporaryDirectory() as folder:
                server = kind(Path(folder))
                try:
                    globals()[row](server)
                finally:
                    server.close()


if __name__ == "__main__":
    main()
