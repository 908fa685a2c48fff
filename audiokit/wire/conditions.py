"""Conditional requests (RFC 9110 section 13): whether the client's copy is current, or its edit
still applies.

Pure: fields and validators in, a verdict out.  Malformed dates are ignored, malformed entity tags
match nothing, as the standard says.  Only `is_current` raises, and only `Refusal`.
"""

from __future__ import annotations

import hashlib
import re
from typing import Dict, List, Optional, Sequence, Tuple, Union

from .fields import parse_http_date
from .problems import Refusal

_ETAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'  # section 8.8.3
# White space is taken in one place only, or a long run of it could be read in ever so many ways.
_LIST = re.compile(rf"[ \t,]*{_ETAG}[ \t]*(?:,[ \t]*(?:{_ETAG}[ \t]*)?)*")
_ONE = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def _tags(value: str) -> List[Tuple[bool, str]]:
    """(is weak, opaque tag) of each tag in a list; nothing where it is no list."""
    if not _LIST.fullmatch(value):
        return []
    return [(bool(weak), tag) for weak, tag in _ONE.findall(value)]


def _matches(value: str, etags: Sequence[str], *, weakly: bool) -> bool:
    """Whether a tag of the list is one of `etags` (section 8.8.3.2); "*" is any."""
    if value == "*":
        return bool(etags)
    if weakly:
        opaque = [etag[2:] if etag.startswith("W/") else etag for etag in etags]
        return any(tag in opaque for _, tag in _tags(value))
    return any(tag in etags and not weak for weak, tag in _tags(value))


def etag_of(text: str) -> str:
    """The entity tag of what this text says."""
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def is_current(fields: Dict[str, str], method: str, etag: str, last_modified: Optional[int] = None) -> bool:
    """Whether the client's copy is current (304); Refusal `precondition-failed`.  As `evaluate`."""
    verdict = evaluate(fields, method, etag, last_modified)
    if verdict == 412:
        raise Refusal("precondition-failed", f"the entity tag is {etag}", headers=[("ETag", etag)])
    return verdict == 304


def evaluate(
    fields: Dict[str, str], method: str, etag: Union[str, Sequence[str]], last_modified: Optional[int]
) -> Optional[int]:
    """304, 412 or None (go on) for a representation with these validators, in the order of section
    13.2.2.

    `etag` is quoted, or several that are; none means that there is no representation. `last_modified` is in whole seconds
    since 1970, None where no time says anything of the representation: then fields with dates are ignored.
    """
    is_read = method in ("GET", "HEAD")
    etags = (etag,) if isinstance(etag, str) else etag
    if "if-match" in fields:
        if not _matches(fields["if-match"], etags, weakly=False):
            return 412
    elif "if-unmodified-since" in fields and last_modified is not None:
        date = parse_http_date(fields["if-unmodified-since"])
        if date is not None and last_modified > date:
            return 412
    if "if-none-match" in fields:
        if _matches(fields["if-none-match"], etags, weakly=True):
            return 304 if is_read else 412
    elif is_read and "if-modified-since" in fields and last_modified is not None:
        date = parse_http_date(fields["if-modified-since"])
        if date is not None and last_modified <= date:
            return 304
    return None


def if_range_matches(fields: Dict[str, str], etag: str, last_modified: int, now: float) -> bool:
    """Whether a Range still applies (section 13.1.5): there is no If-Range, or it names this very
    content.

    A date names it from the next second on (`now`, since 1970): until then there may be another of
    the same date, as in the second before which the client may not use it (section 8.8.2.2).
    """
    value = fields.get("if-range")
    if value is None:
        return True
    if _ONE.fullmatch(value):
        return value == etag and not value.startswith("W/")  # strong comparison only
    return parse_http_date(value) == last_modified and now >= last_modified + 1
