"""The few operations of the file system on which durability hangs, as one object.

Everything that the storage does to the disk goes through here, so that tests can make the n-th of them fail
and see what is left, and so that each platform's way of making bytes durable stands in one place.
Raises OSError, as the system does.
"""

from __future__ import annotations

import errno
import functools
import os
import shutil
import sqlite3
import sys
from pathlib import Path
from typing import Any, Callable, Optional

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_FULL_SYNC = getattr(fcntl, "F_FULLFSYNC", None) if sys.platform == "darwin" else None
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0)
_DIRECT = getattr(os, "O_DIRECT", 0) if sys.platform.startswith("linux") else 0
_KEEP_SIZE = 1  # FALLOC_FL_KEEP_SIZE of fallocate(2): blocks behind the end, the length stays true
_BEGIN_WRITE = 2  # SYNC_FILE_RANGE_WRITE of sync_file_range(2)


def _stop_direct(descriptor: int) -> None:
    """Have a descriptor write through the page cache from now on, as others do."""
    fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) & ~_DIRECT)


@functools.lru_cache(maxsize=None)
def _linux(name: str, *arguments: str) -> Optional[Callable[..., int]]:
    """A system call of Linux that `os` does not have, by its C types; None where there is none."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        import ctypes

        found = getattr(ctypes.CDLL(None, use_errno=True), name)
    except (ImportError, OSError, AttributeError):
        return None
    found.argtypes = tuple(getattr(ctypes, "c_" + argument) for argument in arguments)
    return found


class FileOps:
    """The real operations.  A test's child counts them, and lets one fail."""

    def create(self, path: str) -> int:
        """A descriptor of a new file that only we may read; FileExistsError when it is there."""
        return os.open(path, _NEW, 0o600)

    def open(self, path: str) -> int:
        """A descriptor for reading."""
        return os.open(path, _READ)

    def write(self, file: Any, data: Any) -> int:
        """Write to a raw file; how many bytes it took."""
        return file.write(data)

    def open_direct(self, path: str) -> Optional[int]:
        """A descriptor for writing past the page cache (O_DIRECT of open(2)); None where there is no such thing."""
        if not _DIRECT:
            return None
        try:
            return os.open(path, os.O_WRONLY | _DIRECT)
        except OSError:  # this file system has none
            return None

    def write_direct(self, descriptor: int, data: memoryview, position: int) -> None:
        """Write whole pages at a page's beginning to such a descriptor, all of them."""
        while data:
            try:
                count = os.pwrite(descriptor, data, position)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                _stop_direct(descriptor)  # the file system wants more than whole pages
                count = os.pwrite(descriptor, data, position)
            data, position = data[count:], position + count

    def close(self, descriptor: int) -> None:
        """Let go of a descriptor."""
        os.close(descriptor)

    def reserve(self, descriptor: int, start: int, count: int) -> None:
        """Have blocks set aside for bytes that are about to come; where that is impossible, nothing happens.

        One reservation of megabytes costs the file system a fifth of finding a block a page.  os.posix_fallocate
        will not do: it moves the end of the file, and where blocks cannot be reserved it writes every one.
        """
        reserve = _linux("fallocate64", "int", "int", "int64", "int64")
        if reserve is not None:
            reserve(descriptor, _KEEP_SIZE, start, count)  # a full disk is told by the write that meets it

    def begin_sync(self, descriptor: int) -> None:
        """Have what was written go to the disk from now on, without waiting: `sync` will have less to wait for."""
        begin = _linux("sync_file_range", "int", "int64", "int64", "uint")
        if begin is not None:
            begin(descriptor, 0, 0, _BEGIN_WRITE)  # an error stays with the file: `sync` tells it

    def sync(self, descriptor: int) -> None:
        """Wait until the file's bytes and length are on the disk itself."""
        if _FULL_SYNC is not None:
            try:
                fcntl.fcntl(descriptor, _FULL_SYNC)  # fsync alone stops at the drive's cache on macOS
                return
            except OSError:  # a file system that does not know it
                pass
        os.fsync(descriptor)

    def rename(self, source: str, target: str) -> None:
        """Give a file its final name, at once or not at all."""
        os.replace(source, target)

    def sync_directory(self, path: str) -> None:
        """Wait until the names in a directory are on the disk; Windows does that by itself."""
        if os.name == "nt":
            return
        descriptor = os.open(path, os.O_RDONLY)
        try:
            self.sync(descriptor)
        finally:
            os.close(descriptor)

    def remove(self, path: str) -> None:
        """Remove a file; FileNotFoundError when it is not there."""
        os.remove(path)

    def make_directory(self, path: str) -> None:
        """Make a directory that only we may enter; fine when it is there."""
        os.makedirs(path, 0o700, exist_ok=True)

    def link_or_copy(self, source: Path, target: Path) -> None:
        """A second name for the same bytes, or a durable copy where the file system has no second names."""
        try:
            os.link(source, target)
        except (FileNotFoundError, FileExistsError):
            raise
        except OSError:
            shutil.copyfile(source, target)
            descriptor = os.open(target, os.O_RDWR | getattr(os, "O_BINARY", 0))
            try:
                self.sync(descriptor)
            finally:
                os.close(descriptor)

    def free_bytes(self, path: str) -> int:
        """What an ordinary user may still write to the file system of `path`."""
        if hasattr(os, "statvfs"):  # a fifth of what shutil takes, and each upload asks twice
            found = os.statvfs(path)
            return found.f_bavail * found.f_frsize
        return shutil.disk_usage(path).free

    def commit(self, connection: sqlite3.Connection) -> None:
        """Make a transaction of the catalogue durable."""
        connection.execute("COMMIT")
