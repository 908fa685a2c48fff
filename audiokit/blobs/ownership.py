"""Whose store it is: a word that the catalogue and the store both have.

Without it a mistyped bucket would be written to, and, worse, collected: all it holds has no row here.  The catalogue's
row is written first, so that of many servers that begin at once one word wins; the store is marked with that.
Raises `StoreRefused` where the two do not belong together, and what the store raises.
"""

from __future__ import annotations

from typing import Any, Optional

from .errors import StoreRefused
from .moving import HOME, thaw, word_of

_READ = "SELECT word, address FROM places WHERE what = 'blobs'"
_WRITE = "INSERT OR IGNORE INTO places (what, word, address) VALUES ('blobs', ?, ?)"


class Ownership:
    """That this catalogue's audio is in this store.  Thread-safe: looking twice does no harm."""

    def __init__(self, catalogue: Any, blobs: Any, may_claim: bool) -> None:
        self._catalogue, self._blobs, self._may_claim = catalogue, blobs, may_claim
        self._word: Optional[str] = None  # once it is sure

    def ensure(self, is_hasty: bool = False) -> None:
        """Be sure, once."""
        if self._word is None and self._blobs.is_far:
            self._word = self._settle(is_hasty)
        elif self._word is None:
            self._stay_at_home()
            self._word = ""
        else:
            return
        if self._may_claim:
            thaw(self._catalogue, self._blobs)

    def ensure_still(self, is_hasty: bool = False) -> None:
        """Be sure anew, by asking the store."""
        self.ensure(is_hasty)
        if self._blobs.is_far:
            mark = self._blobs.mark(is_hasty)
            if mark != self._word:
                raise StoreRefused(f"{self._blobs.text} is no longer the store of this catalogue")

    def _stay_at_home(self) -> None:
        for _, address in self._catalogue.read(_READ):
            raise StoreRefused(f"the audio of this catalogue is in {address}: say where with --blobs, or `db move` it")

    def _settle(self, is_hasty: bool) -> str:
        blobs, text = self._blobs, self._blobs.text
        mark = blobs.mark(is_hasty)
        known = self._catalogue.read(_READ)
        where = known[0][1] if known else HOME
        if where != text and self._catalogue.read("SELECT 1 FROM places WHERE what = 'moving' AND address = ?", (text,)):
            raise StoreRefused(f"not all of the audio has been moved from {where} to {text}: finish that")
        ours = word_of(self._catalogue)
        if mark in (None, ours) and not known and self._may_claim and not self._has_files():
            self._catalogue.write([(_WRITE, (ours, text))])
            known = self._catalogue.read(_READ)
        if not known:
            raise StoreRefused(
                f"{text} belongs to another catalogue" if mark is not None else
                f"the audio of this catalogue is in its folder, not in {text}: `db move` brings it there"
            )
        word, address = known[0]
        if mark is None and self._may_claim and not self._has_files():
            blobs.set_mark(word)
        elif mark is None:
            raise StoreRefused(f"{text} is not the store of this catalogue, whose audio is in {address}")
        elif mark != word:
            raise StoreRefused(f"{text} belongs to another catalogue; the audio of this one is in {address}")
        return word

    def _has_files(self) -> bool:
        return bool(self._catalogue.read("SELECT 1 FROM files LIMIT 1"))
