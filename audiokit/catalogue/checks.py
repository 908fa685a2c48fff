"""Comparing the catalogue with the blob store, both ways, and putting right what can be put right.

    a row without its bytes          fix: the row is removed; its record is in the report
    bytes of another length          no fix: the bytes are what there is; fetch them, remove the file
    bytes of another sha256 (deep)   no fix: the same
    bytes that no row names          fix: removed (a crash between rename and commit leaves such)
    a blob still to be deleted       fix: removed
    a wrong counter, a stale index   fix: made anew
    uploads out of order unnoticed   fix: noted

Without `fix` nothing is changed, and a server may go on meanwhile: what changed under our hands is looked at twice.
"""

from __future__ import annotations

import sqlite3
import time
from typing import Any, Dict, Iterator, List, NamedTuple, Tuple

from ..digests import sha256_of

_ROWS = 1000  # looked at in one query
_SECOND_LOOK_S = 0.5  # an upload beside us takes milliseconds from its rename to its row, or to its refusal
_COUNT = ("SELECT owner, count(*), sum(size), sum(CAST(round(duration * 1000) AS INTEGER)) FROM files GROUP BY owner")
_COUNTED = "SELECT owner, files, bytes, duration_ms FROM counters WHERE files > 0"
_IN_ORDER = "SELECT n, owner, uploaded_ms FROM files WHERE n > ? ORDER BY n LIMIT ?"
_ORDERED = "SELECT newest_ms, disorder_ms FROM counters WHERE owner = ?"
_SET_ORDER = "UPDATE counters SET newest_ms = max(newest_ms, ?), disorder_ms = max(disorder_ms, ?) WHERE owner = ?"


class Report(NamedTuple):
    """What was found."""

    files: int
    problems: List[str]  # what is wrong still
    repaired: List[str]

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong, or all that was is repaired."""
        return not self.problems

    def lines(self) -> Iterator[str]:
        """The report for a terminal."""
        yield from (f"wrong: {line}" for line in self.problems)
        yield from (f"repaired: {line}" for line in self.repaired)
        yield f"{self.files} files, {len(self.problems)} problems, {len(self.repaired)} repaired"


class Check:
    """One look over everything.  `fix` needs the data folder's lock: nobody else may be writing."""

    def __init__(self, catalogue: Any, blobs: Any, *, deep: bool, fix: bool) -> None:
        self._catalogue, self._blobs, self._deep, self._fix = catalogue, blobs, deep, fix
        self._problems: List[str] = []
        self._repaired: List[str] = []

    def run(self) -> Report:
        """Look at everything and say what was found."""
        self._problems += [f"the catalogue: {line}" for line in self._catalogue.integrity()]
        files = sum(self._look_at(*row) for row in self._rows())
        self._remove_or_report(list(strays(self._catalogue, self._blobs, self._blobs.settles_s)))
        for (key,) in self._catalogue.read("SELECT key FROM removals ORDER BY key"):
            self._removal(key)
        self._count()
        self._order()
        self._search()
        return Report(files, self._problems, self._repaired)

    def _rows(self) -> Iterator[Tuple[str, str, str, int, str]]:
        after = ""
        while True:
            rows = self._catalogue.read(
                "SELECT id, name, key, size, sha256 FROM files WHERE id > ? ORDER BY id LIMIT ?", (after, _ROWS)
            )
            if not rows:
                return
            yield from rows
            after = rows[-1][0]

    def _look_at(self, id: str, name: str, key: str, size: int, sha256: str) -> int:
        wrong = self._wrong_with(key, size, sha256)
        if wrong is None or not is_named(self._catalogue, key):  # replaced or removed since
            return 1
        sentence = f"file {id} ({name!r}) {wrong}"
        if self._fix and self._blobs.size(key) is None:
            self._catalogue.write([("DELETE FROM files WHERE id = ? AND key = ?", (id, key))])
            self._repaired.append(sentence + ": its row is removed")
            return 0
        self._problems.append(sentence)
        return 1

    def _wrong_with(self, key: str, size: int, sha256: str) -> Any:
        there = self._blobs.size(key)
        if there is None:
            return "has no bytes"
        if there != size:
            return f"has {there} bytes, its row says {size}"
        if self._deep:
            try:
                found = sha256_of(self._blobs.pieces(key))
            except FileNotFoundError:
                return "has no bytes"
            except OSError as error:
                return f"cannot be read: {error.strerror}"
            if found != sha256:
                return f"has the sha256 {found}, its row says {sha256}"
        return None

    def _remove_or_report(self, keys: List[str]) -> None:
        if self._fix:
            for key in keys:
                self._blobs.delete(key)
                self._repaired.append(f"no row names the bytes {key}: they are removed")
            return
        if keys:
            time.sleep(_SECOND_LOOK_S)
        for key in keys:
            if not is_named(self._catalogue, key) and self._blobs.size(key) is not None:
                self._problems.append(f"no row names the bytes {key}")

    def _removal(self, key: str) -> None:
        if self._fix:
            self._blobs.delete(key)
            self._catalogue.write([("DELETE FROM removals WHERE key = ?", (key,))])
            self._repaired.append(f"the bytes {key} were to be removed: they are")
        # Without a fix it is no fault: a note of work that the server does next.

    def _count(self) -> None:
        counted, known = sorted(self._catalogue.read(_COUNT)), sorted(self._catalogue.read(_COUNTED))
        if counted == known:
            return
        if not self._fix:
            if sorted(self._catalogue.read(_COUNT)) != sorted(self._catalogue.read(_COUNTED)):
                self._problems.append(f"the counters say {known}, the rows are {counted}")
            return
        self._catalogue.write([
            ("DELETE FROM counters", ()),
            ("INSERT INTO counters (owner, files, bytes, duration_ms) " + _COUNT, ()),
        ])
        self._repaired.append(f"the counters said {known}, the rows are {counted}: counted anew")

    def _order(self) -> None:
        """Whether every owner's counters know how far a file is older than one with a smaller number."""
        latest: Dict[int, int] = {}
        disorder: Dict[int, int] = {}
        rows = self._catalogue.read(_IN_ORDER, (-1, _ROWS))
        while rows:
            for n, owner, ms in rows:
                latest[owner] = max(latest.get(owner, ms), ms)
                disorder[owner] = max(disorder.get(owner, 0), latest[owner] - ms)
            rows = self._catalogue.read(_IN_ORDER, (n, _ROWS))
        for owner, ms in sorted(disorder.items()):
            for newest_ms, disorder_ms in self._catalogue.read(_ORDERED, (owner,)):
                if ms > disorder_ms or latest[owner] > newest_ms:
                    self._out_of_order(owner, latest[owner], ms, disorder_ms)

    def _out_of_order(self, owner: int, latest: int, found: int, said: int) -> None:
        sentence = f"uploads of owner {owner} are up to {found} ms out of order, the counters say {said}"
        if self._fix:
            self._catalogue.write([(_SET_ORDER, (latest, found, owner))])
            self._repaired.append(sentence + ": noted anew")
        else:
            self._problems.append(sentence)

    def _search(self) -> None:
        if not (self._fix and self._catalogue.has_trigrams):
            return
        try:
            self._catalogue.write([("INSERT INTO words (words) VALUES ('integrity-check')", ())])
        except sqlite3.DatabaseError:
            self._catalogue.write([
                (f"INSERT INTO words (words) VALUES ('{what}')", ()) for what in ("rebuild", "optimize")
            ])
            self._repaired.append("the search index did not fit the rows: made anew")


def is_named(catalogue: Any, key: str) -> bool:
    """Whether the bytes `key` are a file's, or a conversion's result."""
    sql = "SELECT 1 FROM files WHERE key = ? UNION ALL SELECT 1 FROM jobs WHERE key = ?"
    return bool(catalogue.read(sql, (key, key)))


def strays(catalogue: Any, blobs: Any, older_than_s: float = 0.0) -> Iterator[str]:
    """The keys of bytes that no row names and no removal notes, in order, as far as they are so old."""
    rows = _keys(catalogue)
    known = next(rows, None)
    for key in blobs.scan(older_than_s=older_than_s):
        while known is not None and known < key:
            known = next(rows, None)
        if known != key:
            yield key


def _keys(catalogue: Any) -> Iterator[str]:
    after = ""
    while True:
        rows = catalogue.read(
            "SELECT key FROM (SELECT key FROM files WHERE key > ? ORDER BY key LIMIT ?) "
            "UNION ALL SELECT key FROM (SELECT key FROM removals WHERE key > ? ORDER BY key LIMIT ?) "
            "UNION ALL SELECT key FROM (SELECT key FROM jobs WHERE key > ? ORDER BY key LIMIT ?) "
            "ORDER BY key LIMIT ?", (after, _ROWS, after, _ROWS, after, _ROWS, _ROWS),
        )
        if not rows:
            return
        for (after,) in rows:
            yield after
