"""A copy of catalogue and bytes while the server goes on: a folder that can be served as it is.

The catalogue is copied first, as it is at one moment; then every blob that the copy names gets a second name (a
hard link), or a copy where the file system has none.  A blob that is gone by then was removed or replaced after
that moment: its row in the copy is brought up to date, until it has bytes or is gone too.  All is synced before
the end.  Raises `MissingBytes`, OSError.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, List

from .rows import Row, added

_TRIES = 100  # looks at one file that is replaced again and again


class MissingBytes(OSError):
    """The catalogue names bytes that are nowhere: the backup would not be whole."""


def back_up(catalogue: Any, source: Any, target: Path, blobs: Any, ops: Any) -> int:
    """Copy everything to the folder `target`, bytes from the store `source` to `blobs`; how many files it has."""
    copy = target / "catalogue.db"
    catalogue.backup(copy)
    with closing(sqlite3.connect(str(copy), isolation_level=None)) as rows:
        rows.execute("DELETE FROM removals")
        rows.execute("DELETE FROM jobs")  # results of conversions are not kept for long, nor here
        rows.execute("DELETE FROM places WHERE what = 'blobs'")  # the copy's bytes are in its folder
        missing = [id for id, key in rows.execute("SELECT id, key FROM files") if not _link(source, blobs, key, ops)]
        _bring_up(missing, rows, catalogue, lambda key: _link(source, blobs, key, ops))
        count = rows.execute("SELECT count(*) FROM files").fetchone()[0]
    for folder in (target / "files").iterdir():
        ops.sync_directory(str(folder))
    for folder in (target / "files", target, target.parent):
        ops.sync_directory(str(folder))
    return count


def _bring_up(ids: List[str], rows: sqlite3.Connection, catalogue: Any, link: Any) -> None:
    """Make these files in the copy what they are in the catalogue now."""
    tries = _TRIES * len(ids)
    while ids:
        id = ids.pop()
        rows.execute("DELETE FROM files WHERE id = ?", (id,))
        found = catalogue.read(f"SELECT {', '.join(Row._fields)} FROM files WHERE id = ?", (id,))
        if not found:
            continue
        row = Row._make(found[0])
        if not link(row.key):
            tries -= 1
            if tries <= 0:
                raise MissingBytes(f"the bytes of {row.name!r} ({row.id}) are not there: see `db check`")
            ids.append(id)
            continue
        # Another file of the copy may have had this name at the copy's moment, and has another by now.
        named = (row.owner, row.name)
        ids += [other for (other,) in rows.execute("SELECT id FROM files WHERE owner = ? AND name = ?", named)]
        rows.execute("DELETE FROM files WHERE owner = ? AND name = ?", named)
        for sql, params in added(json.loads(row.record), row):
            rows.execute(sql, params)


def _link(source: Any, blobs: Any, key: str, ops: Any) -> bool:
    """Give the bytes of `key` a name in the copy; False when they are gone."""
    path = blobs.path(key)
    ops.make_directory(str(path.parent))
    try:
        source.lend(key, str(path))
    except FileExistsError:
        pass  # linked for an earlier look
    except FileNotFoundError:
        return False
    return True
