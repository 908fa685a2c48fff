"""Results of conversions in the store of the bytes, where any server of a cluster finds them.

The bytes come before the row that names them (catalogue/jobs.py) and go after it, as a file's do; what is left between
the two is the collector's.  Raises `Refusal`, FileNotFoundError for bytes that are gone, and what the engines raise.
"""

from __future__ import annotations

from typing import Any, Callable, Optional

from .blobs.errors import StoreError
from .blobs.ownership import Ownership
from .catalogue.jobs import Board
from .digests import pieces_of, sha256_of
from .failures import refusal_of
from .removals import Removals


class Results:
    """What conversions left in a blob store, and the board that says so.  Thread-safe."""

    def __init__(
        self, board: Board, blobs: Any, ownership: Ownership, removals: Removals, clock_ms: Callable[[], int],
    ) -> None:
        self.board = board
        self._blobs, self._ownership, self._removals, self._clock_ms = blobs, ownership, removals, clock_ms

    def new_key(self) -> str:
        """A fresh key for `put`."""
        return self._blobs.new_key()

    def put(self, key: str, path: str, size: int, sha256: str) -> None:
        """Move the file `path` under `key`.

        Refusal `busy` when the store is away: then the same may be tried again, since the bytes of a key never differ.
        """
        try:
            self._ownership.ensure()
            with open(path, "r+b", buffering=0) as file:  # Windows syncs what may be written
                self._blobs.put(key, file, size, sha256)
        except OSError as error:
            raise refusal_of(error) from error

    def send(self, path: str) -> Optional[str]:
        """Have the store keep the bytes of the file `path` too; their key, None where no other server sees that store."""
        if not self._blobs.is_far:
            return None
        key = self.new_key()
        try:
            self._ownership.ensure()
            with open(path, "rb", buffering=0) as file:
                sha256 = sha256_of(pieces_of(file))
                self._blobs.send(key, file, file.tell(), sha256)
        except OSError as error:
            raise refusal_of(error) from error
        return key

    def lend(self, key: str, path: str) -> None:
        """The bytes of `key` as a new file `path`; FileNotFoundError when they are gone, Refusal `busy`, `no-space`."""
        try:
            self._blobs.lend(key, path)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise refusal_of(error) from error

    @property
    def are_shared(self) -> bool:
        """Whether other servers have the same store."""
        return self._blobs.is_far

    def carry_out(self, key: Optional[str]) -> None:
        """Remove bytes that are noted for it; None is none."""
        if key is not None:
            self._removals.carry_out(key)

    def open(self, row: Any, start: int, stop: int) -> Any:
        """What the bytes `start` to `stop` of a `Posted` are sent from: a descriptor or a `Source`."""
        try:
            self._ownership.ensure()
            return self._blobs.open(row.key, start, stop, row.size)
        except StoreError as error:
            raise refusal_of(error) from error

    def disown(self, key: Optional[str]) -> None:
        """Bytes that no row is to name, though a late write might try; None is none."""
        if key is not None:
            self._removals.disown(key)

    def remove(self, id: str) -> None:
        """End a conversion, and with it what came of it; harmless a second time."""
        self.carry_out(self.board.remove(id, self._clock_ms()))
