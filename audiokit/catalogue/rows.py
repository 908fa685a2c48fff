"""A file's row and labels out of its record.  Pure: everything that the catalogue searches by is derived here.

A record is the dictionary of docs/api.md; its JSON text is what callers get.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from datetime import datetime, timezone
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

LONGEST_LABEL = 64  # characters that a label's value keeps as it is: an index of lyrics would outgrow the rows
LONGEST_SEARCH = 32 << 10  # characters of a file's search text: name and metadata whole, lyrics perhaps not


class Row(NamedTuple):
    """The columns of schema.sql's `files`, `n` apart."""

    id: str
    owner: int
    name: str
    version: int
    key: str
    size: int
    sha256: str
    uploaded_ms: int
    family: str
    codec: str
    mime: str
    duration: float
    sample_rate: int
    channels: int
    bits: Optional[int]
    bitrate: Optional[int]
    truncated: int
    search: str
    record: str
    shared: int


class File(NamedTuple):
    """A row as changes need it."""

    id: str
    version: int
    key: str
    sha256: str
    size: int
    uploaded_ms: int
    family: str
    record: str
    owner: int
    shared: int


FILE = f"SELECT {', '.join(File._fields)} FROM files WHERE "
Statement = Tuple[str, Tuple[Any, ...]]

# Both take the values of one row, or of many (crowds.py).
# A key that is noted for removal never comes back, also when the write of its row was delayed or is repeated.
_INSERT = (
    f"INSERT INTO files ({', '.join(Row._fields)}) "
    f"SELECT {', '.join(f'column{number}' for number, _ in enumerate(Row._fields, 1))} "
    f"FROM (VALUES ({', '.join('?' * len(Row._fields))})) "
    f"WHERE NOT EXISTS (SELECT 1 FROM removals WHERE key = column{Row._fields.index('key') + 1}) "
    "ON CONFLICT DO NOTHING"
)
_UPDATE = f"UPDATE files SET {', '.join(column + ' = ?' for column in Row._fields)} WHERE id = ? AND version = ?"
# Other bytes came now: the file goes to the end of the numbers, which rise with time.  `search` is named although it
# stays, so that the search index goes along (search.sql).
_MOVE = (
    "UPDATE files SET n = (SELECT max(n) + 1 FROM files), uploaded_ms = ?, search = search "
    "WHERE id = ? AND version = ? AND uploaded_ms <> ?"
)
_DROP_LABELS = "DELETE FROM labels WHERE file = (SELECT n FROM files WHERE id = ? AND version = ?)"
_ADD_LABEL = (
    "INSERT OR IGNORE INTO labels (owner, label, value, uploaded_ms, file) "
    "SELECT owner, column1, column2, column3, n FROM (VALUES (?, ?, ?, ?, ?)) "
    "CROSS JOIN files ON id = column4 AND version = column5"
)
_NOTE_REMOVAL = "INSERT OR IGNORE INTO removals (key, since_ms) SELECT key, ? FROM files WHERE id = ? AND version = ?"


def added(record: Dict[str, Any], row: Row) -> List[Statement]:
    """What adds a file; the first count is 0 when its name is taken."""
    return [(_INSERT, row), *_labels(record, row, row.version)]


def changed(record: Dict[str, Any], row: Row, version: int) -> List[Statement]:
    """What makes the file that has this `version` into `row`; the last count is 0 when it has another by now."""
    return [
        (_DROP_LABELS, (row.id, version)), (_MOVE, (row.uploaded_ms, row.id, version, row.uploaded_ms)),
        *_labels(record, row, version), (_UPDATE, (*row, row.id, version)),
    ]


def noted(id: str, version: int, now_ms: int) -> Statement:
    """What notes that the bytes of a file are to be removed; before its row goes or changes."""
    return _NOTE_REMOVAL, (now_ms, id, version)


def _labels(record: Dict[str, Any], row: Row, version: int) -> List[Statement]:
    return [(_ADD_LABEL, (label, value, row.uploaded_ms, row.id, version)) for label, value in labels_of(record)]


def as_text(record: Dict[str, Any]) -> str:
    """The record as one line of JSON."""
    text = json.dumps(record, ensure_ascii=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # half a surrogate pair in some tag
        return json.dumps(record)
    return text


def when(milliseconds: int) -> str:
    """Milliseconds since 1970 as RFC 3339, UTC."""
    seconds, rest = divmod(milliseconds, 1000)
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S") + ".%03dZ" % rest


def label_value(value: str) -> str:
    """What `labels` keeps of a value, and looks up: itself, or for a long one its digest."""
    value = whole(value)
    if len(value) <= LONGEST_LABEL:
        return value
    return "sha256:" + hashlib.sha256(value.encode("utf-8")).hexdigest()


def labels_of(record: Dict[str, Any]) -> List[Tuple[str, str]]:
    """(label, value) of every tag and field of metadata, each once."""
    found = {("tag." + whole(key), label_value(value)) for key, value in _each(record["tags"])}
    found |= {("meta." + whole(key), label_value(value)) for key, value in _each(record["metadata"])}
    return sorted(found)


def search_of(record: Dict[str, Any]) -> str:
    """Name, metadata and tags, case-folded, one a line: a word never spans two of them."""
    lines = [record["name"]]
    lines += [value for _, value in _each(record["metadata"])]
    lines += [value for _, value in _each(record["tags"])]
    return fold("\n".join(lines))[:LONGEST_SEARCH]


def fold(text: str) -> str:
    """Text without the difference of upper and lower case."""
    return whole(text).casefold()


def row_of(record: Dict[str, Any], *, owner: int, key: str, uploaded_ms: int, family: str, version: int) -> Row:
    """The row of a record."""
    return Row(
        id=record["id"], owner=owner, name=record["name"], version=version, key=key, size=record["size"],
        sha256=record["sha256"], uploaded_ms=uploaded_ms, family=family, codec=record["codec"], mime=record["mime"],
        duration=record["duration"], sample_rate=record["sample_rate"], channels=record["channels"],
        bits=record["bits_per_sample"], bitrate=record["bitrate"], truncated=int(record["truncated"]),
        search=search_of(record), record=as_text(record), shared=int(record["shared"]),
    )


def _each(values: Dict[str, Any]) -> Iterator[Tuple[str, str]]:
    for key, value in values.items():
        for one in value if isinstance(value, (list, tuple)) else (value,):
            yield key, one


def whole(text: str) -> str:
    """Text as it is compared: no NUL, no half of a surrogate pair, and one spelling of what looks the same (NFC).

    Names and questions are NFC already; tags are as some program wrote them, and macOS takes letters apart.
    """
    if text.isascii():
        return text.replace("\0", " ")
    return unicodedata.normalize("NFC", text.replace("\0", " ").encode("utf-8", "replace").decode("utf-8"))
