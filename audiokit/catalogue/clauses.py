"""The filters of a listing as SQL over `files f`, and what each offers to a page: indexes, streams, values, counts.

Pure: makes SQL, asks nothing.
"""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from .merging import LAST
from .newest import BLOCK_BITS, Stream, Values, blocks_of, given, within, words_of
from .rows import fold, label_value, whole

_MOST_TRIGRAMS = 64  # asked of the index; more narrow it no further
MOST_VALUES = 16  # of one field that are looked up one by one
TRAITS = {"format", "codec", "samplerate", "channels", "bits", "duration", "size"}  # that the indexes carry along

# The last of all numbers, one to two blocks of them: what share of them fits a filter is taken for the share of all.
_RECENT = f"(SELECT ((max(n) >> {BLOCK_BITS}) - 1) << {BLOCK_BITS} FROM files)"
_RECENT_MS = f"(SELECT uploaded_ms FROM files WHERE n >= {_RECENT} ORDER BY n LIMIT 1)"

_IN_BLOCKS = {field: f"files_in_blocks_by_{field}" for field in ("duration", "size", "name")}
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


class Clause(NamedTuple):
    """One filter as SQL over `files f`."""

    sql: str
    params: Tuple[Any, ...]
    source: Optional[str] = None  # what FROM names to start from this filter; None: no index helps
    source_params: Tuple[Any, ...] = ()
    probe: str = ""  # what FROM names, WHERE included, to count the filter by its index alone
    probe_params: Tuple[Any, ...] = ()
    is_exact: bool = False  # the probe counts what fits, neither more nor less
    is_given: bool = False  # the source alone gives what fits: `sql` need not be asked again
    in_order: bool = False  # the source has its rows in the default order, by `newest`
    newest: str = "f.uploaded_ms"
    is_covering: bool = False  # its index has all that the default order compares
    is_of_all: bool = False  # its source has everybody's rows
    is_trait: bool = False  # the other indexes carry what it compares, and its own carries what they compare
    sort: Optional[str] = None  # the sort whose index is this filter's own
    stream: Optional[Stream] = None  # its files by number
    values: Optional[Values] = None  # its files by value
    recent: str = ""  # what FROM names, WHERE included, to count those among the last numbers
    is_of_few: bool = False  # no more rows than it has values can fit it: there is nothing to weigh


def indexed(index: str) -> str:
    """What FROM names to read files by this index and no other."""
    return f"files f INDEXED BY {index}"


def _by_index(index: str, owner: Optional[int], sql: str, params: Tuple[Any, ...], **more: Any) -> Clause:
    """A filter that an index of `files` answers."""
    source = indexed(index)
    probe = f"{source} WHERE f.owner = ? AND {sql}"
    if more.get("in_order"):
        more["recent"] = f"{probe} AND f.uploaded_ms >= {_RECENT_MS}"
    elif more.get("is_trait") or more.get("stream"):  # what the default order's index carries
        more["recent"] = (
            f"{indexed('files_by_uploaded_down')} WHERE f.owner = ? AND {sql} AND f.uploaded_ms >= {_RECENT_MS}"
        )
    return Clause(
        sql, params, source, (), probe, (owner, *params), is_exact=True, is_covering=index != "files_by_name", **more
    )


def clause_of(filter: Any, owner: Optional[int], families: Dict[str, str], has_trigrams: bool) -> Clause:
    """A filter of audiokit/listing.py; `families` says what words of `format` mean."""
    kind = type(filter).__name__
    if kind == "Among":
        return _among(filter, owner, families)
    if kind == "Between":
        return _between(filter, owner)
    if kind == "Labelled":
        return _labelled(filter, owner)
    if kind == "Named":
        return _named(filter, owner, has_trigrams)
    return _words(filter, has_trigrams)


def _among(filter: Any, owner: Optional[int], families: Dict[str, str]) -> Clause:
    column, equal_index, range_index = _COLUMNS[filter.field]
    values = filter.values
    if filter.field == "format":
        values = tuple(sorted({families.get(value, value) for value in values}))
    if equal_index is not None and 1 < len(values) <= MOST_VALUES:
        each = given(values, column, equal_index)
    else:
        each = None
    return _by_index(
        equal_index or range_index, owner, _one_of(column, values), values,
        in_order=equal_index is not None and len(values) == 1, is_trait=filter.field in TRAITS, values=each,
        stream=_in_blocks(filter.field),
    )


def _named(filter: Any, owner: Optional[int], has_trigrams: bool) -> Clause:
    if not filter.patterns:
        return _by_index("files_by_name", owner, _one_of("f.name", filter.names), filter.names, is_of_few=True)
    parts = [_one_of("f.name", filter.names)] if filter.names else []
    parts += ["f.name GLOB ?"] * len(filter.patterns)
    params = filter.names + tuple(pattern.replace("[", "[[]") for pattern in filter.patterns)
    sql = "(" + " OR ".join(parts) + ")"
    if len(parts) > 1:
        return Clause(sql, params)
    runs = filter.patterns[0].replace("?", "*").split("*")
    if not runs[0]:
        return _by_trigrams([fold(run) for run in runs], sql, params, has_trigrams)
    end = _behind(runs[0])
    if end is None:
        sql, params = f"f.name >= ? AND {sql}", (runs[0], *params)
    elif filter.patterns[0] == runs[0] + "*":  # then the range says all
        sql, params = "f.name >= ? AND f.name < ?", (runs[0], end)
    else:
        sql, params = f"f.name >= ? AND f.name < ? AND {sql}", (runs[0], end, *params)
    return _by_index("files_by_name", owner, sql, params, sort="name", stream=_in_blocks("name"))


def _words(filter: Any, has_trigrams: bool) -> Clause:
    parts, params = [], []
    for words in filter.alternatives:
        folded = [fold(word) for word in words]
        parts.append("(" + " AND ".join(["instr(f.search, ?) > 0"] * len(folded)) + ")")
        params += folded
    sql = "(" + " OR ".join(parts) + ")"
    if len(filter.alternatives) > 1:
        return Clause(sql, tuple(params))
    return _by_trigrams(params, sql, tuple(params), has_trigrams)


def _by_trigrams(runs: List[str], sql: str, params: Tuple[Any, ...], has_trigrams: bool) -> Clause:
    """A filter that only text with all trigrams of these runs can fit."""
    grams = sorted({run[n:n + 3] for run in runs for n in range(len(run) - 2)})
    if not grams or not has_trigrams:
        return Clause(sql, params)
    match = " AND ".join('"' + gram.replace('"', '""') + '"' for gram in grams[:_MOST_TRIGRAMS])
    source = "(SELECT rowid AS n FROM words WHERE words MATCH ?) d CROSS JOIN files f ON f.n = d.n"
    probe = "words WHERE words MATCH ?"
    return Clause(
        sql, params, source, (match,), probe, (match,), is_of_all=True, stream=words_of(match),
        recent=f"{probe} AND rowid >= {_RECENT}",
    )


def _between(filter: Any, owner: Optional[int]) -> Clause:
    column, _, index = _COLUMNS[filter.field]
    parts, params = [], []
    if filter.low is not None:
        parts.append(f"{column} >= ?")
        params.append(filter.low)
    if filter.high is not None or filter.field == "bitrate":  # an unknown one is in no range
        parts.append(f"{column} <= ?")
        params.append(filter.high if filter.high is not None else LAST - 1)
    sql, is_trait = " AND ".join(parts), filter.field in TRAITS
    values = None
    if filter.field in ("samplerate", "channels", "bits"):  # of which there are few
        values = within(filter.low, filter.high, owner, column, _COLUMNS[filter.field][1])
    return _by_index(
        index, owner, sql, tuple(params), sort=filter.field, is_trait=is_trait, values=values,
        stream=_in_blocks(filter.field),
    )


def _in_blocks(field: str) -> Optional[Stream]:
    return blocks_of(_IN_BLOCKS[field]) if field in _IN_BLOCKS else None


def _labelled(filter: Any, owner: Optional[int]) -> Clause:
    values = tuple(sorted({label_value(value) for value in filter.values}))
    mine = f"l.label = ? AND {_one_of('l.value', values)}"
    params: Tuple[Any, ...] = (whole(filter.label), *values)
    if owner is None:
        mine = "l.owner = f.owner AND " + mine
    else:
        mine, params = "l.owner = ? AND " + mine, (owner, *params)
    sql = f"EXISTS (SELECT 1 FROM labels l WHERE {mine} AND l.uploaded_ms = f.uploaded_ms AND l.file = f.n)"
    if owner is None:
        return Clause(sql, params)
    if len(values) == 1:
        return Clause(
            sql, params, f"labels l CROSS JOIN files f ON f.n = l.file AND {mine}", params,
            f"labels l WHERE {mine}", params, is_exact=True, is_given=True, in_order=True, newest="l.uploaded_ms",
            recent=f"labels l WHERE {mine} AND l.uploaded_ms >= {_RECENT_MS}",
        )
    files = f"(SELECT DISTINCT l.file AS n FROM labels l WHERE {mine}) d"  # one may have several of the values
    source = f"{files} CROSS JOIN files f ON f.n = d.n"
    return Clause(sql, params, source, params, files, params, is_exact=True, is_given=True)


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
