"""A blob store in a directory: `ab/abcdef…` under a root, 256 folders, one file a key.

A key's bytes are there whole or not at all: `put` syncs the file, renames it into place and syncs the folder.
Keys that are drawn at the same moment share a folder, so that one sync of it serves all of them (together.py).
Raises OSError; `open` of a key that is not there raises FileNotFoundError.
"""

from __future__ import annotations

import os
import re
import time
from functools import partial
from io import BytesIO, FileIO
from pathlib import Path
from typing import Any, BinaryIO, Dict, Iterator, List, Optional, Sequence, Set, Tuple

from ..wire.company import outcome_of
from ..wire.workers import Workers, raised
from .abreast import Abreast
from .fileops import FileOps
from .together import SyncedTogether

KEY = re.compile(r"[0-9a-f]{32}")  # 128 random bits; the same on file systems that ignore case
_SYNCS = 3  # threads that wait for the disk beside whoever stores
_PIECE = 1 << 20  # bytes read at once

Put = Tuple[str, BinaryIO, int, str]  # what `put` takes


class DirectoryBlobs:
    """Blobs in the directory `root`, on the file system that uploads are received on."""

    is_far = False
    largest: Optional[int] = None  # bytes that one key may have
    is_resting = False
    settles_s = 0.0  # who owns the folder knows of every upload

    def __init__(self, root: Path, ops: FileOps) -> None:
        self._root = root
        self._ops = ops
        ops.make_directory(str(root))
        ops.sync_directory(str(root))
        self._folders: Set[str] = set(_entries(root))  # those that surely are on the disk
        self._together = SyncedTogether(ops.sync_directory, self._turn_over)
        self._turn_over()
        self._crew = Workers(_SYNCS, "sync", raised)
        self._abreast = Abreast(self._crew, _SYNCS)

    def new_key(self) -> str:
        """A fresh key for `put`; nobody can guess it and none comes twice."""
        return self._current + os.urandom(15).hex()

    def _turn_over(self) -> None:
        self._current = os.urandom(1).hex()  # the folder of the keys that are drawn until the next sync begins

    def path(self, key: str) -> Path:
        """Where the bytes of `key` are, or would be."""
        if not KEY.fullmatch(key):
            raise ValueError(f"{key!r} is no key")
        return self._root / key[:2] / key

    def put(self, key: str, file: BinaryIO, size: int, sha256: str) -> None:
        """Move the open file `file` (it has a `name`), or write what a BytesIO has, under `key`; durable when this returns.

        After an error the caller deletes `key`: the bytes may be there, without being durable.
        `file` is closed.  `size` and `sha256` are for stores that send them along; here they are known to hold.
        """
        (error,) = self.put_all([(key, file, size, sha256)])
        if error is not None:
            raise error

    def put_all(self, puts: Sequence[Put]) -> List[Optional[BaseException]]:
        """Many calls of `put`, whose syncs share what they can; of each None, or what it would have raised.

        The bytes of all are on their way before the first is waited for, and all are waited for side by side.
        """
        files = {key: outcome_of(self._begin, key, file) for key, file, _, _ in puts}
        begun = {key: file for key, file in files.items() if not isinstance(file, BaseException)}
        if len(begun) > 1:
            for file in begun.values():
                self._ops.begin_sync(file.fileno())
        failed = {**files, **self._settled(begun)}
        return [failed[key] for key, _, _, _ in puts]

    def _settled(self, files: Dict[str, Any]) -> Dict[str, Optional[BaseException]]:
        """Sync files, and then the folders that they were moved to; by key what went wrong."""
        born = {self._folder(key) for key, file in files.items() if _has_its_name(file)}
        waits = [partial(self._settle, key, file) for key, file in files.items()]
        waits += [partial(self._together.sync, folder) for folder in born]  # their names were there before: no need to wait
        failed = dict(zip([*files, *born], self._abreast.outcomes(waits)))
        moved = [key for key, file in files.items() if not (failed[key] or _has_its_name(file))]
        for folder in {self._folder(key) for key in moved}:
            failed[folder] = failed.get(folder) or outcome_of(self._together.sync, folder)
        return {key: failed[key] or failed[self._folder(key)] for key in files}

    def _begin(self, key: str, file: BinaryIO) -> Any:
        """The file that is to be synced: one of ours, or the bytes of a BytesIO written where they are to stay."""
        if not isinstance(file, BytesIO):
            return file
        made = FileIO(self._ops.create(os.path.join(self._folder(key), key)), "r+")
        try:
            view = memoryview(file.getvalue())  # which is no copy; getbuffer would hold `file` as long as an error lives
            while view:
                view = view[self._ops.write(made, view) :]
        except BaseException:
            made.close()
            raise
        return made

    def _settle(self, key: str, file: Any) -> None:
        """Sync a file and see that it has its name, in a folder that is to be synced."""
        with file:  # closed before it is renamed: Windows renames no open file
            self._ops.sync(file.fileno())
        if not _has_its_name(file):
            self._ops.rename(file.name, os.path.join(self._folder(key), key))

    def open(self, key: str, start: int = 0, stop: int = 0, size: int = 0) -> int:
        """A descriptor for reading the bytes of `key`: all of them, whatever the span that is wanted first."""
        return self._ops.open(str(self.path(key)))

    def pieces(self, key: str) -> Iterator[memoryview]:
        """All bytes of `key` in order; each piece is only lent."""
        view = memoryview(bytearray(_PIECE))
        with os.fdopen(self.open(key), "rb", buffering=0) as file:
            for count in iter(lambda: file.readinto(view), 0):
                yield view[:count]

    def lend(self, key: str, path: str) -> None:
        """The bytes of `key` as a new file `path` too, durable, whatever becomes of `key`.

        FileNotFoundError when they are not there, FileExistsError when there is something at `path`.
        """
        self._ops.link_or_copy(self.path(key), Path(path))

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

    def scan(self, after: str = "", older_than_s: float = 0.0) -> Iterator[str]:
        """Every key behind `after`, in order, whose bytes are so old; memory for one folder at a time."""
        for folder in sorted(_entries(self._root)):
            if len(folder) == 2 and folder >= after[:2]:
                for key in sorted(_entries(self._root / folder)):
                    if KEY.fullmatch(key) and key > after and self._is_older(key, older_than_s):
                        yield key

    def give_up(self, older_than_s: float = 0.0) -> int:
        """End what others left half sent: none, a file is moved here whole."""
        return 0

    def _is_older(self, key: str, seconds: float) -> bool:
        if not seconds:
            return True
        try:
            return time.time() - os.stat(self.path(key)).st_mtime >= seconds
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Let go of the threads."""
        self._crew.close()

    def _folder(self, key: str) -> str:
        folder = os.path.join(self._root, key[:2])
        if key[:2] not in self._folders:
            self._ops.make_directory(folder)
            self._ops.sync_directory(str(self._root))
            self._folders.add(key[:2])
        return folder


def _has_its_name(file: Any) -> bool:
    """Whether a file was made where it is to stay: of a descriptor, which is its name."""
    return not isinstance(file.name, str)


def _entries(folder: Path) -> list:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
