"""Processes that tests start: on ports that nobody else gets, with deadlines this machine can keep, gone when we are.

Nothing here waits for a time: `until` asks again and again whether something is so, and fails at a deadline that only
what is broken reaches.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import subprocess
import sys
import time
from functools import lru_cache
from pathlib import Path

import pytest

_LOOK_S = 0.02  # between two looks
_QUICK_S = 0.08  # three starts of Python on an idle machine
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
# Says to the kernel that it shall not outlive its parent, and becomes the command: its number stays the same.
_LEASH = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); os.execvp(sys.argv[1], sys.argv[1:])"
_slowness = []  # at each look
_held = []  # what says that a port is ours; as long as we live


def start(command, **options):
    """A process that is killed when we end, however we end; where the system can do that (Linux).

    From the main thread: it is a thread's end that the kernel sees.
    """
    command = [str(word) for word in command]
    if sys.platform == "linux":
        command = [sys.executable, "-ISc", _LEASH, *command]
    return subprocess.Popen(command, **options)


def slowness(is_asked_anew=False):
    """How many times slower than an idle machine this one is, at the slowest time that was looked; at least 1."""
    if is_asked_anew or not _slowness:
        began = time.monotonic()
        for _ in range(3):
            subprocess.run([sys.executable, "-ISc", "pass"], check=True)
        _slowness.append(max(1.0, (time.monotonic() - began) / _QUICK_S))
    return max(_slowness)


def until(true, seconds=30.0, what="it", process=None):
    """Wait until `true()`; fail when it never is, or at once when `process` has ended."""
    end = time.monotonic() + seconds * slowness()
    while not true():
        if process is not None and process.poll() is not None:
            pytest.fail(f"{what}: the process ended with {process.returncode}")
        assert time.monotonic() < end, f"{what} never came to be"
        time.sleep(_LOOK_S)


def listens(port):
    """Whether somebody accepts connections there."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def wait_for_port(port, process=None, what=None):
    """Until somebody listens there."""
    until(lambda: listens(port), 60, what or f"a listener on {port}", process)


def free_port():
    """A port of loopback that nobody uses, and that nobody gets while we live.

    It is none of those that the system gives to whoever connects somewhere: a process that is killed and started again
    would find its port taken by some client.  Other test runs see by a name in the kernel that it is ours.
    """
    for _ in range(1000):
        port = random.choice(_ports())
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
        if _is_ours(port):
            return port
    pytest.fail("no port is free")


@lru_cache(maxsize=None)
def _ports():
    low, high = map(int, _RANGE.read_text().split()) if _RANGE.exists() else (49152, 65535)
    before, behind = range(10_240, low), range(high + 1, 65_536)
    return before if len(before) > 1000 else behind if len(behind) > 1000 else range(10_240, 65_536)


def _is_ours(port):
    if sys.platform != "linux":
        return True
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0audioserver-test-port-{port}")
    except OSError:
        claim.close()
        return False
    os.set_inheritable(claim.fileno(), False)
    _held.append(claim)
    return True
