"""Request targets: paths and queries out of their percent-encoding (RFC 3986 section 2.1),
strictly.

What does not decode to UTF-8 text is refused, never guessed.  Raises `Refusal`.
"""

from __future__ import annotations

import re
from typing import List, Tuple
from urllib.parse import unquote_to_bytes

from .problems import Refusal

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# An escaped slash or any backslash would make one path out of another, behind whatever looked at it
# first.
_AMBIGUOUS = re.compile(r"%2[fF]|%5[cC]|\\")
_DOT_SEGMENT = re.compile(r"/\.\.?(?:/|\Z)")


def split_query(raw: str) -> List[Tuple[str, str]]:
    """The (key, value) pairs of a query as sent; "+" and "%20" are spaces, an absent "=" is an
    empty value.

    Empty pairs ("a=1&&b=2") are skipped.  A key or value that is not percent-encoded UTF-8, or that
    has a control character in it, is refused with `bad-parameter`.
    """
    if not raw:
        return []
    if "%" not in raw and "+" not in raw and raw.isprintable():  # most queries: nothing to decode
        return [piece.partition("=")[::2] for piece in raw.split("&") if piece]
    pairs = []
    for piece in raw.split("&"):
        if piece:
            key, _, value = piece.partition("=")
            key = _decode(key.replace("+", " "), "a parameter's name", "")
            pairs.append((key, _decode(value.replace("+", " "), key, key)))
    return pairs


def _decode(text: str, what: str, parameter: str) -> str:
    if "%" in text:
        if _BAD_ESCAPE.search(text):
            raise _bad(what, text, "has a % that two hexadecimal digits do not follow", parameter)
        try:
            text = unquote_to_bytes(text).decode("utf-8")
        except UnicodeDecodeError:
            raise _bad(what, text, "is not UTF-8", parameter) from None
    if _CONTROL.search(text):
        raise _bad(what, text, "has a control character", parameter)
    return text


def _bad(what: str, text: str, why: str, parameter: str) -> Refusal:
    members = {"parameter": parameter} if parameter else {}
    return Refusal("bad-parameter", f"{what}: {text!r} {why}", **members)


def decode_path(raw: str) -> str:
    """A path out of its percent-encoding; refuses what another reader could take for another
    path."""
    if _AMBIGUOUS.search(raw):
        raise _bad_path(raw, "has a backslash or an escaped slash")
    if _BAD_ESCAPE.search(raw):
        raise _bad_path(raw, "has a % that two hexadecimal digits do not follow")
    try:
        path = unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        raise _bad_path(raw, "is not UTF-8") from None
    if _CONTROL.search(path):
        raise _bad_path(raw, "has a control character")
    # Clients resolve dot segments before they ask (RFC 3986 section 6.2.2.3); what is left means
    # harm.
    if _DOT_SEGMENT.search(path):
        raise _bad_path(raw, "has a dot segment")
    return path


def _bad_path(raw: str, why: str) -> Refusal:
    return Refusal("bad-request", f"the path {raw!r} {why}", close=True)
