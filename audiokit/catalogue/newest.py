"""Pages newest first where no index has just these files in that order: ranges, words, one of several values.

All of them find a *floor* first, a time that is as old as the last record of the page or older, and then sort only the
files above it.

    several values   each value's index is in order; the page is no older than the 101st of any one of them
    blocks, words    they give files by number, newest first; the page is no older than the oldest of the first 101

Numbers (`files.n`) rise with every upload, and so do times, nearly: a clock may be set back, and of two uploads the
first may end last.  `counters.disorder_ms` says by how much at most a file is older than one with a smaller number.
So everything above a time has a number above that of any file which is older than the time by more than that.  It is
read in the same statement: an upload that raises it meanwhile is seen with it or not at all.

Pure: makes SQL, asks nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Optional, Tuple

BLOCK_BITS = 12  # as in schema.sql
BLOCK = 1 << BLOCK_BITS  # numbers
_BEFORE_ALL = -(1 << 62)  # milliseconds; before every time

Query = Tuple[str, Tuple[Any, ...]]


class Stream(NamedTuple):
    """A filter's files by number, newest first; `{low}` and `{high}` bound the numbers, both not included."""

    source: str  # what FROM names
    where: str = ""
    params: Tuple[Any, ...] = ()
    by: str = ""  # the ORDER BY of one in order; else blocks are in order, and what is in them is not


class Values(NamedTuple):
    """A filter's files as those of several values, each in order in one index."""

    each: str  # the values as a body of WITH RECURSIVE each_value (v)
    params: Tuple[Any, ...]
    source: str  # what FROM names
    value: str  # what is compared with each


class Wanted(NamedTuple):
    """What is wanted of either: the rows that fit, `limit` of them, behind a cursor or within times."""

    where: str  # over `files f`, the owner's
    params: Tuple[Any, ...]
    owner: int
    limit: int
    oldest: Optional[Any]  # milliseconds, both included; None leaves an end open
    latest: Optional[Any]


def blocks_of(index: str) -> Stream:
    """The files of a range out of an index by blocks."""
    blocks = (
        f"WITH RECURSIVE blocks (b) AS (SELECT ({{high}} - 1) >> {BLOCK_BITS} "
        f"UNION ALL SELECT b - 1 FROM blocks WHERE b > {{low}} >> {BLOCK_BITS}) SELECT b FROM blocks"
    )
    source = f"({blocks}) d CROSS JOIN files f INDEXED BY {index} ON f.n >> {BLOCK_BITS} = d.b"
    return Stream(source)


def words_of(match: str) -> Stream:
    """The files that the index of words gives for `match`."""
    where = (  # to ask for nothing costs nothing
        "words MATCH CASE WHEN {low} + 1 < {high} THEN ? ELSE '\"\"' END "
        "AND words.rowid > {low} AND words.rowid < {high} AND "
    )
    return Stream("words CROSS JOIN files f ON f.n = words.rowid", where, (match,), " ORDER BY words.rowid DESC")


def given(values: Tuple[Any, ...], column: str, index: str) -> Values:
    """The files that have one of the values."""
    each = " UNION ALL ".join(["SELECT ?"] * len(values))
    return Values(each, values, f"files f INDEXED BY {index}", column)


def within(low: Optional[Any], high: Optional[Any], owner: int, column: str, index: str) -> Values:
    """The files that have a value in a range, where there are few of them: each is looked up behind the one before."""
    least = f"SELECT {column} FROM files f INDEXED BY {index} WHERE f.owner = ? AND {column}"
    below = f" AND {column} <= ?" if high is not None else ""
    end = f"{below} ORDER BY {column} LIMIT 1"
    bound = [high] if high is not None else []
    # One lower bound at a time: of two, SQLite walks from the one and compares with the other.
    first, begin = (" >= ?", [low]) if low is not None else (" IS NOT NULL", [])
    each = (
        f"SELECT ({least}{first}{end}) "
        f"UNION ALL SELECT ({least} > e.v{end}) FROM each_value e WHERE e.v IS NOT NULL"
    )
    return Values(each, (owner, *begin, *bound, owner, *bound), f"files f INDEXED BY {index}", column)


def by_number(stream: Stream, wanted: Wanted) -> Query:
    """The numbers of the page's files out of a stream."""
    low, low_params = _below(wanted, "?", (wanted.oldest,)) if wanted.oldest is not None else ("0", ())
    high, high_params = _above(wanted)
    floor, floor_params = _below(wanted, "oldest", ())
    once = stream.params + wanted.params
    found = _from(stream, wanted, "(SELECT low FROM ends)", "(SELECT high FROM ends)")
    if stream.by:  # what was found is whole: only what is between it and the floor is missing
        rest = _from(stream, wanted, "(SELECT low FROM floor)", "(SELECT high FROM floor)")
        page = f"SELECT n FROM (SELECT n, ms, id FROM found UNION ALL SELECT f.n, f.uploaded_ms, f.id FROM {rest})"
        by = "ms DESC, id"
    else:
        page = "SELECT f.n FROM " + _from(stream, wanted, "(SELECT low FROM floor)", "(SELECT high FROM ends)")
        by = "f.uploaded_ms DESC, f.id"
    sql = (
        "WITH late (ms) AS (SELECT coalesce(max(disorder_ms), 0) FROM counters WHERE owner = ?), "
        f"ends (low, high) AS (SELECT {low}, {high}), "
        f"found (n, ms, id) AS (SELECT f.n, f.uploaded_ms, f.id FROM {found}{stream.by} LIMIT {wanted.limit}), "
        f"floor (low, high) AS (SELECT CASE WHEN count < {wanted.limit} THEN low ELSE {floor} END, "
        f"CASE WHEN count < {wanted.limit} THEN low ELSE least END "
        "FROM ends, (SELECT count(*) AS count, min(ms) AS oldest, min(n) AS least FROM found)) "
        f"{page} ORDER BY {by} LIMIT {wanted.limit}"
    )
    return sql, (wanted.owner, *low_params, *high_params, *once, *floor_params, *once)


def _from(stream: Stream, wanted: Wanted, low: str, high: str) -> str:
    where = stream.where.format(low=low, high=high)
    return f"{stream.source.format(low=low, high=high)} WHERE {where}{wanted.where}"


def by_value(values: Values, wanted: Wanted) -> Query:
    """The numbers of the page's files out of those of several values."""
    here = f"{values.value} = e.v AND {wanted.where}"
    params = wanted.params
    if wanted.latest is not None:  # so that the walk begins there
        here, params = here + " AND f.uploaded_ms <= ?", (*params, wanted.latest)
    last = f"SELECT f.uploaded_ms FROM {values.source} WHERE {here} ORDER BY f.uploaded_ms DESC"
    sql = (
        f"WITH RECURSIVE each_value (v) AS ({values.each}), "
        f"floor (ms) AS (SELECT max(({last} LIMIT 1 OFFSET {wanted.limit - 1})) FROM each_value e) "
        f"SELECT f.n FROM each_value e CROSS JOIN {values.source} WHERE {here} "
        f"AND f.uploaded_ms >= coalesce((SELECT ms FROM floor), {_BEFORE_ALL}) "
        f"ORDER BY f.uploaded_ms DESC, f.id LIMIT {wanted.limit}"
    )
    return sql, values.params + params + params


def _below(wanted: Wanted, time: str, params: Tuple[Any, ...]) -> Query:
    """A number that all files of `time` and later are above."""
    sql = (
        "coalesce((SELECT o.n FROM files o INDEXED BY files_by_uploaded_down WHERE o.owner = ? "
        f"AND o.uploaded_ms < {time} - (SELECT ms FROM late) ORDER BY o.uploaded_ms DESC LIMIT 1), 0)"
    )
    return sql, (wanted.owner, *params)


def _above(wanted: Wanted) -> Query:
    """A number that all files of the latest time and before are below."""
    end = "(SELECT max(n) + 1 FROM files)"
    if wanted.latest is None:
        return end, ()
    sql = (
        "coalesce((SELECT o.n FROM files o INDEXED BY files_by_uploaded WHERE o.owner = ? "
        f"AND o.uploaded_ms > ? + (SELECT ms FROM late) ORDER BY o.uploaded_ms LIMIT 1), {end})"
    )
    return sql, (wanted.owner, wanted.latest)
