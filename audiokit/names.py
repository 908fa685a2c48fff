"""What files may be called, and what they are called when nobody says.  Pure.  Raises `Refusal`
`bad-name`."""

from __future__ import annotations

import unicodedata
from typing import Callable, Iterator

from .wire.problems import Refusal

NAME_BYTES = 255  # what file systems allow for a name
_BIDI = set("\u061c\u200e\u200f") | {chr(c) for c in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}
# Names that are tried in turn; then chance: the thousandth must not take a thousand looks.
_NUMBERED = 10
_EXTENSION = 16  # characters behind the last dot that are taken for one


def valid_name(text: str) -> str:
    """`text` as a file's name, in NFC; Refusal `bad-name` says what is wrong with it."""
    if not text:
        raise _bad_name("the name is empty")
    for character in text:
        kind = unicodedata.category(character)
        if kind in ("Cc", "Cs", "Zl", "Zp") or character in "/\\" or character in _BIDI:
            raise _bad_name(f"the name has the character U+{ord(character):04X} in it")
    name = unicodedata.normalize("NFC", text)
    if name in (".", ".."):
        raise _bad_name(f"{name!r} is a directory's name")
    if len(name.encode("utf-8")) > NAME_BYTES:
        raise _bad_name(f"the name has {len(name.encode('utf-8'))} bytes of UTF-8, {NAME_BYTES} are taken")
    return name


def _bad_name(why: str) -> Refusal:
    return Refusal("bad-name", why, parameter="name")


def free_names(stem: str, extension: str) -> Iterator[str]:
    """Names for a file that has none: the first that is free is its."""
    yield stem + extension
    number = 2
    while True:
        yield f"{stem}-{number}{extension}"
        number += 1


def other_names(name: str, chance: Callable[[int], bytes]) -> Iterator[str]:
    """`name`, then names that begin and end as it does, for a file that must not meet another
    one."""
    yield name
    stem, dot, extension = name.rpartition(".")
    if not stem or len(extension) > _EXTENSION:
        stem, dot, extension = name, "", ""
    for number in range(2, _NUMBERED):
        yield _joined(stem, f"-{number}{dot}{extension}")
    while True:
        yield _joined(stem, f"-{chance(4).hex()}{dot}{extension}")


def _joined(stem: str, end: str) -> str:
    """Both together, as much of the stem as a name may have."""
    most = NAME_BYTES - len(end.encode("utf-8"))
    return unicodedata.normalize("NFC", stem.encode("utf-8")[:most].decode("utf-8", "ignore") + end)
