"""Pages of /list out of the catalogue: how a `Listing` becomes SQL, and which way is cheapest.

There are two ways to a page that is filtered by A and ordered by B.  *Gathering* takes all rows of A from A's index
and sorts them; *walking* goes along B's index and skips what is not of A.  SQLite guesses between them, and guesses
wrong by seconds on a million rows; so we count A first, up to a cap, and choose.  A walk for `limit` rows looks at
about limit * rows / count(A) of them, gathering at count(A).

Answering is copying: SQL joins the ready records to one text.  Raises TooSlow.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from datetime import datetime, timedelta, timezone
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from .rows import fold, label_value

TOTAL_CAP = 10_000  # beyond this a total is not counted
_SEPARATOR = ",\n"  # no record has a line end in it, so the last one can be cut off again
_REMEMBERED = 1000  # counts that are kept
_STALE = 200  # commits after which a count is too old even for choosing a way
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_LAST = 1 << 62  # stands for an unknown bitrate where it sorts behind all others


class Page(NamedTuple):
    """One page of records."""

    records: str  # JSON objects with commas between them
    total: int  # of all that fit the filters; at least, when not exact
    total_exact: bool
    next_cursor: Optional[str]


class _Order(NamedTuple):
    expression: str
    index: str


# (sort, descending): what is compared, and the index that has it in order.
_ORDERS = {
    ("name", False): _Order("f.name", "files_by_name"),
    ("name", True): _Order("f.name", "files_by_name"),
    ("uploaded", False): _Order("f.uploaded_ms", "files_by_uploaded"),
    ("uploaded", True): _Order("f.uploaded_ms", "files_by_uploaded_down"),
    ("duration", False): _Order("f.duration", "files_by_duration"),
    ("duration", True): _Order("f.duration", "files_by_duration_down"),
    ("size", False): _Order("f.size", "files_by_size"),
    ("size", True): _Order("f.size", "files_by_size_down"),
    ("samplerate", False): _Order("f.sample_rate", "files_by_samplerate"),
    ("samplerate", True): _Order("f.sample_rate", "files_by_samplerate_down"),
    ("bitrate", False): _Order("coalesce(f.bitrate, 4611686018427387904)", "files_by_bitrate"),
    ("bitrate", True): _Order("coalesce(f.bitrate, -1)", "files_by_bitrate_down"),
}
# field: (column, index of equality in the default order, index of ranges)
_COLUMNS = {
    "format": ("f.family", "files_of_family", "files_of_family"),
    "codec": ("f.codec", "files_of_codec", "files_of_codec"),
    "samplerate": ("f.sample_rate", "files_of_samplerate", "files_by_samplerate"),
    "channels": ("f.channels", "files_of_channels", "files_of_channels"),
    "bits": ("f.bits", "files_of_bits", "files_of_bits"),
    "truncated": ("f.truncated", "files_of_truncated", "files_of_truncated"),
    "sha256": ("f.sha256", "files_of_sha256", "files_of_sha256"),
    "duration": ("f.duration", None, "files_by_duration"),
    "size": ("f.size", None, "files_by_size"),
    "bitrate": ("coalesce(f.bitrate, 4611686018427387904)", None, "files_by_bitrate"),
    "uploaded": ("f.uploaded_ms", None, "files_by_uploaded_down"),
}


class _Clause(NamedTuple):
    """One filter as SQL over `files f`."""

    sql: str
    params: Tuple[Any, ...]
    source: Optional[str]  # what FROM names to start from this filter; None: no index helps
    source_params: Tuple[Any, ...] = ()
    is_exact: bool = False  # the source gives exactly the rows of this filter
    in_order: bool = False  # and gives them in the default order
    sort: Optional[str] = None  # the sort whose index is this filter's own


def _indexed(index: str) -> str:
    return f"files f INDEXED BY {index}"


class Pages:
    """Answers listings from a catalogue, and remembers what it counted."""

    def __init__(self, catalogue: Any, seconds: float, families: Dict[str, str], cap: int = TOTAL_CAP) -> None:
        """`seconds` is how long a query may take; `families` says what words of `format` mean."""
        self._catalogue, self._seconds, self._families, self._cap = catalogue, seconds, families, cap
        self._counted: OrderedDict = OrderedDict()
        self._lock = threading.Lock()

    def page(self, listing: Any, owner: int) -> Page:
        """The records that `listing` asks for, of `owner`'s."""
        clauses, way, sql, params = self._planned(listing, owner)
        text, count = self._read(sql, params)[0]
        text = text or ""
        cursor = None
        if count > listing.limit:
            text = text.rpartition(_SEPARATOR)[0]
            last = json.loads(text[text.rfind(_SEPARATOR) + 2 if listing.limit > 1 else 0:])
            cursor = listing.cursor_behind(_sort_value(last, listing), last["id"])
        if cursor is None and listing.after is None:
            total = count
        else:
            total = self._total(clauses, way, owner)
        if listing.fields is not None and text:
            text = _narrowed(text, listing.fields)
        is_exact = total <= self._cap or not clauses
        return Page(text, total if is_exact else self._cap, is_exact, cursor)

    def statement(self, listing: Any, owner: int) -> Tuple[str, Tuple[Any, ...]]:
        """The SQL that gives the page, and what is bound in it: for those who measure or explain it."""
        return self._planned(listing, owner)[2:]

    def _planned(self, listing: Any, owner: int) -> Tuple[List[_Clause], _Way, str, Tuple[Any, ...]]:
        clauses = [self._clause(filter, owner) for filter in listing.filters]
        way = self._way(clauses, listing, owner)
        return (clauses, way, *_select(way, clauses, listing, owner))

    def _read(self, sql: str, params: Tuple[Any, ...]) -> List[tuple]:
        return self._catalogue.read(sql, params, self._seconds)

    # -- counting --------------------------------------------------------------------------------------

    def _total(self, clauses: List[_Clause], way: _Way, owner: int) -> int:
        if not clauses:
            rows = self._catalogue.read("SELECT files FROM counters WHERE owner = ?", (owner,))
            return rows[0][0] if rows else 0
        start = way.start or next((c for c in clauses if c.source), None)
        source = start.source if start and start.source else _indexed("files_by_uploaded_down")
        sql, params = _where(clauses, owner)
        return self._count(source, sql, (start.source_params if start else ()) + params, 0)

    def _count(self, source: str, where: str, params: Tuple[Any, ...], staleness: int) -> int:
        """How many rows, up to one more than the cap; from memory when at most `staleness` commits old."""
        key = (source, where, params)
        generation = self._catalogue.generation
        with self._lock:
            known = self._counted.get(key)
            if known is not None and generation - known[0] <= staleness:
                self._counted.move_to_end(key)
                return known[1]
        sql = f"SELECT count(*) FROM (SELECT 1 FROM {source} WHERE {where} LIMIT {self._cap + 1})"
        count = self._read(sql, params)[0][0]
        with self._lock:
            self._counted[key] = (generation, count)
            self._counted.move_to_end(key)
            if len(self._counted) > _REMEMBERED:
                self._counted.popitem(last=False)
        return count

    # -- choosing --------------------------------------------------------------------------------------

    def _way(self, clauses: List[_Clause], listing: Any, owner: int) -> _Way:
        order = _ORDERS[listing.sort, listing.descending]
        walk = _Way(None, _indexed(order.index), False)
        usable = [clause for clause in clauses if clause.source is not None]
        is_default = listing.sort == "uploaded" and listing.descending
        if not usable:
            return walk
        if len(clauses) == 1:
            (only,) = usable
            if only.sort == listing.sort:
                return walk  # the walk begins and ends where the range does
            if only.in_order and is_default:
                return _Way(only, only.source, False)
        counts = [(self._count_source(clause, owner), n) for n, clause in enumerate(usable)]
        fewest, n = min(counts)
        start = usable[n]
        rows = self._catalogue.read("SELECT files FROM counters WHERE owner = ?", (owner,))
        walked = listing.limit * (rows[0][0] if rows else 0) / max(fewest, 1)
        if fewest <= self._cap and fewest <= walked:
            return _Way(start, start.source, True)
        if start.in_order and is_default:
            return _Way(start, start.source, False)
        return walk

    def _count_source(self, clause: _Clause, owner: int) -> int:
        where = "f.owner = ? AND " + clause.sql if clause.is_exact else "f.owner = ?"
        params = (owner, *clause.params) if clause.is_exact else (owner,)
        return self._count(clause.source or "", where, clause.source_params + params, _STALE)

    # -- filters as SQL --------------------------------------------------------------------------------

    def _clause(self, filter: Any, owner: int) -> _Clause:
        kind = type(filter).__name__
        if kind == "Among":
            return self._among(filter)
        if kind == "Between":
            return _between(filter)
        if kind == "Labelled":
            return _labelled(filter, owner)
        if kind == "Named":
            return self._named(filter)
        return self._words(filter)

    def _among(self, filter: Any) -> _Clause:
        column, equal_index, range_index = _COLUMNS[filter.field]
        values = filter.values
        if filter.field == "format":
            values = tuple(sorted({self._families.get(value, value) for value in values}))
        return _Clause(
            _one_of(column, values), values, _indexed(equal_index or range_index), is_exact=True,
            in_order=equal_index is not None and len(values) == 1,
        )

    def _named(self, filter: Any) -> _Clause:
        if not filter.patterns:
            return _Clause(
                _one_of("f.name", filter.names), filter.names, _indexed("files_by_name"), is_exact=True
            )
        parts = [_one_of("f.name", filter.names)] if filter.names else []
        params = list(filter.names)
        for pattern in filter.patterns:
            parts.append("f.name GLOB ?")
            params.append(pattern.replace("[", "[[]"))
        sql = "(" + " OR ".join(parts) + ")"
        if len(parts) > 1:
            return _Clause(sql, tuple(params), None)
        return self._patterned(filter.patterns[0], sql, params)

    def _patterned(self, pattern: str, sql: str, params: List[str]) -> _Clause:
        runs = pattern.replace("?", "*").split("*")
        if runs[0]:
            sql = f"({sql} AND f.name >= ?"
            params = [*params, runs[0]]
            end = _behind(runs[0])
            if end is not None:
                sql += " AND f.name < ?"
                params.append(end)
            return _Clause(sql + ")", tuple(params), _indexed("files_by_name"), is_exact=True)
        found = self._trigrams([fold(run) for run in runs])
        return _Clause(sql, tuple(params), *found)

    def _words(self, filter: Any) -> _Clause:
        parts, params = [], []
        for words in filter.alternatives:
            folded = [fold(word) for word in words]
            parts.append("(" + " AND ".join(["instr(f.search, ?) > 0"] * len(folded)) + ")")
            params += folded
        sql = "(" + " OR ".join(parts) + ")"
        if len(filter.alternatives) > 1:
            return _Clause(sql, tuple(params), None)
        return _Clause(sql, tuple(params), *self._trigrams(params))

    def _trigrams(self, runs: List[str]) -> Tuple[Optional[str], Tuple[Any, ...]]:
        """A source of the rows whose search text has all trigrams of the runs, None without any."""
        grams = sorted({run[n:n + 3] for run in runs for n in range(len(run) - 2)})
        if not grams or not self._catalogue.has_trigrams:
            return None, ()
        match = " AND ".join('"' + gram.replace('"', '""') + '"' for gram in grams[:64])
        return "(SELECT rowid AS n FROM words WHERE words MATCH ?) d CROSS JOIN files f ON f.n = d.n", (match,)


class _Way(NamedTuple):
    start: Optional[_Clause]  # the filter whose index is used, None for the order's own
    source: str
    sorts: bool  # gather and sort, instead of walking in order


def _between(filter: Any) -> _Clause:
    column, _, index = _COLUMNS[filter.field]
    parts, params = [], []
    if filter.low is not None:
        parts.append(f"{column} >= ?")
        params.append(filter.low)
    if filter.high is not None or filter.field == "bitrate":  # an unknown one is in no range
        parts.append(f"{column} <= ?")
        params.append(filter.high if filter.high is not None else _LAST - 1)
    if filter.low is None and filter.field == "bits":
        parts.append(f"{column} >= 0")
    return _Clause(
        " AND ".join(parts), tuple(params), _indexed(index), is_exact=True, sort=filter.field,
    )


def _labelled(filter: Any, owner: int) -> _Clause:
    values = tuple(sorted({label_value(value) for value in filter.values}))
    label = fold_label(filter.label)
    one_of = _one_of("l.value", values)
    return _Clause(
        f"EXISTS (SELECT 1 FROM labels l WHERE l.owner = f.owner AND l.label = ? AND {one_of} AND l.file = f.n)",
        (label, *values),
        f"(SELECT DISTINCT l.file AS n FROM labels l WHERE l.owner = ? AND l.label = ? AND {one_of}) d "
        "CROSS JOIN files f ON f.n = d.n",
        (owner, label, *values),
    )


def fold_label(label: str) -> str:
    """A label as the catalogue can compare it: no half of a surrogate pair."""
    return label.replace("\0", " ").encode("utf-8", "replace").decode("utf-8")


def _one_of(column: str, values: Tuple[Any, ...]) -> str:
    if len(values) == 1:
        return f"{column} = ?"
    return f"{column} IN ({', '.join('?' * len(values))})"


def _behind(prefix: str) -> Optional[str]:
    """The least text behind all that begin with `prefix`."""
    last = ord(prefix[-1]) + 1
    if last == 0xD800:
        last = 0xE000
    return prefix[:-1] + chr(last) if last <= 0x10FFFF else None


# -- the statement ------------------------------------------------------------------------------------------


def _where(clauses: List[_Clause], owner: int) -> Tuple[str, Tuple[Any, ...]]:
    sql = " AND ".join(["f.owner = ?", *(clause.sql for clause in clauses)])
    return sql, (owner, *(value for clause in clauses for value in clause.params))


def _select(way: _Way, clauses: List[_Clause], listing: Any, owner: int) -> Tuple[str, Tuple[Any, ...]]:
    order = _ORDERS[listing.sort, listing.descending]
    where, params = _where(clauses, owner)
    params = (way.start.source_params if way.start else ()) + params
    direction, beyond = (" DESC", "<") if listing.descending else ("", ">")
    limit = listing.limit + 1
    by = f"{order.expression}{direction}" + ("" if listing.sort == "name" else ", f.id")
    at, at_params, behind, behind_params = _place(listing, order.expression, beyond)
    if way.sorts:
        where += f" AND ({at} OR {behind})" if at else ""
        inner = f"SELECT f.n FROM {way.source} WHERE {where} ORDER BY {by} LIMIT {limit}"
        inner = f"SELECT r.record FROM ({inner}) g CROSS JOIN files r ON r.n = g.n"
        return _joined(inner), params + at_params + behind_params
    if not at:
        return _joined(f"SELECT f.record FROM {way.source} WHERE {where} ORDER BY {by} LIMIT {limit}"), params
    rest = f"SELECT * FROM (SELECT f.record FROM {way.source} WHERE {where} AND %s ORDER BY %s LIMIT {limit})"
    inner = (rest % (at, "f.id")) + " UNION ALL " + (rest % (behind, by)) + f" LIMIT {limit}"
    return _joined(inner), params + at_params + params + behind_params


def _place(listing: Any, expression: str, beyond: str) -> Tuple[str, tuple, str, tuple]:
    """What holds the page behind the cursor: among equals of the last record, or beyond them."""
    if listing.after is None:
        return "", (), "", ()
    value, id = listing.after
    return f"({expression} = ? AND f.id > ?)", (value, id), f"{expression} {beyond} ?", (value,)


def _joined(inner: str) -> str:
    return f"SELECT group_concat(record, ',' || char(10)), count(*) FROM ({inner})"


def _sort_value(record: Dict[str, Any], listing: Any) -> Any:
    if listing.sort == "uploaded":
        moment = datetime.strptime(record["uploaded"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
        return (moment - _EPOCH) // timedelta(milliseconds=1)
    if listing.sort == "bitrate" and record["bitrate"] is None:
        return -1 if listing.descending else _LAST
    return record["sample_rate" if listing.sort == "samplerate" else listing.sort]


def _narrowed(text: str, fields: Tuple[str, ...]) -> str:
    records = json.loads("[" + text + "]")
    return _SEPARATOR.join(
        json.dumps({field: record[field] for field in fields}, ensure_ascii=False) for record in records
    )
