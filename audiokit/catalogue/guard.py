"""What a statement may not say, so that every engine behind the door can carry it out.  Pure."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any

_VERBS = re.compile(r"\s*(--[^\n]*\n\s*)*(SELECT|WITH|INSERT|UPDATE|DELETE|CREATE|ALTER|DROP)\b", re.IGNORECASE)
_FORBIDDEN = re.compile(
    r"\b(RETURNING|PRAGMA|COMMIT|ROLLBACK|SAVEPOINT|ATTACH|VACUUM|last_insert_rowid|changes|total_changes|random|"
    r"randomblob|CURRENT_TIMESTAMP|CURRENT_TIME|CURRENT_DATE|strftime|julianday|datetime|unixepoch|"
    r"sqrt|pow|ln|REGEXP|unhex|jsonb|load_extension)\b|\b(?:date|time)\s*\(",
    re.IGNORECASE,
)
_TEXT = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*")
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1


@lru_cache(maxsize=1024)
def allowed(sql: str) -> bool:
    """Whether every engine could run `sql`; ValueError names what one could not."""
    verb = _VERBS.match(sql)
    if verb is None:
        raise ValueError(f"a statement of the catalogue begins with another word: {sql[:80]!r}")
    plain = _TEXT.sub("''", sql)
    found = _FORBIDDEN.search(plain)
    if found is not None:
        raise ValueError(f"{found.group()} has no place in a statement of the catalogue: {sql[:80]!r}")
    is_trigger = re.match(r"\s*(?:''\s*)*CREATE\s+TRIGGER\b", plain, re.IGNORECASE)
    if ";" in plain.rstrip().rstrip(";") and not is_trigger:
        raise ValueError(f"one statement at a time: {sql[:80]!r}")
    return True


def bindable(value: Any) -> Any:
    """`value` when every engine can take and give it; ValueError otherwise."""
    kind = type(value)
    if kind is str or value is None:
        return value
    if kind is bool:
        return int(value)
    if kind is int and _LEAST <= value <= _MOST or kind is float and math.isfinite(value):
        return value
    raise ValueError(f"{value!r:.80} cannot be bound in a statement of the catalogue")
