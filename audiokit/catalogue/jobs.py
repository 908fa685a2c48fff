"""The rows of conversions that any server of a cluster may be asked for, behind the catalogue's door.

    post            its server: it is begun          queued
    advance         its server, now and then         queued, running
    take_over       another: its own is silent       queued, and the other is its own from now on
    finish          its server: it is over           done, failed
    withdraw        its server: it was refused       gone
    give_up         any server: its own is silent    failed
    remove          any server                       gone: the row stays for a day
    forget          any server                       there is no row

A write that was given up may be carried out late, after those that followed it: one that is over is never begun again, one
that is gone never comes back, and a result whose key is noted in `removals` is never named.  While it is not over `status`
has a word of the server that is at it, its holder: what another one says that was, hung and woke, changes nothing.  `key`
is that of the input then, where the store has it for this conversion alone, and goes into `removals` at the end.  Knows no
files, no clock.
"""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Tuple

from .rows import Statement

QUEUED, RUNNING, DONE, FAILED, GONE = "queued", "running", "done", "failed", "gone"
REMEMBERED_MS = 86_400_000  # a row that is gone: longer than a node may hang with a write in its hands
_MOST = 500  # rows named in one query, or found due at once: SQLite before 3.32 binds 999 values

_COLUMNS = ("id, owner, state, status, mime, key, size, sha256, since_ms, delivered, renewed_ms, expires_ms")
_POST = (
    "INSERT INTO jobs (id, owner, state, status, mime, renewed_ms, key) VALUES (?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT DO NOTHING"
)
_HELD = "WHERE id = ? AND expires_ms IS NULL AND instr(status, ?) > 0"
_SILENT = "WHERE id = ? AND expires_ms IS NULL AND renewed_ms = ?"
_ADVANCE = f"UPDATE jobs SET state = ?, status = ?, renewed_ms = ? {_HELD} AND renewed_ms <= ?"
_TAKE_OVER = f"UPDATE jobs SET state = 'queued', status = ?, renewed_ms = ? {_SILENT}"
_FINISH = (
    "UPDATE jobs SET state = ?, status = ?, key = ?, size = ?, sha256 = ?, since_ms = ?, expires_ms = ? "
    f"{_HELD} AND NOT EXISTS (SELECT 1 FROM removals WHERE key = ?)"
)
_GIVE_UP = f"UPDATE jobs SET state = 'failed', status = ?, key = NULL, expires_ms = ? {_SILENT}"
_WITHDRAWN = "WHERE id = ? AND expires_ms IS NULL"
_WITHDRAW = f"UPDATE jobs SET state = 'gone', key = NULL, expires_ms = ? {_WITHDRAWN}"
_INPUT_GOES = "INSERT OR IGNORE INTO removals (key, since_ms) SELECT key, ? FROM jobs %s AND key IS NOT NULL"
_AS_SEEN = "WHERE id = ? AND state <> 'gone' AND key IS ?"
_NOTE_REMOVAL = f"INSERT OR IGNORE INTO removals (key, since_ms) SELECT key, ? FROM jobs {_AS_SEEN} AND key IS NOT NULL"
_REMOVE = f"UPDATE jobs SET state = 'gone', key = NULL, expires_ms = ? {_AS_SEEN}"
_DELIVERED = "UPDATE jobs SET delivered = ? WHERE id = ? AND state = 'done' AND delivered = ?"
_FORGET = "DELETE FROM jobs WHERE state = 'gone' AND expires_ms <= ?"


class Posted(NamedTuple):
    """A row."""

    id: str
    owner: int
    state: str
    status: str  # JSON
    mime: str
    key: Optional[str]  # of the result; of the input while it is not over
    size: Optional[int]  # bytes of the result
    sha256: Optional[str]
    since_ms: Optional[int]
    delivered: str  # JSON
    renewed_ms: int
    expires_ms: Optional[int]

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.expires_ms is not None


class Made(NamedTuple):
    """What came of a conversion."""

    key: str
    size: int  # bytes
    sha256: str  # lower-case hex
    since_ms: int


class Due(NamedTuple):
    """What there is to look after."""

    unfinished: Dict[str, int]  # id: renewed_ms
    expired: List[str]  # ids whose result is to go
    is_forgettable: bool  # whether `forget` would find anything


class Board:
    """Conversions in a catalogue.  Thread-safe, as the catalogue is."""

    def __init__(self, catalogue: Any) -> None:
        self._catalogue = catalogue

    def post(self, id: str, owner: int, status: str, mime: str, now_ms: int, key: Optional[str] = None) -> None:
        """A new one waits for its turn; `key` is that of its input, where that is to go with it."""
        self._catalogue.write([(_POST, (id, owner, QUEUED, status, mime, now_ms, key))])

    def withdraw(self, id: str, now_ms: int) -> None:
        """It was refused: if `post` was carried out all the same it is gone, and if not yet, it never is."""
        self._catalogue.write([
            (_INPUT_GOES % _WITHDRAWN, (now_ms, id)), (_WITHDRAW, (now_ms + REMEMBERED_MS, id)),
        ])

    def advance(self, news: Iterable[Tuple[str, str, str, str]], now_ms: int) -> None:
        """How far some are: (id, state, status, holder) each; `now_ms` never goes back for one of them."""
        statements = [(_ADVANCE, (state, status, now_ms, id, holder, now_ms)) for id, state, status, holder in news]
        if statements:
            self._catalogue.write(statements)

    def take_over(self, row: Posted, status: str, now_ms: int) -> bool:
        """Its server is silent, and another one, named by `status`, goes on; False when it is not as silent as `row` says."""
        return bool(self._catalogue.write([(_TAKE_OVER, (status, now_ms, row.id, row.renewed_ms))])[0])

    def finish(
        self, id: str, state: str, status: str, made: Optional[Made], expires_ms: int, holder: str = "", now_ms: int = 0,
    ) -> bool:
        """It is over; False when it was removed, given up or taken over meanwhile.  Bytes of its own input are to go."""
        made_of = tuple(made) if made is not None else (None, None, None, None)
        values = (state, status, *made_of, expires_ms, id, holder, made_of[0])
        if self._catalogue.write([(_INPUT_GOES % _HELD, (now_ms, id, holder)), (_FINISH, values)])[1]:
            return True
        there = self.named(id)  # an earlier try may have been carried out after all
        return there is not None and (there.state, there.status, there.key) == (state, status, made_of[0])

    def give_up(self, row: Posted, status: str, expires_ms: int) -> bool:
        """Its server is silent; False, and nothing happens, when it is not as silent as `row` says."""
        silent = (row.id, row.renewed_ms)
        return bool(self._catalogue.write([
            (_INPUT_GOES % _SILENT, (row.renewed_ms, *silent)), (_GIVE_UP, (status, expires_ms, *silent)),
        ])[1])

    def remove(self, id: str, now_ms: int) -> Optional[str]:
        """End it; gives the key of bytes that are noted for removal then, if there were any."""
        key: Optional[str] = None
        while True:
            row = self.named(id)
            if row is None or row.state == GONE:
                return key
            key = row.key
            if self._catalogue.write([
                (_NOTE_REMOVAL, (now_ms, id, key)), (_REMOVE, (now_ms + REMEMBERED_MS, id, key)),
            ])[1]:
                return key

    def note_delivered(self, id: str, before: str, after: str) -> bool:
        """Other spans were delivered than `before` says; False when it says something else by now."""
        return bool(self._catalogue.write([(_DELIVERED, (after, id, before))])[0])

    def forget(self, now_ms: int) -> None:
        """Remove the rows of those that have been gone for a day."""
        self._catalogue.write([(_FORGET, (now_ms,))])

    # -- asking ----------------------------------------------------------------------------------------

    def named(self, id: str) -> Optional[Posted]:
        """The one with that id."""
        return self.all_named([id]).get(id)

    def all_named(self, ids: Iterable[str]) -> Dict[str, Posted]:
        """Those of `ids` that there are, by id; one round trip for some hundreds."""
        wanted, found = list(ids), {}
        for first in range(0, len(wanted), _MOST):
            some = wanted[first : first + _MOST]
            marks = ", ".join("?" * len(some))
            for row in self._catalogue.read(f"SELECT {_COLUMNS} FROM jobs WHERE id IN ({marks})", some):
                found[row[0]] = Posted._make(row)
        return found

    def due(self, now_ms: int) -> Due:
        """What there is to look after; one round trip."""
        unfinished, expired, gone = self._catalogue.read_all([
            ("SELECT id, renewed_ms FROM jobs WHERE expires_ms IS NULL", ()),
            ("SELECT id FROM jobs WHERE state <> 'gone' AND expires_ms <= ? LIMIT ?", (now_ms, _MOST)),
            ("SELECT 1 FROM jobs WHERE state = 'gone' AND expires_ms <= ? LIMIT 1", (now_ms,)),
        ])
        return Due(dict(unfinished), [id for (id,) in expired], bool(gone))


def undone(key: str, id: str, holder: str) -> Statement:
    """What removes the file with the bytes `key` again, behind what adds it: where its conversion is not `holder`'s by now."""
    return f"DELETE FROM files WHERE key = ? AND NOT EXISTS (SELECT 1 FROM jobs {_HELD})", (key, id, holder)


def disowned(key: str, now_ms: int) -> Statement:
    """What ends the one that names the bytes `key`, which are going."""
    return "UPDATE jobs SET state = 'gone', key = NULL, expires_ms = ? WHERE key = ?", (now_ms + REMEMBERED_MS, key)
