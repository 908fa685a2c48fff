"""Bytes that are to go: how they are removed so that a crash, or a write that comes late, leaves neither too many nor too few.

A key is noted in the catalogue's `removals` in the transaction that takes its row away.  Then the bytes go, then the note;
what fails in between is done at the next start.  Where the catalogue is in a cluster the note stays for a day: a row whose
key is noted is never written, also when a node wakes that had an INSERT in its hands.  Raises what the engines raise.
"""

from __future__ import annotations

import sqlite3
from typing import Any, Callable

from .catalogue.jobs import disowned

NOTES_KEPT_MS = 86_400_000  # in a cluster: longer than a node may hang with a write in its hands
_FORGET = "DELETE FROM removals WHERE key = ?"
_FAILURES = (OSError, sqlite3.Error, ValueError)


class Removals:
    """What is to be removed from a store of bytes, and is noted in a catalogue.  Thread-safe."""

    def __init__(
        self, catalogue: Any, blobs: Any, clock_ms: Callable[[], int], leave_for_sweep: Callable[[], None],
    ) -> None:
        """`leave_for_sweep` is called when something could not be removed and the next start must look."""
        self._catalogue, self._blobs = catalogue, blobs
        self._clock_ms, self._leave_for_sweep = clock_ms, leave_for_sweep
        self.when_removed: Callable[[str], None] = lambda key: None  # told of bytes that are going, from any thread

    def carry_out(self, key: str) -> None:
        """Remove what is noted; what fails now is done at the next start."""
        self.when_removed(key)
        try:
            self._blobs.delete(key)
            if not self._catalogue.is_far:
                self._catalogue.write([(_FORGET, (key,))])
        except _FAILURES:
            self._leave_for_sweep()

    def drop(self, key: str) -> None:
        """Bytes whose row was never written; "" is none."""
        if key and self._catalogue.is_far:
            self.disown(key)  # it may yet be: some node may have it in its hands
        elif key:
            try:
                self._blobs.delete(key)
            except OSError:
                self._leave_for_sweep()

    def disown(self, key: str) -> None:
        """Bytes whose row may come back: say durably that it must not, and only then remove them."""
        try:
            self._catalogue.write([
                ("INSERT OR IGNORE INTO removals (key, since_ms) VALUES (?, ?)", (key, self._clock_ms())),
                ("DELETE FROM files WHERE key = ?", (key,)),
                disowned(key, self._clock_ms()),
            ])
        except _FAILURES:
            self._leave_for_sweep()
            return
        self.carry_out(key)

    def remove_stray(self, key: str) -> None:
        """Bytes without a row; in a cluster that has to be made sure of first."""
        if self._catalogue.is_far:
            self.disown(key)
        else:
            self._blobs.delete(key)

    def finish(self) -> None:
        """Remove what is noted; in a cluster what was noted a day ago, once more, and then its note."""
        if not self._catalogue.is_far:
            for (key,) in self._catalogue.read("SELECT key FROM removals"):
                self.carry_out(key)
            return
        old = "SELECT key FROM removals WHERE since_ms < ? LIMIT 10000"
        for (key,) in self._catalogue.read(old, (self._clock_ms() - NOTES_KEPT_MS,)):
            self._blobs.delete(key)
            self._catalogue.write([(_FORGET, (key,))])
