"""A small upload that is in memory until it is kept: what `Upload` (spool.py) is, without a file.

Only for a body that is here whole: one that is still to come would hold memory for as long as its sender likes.  Nothing
of it has to be undone.  Raises nothing.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any


class Held:
    """The bytes of one upload."""

    def __init__(self) -> None:
        self.file = BytesIO()
        self.written = 0  # bytes

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def write(self, data: Any) -> None:
        """Append bytes."""
        self.written += self.file.write(data)

    def settle(self) -> None:
        """All that was written is there."""

    def discard(self) -> None:
        """Nothing is left of it."""

    def give_away(self) -> None:
        """The blob store has the bytes."""
