"""Whether a file is a catalogue of ours.  Asked before something is removed with it; changes nothing.

Raises `NotOurs`.
"""

from __future__ import annotations

import errno
import sqlite3
from contextlib import closing
from pathlib import Path

# Every version since the first has had them, with these columns among theirs.
_ALWAYS = {
    "files": {"n", "id", "owner", "name", "version", "key", "size", "sha256", "uploaded_ms", "record"},
    "labels": {"owner", "label", "value", "file"},
    "removals": {"key", "since_ms"},
    "counters": {"owner", "files", "bytes"},
}


class NotOurs(OSError):
    """The file is something else, or too broken to tell."""


def recognise(path: Path) -> None:
    """Pass where `path` is a catalogue of any version, or the empty file of one whose making was interrupted."""
    if not path.stat().st_size:
        return
    try:
        # "rw" makes nothing, and leaves no -wal and -shm behind as "ro" does.
        with closing(sqlite3.connect(path.resolve().as_uri() + "?mode=rw", uri=True)) as connection:
            why = _strange(connection)
    except sqlite3.Error as error:
        why = str(error)
    if why:
        raise NotOurs(errno.EINVAL, f"this is no catalogue of audioserver ({why}); nothing was removed", str(path))


def _strange(connection: sqlite3.Connection) -> str:
    """Why it is none of ours; "" when it is."""
    for pragma in ("user_version", "application_id"):
        number = connection.execute(f"PRAGMA {pragma}").fetchone()[0]
        if (number < 1) if pragma == "user_version" else number:  # an application id is another's mark: we set none
            return f"its {pragma} is {number}"
    for table, columns in _ALWAYS.items():
        found = {name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")}
        if not found >= columns:
            return f"its table {table} is missing" if not found else f"its table {table} is another one"
    return ""
