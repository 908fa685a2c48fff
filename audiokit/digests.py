"""The sha256 of bytes that come in pieces.  Raises what the pieces' source raises."""

from __future__ import annotations

import hashlib
from typing import Any, BinaryIO, Iterable, Iterator

_PIECE = 1 << 20  # bytes of a file read at a time


def sha256_of(pieces: Iterable[Any]) -> str:
    """Of all pieces, lower-case hex."""
    hash = hashlib.sha256()
    for piece in pieces:
        hash.update(piece)
    return hash.hexdigest()


def pieces_of(file: BinaryIO) -> Iterator[bytes]:
    """What an open file has from here to its end."""
    return iter(lambda: file.read(_PIECE), b"")
