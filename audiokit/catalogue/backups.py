"""A copy of catalogue and bytes while the server goes on: a folder that can be served as it is.

The catalogue is copied first, as it is at one moment; then every blob that the copy names gets a second name (a
hard link), or a copy where the file system has none.  A blob that is gone by then was removed or replaced after
that moment: then the catalogue is copied again, until nothing is missing.  Everything is synced before the end.
Raises `MissingBytes`, OSError.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Iterator, List

_ROUNDS = 20  # copies of the catalogue before we give up on a row whose bytes are not there


class MissingBytes(OSError):
    """The catalogue names bytes that are nowhere: the backup would not be whole."""


def back_up(catalogue: Any, source: Any, target: Path, blobs: Any, ops: Any) -> int:
    """Copy everything to the folder `target`, bytes from the store `source` to `blobs`; how many files it has."""
    missing: List[str] = []
    for _ in range(_ROUNDS):
        copy = target / "catalogue.db"
        if copy.exists():
            ops.remove(str(copy))
        catalogue.backup(copy)
        with closing(sqlite3.connect(str(copy), isolation_level=None)) as rows:
            missing = [key for key in _keys(rows) if not _link(source, blobs, key, ops)]
            if not missing:
                return _finish(rows, blobs, target, ops)
    raise MissingBytes(f"{len(missing)} files have no bytes, {missing[0]} among them: see `db check`")


def _finish(rows: Any, blobs: Any, target: Path, ops: Any) -> int:
    """Drop what an earlier round linked in vain, and make the rest durable."""
    rows.execute("DELETE FROM removals")
    named = set(_keys(rows))
    for key in list(blobs.scan()):
        if key not in named:
            blobs.delete(key)
    for folder in (target / "files").iterdir():
        ops.sync_directory(str(folder))
    for folder in (target / "files", target, target.parent):
        ops.sync_directory(str(folder))
    return len(named)


def _keys(rows: Any) -> Iterator[str]:
    return (key for (key,) in rows.execute("SELECT key FROM files ORDER BY key"))


def _link(source: Any, blobs: Any, key: str, ops: Any) -> bool:
    """Give the bytes of `key` a name in the copy; False when they are gone."""
    path = blobs.path(key)
    if path.exists():
        return True
    ops.make_directory(str(path.parent))
    try:
        ops.link_or_copy(source.path(key), path)
    except FileNotFoundError:
        return False
    return True
