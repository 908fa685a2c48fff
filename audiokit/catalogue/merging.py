"""Records of many owners in one order: the walks of all of them, merged.  Pure; knows no SQL.

Each owner's records come in order, some at a time, as the text that SQL joined.  What is compared is what /list sorts by,
and then the id, as in the indexes.
"""

from __future__ import annotations

import heapq
import json
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Tuple

SEPARATOR = ",\n"  # no record has a line end in it, so the last one can be cut off again
LAST = 1 << 62  # stands for an unknown bitrate where it sorts behind all others
_EPOCH = datetime(1970, 1, 1)


def sort_value(record: Dict[str, Any], listing: Any) -> Any:
    """What `listing` sorts a record by, as the catalogue's indexes have it."""
    if listing.sort == "uploaded":
        return (datetime.fromisoformat(record["uploaded"][:-1]) - _EPOCH) // timedelta(milliseconds=1)
    if listing.sort == "bitrate" and record["bitrate"] is None:
        return -1 if listing.descending else LAST
    return record["sample_rate" if listing.sort == "samplerate" else listing.sort]


class Found(NamedTuple):
    """A record on its way into a page of everybody's."""

    value: Any  # what is sorted by
    id: str
    record: str  # JSON
    descending: bool


def merged(walks: Iterable[Walk], most: int) -> List[Found]:
    """The first records of all walks, `most` at most; sees which of them have to go on."""
    walks = list(walks)
    found = list(islice(heapq.merge(*walks, key=_place_in), most))
    edge = _place_in(found[-1]) if len(found) == most else None
    for walk in walks:
        walk.look(edge)
    return found


class Walk:
    """An owner's records in order, as far as they were fetched; each is looked at when its turn comes."""

    def __init__(self, listing: Any) -> None:
        self.listing = listing  # of what comes next
        self.is_wanting = True
        self._lines: List[str] = []
        self._found: List[Found] = []  # the first of them
        self._has_more = True

    def __iter__(self) -> Iterator[Found]:
        for number, line in enumerate(self._lines):
            if number == len(self._found):
                self._found.append(self._of(line))
            yield self._found[number]

    def _of(self, line: str) -> Found:
        record = json.loads(line)
        return Found(sort_value(record, self.listing), record["id"], line, self.listing.descending)

    def add(self, text: str, batch: int) -> None:
        """The next records, as SQL joined them: one more than the batch has says that there are more."""
        lines = text.split(SEPARATOR) if text else []
        self._has_more = len(lines) > batch
        self._lines += lines[:batch]

    def look(self, edge: Any) -> None:
        """More is wanted where it may come before the last record of the page (None: there is none yet)."""
        self.is_wanting = False
        if self._has_more and len(self._found) == len(self._lines):  # else its last one was not even looked at
            last = self._found[-1]
            self.is_wanting = edge is None or _place_in(last) < edge
            self.listing = self.listing._replace(after=(last.value, last.id))


class _Descending:
    """A text that sorts the other way round."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: Any) -> bool:
        return self.text == other.text

    def __lt__(self, other: _Descending) -> bool:
        return other.text < self.text


def _place_in(found: Found) -> Tuple[Any, str]:
    """What a merge compares: ties go by ascending id in either direction, as in the indexes."""
    value = found.value
    if found.descending:
        value = _Descending(value) if isinstance(value, str) else -value
    return value, found.id
