"""What can go wrong with a store on another machine, told apart by what somebody can do about it.

    StoreError     (an OSError: whoever guards against a disk that fails guards against this)
      StoreDown    it does not answer, or says that it cannot now: it may later, by itself
      StoreRefused it answers, and will not: keys, region, bucket, clock; somebody has to put that right

That an object is not there is a FileNotFoundError, and only said when the store says just that.
"""

from __future__ import annotations

import errno


class StoreError(OSError):
    """The store did not do what was asked of it; the text says what it answered."""

    def __init__(self, text: str) -> None:
        super().__init__(errno.EIO, text)

    def __str__(self) -> str:
        return self.strerror


class StoreDown(StoreError):
    """It cannot be reached, or says that it cannot now."""


class StoreRefused(StoreError):
    """It answers, and will not."""
