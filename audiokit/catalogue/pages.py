"""Pages of /list out of the catalogue: how a `Listing` becomes SQL, and which way is cheapest.

There are two ways to a page that is filtered by A and ordered by B.  *Gathering* takes all rows of A from A's index
and sorts them; *walking* goes along B's index and skips what is not of A.  SQLite guesses between them, and guesses
wrong by seconds on a million rows; so we count A first, up to a cap, and choose.  A walk for `limit` rows looks at
about limit * rows / count(A) of them, gathering at count(A).  What a look costs depends on where the rows lie.
Newest first there is a third, for what both are slow at (newest.py).

Answering is copying: SQL joins the ready records to one text.  Raises TooSlow.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections import OrderedDict
from functools import partial
from operator import itemgetter
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from . import newest
from .clauses import MOST_VALUES, TRAITS, Clause, clause_of, indexed
from .errors import TooSlow
from .merging import SEPARATOR, Found, Walk, merged, sort_value

TOTAL_CAP = 10_000  # beyond this a total is not counted
_REMEMBERED = 1000  # counts that are kept
_STALE = 200  # commits after which a count is too old even for choosing a way
_SKIP_US = 0.08  # an entry of an index that is walked along and does not fit
_NEAR_US = 0.25  # one that is gathered and sorted
_ROW_US = 0.8  # a look at a row beside the last one
_FAR_US = 2.0  # a look at a row anywhere
_BLOCK_US = 1.7  # two looks into a block of numbers
_WORDS_US = 100.0  # a question to the index of words; all measured at a million rows
_GROWTH = 8  # how many times larger each batch of an owner's records is than the one before
_TOGETHER = 200  # owners asked for at once: a quarter of a megabyte of SQL, and SQLite joins 500 results at most


_Query = newest.Query
_OWNERS: _Query = ("SELECT owner, files FROM counters WHERE files > 0", ())
_LAST_NUMBER: _Query = ("SELECT coalesce(max(n), 0) FROM files", ())


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
    ("name", False): _Order("f.name", "files_by_name_with"),
    ("name", True): _Order("f.name", "files_by_name_with"),
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


class Pages:
    """Answers listings from a catalogue, and remembers what it counted."""

    def __init__(self, catalogue: Any, seconds: float, families: Dict[str, str], cap: int = TOTAL_CAP) -> None:
        """`seconds` is how long a query may take; `families` says what words of `format` mean."""
        self._catalogue, self._seconds, self._families, self._cap = catalogue, seconds, families, cap
        self._counted: OrderedDict = OrderedDict()
        self._gathered = threading.local()  # `known`: what `_together` has asked for, while it does
        self._owners: Optional[List[int]] = None  # who had files when that was last asked of a far catalogue
        self._lock = threading.Lock()

    def page(self, listing: Any, owner: Optional[int]) -> Page:
        """The records that `listing` asks for, of `owner`'s; None: of everybody's."""
        if owner is None and not self._is_of_few_words(listing):
            return self._page_of_all(listing)
        clauses, sql, params = self._planned(listing, owner)
        in_all = self._total_query(clauses, owner)
        if self._catalogue.is_far:  # both in one round trip, whether or not the page needs the total
            (found,), ((total,),) = self._catalogue.read_all([(sql, params), in_all], self._seconds)
        else:
            (found,), total = self._read(sql, params), -1
        text, count = found[0] or "", found[1]
        cursor = None
        if count > listing.limit:
            text = text.rpartition(SEPARATOR)[0]
            last = json.loads(text[text.rfind(SEPARATOR) + 2 if listing.limit > 1 else 0:])
            cursor = listing.cursor_behind(sort_value(last, listing), last["id"])
        if cursor is None and listing.after is None:
            total = count
        elif total < 0:
            (total,) = self._numbers([in_all], 0)
        return self._made(listing, text, total, cursor)

    def _made(self, listing: Any, text: str, total: int, cursor: Optional[str]) -> Page:
        if listing.fields is not None and text:
            text = _narrowed(text, listing.fields)
        is_exact = total <= self._cap or not listing.filters
        return Page(text, total if is_exact else self._cap, is_exact, cursor)

    def _is_of_few_words(self, listing: Any) -> bool:
        """Whether the index of words, which knows no owners, gives few enough of everybody's files to sort them."""
        clauses = [self._clause(filter, None) for filter in listing.filters]
        counts = self._numbers([self._probe(clause) for clause in clauses if clause.is_of_all], _STALE)
        return min(counts, default=self._cap + 1) <= self._cap

    def _page_of_all(self, listing: Any) -> Page:
        """The same over all owners: their walks, each of which is in order already, merged.

        No index has everybody's rows in one order: it would cost every upload as much again as all it has now, for
        the sake of admins.
        """
        until, total = time.monotonic() + self._seconds, -1
        if self._catalogue.is_far:
            found, files, total = self._at_once(listing)
        else:
            files = dict(self._catalogue.read(*_OWNERS))
            found = self._merged(listing, list(files), until)
        cursor = None
        if len(found) > listing.limit:
            found.pop()
            cursor = listing.cursor_behind(found[-1].value, found[-1].id)
        if cursor is None and listing.after is None:
            total = len(found)
        elif not listing.filters:
            total = sum(files.values())
        elif total < 0:
            total = self._total_of_all(listing, list(files), until)
        return self._made(listing, SEPARATOR.join(one.record for one in found), total, cursor)

    def _at_once(self, listing: Any) -> Tuple[List[Found], Dict[int, int], int]:
        """The first records of all, one more than the page has; how many files each has; how many fit the filters.

        The walks are merged over there, in one round trip.  Who has files is asked along with it, and remembered: only
        where somebody has some who had none, it is asked again.  Where ways have to be weighed it is one trip more.
        """
        if self._owners is None:
            self._owners = sorted(dict(self._catalogue.read(*_OWNERS)))
        while True:
            owners = self._owners
            plans = self._together([partial(self._keys_and_total, listing, owner) for owner in owners])
            groups = [plans[at : at + _TOGETHER] for at in range(0, len(plans), _TOGETHER)]
            pages = [_first_of([keys for keys, _ in group], listing) for group in groups]
            totals = [_sum_of([total for _, total in group]) for group in groups] if listing.filters else []
            answers = self._catalogue.read_all([_OWNERS, *pages, *totals], self._seconds)
            files = dict(answers[0])
            self._owners = sorted(files)
            if files.keys() <= set(owners):
                break
        walks = []
        for ((text, _),) in answers[1 : 1 + len(pages)]:
            walks.append(Walk(listing._replace(fields=None)))
            walks[-1].add(text or "", listing.limit + 1)
        return merged(walks, listing.limit + 1), files, sum(total for ((total,),) in answers[1 + len(pages) :])

    def _keys_and_total(self, listing: Any, owner: int) -> Tuple[_Query, _Query]:
        clauses, way = self._way(listing, owner)
        return _rows(way, clauses, listing, owner, _key(listing)), self._total_query(clauses, owner)

    def _merged(self, listing: Any, owners: List[int], until: float) -> List[Found]:
        """The first records of all, one more than the page has.

        A few rows of everyone come first, then more of those who are used up before the page is full, of all of them at
        once: the rounds are few, however many owners there are.
        """
        batch = max(2, -(-2 * (listing.limit + 1) // max(len(owners), 1)))
        walks = {owner: Walk(listing._replace(fields=None)) for owner in owners}
        while True:
            wanting = [owner for owner in owners if walks[owner].is_wanting]
            for owner, text in zip(wanting, self._fetched(walks, wanting, batch, until)):
                walks[owner].add(text, batch)
            found = merged(walks.values(), listing.limit + 1)
            if not any(walk.is_wanting for walk in walks.values()):
                return found
            batch = min(listing.limit + 1, batch * _GROWTH)

    def _fetched(self, walks: Dict[int, Walk], wanting: List[int], batch: int, until: float) -> Iterator[str]:
        """The next `batch` records of each owner, and whether there are more: as SQL joined them."""
        for at in range(0, len(wanting), _TOGETHER):
            _in_time(until)
            owners = wanting[at : at + _TOGETHER]
            plans = [partial(self.statement, walks[owner].listing._replace(limit=batch), owner) for owner in owners]
            for ((text, _),) in self._catalogue.read_all(self._together(plans), self._seconds):
                yield text or ""

    def _total_of_all(self, listing: Any, owners: List[int], until: float) -> int:
        """How many fit, up to one more than the cap where filters have to be counted."""
        total = 0
        for at in range(0, len(owners), _TOGETHER):
            _in_time(until)
            total += sum(self._together([partial(self._total_of, listing, owner) for owner in owners[at : at + _TOGETHER]]))
            if total > self._cap:
                break
        return total

    def _total_of(self, listing: Any, owner: int) -> int:
        clauses = [self._clause(filter, owner) for filter in listing.filters]
        return self._total(clauses, owner)

    def _together(self, plans: List[Callable[[], Any]]) -> List[Any]:
        """What each plan gives; the numbers that all of them have to know are asked for in one round trip.

        A plan that lacks one is begun again when it is there: as often as its questions follow from each other.
        """
        if not self._catalogue.is_far:
            return [plan() for plan in plans]
        made: Dict[int, Any] = {}
        self._gathered.known = {}
        try:
            while len(made) < len(plans):
                missing: Dict[_Query, None] = {}
                for number, plan in enumerate(plans):
                    if number not in made:
                        try:
                            made[number] = plan()
                        except _Missing as lacking:
                            missing.update(dict.fromkeys(lacking.queries))
                if missing:
                    self._gathered.known.update(self._asked(list(missing)))
        finally:
            self._gathered.known = None
        return [made[number] for number in range(len(plans))]

    def statement(self, listing: Any, owner: Optional[int]) -> _Query:
        """The SQL that gives the page, and what is bound in it: for those who measure or explain it."""
        return self._planned(listing, owner)[1:]

    def ways(self, listing: Any, owner: Optional[int]) -> List[Tuple[float, str, Tuple[Any, ...]]]:
        """The same for every way to the page, and before it what it likely costs in microseconds; the best first."""
        clauses = [self._clause(filter, owner) for filter in listing.filters]
        ways = sorted(self._ways(clauses, listing, owner), key=itemgetter(0))
        return [(cost, *_select(way, clauses, listing, owner)) for cost, way in ways]

    def _planned(self, listing: Any, owner: Optional[int]) -> Tuple[List[Clause], str, Tuple[Any, ...]]:
        clauses, way = self._way(listing, owner)
        return (clauses, *_select(way, clauses, listing, owner))

    def _way(self, listing: Any, owner: Optional[int]) -> Tuple[List[Clause], _Way]:
        clauses = [self._clause(filter, owner) for filter in listing.filters]
        return clauses, min(self._ways(clauses, listing, owner), key=itemgetter(0))[1]

    def _clause(self, filter: Any, owner: Optional[int]) -> Clause:
        return clause_of(filter, owner, self._families, self._catalogue.has_trigrams)

    def _read(self, sql: str, params: Tuple[Any, ...]) -> List[tuple]:
        return self._catalogue.read(sql, params, self._seconds)

    # -- counting --------------------------------------------------------------------------------------

    def _total(self, clauses: List[Clause], owner: Optional[int]) -> int:
        return self._numbers([self._total_query(clauses, owner)], 0)[0]

    def _total_query(self, clauses: List[Clause], owner: Optional[int]) -> _Query:
        if not clauses:
            return self._files_query(owner)
        if len(clauses) == 1 and clauses[0].is_exact:
            return self._count_query(clauses[0].probe, clauses[0].probe_params)
        start = self._rarest(clauses)
        where, params = _where(clauses, owner, start)
        source = start.source if start else indexed("files_by_uploaded_down")
        return self._count_query(f"{source} WHERE {where}", (start.source_params if start else ()) + params)

    def _files_query(self, owner: Optional[int]) -> _Query:
        if owner is None:
            return "SELECT coalesce(sum(files), 0) FROM counters", ()
        return "SELECT coalesce(sum(files), 0) FROM counters WHERE owner = ?", (owner,)

    def _count_query(self, what: str, params: Tuple[Any, ...]) -> _Query:
        """How many rows, up to one more than the cap."""
        return f"SELECT count(*) FROM (SELECT 1 FROM {what} LIMIT {self._cap + 1})", params

    def _rarest(self, clauses: List[Clause]) -> Optional[Clause]:
        """The filter with an index that the fewest fit, as far as a count that may be stale can tell."""
        usable = [clause for clause in clauses if clause.source is not None]
        for clause in usable:
            if clause.is_of_few or len(usable) == 1:  # nothing to weigh
                return clause
        if not usable:
            return None
        counts, _ = self._likely(usable)
        return usable[counts.index(min(counts))]

    def _probe(self, clause: Clause) -> _Query:
        return self._count_query(clause.probe, clause.probe_params)

    def _likely(self, clauses: List[Clause], more: Sequence[_Query] = ()) -> Tuple[List[int], List[int]]:
        """How many fit each: counted up to the cap, beyond it judged by the last files; and what `more` gives.

        All in one round trip.
        """
        probes = [self._probe(clause) for clause in clauses]
        recents = [_recent(clause) or probe for clause, probe in zip(clauses, probes)]
        numbers = self._numbers([_LAST_NUMBER, *probes, *recents, *more], _STALE)
        end = 1 + len(clauses)
        counted, recent, others = numbers[1:end], numbers[end : end + len(clauses)], numbers[end + len(clauses):]
        window = newest.BLOCK + numbers[0] % newest.BLOCK
        likely = [
            max(count, some * numbers[0] // window) if count > self._cap and clause.recent else count
            for clause, count, some in zip(clauses, counted, recent)
        ]
        return likely, others

    def _numbers(self, queries: List[_Query], staleness: int) -> List[int]:
        """The one number that each query gives; from memory when at most `staleness` commits old."""
        generation = self._catalogue.generation
        with self._lock:
            known = {query: self._counted[query] for query in queries if query in self._counted}
        known = {query: one for query, one in known.items() if generation - one[0] <= staleness}
        gathered = getattr(self._gathered, "known", None)
        known.update({query: gathered[query] for query in queries if gathered and query in gathered})
        missing = [query for query in dict.fromkeys(queries) if query not in known]
        if gathered is not None:
            gathered.update(known)  # what many plans need may be more than is remembered
            if missing:
                raise _Missing(missing)
        known.update(self._asked(missing))
        with self._lock:
            for query in queries:
                self._counted[query] = known[query]
                self._counted.move_to_end(query)
            while len(self._counted) > _REMEMBERED:
                self._counted.popitem(last=False)
        return [known[query][1] for query in queries]

    def _asked(self, queries: List[_Query]) -> Dict[_Query, Tuple[float, int]]:
        """The numbers that these queries give now, each with the generation that it is of."""
        generation = self._catalogue.generation
        answers = self._catalogue.read_all(queries, self._seconds) if queries else []
        return {query: (generation, number) for query, ((number,),) in zip(queries, answers)}

    # -- choosing --------------------------------------------------------------------------------------

    def _ways(self, clauses: List[Clause], listing: Any, owner: Optional[int]) -> Iterator[Tuple[float, _Way]]:
        """Every way to the page that may be the best, and what it likely costs in microseconds."""
        walk = _Way(None, indexed(_ORDERS[listing.sort, listing.descending].index), False)
        usable = [clause for clause in clauses if clause.source is not None and (owner is not None or clause.is_of_all)]
        only = clauses[0] if len(clauses) == 1 else None
        if not usable or only is not None and only.sort == listing.sort:
            yield 0.0, walk  # which begins and ends where a range does
        elif only is not None and only.in_order and _is_default(listing):
            yield 0.0, _Way(only, only.source or "", False)
        elif any(clause.is_of_few for clause in usable):
            start = next(clause for clause in usable if clause.is_of_few)
            yield 0.0, _Way(start, start.source or "", True)
        elif owner is None:
            start = self._rarest(usable) or usable[0]
            yield 0.0, _Way(start, start.source or "", True)
        else:
            yield from self._priced(clauses, usable, walk, listing, owner)

    def _priced(
        self, clauses: List[Clause], usable: List[Clause], walk: _Way, listing: Any, owner: int
    ) -> Iterator[Tuple[float, _Way]]:
        of_values = {clause: _number_of(clause.values) for clause in usable if clause.values is not None}
        more = [self._files_query(owner), _LAST_NUMBER, *of_values.values()]
        likely, (files, last, *numbers) = self._likely(usable, more)
        values = dict(zip(of_values, numbers))
        shares = _Shares(files, last, listing.limit)
        for clause, count in zip(usable, likely):
            shares.add(clause, count)
        by_time = listing.sort == "uploaded"  # rows lie in the order of their coming
        are_traits = all(clause.is_trait for clause in clauses)  # then the index alone tells who is skipped
        begins = [shares.of(clause) for clause in usable if clause.sort == listing.sort]
        look = _SKIP_US if are_traits else _ROW_US if by_time else _FAR_US
        yield shares.looks(min(begins, default=1.0)) * look, walk
        for clause in usable:
            count = shares.counts[clause]
            near = are_traits and (by_time or listing.sort in TRAITS)
            near = near or by_time and clause.is_covering and len(clauses) == 1
            if count <= self._cap:
                yield count * (_NEAR_US if near else _FAR_US), _Way(clause, clause.source or "", True)
            if not _is_default(listing):
                continue
            if clause.in_order:
                looks = shares.looks(shares.of(clause))
                yield looks * (_SKIP_US if are_traits else _ROW_US), _Way(clause, clause.source or "", False)
            if clause.stream is not None or clause.values is not None:
                yield _floor_us(clause, values.get(clause), shares), _Way(clause, "", True, True)


class _Way(NamedTuple):
    start: Optional[Clause]  # the filter whose index is used, None for the order's own
    source: str
    sorts: bool  # gather and sort, instead of walking in order
    by_floor: bool = False  # newest first, by the filter's stream or values


class _Shares:
    """How many rows must be looked at for a page, were every filter independent of the others."""

    def __init__(self, files: int, last: int, limit: int) -> None:
        self.files, self.last, self.limit = files, last, limit
        self.counts: Dict[Clause, int] = {}
        self._all = 1.0

    def add(self, clause: Clause, count: int) -> None:
        self.counts[clause] = count
        self._all *= self.of(clause)

    def of(self, clause: Clause) -> float:
        """The share of the files that fits one filter."""
        return min(max(self.counts[clause], 1) / max(self.files, 1), 1.0)

    def looks(self, share: float) -> float:
        """How many of a `share` of the files are looked at until the page is full, or none is left."""
        return share * min(self.limit / self._all, self.files)


def _floor_us(clause: Clause, values: Optional[int], shares: _Shares) -> float:
    """What a page by a floor costs, by the filter's number of values where it goes by those."""
    looks, limit = shares.looks(shares.of(clause)), shares.limit
    if values is not None:
        return values * (looks * _SKIP_US + limit * _NEAR_US) if values <= MOST_VALUES else math.inf
    if clause.is_of_all:
        return _WORDS_US + looks * _ROW_US
    blocks = 1 + shares.looks(1.0) * shares.last / max(shares.files, 1) / newest.BLOCK
    return blocks * (_BLOCK_US + newest.BLOCK * shares.of(clause) * 2 * _SKIP_US) + limit * _NEAR_US


def _is_default(listing: Any) -> bool:
    return listing.sort == "uploaded" and listing.descending


def _recent(clause: Clause) -> Optional[_Query]:
    return (f"SELECT count(*) FROM {clause.recent}", clause.probe_params) if clause.recent else None


def _number_of(values: newest.Values) -> _Query:
    sql = f"WITH RECURSIVE each_value (v) AS ({values.each}) SELECT count(v) FROM (SELECT v FROM each_value LIMIT %d)"
    return sql % (MOST_VALUES + 2), values.params


# -- the statement ------------------------------------------------------------------------------------------


def _where(clauses: List[Clause], owner: Optional[int], start: Optional[Clause]) -> Tuple[str, Tuple[Any, ...]]:
    """What is left to ask of the rows that `start` gives."""
    asked = [clause for clause in clauses if not (clause is start and clause.is_given)]
    mine = ["f.owner = ?"] if owner is not None else []
    sql = " AND ".join([*mine, *(clause.sql for clause in asked)])
    return sql, (*([owner] if mine else []), *(value for clause in asked for value in clause.params))


def _select(way: _Way, clauses: List[Clause], listing: Any, owner: Optional[int]) -> _Query:
    sql, params = _rows(way, clauses, listing, owner, "f.record")
    return _joined(sql), params


def _key(listing: Any) -> str:
    """What merges rows of many owners; the walks' indexes have it."""
    return f"f.n, {_ORDERS[listing.sort, listing.descending].expression} AS v, f.id"


def _first_of(keys: List[_Query], listing: Any) -> _Query:
    """The page out of the rows of many owners."""
    rows = " UNION ALL ".join(f"SELECT * FROM ({sql})" for sql, _ in keys)
    by = "v DESC, id" if listing.descending else "v, id"
    first = f"SELECT n FROM ({rows}) ORDER BY {by} LIMIT {listing.limit + 1}"
    params = tuple(value for _, some in keys for value in some)
    return _joined(f"SELECT f.record FROM ({first}) g CROSS JOIN files f ON f.n = g.n"), params


def _sum_of(totals: List[_Query]) -> _Query:
    each = " UNION ALL ".join(f"SELECT * FROM ({sql})" for sql, _ in totals)
    return f"WITH totals (n) AS ({each}) SELECT sum(n) FROM totals", tuple(value for _, some in totals for value in some)


def _rows(way: _Way, clauses: List[Clause], listing: Any, owner: Optional[int], what: str) -> _Query:
    """`what` of the page's rows, in order."""
    order = _ORDERS[listing.sort, listing.descending]
    where, params = _where(clauses, owner, way.start)
    params = (way.start.source_params if way.start else ()) + params
    direction, beyond = (" DESC", "<") if listing.descending else ("", ">")
    limit = listing.limit + 1
    in_walk = way.start is not None and way.start.in_order and not way.sorts
    compared = way.start.newest if in_walk and way.start else order.expression
    by = f"{compared}{direction}" + ("" if listing.sort == "name" else ", f.id")
    at, at_params, behind, behind_params = _place(listing, compared, beyond)
    if way.by_floor and way.start is not None and owner is not None:
        where, params = _where([one for one in clauses if one is not way.start or one.values is None], owner, None)
        where += f" AND ({at} OR {behind})" if at else ""
        wanted = newest.Wanted(where, params + at_params + behind_params, owner, limit, *_times(listing))
        if way.start.stream is not None:
            inner, params = newest.by_number(way.start.stream, wanted)
        else:
            assert way.start.values is not None
            inner, params = newest.by_value(way.start.values, wanted)
        return f"SELECT {what} FROM ({inner}) g CROSS JOIN files f ON f.n = g.n", params
    if way.sorts:
        where += f" AND ({at} OR {behind})" if at else ""
        inner = f"SELECT f.n FROM {way.source} WHERE {where} ORDER BY {by} LIMIT {limit}"
        return f"SELECT {what} FROM ({inner}) g CROSS JOIN files f ON f.n = g.n", params + at_params + behind_params
    if not at:
        return f"SELECT {what} FROM {way.source} WHERE {where} ORDER BY {by} LIMIT {limit}", params
    rest = f"SELECT * FROM (SELECT {what} FROM {way.source} WHERE {where} AND %s ORDER BY %s LIMIT {limit})"
    inner = (rest % (at, "f.id")) + " UNION ALL " + (rest % (behind, by)) + f" LIMIT {limit}"
    return inner, params + at_params + params + behind_params


def _place(listing: Any, expression: str, beyond: str) -> Tuple[str, tuple, str, tuple]:
    """What holds the page behind the cursor: among equals of the last record, or beyond them."""
    if listing.after is None:
        return "", (), "", ()
    value, id = listing.after
    return f"({expression} = ? AND f.id > ?)", (value, id), f"{expression} {beyond} ?", (value,)


def _times(listing: Any) -> Tuple[Any, Any]:
    """The times, both included, that the page's files are within; None leaves an end open."""
    ranges = [filter for filter in listing.filters if getattr(filter, "field", "") == "uploaded"]
    oldest = [filter.low for filter in ranges if filter.low is not None]
    latest = [filter.high for filter in ranges if filter.high is not None]
    latest += [listing.after[0]] if listing.after is not None else []
    return max(oldest, default=None), min(latest, default=None)


def _joined(inner: str) -> str:
    return f"SELECT group_concat(record, ',' || char(10)), count(*) FROM ({inner})"


class _Missing(Exception):
    """Numbers that a plan needs and nobody has asked for."""

    def __init__(self, queries: List[_Query]) -> None:
        super().__init__()
        self.queries = queries


def _in_time(until: float) -> None:
    if time.monotonic() > until:
        raise TooSlow("the query over all owners took too long")


def _narrowed(text: str, fields: Tuple[str, ...]) -> str:
    records = json.loads("[" + text + "]")
    return SEPARATOR.join(
        json.dumps({field: record[field] for field in fields}, ensure_ascii=False) for record in records
    )
