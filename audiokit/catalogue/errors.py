"""What can go wrong behind the catalogue's door, told apart by what somebody can do about it.

A broken constraint is sqlite3.IntegrityError from every engine: they all speak SQLite's SQL.
"""

from __future__ import annotations

import errno


class InDoubt(OSError):
    """A commit failed: the rows are not to be seen now, but might be later."""


class CatalogueDown(InDoubt):
    """Nobody who could answer for the catalogue did so in time; it may later, by itself."""

    def __init__(self, text: str) -> None:
        super().__init__(errno.EHOSTDOWN, text)

    def __str__(self) -> str:
        return self.strerror


class CatalogueRefused(OSError):
    """The engine answers, and will not: a password, a certificate; somebody has to put that right."""

    def __init__(self, text: str) -> None:
        super().__init__(errno.EACCES, text)

    def __str__(self) -> str:
        return self.strerror


class TooSlow(Exception):
    """A read passed its deadline."""
