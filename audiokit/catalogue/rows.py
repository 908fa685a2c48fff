"""A file's row and labels out of its record.  Pure: everything that the catalogue searches by is derived here.

A record is the dictionary of docs/api.md; its JSON text is what callers get.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timezone
from typing import Any, Dict, Iterator, List, Tuple

COLUMNS = (
    "id", "owner", "name", "version", "key", "size", "sha256", "uploaded_ms", "family", "codec", "mime",
    "duration", "sample_rate", "channels", "bits", "bitrate", "truncated", "search", "record",
)
LONGEST_LABEL = 64  # characters that a label's value keeps as it is: an index of lyrics would outgrow the rows
LONGEST_SEARCH = 32 << 10  # characters of a file's search text: name and metadata whole, lyrics perhaps not


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
    if len(value) <= LONGEST_LABEL:
        return _whole(value)
    return "sha256:" + hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()


def labels_of(record: Dict[str, Any]) -> List[Tuple[str, str]]:
    """(label, value) of every tag and field of metadata, each once."""
    found = {("tag." + _whole(key), label_value(value)) for key, value in _each(record["tags"])}
    found |= {("meta." + _whole(key), label_value(value)) for key, value in _each(record["metadata"])}
    return sorted(found)


def search_of(record: Dict[str, Any]) -> str:
    """Name, metadata and tags, case-folded, one a line: a word never spans two of them."""
    lines = [record["name"]]
    lines += [value for _, value in _each(record["metadata"])]
    lines += [value for _, value in _each(record["tags"])]
    return fold("\n".join(lines))[:LONGEST_SEARCH]


def fold(text: str) -> str:
    """Text without the difference of upper and lower case."""
    return _whole(text).casefold()


def row_of(record: Dict[str, Any], *, owner: int, key: str, uploaded_ms: int, family: str, version: int) -> tuple:
    """The values of COLUMNS."""
    return (
        record["id"], owner, record["name"], version, key, record["size"], record["sha256"], uploaded_ms, family,
        record["codec"], record["mime"], record["duration"], record["sample_rate"], record["channels"],
        record["bits_per_sample"], record["bitrate"], int(record["truncated"]), search_of(record), as_text(record),
    )


def _each(values: Dict[str, Any]) -> Iterator[Tuple[str, str]]:
    for key, value in values.items():
        for one in value if isinstance(value, (list, tuple)) else (value,):
            yield key, one


def _whole(text: str) -> str:
    """Text that SQLite can hold and index: no NUL, no half of a surrogate pair."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode("utf-8")
