"""The search index: derived from `files`, made by whichever engine can, left out of dumps."""

from __future__ import annotations

from pathlib import Path

SEARCH = Path(__file__).with_name("search.sql")


def is_derived(line: str) -> bool:
    """Whether a line of a dump is of the index."""
    return line.startswith((
        "INSERT INTO sqlite_master", "INSERT INTO \"words", "CREATE TABLE 'words_", "CREATE TABLE \"words_",
        "CREATE TRIGGER words_", "PRAGMA writable_schema", "DELETE FROM \"words",
    ))
