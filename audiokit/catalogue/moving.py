"""Moving the rows of a catalogue from one engine to another while a server goes on reading: copy, compare, then switch.

    1 the source is frozen (a row in `places`, which triggers of schema.sql heed)
                                            from here on nothing is uploaded, changed or removed
    2 a copy of the source as it is at one moment
    3 its rows go to the target, some hundreds a transaction    interrupted: what is there already stays
    4 a copy of the target is compared with the first: the rows of every table, their number and sha256

Then servers may begin with the target.  The source stays frozen, so that nothing can be added to what was left behind.
The target's search index and counters are made by its own triggers.  Raises `Differs`, FileExistsError where the
target has rows that the source has not, and what the engines raise.
"""

from __future__ import annotations

import errno
import hashlib
import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Tuple

_BATCH = 200  # rows a transaction: a file's row goes to fifteen indexes
_FREEZE = "INSERT OR IGNORE INTO places (what, word, address) VALUES ('moving', ?, ?)"
_MOVING = "SELECT address FROM places WHERE what = 'moving'"
_IS_OURS = "name NOT LIKE 'sqlite!_%' ESCAPE '!' AND name <> 'words' AND name NOT LIKE 'words!_%' ESCAPE '!'"
_FIRST = ("files", "labels", "accounts", "drops", "drop_files")  # triggers of the later look at the earlier
_COUNTED = {"drops": ("files", "bytes", "duration_ms")}  # what triggers count up from nothing
_LAST = ("drops", "counters", "generations")  # what triggers change meanwhile is written once more


class Differs(OSError):
    """The target does not hold what the source does."""


class Moved(NamedTuple):
    """What a move did."""

    files: int
    rows: int  # of all tables


def move_rows(source: Any, target: Any, address: str, say: Callable[[str], None]) -> Moved:
    """Bring every row of the catalogue `source` to the catalogue `target`, which is called `address`."""
    source.write([(_FREEZE, (os.urandom(16).hex(), address))])
    whither = source.read(_MOVING)[0][0]
    if whither != address:
        raise FileExistsError(errno.EEXIST, "a move to another place was begun: finish or cancel that", whither)
    with tempfile.TemporaryDirectory(prefix="audioserver-") as folder:
        before, after = Path(folder) / "before.db", Path(folder) / "after.db"
        source.backup(before)
        with closing(sqlite3.connect(str(before), isolation_level=None)) as rows:
            rows.execute("DELETE FROM places WHERE what = 'moving'")
            _refuse_another(rows, target)
            _fill(rows, target, say)
            target.backup(after)
            with closing(sqlite3.connect(str(after), isolation_level=None)) as there:
                return _compared(_sums(rows), _sums(there))


def _refuse_another(rows: sqlite3.Connection, target: Any) -> None:
    """What is there must be of an earlier try of this move."""
    for (id,) in target.read("SELECT id FROM files LIMIT 100"):
        if not rows.execute("SELECT 1 FROM files WHERE id = ?", (id,)).fetchall():
            raise FileExistsError(errno.EEXIST, "there are other files in the catalogue to move to", id)


def _fill(rows: sqlite3.Connection, target: Any, say: Callable[[str], None]) -> None:
    tables = _tables(rows)
    for table in (*_FIRST, *(table for table in tables if table not in _FIRST)):
        _copy(rows, target, table, "INSERT OR IGNORE")
        say(f"{table}: its rows are there")
    for table in _LAST:
        _copy(rows, target, table, "INSERT OR REPLACE")
    for name, seq in rows.execute("SELECT name, seq FROM sqlite_sequence").fetchall():
        target.write([
            ("UPDATE sqlite_sequence SET seq = ? WHERE name = ?", (seq, name)),
            ("INSERT INTO sqlite_sequence (name, seq) SELECT ?, ? WHERE NOT EXISTS "
             "(SELECT 1 FROM sqlite_sequence WHERE name = ?)", (name, seq, name)),
        ])


def _copy(rows: sqlite3.Connection, target: Any, table: str, verb: str) -> None:
    columns = [name for _, name, *_ in rows.execute(f"PRAGMA table_info({table})")]
    sql = f"{verb} INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    nothing = _COUNTED.get(table, ()) if verb == "INSERT OR IGNORE" else ()
    wanted = ", ".join("0" if name in nothing else name for name in columns)
    cursor = rows.execute(f"SELECT {wanted} FROM {table}")
    while True:
        batch = cursor.fetchmany(_BATCH)
        if not batch:
            return
        target.write([(sql, row) for row in batch])


def _tables(rows: sqlite3.Connection) -> List[str]:
    return [name for (name,) in rows.execute(f"SELECT name FROM sqlite_master WHERE type = 'table' AND {_IS_OURS}")]


def _sums(rows: sqlite3.Connection) -> Dict[str, Tuple[int, str]]:
    """The number of rows of each table, and their sha256."""
    return {table: _sum(rows.execute(_in_order(rows, table))) for table in _tables(rows)}


def _in_order(rows: sqlite3.Connection, table: str) -> str:
    columns = ", ".join(name for _, name, *_ in rows.execute(f"PRAGMA table_info({table})"))
    return f"SELECT {columns} FROM {table} ORDER BY {columns}"


def _sum(rows: Iterable[tuple]) -> Tuple[int, str]:
    hash, count = hashlib.sha256(), 0
    for row in rows:
        hash.update(repr(row).encode("utf-8", "surrogatepass"))
        count += 1
    return count, hash.hexdigest()


def _compared(before: Dict[str, Tuple[int, str]], after: Dict[str, Tuple[int, str]]) -> Moved:
    for table, (count, digest) in before.items():
        if after.get(table) != (count, digest):
            found = after.get(table, (0, ""))[0]
            raise Differs(errno.EIO, f"{table} has {count} rows, {found} are there, or they differ: move again")
    return Moved(before["files"][0], sum(count for count, _ in before.values()))
