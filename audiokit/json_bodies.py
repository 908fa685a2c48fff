"""Small JSON objects as bodies of requests: taken in whole, held against what a route knows, then
given to it.

Never takes more bytes than a limit, never lets an unknown or doubled member pass.  Raises
`Refusal`, which names the member; of a value that may be a secret it repeats nothing.
"""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Tuple, Union

from .catalogue.rows import when
from .parameters import bad
from .settings import BadSetting, seconds, size
from .wire.answers import Later, Pending, Receive, Sink
from .wire.problems import Refusal
from .wire.responses import Response, json_response

LIMIT = 16 << 10  # bytes: a password of 1 KiB, every character escaped, and room
_MOST = (1 << 53) - 1  # RFC 7493 section 2.2: whole numbers beyond it are not the same to every reader

Members = Mapping[str, Callable[[str, Any], Any]]


class _ObjectSink(Sink):
    def __init__(self, known: Members, then: Callable[[Dict[str, Any]], Union[Response, Pending]]) -> None:
        self._known, self._then = known, then
        self._body = bytearray()

    def write(self, piece: memoryview) -> None:
        self._body += piece

    def finish(self) -> Union[Response, Pending]:
        return self._then(members_of(bytes(self._body), self._known))


def receive(
    request: Any,
    known: Members,
    then: Callable[[Dict[str, Any]], Union[Response, Pending]],
    limit: int = LIMIT,
    *,
    is_tagged: bool = False,
) -> Union[Receive, Later]:
    """Have the body of `request` read as an object of `known` members, and `then` answer, off the
    loop.

    `known`: by name, what makes a value of (name, JSON value) or refuses.  `limit`: bytes of the
    body.  Without a body: none is given.  Conditions are looked at before `then`, unless it does so:
    what is changed `is_tagged`.
    """
    framing = request.framing
    if not is_tagged:
        then = _on_conditions(request, then)
    if not framing.has_body:
        return Later(lambda: then({}))
    framing.check_fits(limit)
    return Receive(_ObjectSink(known, then), limit)


def _on_conditions(request: Any, then: Callable[[Dict[str, Any]], Any]) -> Callable[[Dict[str, Any]], Any]:
    """The same where the request's conditions hold: behind all other checks, before anything is done (RFC 9110, 13.2.1)."""

    def on_conditions(given: Dict[str, Any]) -> Any:
        request.check_conditions()
        return then(given)

    return on_conditions


def members_of(body: bytes, known: Members) -> Dict[str, Any]:
    """The members of the JSON object in `body`, each as `known` makes it; nothing of an empty
    body."""
    if not body.strip():
        return {}
    try:
        given = json.loads(body.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Refusal("bad-request", "the body is not JSON") from None
    if not isinstance(given, dict):
        raise Refusal("bad-request", "the body is not a JSON object")
    return _known_of(given, known)


def _known_of(given: Dict[str, Any], known: Members) -> Dict[str, Any]:
    for name in given:
        if name not in known:
            raise bad(name, f"there is no {name[:40]!r} here; there are {', '.join(known)}")
    return {name: known[name](name, value) for name, value in given.items()}


def _once(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Refusal("bad-request", "the JSON has a member twice")
    return found


def _no_constant(word: str) -> Any:
    raise ValueError(word)  # NaN and Infinity are not JSON (RFC 8259 section 6)


# -- kinds of members ------------------------------------------------------------------------------


def or_null(kind: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    """What is of this kind, or null."""
    return lambda name, value: None if value is None else kind(name, value)


def an_object(known: Members) -> Callable[[str, Any], Dict[str, Any]]:
    """What is an object of `known` members."""

    def kind(name: str, value: Any) -> Dict[str, Any]:
        if not isinstance(value, dict):
            raise bad(name, f"{name} is not an object")
        return _known_of(value, known)

    return kind


def text(name: str, value: Any) -> str:
    """A string of whole characters: half a surrogate pair can neither be kept nor looked up."""
    if not isinstance(value, str) or any("\ud800" <= character <= "\udfff" for character in value):
        raise bad(name, f"{name} is not a string of whole characters")
    return value


def words(name: str, value: Any) -> List[str]:
    """A list of strings, or one string of comma-separated words."""
    if isinstance(value, str):
        return value.split(",")
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise bad(name, f"{name} is neither a list of strings nor comma-separated words")
    return value


def yes_or_no(name: str, value: Any) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise bad(name, f"{name} is not true or false")
    return value


def count(name: str, value: Any) -> int:
    """A whole number, not negative; 1.0 is one too (JSON Schema, validation, section 6.1.1)."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST:
        raise bad(name, f"{name} is not a whole number from 0 to {_MOST}")
    return value


def number_of_bytes(name: str, value: Any) -> int:
    """Bytes: a whole number, or a size such as "10GiB"."""
    if isinstance(value, str):
        try:
            value = size(value)
        except BadSetting as error:
            raise bad(name, f"{name}: {error}") from None
    return count(name, value)


def duration_ms(name: str, value: Any) -> int:
    """Milliseconds: of a number of seconds, or of a time such as "24h" or "90d"."""
    if isinstance(value, str):
        try:
            value = seconds(value)
        except BadSetting as error:
            raise bad(name, f"{name}: {error}") from None
    return _scaled(name, value, 1000, "a time in seconds, or one such as 24h")


def lifetime_ms(longest_ms: int, words: str) -> Callable[[str, Any], int]:
    """What is such a time from a second to `longest_ms`, which `words` say."""

    def kind(name: str, value: Any) -> int:
        lasts = duration_ms(name, value)
        if not 1000 <= lasts <= longest_ms:
            raise bad(name, f"{name} is {lasts / 1000:g} s; from 1 s to {words}")
        return lasts

    return kind


def minutes_ms(name: str, value: Any) -> int:
    """Milliseconds of a number of minutes."""
    return _scaled(name, value, 60_000, "a number of minutes")


def _scaled(name: str, value: Any, factor: int, what: str) -> int:
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not 0 <= value <= _MOST // factor
    ):
        raise bad(name, f"{name} is not {what}")
    return round(value * factor)


# -- and back --------------------------------------------------------------------------------------


def said_once(value: Dict[str, Any], headers: Iterable[Tuple[str, str]] = ()) -> Response:
    """201 and an object with a secret in it, which nobody on the way may keep (RFC 6750 section
    5.3)."""
    answer = json_response(value, 201, headers)
    kept = tuple(pair for pair in answer.headers if pair[0] != "Cache-Control")
    return answer._replace(headers=(*kept, ("Cache-Control", "no-store")))


def moment(milliseconds: Optional[int]) -> Optional[str]:
    """Milliseconds since 1970 as records have them; None stays None."""
    return None if milliseconds is None else when(milliseconds)
