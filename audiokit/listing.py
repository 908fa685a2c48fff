"""What a caller asks of /list, as a value: filters, order, page.  Pure; knows no SQL.

`parse` reads the query's parameters (docs/api.md, "Filters") into a `Listing`, or raises the Refusal
`bad-parameter` that names the one to blame.  A cursor is the place behind the last record of a page (its sort value
and id), sealed with a digest of the order and the filters that it belongs to.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime, timedelta, timezone
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple, Union
from urllib.parse import quote

from .parameters import bad
from .wire.problems import Refusal

Pairs = List[Tuple[str, str]]
Number = Union[int, float]

DEFAULT_LIMIT = 100  # records a page
MOST_RECORDS = 1000  # a page: half a megabyte
MOST_PARAMETERS = 100  # each may cost a look into an index
MOST_STARS = 4  # of a name pattern: every one multiplies the work of a comparison
MOST_WORDS = 16  # of q
RECORD_FIELDS = (
    "id", "name", "size", "sha256", "uploaded", "uploaded_by", "shared", "container", "codec", "codec_profile", "mime",
    "duration", "duration_exact", "duration_source", "duration_declared", "truncated", "sample_rate", "channels",
    "bits_per_sample", "sample_format", "bitrate", "bitrate_mode", "lossless", "tags", "pictures", "metadata",
    "warnings",
)
SORTS = ("name", "duration", "size", "samplerate", "bitrate", "uploaded")
_SURROGATE = re.compile("[\ud800-\udfff]")
_NUMBERS = ("duration", "size", "samplerate", "channels", "bits", "bitrate")


class Among(NamedTuple):
    """The field is one of the values."""

    field: str
    values: Tuple[Any, ...]


class Between(NamedTuple):
    """The field is in a range, both ends included; None leaves an end open."""

    field: str
    low: Optional[Number]
    high: Optional[Number]


class Named(NamedTuple):
    """The name is one of these, or fits one of these patterns (`*` any run, `?` one character, else literal)."""

    names: Tuple[str, ...]
    patterns: Tuple[str, ...]


class Words(NamedTuple):
    """All words of one of the alternatives occur in name, tags or metadata."""

    alternatives: Tuple[Tuple[str, ...], ...]


class Labelled(NamedTuple):
    """The tag or field of metadata `label` ("tag.artist") has one of the values."""

    label: str
    values: Tuple[str, ...]


Filter = Union[Among, Between, Named, Words, Labelled]


class Listing(NamedTuple):
    """One page that a caller wants."""

    filters: Tuple[Filter, ...] = ()
    sort: str = "uploaded"
    descending: bool = True
    limit: int = DEFAULT_LIMIT
    after: Optional[Tuple[Any, str]] = None  # sort value and id of the last record of the page before
    fields: Optional[Tuple[str, ...]] = None  # None: all of them
    query: str = ""  # the parameters as given, without the cursor
    seal: bytes = b""  # digest of order and filters

    @property
    def is_quick(self) -> bool:
        """Whether an index alone answers it, so that the loop itself may ask."""
        if self.fields is not None or len(self.filters) > 1:
            return False
        if not self.filters:
            return True
        (only,) = self.filters
        if isinstance(only, Between):
            return only.field == self.sort
        if isinstance(only, Among):
            return len(only.values) == 1 and self.sort == "uploaded" and self.descending
        return isinstance(only, Named) and not only.patterns

    def cursor_behind(self, value: Any, id: str) -> str:
        """The cursor of the page behind the record `id` with the sort value `value`."""
        place = json.dumps([value, id]).encode("ascii")
        return urlsafe_b64encode(_digest(self.seal + place) + place).decode("ascii").rstrip("=")

    def next_query(self, cursor: str) -> str:
        """The query of the next page."""
        return (self.query + "&" if self.query else "") + "cursor=" + cursor


def parse(pairs: Pairs) -> Listing:
    """The Listing that these parameters ask for; Refusal `bad-parameter`."""
    if len(pairs) > MOST_PARAMETERS:
        raise bad(pairs[-1][0], f"{len(pairs)} parameters, {MOST_PARAMETERS} are taken")
    given: Dict[str, List[str]] = {}
    for key, value in pairs:
        if not (key in _KNOWN or key[:4] == "tag." and key[4:] or key[:5] == "meta." and key[5:]):
            raise bad(key, f"there is no parameter {key!r} here")
        if not value:
            raise bad(key, f"{key} is empty")
        if _SURROGATE.search(key + value):
            raise bad(key, f"{key} is {value!r}, which no UTF-8 can say")
        if key in _SINGLE and key in given:
            raise bad(key, f"{key} is given twice")
        given.setdefault(key, []).append(value)
    sort, descending = _sort(given.pop("sort", ["-uploaded"])[0])
    limit = _limit(given.pop("limit", [str(DEFAULT_LIMIT)])[0])
    fields = _fields(given.pop("fields", [None])[0])
    cursor = given.pop("cursor", [None])[0]
    filters = tuple(sorted(_filters(given), key=repr))
    query = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in pairs if k != "cursor")
    seal = _digest(repr((sort, descending, filters)).encode("utf-8", "replace"))
    after = None if cursor is None else _unsealed(cursor, seal, sort)
    return Listing(filters, sort, descending, limit, after, fields, query, seal)


# -- values -------------------------------------------------------------------------------------------------


def _whole_number(key: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise bad(key, f"{key} is {text!r}, not a whole number")
    return int(text)


def _seconds(key: str, text: str) -> float:
    if not re.fullmatch(r"(?:[0-9]{1,18}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,2})?", text):
        raise bad(key, f"{key} is {text!r}, not a number of seconds")
    return float(text)


def _truth(key: str, text: str) -> int:
    if text not in ("true", "false"):
        raise bad(key, f"{key} is {text!r}, not true or false")
    return int(text == "true")


def _sha256(key: str, text: str) -> str:
    if not re.fullmatch("[0-9a-fA-F]{64}", text):
        raise bad(key, f"{key} is {text!r}, not 64 hexadecimal digits")
    return text.lower()


def _word(key: str, text: str) -> str:
    if not re.fullmatch(r"[!-~]{1,64}", text):
        raise bad(key, f"{key} is {text!r}, not one word")
    return text.lower()


_DATE = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,40}))?(?:[Zz]|([+ -])(\d\d):(\d\d)))?", re.ASCII
)


def _moment(key: str, text: str, upwards: bool) -> int:
    """RFC 3339 as milliseconds since 1970; what is finer is rounded into the range.  A date alone is its midnight.

    The plus of an offset that nobody escaped has become a space, and can have been nothing else.
    """
    found = _DATE.fullmatch(text)
    if found is None:
        raise bad(key, f"{key} is {text!r}, not a time like 2026-01-31T12:00:00Z")
    year, month, day, hour, minute, second, fraction, sign, hours, minutes = found.groups()
    is_leap = second == "60"
    try:
        numbers = (year, month, day, hour or 0, minute or 0, 59 if is_leap else second or 0)
        moment = datetime(*map(int, numbers), tzinfo=timezone.utc)
        if sign and (int(hours) > 23 or int(minutes) > 59):
            raise ValueError("no such offset")
        shift = (int(hours) * 60 + int(minutes)) * (-1 if sign == "-" else 1) if sign else 0
        whole = (moment - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(seconds=1) - shift * 60 + is_leap
        if is_leap and whole % 86_400:  # section 5.7: it is the last second of a day, UTC, if it is one
            raise ValueError("second must be in 0..59")
    except ValueError as error:
        raise bad(key, f"{key} is {text!r}: {error}")
    fraction = fraction or ""
    finer = upwards and fraction[3:].strip("0") != ""
    return whole * 1000 + int((fraction + "000")[:3]) + finer


def _sort(text: str) -> Tuple[str, bool]:
    key = text[1:] if text[0] == "-" else text
    if key not in SORTS:
        raise bad("sort", f"sort is {text!r}, not one of {' '.join(SORTS)}")
    return key, text[0] == "-"


def _limit(text: str) -> int:
    limit = _whole_number("limit", text)
    if not 1 <= limit <= MOST_RECORDS:
        why = f"limit is {text}, not 1 to {MOST_RECORDS}"
        raise Refusal("bad-parameter", why, parameter="limit", limit=MOST_RECORDS)
    return limit


def _fields(text: Optional[str]) -> Optional[Tuple[str, ...]]:
    if text is None:
        return None
    wanted = text.split(",")
    for field in wanted:
        if field not in RECORD_FIELDS:
            raise bad("fields", f"fields has {field!r}, which is no field of a record")
    return tuple(field for field in RECORD_FIELDS if field in wanted)


# -- filters ------------------------------------------------------------------------------------------------

_VALUES: Dict[str, Callable[[str, str], Any]] = {
    "format": _word, "codec": _word, "sha256": _sha256, "truncated": _truth, "duration": _seconds,
    "size": _whole_number, "samplerate": _whole_number, "channels": _whole_number, "bits": _whole_number,
    "bitrate": _whole_number,
}
_RANGES = {bound + field: field for field in _NUMBERS for bound in ("min", "max")}
_SINGLE = {"sort", "limit", "cursor", "fields", "uploadedafter", "uploadedbefore", *_RANGES}
_KNOWN = {"name", "q", *_VALUES, *_SINGLE}


def _filters(given: Dict[str, List[str]]) -> List[Filter]:
    filters: List[Filter] = []
    ends: Dict[str, List[Optional[Number]]] = {}
    for key, texts in given.items():
        if key == "name":
            filters.append(_named(texts))
        elif key == "q":
            filters.append(Words(tuple(sorted({_words(text) for text in texts}))))
        elif key in _RANGES:
            field = _RANGES[key]
            ends.setdefault(field, [None, None])[key[:3] == "max"] = _VALUES[field](key, texts[0])
        elif key == "uploadedafter":
            ends.setdefault("uploaded", [None, None])[0] = _moment(key, texts[0], True)
        elif key == "uploadedbefore":
            ends.setdefault("uploaded", [None, None])[1] = _moment(key, texts[0], False)
        elif key in _VALUES:
            filters.append(Among(key, tuple(sorted({_VALUES[key](key, text) for text in texts}))))
        else:
            filters.append(Labelled(key, tuple(sorted(set(texts)))))
    return filters + [Between(field, low, high) for field, (low, high) in ends.items()]


def _named(texts: List[str]) -> Named:
    for text in texts:
        if text.count("*") > MOST_STARS:
            raise bad("name", f"name has {text.count('*')} stars, {MOST_STARS} are taken")
    texts = sorted({unicodedata.normalize("NFC", text) for text in texts})
    return Named(
        tuple(text for text in texts if "*" not in text and "?" not in text),
        tuple(text for text in texts if "*" in text or "?" in text),
    )


def _words(text: str) -> Tuple[str, ...]:
    words = tuple(sorted(set(unicodedata.normalize("NFC", text).split())))
    if not words:
        raise bad("q", "q has no word")
    if len(words) > MOST_WORDS:
        raise bad("q", f"q has {len(words)} words, {MOST_WORDS} are taken")
    return words


# -- cursors ------------------------------------------------------------------------------------------------


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:9]  # nothing secret: it tells a cursor of another question, or a typo


def _unsealed(cursor: str, seal: bytes, sort: str) -> Tuple[Any, str]:
    wrong = bad("cursor", "the cursor is not one that this query was given")
    if not re.fullmatch("[A-Za-z0-9_-]{1,4096}", cursor):
        raise wrong
    try:
        data = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        place = data[9:]
        if data[:9] != _digest(seal + place) or urlsafe_b64encode(data).decode("ascii").rstrip("=") != cursor:
            raise wrong
        value, id = json.loads(place.decode("ascii"))
    except (ValueError, TypeError, RecursionError):
        raise wrong from None
    kinds: Any = str if sort == "name" else (int, float)
    if not isinstance(value, kinds) or isinstance(value, bool) or not isinstance(id, str):
        raise wrong
    if isinstance(value, int) and abs(value) >= 1 << 63 or _SURROGATE.search(f"{value}{id}"):
        raise wrong  # nothing that SQLite can hold
    return value, id
