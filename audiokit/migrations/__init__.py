"""Bringing a catalogue to the version that the program speaks: `NNNN_what.sql` takes it from N-1 to N.

One file is one transaction, and ends by setting `PRAGMA user_version = N`, so that a step that fails leaves
neither tables nor version behind.  There are no steps back: take a backup first.  Works on an open
sqlite3 connection in autocommit mode (isolation_level None).  Raises `MigrationError`.
"""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import Dict, Optional

FOLDER = Path(__file__).parent
_NAME = re.compile(r"([0-9]{4})_[a-z0-9_]+\.sql")


class MigrationError(Exception):
    """The catalogue cannot be brought to the wanted version; it is as it was."""


def steps(folder: Path = FOLDER) -> Dict[int, Path]:
    """The migrations of `folder` by the version they lead to; MigrationError for a gap or a wrong name."""
    found: Dict[int, Path] = {}
    for path in sorted(folder.glob("*.sql")):
        match = _NAME.fullmatch(path.name)
        if match is None:
            raise MigrationError(f"{path.name} is not named NNNN_what.sql")
        number = int(match.group(1))
        if number in found:
            raise MigrationError(f"{path.name} and {found[number].name} have the same number")
        found[number] = path
    if found and sorted(found) != list(range(2, max(found) + 1)):
        raise MigrationError(f"the numbers of the migrations have a gap: {sorted(found)}")
    return found


def version_of(connection: sqlite3.Connection) -> int:
    """The version of the catalogue; 0 for an empty file."""
    return connection.execute("PRAGMA user_version").fetchone()[0]


def version_in(schema: str) -> int:
    """The version that a schema's text sets at its end."""
    found = re.search(r"PRAGMA user_version = ([0-9]+);\s*\Z", schema)
    if found is None:
        raise MigrationError("the schema does not end with its version")
    return int(found.group(1))


def bring_up(connection: sqlite3.Connection, schema: str, folder: Path = FOLDER) -> Optional[int]:
    """Create the catalogue or migrate it to the version of `schema`.

    Returns the version it had before when anything was done (0 for a new one), else None.
    """
    wanted = version_in(schema)
    before = version_of(connection)
    if before > wanted:
        raise MigrationError(f"the catalogue has version {before}, this program speaks {wanted}: use a newer program")
    if before == wanted:
        return None
    if before == 0:
        # Another process may be creating it at this very moment: look again under the lock.
        _run(connection, schema, 0, wanted)
        return 0
    known = steps(folder)
    for version in range(before + 1, wanted + 1):
        if version not in known:
            raise MigrationError(f"no migration leads from version {version - 1} to {version}")
        _run(connection, known[version].read_text("utf-8"), version - 1, version)
    return before


def _run(connection: sqlite3.Connection, script: str, before: int, after: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        if version_of(connection) == before:
            if before == 0 and connection.execute("SELECT 1 FROM sqlite_master").fetchall():
                raise MigrationError("there is a database already, which is no catalogue of ours")
            for statement in statements(script):
                connection.execute(statement)
        if version_of(connection) != after:
            raise MigrationError(f"the step to version {after} leaves version {version_of(connection)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def statements(script: str):
    """The statements of an SQL script, one by one (`executescript` would commit before each script)."""
    pending = ""
    for line in script.splitlines(True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
    if pending.strip() and not all(line.startswith("--") or not line.strip() for line in pending.splitlines()):
        raise MigrationError(f"the script ends inside a statement: {pending.strip()[:60]!r}")
