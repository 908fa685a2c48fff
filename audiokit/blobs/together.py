"""One sync of a directory for all who wait for it, as a group commit is one sync of the catalogue.

Whoever calls while a sync is under way joins the next round; the first of them to get its turn syncs each directory
of the round once.  A round ends to newcomers before its first sync begins: what was renamed before the call is on
the disk after it.  Never: an answer from a sync that began before the call.  Raises what the sync raised, to all
who waited for that directory.
"""

from __future__ import annotations

import threading
from typing import Callable, Dict, Optional


class _Round:
    """Who waits for the same syncs."""

    def __init__(self) -> None:
        self.results: Dict[str, Optional[BaseException]] = {}  # by directory: why it is not on the disk
        self.calls = 0
        self.is_over = False


class SyncedTogether:
    """Syncs directories by `sync(path)`; `begun` is told when a round ends to newcomers.  Thread-safe."""

    def __init__(self, sync: Callable[[str], None], begun: Callable[[], None]) -> None:
        self._sync, self._begun = sync, begun
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._next = _Round()

    @property
    def waiting(self) -> int:
        """How many calls the next round has."""
        return self._next.calls

    def sync(self, path: str) -> None:
        """Wait until the names that are in the directory `path` now are on the disk."""
        with self._lock:
            mine = self._next
            mine.results[path] = None
            mine.calls += 1
        with self._turn:
            if not mine.is_over:
                self._lead(mine)
        error = mine.results[path]
        if error is not None:
            raise error

    def _lead(self, mine: _Round) -> None:
        with self._lock:
            self._next = _Round()
        self._begun()
        for path in mine.results:
            try:
                self._sync(path)
            except BaseException as error:  # also the others of the round must hear of it
                mine.results[path] = error
        mine.is_over = True
