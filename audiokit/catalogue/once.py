"""Writes that count once, however often and however late a cluster's nodes carry them out.

A node that gives no answer may have carried a call out, or may do so later, after another node did, or after what
the call made was removed again: a revoked token would open the door anew.  So the first statement of every call keeps
a word of the call's own in the table `writes`, in the same transaction.  A second time that statement fails and takes
the others along; what each of them touched the first time stands beside the word.

A call that was given up may still come.  The next call of this server keeps its word for it, and then it cannot.
Where another server's call came first there is nobody to do that: what changes a row compares what it was
(audiokit/catalogue/people.py, rows.py).

Words are kept for a day: longer than a node may hang with a write in its hands.  Knows SQL and nothing of the wire.
Thread-safe.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections import deque
from typing import Any, Callable, Deque, List, NamedTuple, Sequence, Tuple

from .errors import CatalogueDown

Statement = Tuple[str, Sequence[Any]]
Word = Tuple[int, int]  # when, in ms, so that old ones are found; and chance

TABLE = (
    "CREATE TABLE IF NOT EXISTS writes (since_ms INTEGER NOT NULL, chance INTEGER NOT NULL, counts TEXT NOT NULL, "
    "PRIMARY KEY (since_ms, chance)) WITHOUT ROWID"
)
KEPT_MS = 86_400_000
_CLAIM = "INSERT INTO writes (since_ms, chance, counts) VALUES (?, ?, '')"
_TAKE_AWAY = "INSERT OR IGNORE INTO writes (since_ms, chance, counts) VALUES (?, ?, '')"
# Of a row that was changed, every node counts the same, so that this may be said to all of them.
_COUNT = "UPDATE writes SET counts = counts || changes() || ' ' WHERE since_ms = ? AND chance = ?"
_COUNTS = "SELECT counts FROM writes WHERE since_ms = ? AND chance = ?"
_FORGET = "DELETE FROM writes WHERE since_ms < ?"
_FORGET_EVERY_S = 60.0  # often, so that there is never much to forget: the leader is everybody's
_CHANCE_BITS = 63  # what is left of SQLite's whole numbers without a sign
_MOST_GIVEN_UP = 1000  # remembered; while a cluster is away each server asks once a request and no more
_REPEATED = "constraint failed: writes."


class _Call(NamedTuple):
    """One call of `write` as the nodes are told it."""

    word: Word
    given_up: List[Word]  # calls before it, whose words it keeps
    statements: List[Statement]
    count: int  # of the caller's own statements

    def counts(self, touched: Sequence[int]) -> List[int]:
        """How many rows each of the caller's statements touched, of what all of them did."""
        first = len(self.given_up) + 1
        return list(touched[first:first + 2 * self.count:2])


class Once:
    """The calls of one server."""

    def __init__(self) -> None:
        self._given_up: Deque[Word] = deque(maxlen=_MOST_GIVEN_UP)
        self._forget_at = 0.0  # s, monotonic
        self._lock = threading.Lock()

    def write(
        self, statements: Sequence[Statement], tell: Callable[[List[Statement]], List[int]],
        read: Callable[[str, Word], List[tuple]],
    ) -> List[int]:
        """Have the statements carried out as one transaction, once; how many rows each of them touched that once.

        `tell` has some node carry statements out, perhaps not for the first time, and says what it counted; `read` asks.
        """
        call = self._begun(statements)
        try:
            counts = call.counts(tell(call.statements))
        except sqlite3.IntegrityError as error:
            if _REPEATED not in str(error):
                self._give_up(call)  # an earlier try may be in a node's hands, and fit later on
                raise
            counts = self._counted_before(read(_COUNTS, call.word))
        except BaseException:
            self._give_up(call)
            raise
        self._was_done(call)
        return counts

    @staticmethod
    def _counted_before(found: List[tuple]) -> List[int]:
        if not found:  # a node that was asked while another one leads
            raise CatalogueDown("a write was carried out, and the node that was asked does not know of it yet")
        return list(map(int, found[0][0].split()))

    def _begun(self, statements: Sequence[Statement]) -> _Call:
        """The statements as a call that counts once."""
        now_ms = time.time_ns() // 1_000_000
        word = now_ms, int.from_bytes(os.urandom(8), "big") >> (64 - _CHANCE_BITS)
        with self._lock:
            given_up = list(self._given_up)
            forgets = time.monotonic() >= self._forget_at
            if forgets:
                self._forget_at = time.monotonic() + _FORGET_EVERY_S
        said: List[Statement] = [(_TAKE_AWAY, other) for other in given_up]
        said.append((_CLAIM, word))
        for statement in statements:
            said += [statement, (_COUNT, word)]
        if forgets:
            said.append((_FORGET, (now_ms - KEPT_MS,)))
        return _Call(word, given_up, said, len(statements))

    def _was_done(self, call: _Call) -> None:
        """It was carried out: the calls before it that were given up never will be."""
        with self._lock:
            for word in call.given_up:
                if word in self._given_up:
                    self._given_up.remove(word)

    def _give_up(self, call: _Call) -> None:
        """Its caller is told that it was not carried out, as far as anybody knows."""
        with self._lock:
            self._given_up.append(call.word)
