"""Conditions (RFC 9110 section 13) on what has no bytes to send: whether it is still what the client takes it for.

A file has two entity tags: of its bytes, which is their sha256 as in every download, and of its record as it is kept.  A
condition may name either.  Accounts, tokens, links, drops, conversions and lists have none, nor a date: no tag that a
client may name is theirs, so that `If-Match` with one never holds (section 13.1.1), and `*` does as long as they are
there.  Pure: what was found goes in, nothing or a Refusal `precondition-failed` comes out.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Optional

from .wire.answers import Answer, Later, Stream
from .wire.conditions import etag_of, evaluate
from .wire.problems import Refusal
from .wire.responses import Response

_FIELDS = ("if-match", "if-none-match", "if-unmodified-since")  # the others are about reading
_UNTAGGED = ("",)  # the entity tags of what is there and has none: every tag is quoted, so that no other is this one
# What 304 says of what it would have sent (section 15.4.5).
_OF_304 = ("cache-control", "content-location", "expires", "vary")
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


def check_new(fields: Dict[str, str], method: str) -> None:
    """Refusal where a condition does not hold for what is only made by the request: there is nothing before it."""
    check = guard(fields, method)
    if check is not None:
        check(None)


def check_untagged(fields: Dict[str, str], method: str, is_there: Callable[[], bool] = lambda: True) -> None:
    """Refusal where a condition does not hold for something without entity tag and date, as long as `is_there` says so.

    What is not there has no conditions: it is 404, whatever they are (section 13.2.1).
    """
    if evaluate(fields, method, _UNTAGGED, None) is not None and is_there():
        raise Refusal("precondition-failed", "there is something, and no entity tag of it that could fit")


def applied(answer: Answer, fields: Dict[str, str], method: str) -> Answer:
    """The answer to a GET or HEAD, or what its conditions make of it where the route left them to us: of untagged things."""
    if not ("if-match" in fields or "if-none-match" in fields):  # nearly all of them
        return answer
    if isinstance(answer, Later):
        work = answer.work
        return answer._replace(work=lambda: applied(work(), fields, method))
    head = answer.head if isinstance(answer, Stream) else answer
    if not isinstance(head, Response) or head.status != 200 or any(name == "ETag" for name, _ in head.headers):
        return answer
    if evaluate(fields, method, _UNTAGGED, None) == 304:
        return Response(304, tuple(pair for pair in head.headers if pair[0].lower() in _OF_304))
    check_untagged(fields, method)
    return answer
