"""Moving the rows of a catalogue from one engine to another while a server goes on reading: copy, compare, then switch.

    1 the source is frozen ("moving" and "leaving" in `places`, which triggers of schema.sql heed)
                                            from here on nothing is uploaded, made, changed or removed
    2 a copy of the source as it is at one moment
    3 the target is marked ("arriving")     no server begins with it
    4 its rows go there, some hundreds a transaction    interrupted: what is there already stays
    5 a copy of the target is compared with the first: the rows of every table, their number and sha256
    6 the source is marked ("left")         it stays frozen, so that nothing can be added to what was left behind
    7 the target loses its mark             from here on servers may begin with it

The mark has the word of this move: what an earlier one, that was cancelled, left there is removed first, and so is what
was left behind there by a move away.  The target's search index and counters are made by its own triggers.  Log-ins do
not move: who logged out meanwhile would be logged in there.  Raises `Differs`, FileExistsError where the target has rows
that are none of this move's, and what the engines raise.
"""

from __future__ import annotations

import errno
import hashlib
import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Tuple

_BATCH = 200  # rows a transaction: a file's row goes to fifteen indexes
_MARK = "INSERT OR IGNORE INTO places (what, word, address) VALUES (?, ?, ?)"
_MARKS = "SELECT word, address FROM places WHERE what = ?"
_OF_MOVES = "('moving', 'leaving', 'left', 'arriving')"
_OF_BYTES = "('blobs', 'id')"
_UNMARK = f"DELETE FROM places WHERE what IN {_OF_MOVES}"
_IS_OURS = "name NOT LIKE 'sqlite!_%' ESCAPE '!' AND name <> 'words' AND name NOT LIKE 'words!_%' ESCAPE '!'"
_FIRST = ("files", "labels", "accounts", "drops", "drop_files")  # triggers of the later look at the earlier
_COUNTED = {"drops": ("files", "bytes", "duration_ms")}  # what triggers count up from nothing
_STAYS = "sessions"
_LAST = ("drops", "counters", "generations")  # what triggers change meanwhile is written once more


class Differs(OSError):
    """The target does not hold what the source does."""


class Moved(NamedTuple):
    """What a move did."""

    files: int
    rows: int  # of all tables


def move_rows(
    source: Any, target: Any, address: str, say: Callable[[str], None], place: Optional[Tuple[str, str, str]] = None,
) -> Moved:
    """Bring every row of the catalogue `source` to the catalogue `target`; the move is called `address`.

    `place`: the row of `places` that says where the bytes are from then on; None: where they are.
    """
    freeze(source, address)
    word = source.read(_MARKS, ("leaving",))[0][0]
    with tempfile.TemporaryDirectory(prefix="audioserver-") as folder:
        before, after = Path(folder) / "before.db", Path(folder) / "after.db"
        source.backup(before)
        with closing(sqlite3.connect(str(before), isolation_level=None)) as rows:
            rows.execute(_UNMARK)
            if place is not None:
                rows.execute(f"DELETE FROM places WHERE what IN {_OF_BYTES}")
                rows.execute(_MARK, place)
            if _receive(rows, target, word, address):
                _fill(rows, target, say)
            target.backup(after)
            with closing(sqlite3.connect(str(after), isolation_level=None)) as there:
                there.execute(_UNMARK)
                moved = _compared(_sums(rows), _sums(there))
    source.write([(_MARK, ("left", word, address))])
    target.write([(_UNMARK, ())])
    return moved


def freeze(source: Any, address: str) -> None:
    """Nothing of a catalogue changes any more, until `cancel`; FileExistsError where another move was begun."""
    word = os.urandom(16).hex()
    under_way = source.read(_MARKS, ("moving",))
    if under_way and under_way[0][1] != address:
        raise FileExistsError(errno.EEXIST, "a move to another place was begun: finish or cancel that", under_way[0][1])
    source.write([(_MARK, ("moving", word, address)), (_MARK, ("leaving", word, address))])


def has_left(catalogue: Any) -> bool:
    """Whether all rows were moved elsewhere; of moves before version 6 there is only the address to tell by."""
    marks = dict(catalogue.read("SELECT what, address FROM places"))
    return "left" in marks or "leaving" not in marks and marks.get("moving", "").startswith("rqlite://")


def check_target(source: Any, target: Any) -> None:
    """FileExistsError where the target is somebody's: not empty, not left, and not what an earlier try brought."""
    if not _has_rows(target) or has_left(target) or target.read(_MARKS, ("arriving",)):
        return
    for (id,) in target.read("SELECT id FROM files LIMIT 100"):
        if not source.read("SELECT 1 FROM files WHERE id = ?", (id,)):
            raise FileExistsError(errno.EEXIST, "there are other files in the catalogue to move to", id)
    for (name,) in target.read("SELECT name FROM accounts LIMIT 100"):
        if not source.read("SELECT 1 FROM accounts WHERE name = ?", (name,)):
            raise FileExistsError(errno.EEXIST, "there are other accounts in the catalogue to move to", name)


def _has_rows(target: Any) -> bool:
    return any(target.read(f"SELECT 1 FROM {table} LIMIT 1") for table in ("files", "accounts", "drops"))


def _receive(rows: sqlite3.Connection, target: Any, word: str, address: str) -> bool:
    """Make the target ready to be filled, and only with what is this move's; False when it is full already."""
    marks = target.read(_MARKS, ("arriving",))
    if marks and marks[0][0] == word:
        return True
    if marks or has_left(target):
        target.write([("DELETE FROM places", ()), (_MARK, ("arriving", word, address))])
        _empty(rows, target)
        return True
    if _has_rows(target):  # this very move, but for its last step; or somebody's
        check_target(_Rows(rows), target)
        return False
    target.write([("DELETE FROM places", ()), (_MARK, ("arriving", word, address))])
    return True


class _Rows:
    """An open database as something that is read."""

    def __init__(self, rows: sqlite3.Connection) -> None:
        self._rows = rows

    def read(self, sql: str, params: Tuple[Any, ...] = ()) -> List[tuple]:
        return self._rows.execute(sql, params).fetchall()


def _empty(rows: sqlite3.Connection, target: Any) -> None:
    while target.write([("DELETE FROM files WHERE n IN (SELECT n FROM files LIMIT ?)", (_BATCH,))])[0]:
        pass
    for table in _tables(rows):
        if table not in ("files", "places"):
            target.write([(f"DELETE FROM {table}", ())])


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
    names = rows.execute(f"SELECT name FROM sqlite_master WHERE type = 'table' AND {_IS_OURS}")
    return [name for (name,) in names if name != _STAYS]


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
