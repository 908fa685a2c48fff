"""What the failure of a disk or an engine means for a client.  Raises nothing; the callers raise what it gives."""

from __future__ import annotations

import errno
import sqlite3

from .blobs.errors import StoreDown, StoreError
from .catalogue.errors import CatalogueDown, CatalogueRefused
from .wire.problems import Refusal, is_full

AWAY = (OSError, sqlite3.Error)  # what the catalogue raises that cannot be asked just now
_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)
_FROZEN = "the audio is being moved"  # as the triggers of schema.sql say it


def refusal_of(error: BaseException) -> BaseException:
    """The refusal that an error means: a full disk, no descriptors, an engine elsewhere, a move; any other one as it is."""
    if isinstance(error, sqlite3.IntegrityError) and _FROZEN in str(error):
        return Refusal("busy", "what is kept here is being moved: it can only be read", headers=[("Retry-After", "60")])
    if not isinstance(error, OSError):
        return error
    if isinstance(error, (CatalogueDown, CatalogueRefused)):
        return _busy("the catalogue", isinstance(error, CatalogueDown))
    if isinstance(error, StoreError):
        return _busy("the store of the audio", isinstance(error, StoreDown))
    if is_full(error):
        return Refusal("no-space", "the disk is full")
    if error.errno in _NO_DESCRIPTORS:
        return Refusal("busy", "too many files are open", headers=[("Retry-After", "1")], close=True)
    return error


def _busy(engine: str, is_down: bool) -> Refusal:
    says = "does not answer" if is_down else "refuses: see /health"
    return Refusal("busy", f"{engine} {says}", headers=[("Retry-After", "5")])
