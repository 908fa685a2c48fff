"""Conditions on changes (RFC 9110 section 13): whether a file is still what the client takes it for.

A file has two entity tags: of its bytes, which is their sha256 as in every download, and of its record as it is
kept.  A condition may name either.  Pure: what the storage found goes in, nothing or a Refusal `precondition-failed`
comes out.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Optional

from .wire.conditions import etag_of, evaluate
from .wire.problems import Refusal

_FIELDS = ("if-match", "if-none-match", "if-unmodified-since")  # the others are about reading
Guard = Callable[[Optional[Any]], None]  # takes a row with `record`, `sha256`, `uploaded_ms`, or None: there is no file


def guard(fields: Dict[str, str], method: str) -> Optional[Guard]:
    """What looks at the file before it is changed, where the request has a condition on it."""
    if not any(name in fields for name in _FIELDS):
        return None

    def check(file: Optional[Any]) -> None:
        tags, modified = ((), None) if file is None else (
            (f'"{file.sha256}"', etag_of(file.record)), file.uploaded_ms // 1000
        )
        if evaluate(fields, method, tags, modified) is not None:
            what = f"the file's entity tags are {' and '.join(tags)}" if tags else "there is no such file"
            raise Refusal("precondition-failed", what, headers=[("ETag", tags[0])] if tags else ())

    return check
