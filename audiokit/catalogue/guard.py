"""What a statement may not say, so that every engine behind the door can carry it out.  Pure."""

from __future__ import annotations

import re
from functools import lru_cache

_FORBIDDEN = re.compile(
    r"\b(RETURNING|PRAGMA|BEGIN|COMMIT|ROLLBACK|SAVEPOINT|ATTACH|VACUUM|last_insert_rowid|changes|random|"
    r"randomblob|CURRENT_TIMESTAMP|CURRENT_TIME|CURRENT_DATE|strftime|julianday|datetime)\b",
    re.IGNORECASE,
)


@lru_cache(maxsize=1024)
def allowed(sql: str) -> bool:
    """Whether every engine could run `sql`; ValueError names the word that one could not."""
    found = _FORBIDDEN.search(sql)
    if found is not None:
        raise ValueError(f"{found.group()} has no place in a statement of the catalogue: {sql[:80]!r}")
    return True
