"""A blob store in a directory: `ab/abcdef…` under a root, 256 folders, one file a key.

A key's bytes are there whole or not at all: `put` syncs the file, renames it into place and syncs the folder.
Keys that are drawn at the same moment share a folder, so that one sync of it serves all of them (together.py).
Raises OSError; `open` of a key that is not there raises FileNotFoundError.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import BinaryIO, Iterator, Optional, Set

from .fileops import FileOps
from .together import SyncedTogether

_KEY = re.compile(r"[0-9a-f]{32}")  # 128 random bits; the same on file systems that ignore case


class DirectoryBlobs:
    """Blobs in the directory `root`, on the file system that uploads are received on."""

    def __init__(self, root: Path, ops: FileOps) -> None:
        self._root = root
        self._ops = ops
        ops.make_directory(str(root))
        ops.sync_directory(str(root))
        self._folders: Set[str] = set(_entries(root))  # those that surely are on the disk
        self._together = SyncedTogether(ops.sync_directory, self._turn_over)
        self._turn_over()

    def new_key(self) -> str:
        """A fresh key for `put`; nobody can guess it and none comes twice."""
        return self._current + os.urandom(15).hex()

    def _turn_over(self) -> None:
        self._current = os.urandom(1).hex()  # the folder of the keys that are drawn until the next sync begins

    def path(self, key: str) -> Path:
        """Where the bytes of `key` are, or would be."""
        if not _KEY.fullmatch(key):
            raise ValueError(f"{key!r} is no key")
        return self._root / key[:2] / key

    def put(self, key: str, file: BinaryIO, size: int, sha256: str) -> None:
        """Move the open file `file` (it has a `name`) under `key`; durable when this returns.

        After an error the caller deletes `key`: the bytes may be there, without being durable.
        `file` is closed.  `size` and `sha256` are for stores that send them along; here they are known to hold.
        """
        self._ops.sync(file.fileno())
        file.close()  # Windows renames no open file
        folder = self._folder(key)
        self._ops.rename(file.name, os.path.join(folder, key))
        self._together.sync(folder)

    def open(self, key: str) -> int:
        """A descriptor for reading the bytes of `key`."""
        return self._ops.open(str(self.path(key)))

    def size(self, key: str) -> Optional[int]:
        """How many bytes `key` has, None when it is not there."""
        try:
            return os.stat(self.path(key)).st_size
        except FileNotFoundError:
            return None

    def delete(self, key: str) -> None:
        """Remove the bytes of `key`; fine when they are not there.

        Raises OSError when they stay: Windows removes no open file.
        """
        try:
            self._ops.remove(str(self.path(key)))
        except FileNotFoundError:
            pass

    def scan(self, after: str = "") -> Iterator[str]:
        """Every key behind `after`, in order; memory for one folder at a time."""
        for folder in sorted(_entries(self._root)):
            if len(folder) == 2 and folder >= after[:2]:
                for key in sorted(_entries(self._root / folder)):
                    if _KEY.fullmatch(key) and key > after:
                        yield key

    def _folder(self, key: str) -> str:
        folder = os.path.join(self._root, key[:2])
        if key[:2] not in self._folders:
            self._ops.make_directory(folder)
            self._ops.sync_directory(str(self._root))
            self._folders.add(key[:2])
        return folder


def _entries(folder: Path) -> list:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
