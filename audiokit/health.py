"""Which engine is ill: the catalogue, the store of the bytes, or the disk.  Looks; changes nothing; raises nothing."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Dict, Optional, Sequence

from .blobs.ownership import Ownership
from .failures import AWAY
from .spool import Spool

LOOK_SECONDS = 3.0  # a far store is asked no more often whether it is well
_PROBE = (  # changes nothing, and has to be written for that
    ("INSERT OR IGNORE INTO removals (key, since_ms) VALUES ('', 0)", ()),
    ("DELETE FROM removals WHERE key = ''", ()),
)


class Health:
    """Of a storage's engines.  Thread-safe: looking twice does no harm."""

    def __init__(
        self, catalogue: Any, ownership: Ownership, spool: Spool, folders: Sequence[Path], is_far: bool
    ) -> None:
        """`folders`: where uploads are written; `is_far`: the bytes are in a store elsewhere, which `ownership` knows."""
        self._catalogue, self._ownership, self._spool, self._is_far = catalogue, ownership, spool, is_far
        self._folders = folders
        self._blobs_looked_at = -LOOK_SECONDS  # s, monotonic
        self._blobs_are: Optional[str] = None

    def wrong(self) -> Dict[str, str]:
        """What is wrong, by the engine that is ill: "catalogue", "blobs", "disk"; empty when nothing is."""
        wrong = {"catalogue": self._of_catalogue(), "blobs": self._of_blobs(), "disk": self._of_disk()}
        return {engine: why for engine, why in wrong.items() if why is not None}

    def _of_catalogue(self) -> Optional[str]:
        if not self._catalogue.is_writing:
            return "the catalogue's writer has ended"
        try:
            if self._catalogue.failure is not None:  # is it still so?  Nobody may write until we say that one can
                self._catalogue.write(_PROBE)
        except AWAY as error:
            return f"the catalogue cannot be written: {error}"
        try:
            self._catalogue.read("SELECT 1 FROM files LIMIT 1")
        except AWAY as error:
            return f"the catalogue cannot be read: {error}"
        return None

    def _of_blobs(self) -> Optional[str]:
        now = time.monotonic()
        if self._is_far and now >= self._blobs_looked_at + LOOK_SECONDS:
            self._blobs_looked_at = now  # who comes while we look is told what was true before
            try:
                self._ownership.ensure_still(is_hasty=True)
                self._blobs_are = None
            except AWAY as error:
                self._blobs_are = str(error)
        return self._blobs_are

    def _of_disk(self) -> Optional[str]:
        try:
            free, kept = self._spool.free, self._spool.kept_free
        except OSError as error:
            return f"the data folder cannot be read: {error}"
        if free <= 0:
            return f"{free + kept} bytes are free on the disk, {kept} are kept free: uploads are refused"
        for folder in self._folders:
            if not os.access(str(folder), os.W_OK | os.X_OK):
                return f"{folder} cannot be written: uploads fail"
        return None
