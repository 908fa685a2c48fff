"""Rows that many calls add at the same moment, as few statements: an engine's work for a row is less in company.

A statement that takes its parameters from `(VALUES (?, ...))` adds one row, or with more parameters many.  A call of such
statements alone can be joined with its like, if none of them looks at what another call adds.  What came of each is known
as long as every row was added; else they have to be carried out one by one.  Pure.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Dict, Iterator, List, NamedTuple, Sequence, Tuple

Statement = Tuple[str, Sequence[Any]]

_ROW = re.compile(r"\(VALUES (\([?, ]+\))\)")
_MOST_PARAMETERS = 999  # of one statement: SQLite's limit before 3.32


class Added(NamedTuple):
    """A statement that has to add so many rows, all of them."""

    sql: str
    params: List[Any]
    rows: int


@lru_cache(maxsize=256)
def adds_rows(sql: str) -> bool:
    """Whether a statement takes the values of one row, and could take those of many."""
    return len(_ROW.findall(sql)) == 1


@lru_cache(maxsize=256)
def for_rows(sql: str, rows: int) -> str:
    """The same statement for so many rows."""
    return _ROW.sub(lambda found: "(VALUES " + ", ".join([found[1]] * rows) + ")", sql)


def joined(calls: Sequence[Sequence[Statement]]) -> Iterator[Added]:
    """The statements of all the calls: first all that each call begins with.

    Their numbers of rows are powers of two, so that an engine has few statements to prepare.
    """
    by_sql: Dict[str, List[Sequence[Any]]] = {}
    for place in range(max(map(len, calls))):
        for call in calls:
            if place < len(call):
                by_sql.setdefault(call[place][0], []).append(call[place][1])
    for sql, given in by_sql.items():
        done = 0
        while done < len(given):
            rows = 1 << min(len(given) - done, _MOST_PARAMETERS // len(given[0])).bit_length() - 1
            yield Added(for_rows(sql, rows), [value for params in given[done : done + rows] for value in params], rows)
            done += rows
