"""Who owns a data folder: an operating-system lock on a file in it, for as long as the process lives.

The kernel lets go of it when the process ends, however it ends.  The file says who holds it; it is emptied
when the owner leaves in good order, so that words left in it mean: the last owner crashed.
Raises `DataFolderBusy`.
"""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path
from typing import Optional

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]
    import msvcrt

_BYTE = 1 << 30  # Windows locks bytes and keeps others from reading them: one far behind the words


class DataFolderBusy(Exception):
    """Another process owns the data folder."""


class FolderLock:
    """The lock file `path`, held from construction to `release`."""

    def __init__(self, path: Path) -> None:
        self._descriptor: Optional[int] = os.open(str(path), os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
        try:
            _lock(self._descriptor)
        except OSError:
            holder = _words(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None
            raise DataFolderBusy(f"{path.parent} is in use by {_named(holder)}") from None
        self.was_clean = not _words(self._descriptor)
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._say(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since}))

    def release(self, clean: bool) -> None:
        """Let go; `clean` when nothing is left to sweep.  Harmless a second time."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        try:
            if clean:
                os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)

    def _say(self, words: str) -> None:
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, words.encode("utf-8"))
        os.fsync(self._descriptor)  # an empty file after a power cut would look like a good end


def _lock(descriptor: int) -> None:
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    os.lseek(descriptor, _BYTE, os.SEEK_SET)
    msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)


def _words(descriptor: int) -> str:
    os.lseek(descriptor, 0, os.SEEK_SET)
    return os.read(descriptor, 4096).decode("utf-8", "replace")


def _named(words: str) -> str:
    try:
        holder = json.loads(words)
        return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
