"""Moving all audio from one store to another while a server goes on reading: copy, verify, then switch.

    1 the target is marked as this catalogue's          interrupted: a later move finds it so
    2 the catalogue is frozen (a row in `places`, which triggers of schema.sql heed)
                                                        from here on nothing is uploaded, changed or removed
    3 each file's bytes are copied and read back        interrupted: what is there and right is not copied again
    4 the keys are counted
    5 one transaction says that the target is the place
    6 the first server that begins with the target thaws the catalogue

The keys stay what they are, so that no row of a file changes.  The source keeps its bytes: whoever moved removes them when
he is content.  Raises `StoreError`, OSError, and `Differs` where bytes are not what their row says.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple, Set, Tuple

from ..digests import pieces_of, sha256_of
from .errors import StoreRefused

HOME = "the data folder"  # as an address: where the audio is when no store has it
_ROWS = 1000  # looked at in one query
_TRIES = 3  # copies of one file, before a store that does not keep what it is given is told of
_WORD = "SELECT word FROM places WHERE what IN ('blobs', 'id', 'moving') ORDER BY what"
_MOVING = "SELECT address FROM places WHERE what = 'moving'"
_FREEZE = "INSERT OR IGNORE INTO places (what, word, address) VALUES ('moving', ?, ?)"
_OVER = "DELETE FROM places WHERE what = 'moving' AND address = ?"
_THAW = "DELETE FROM places WHERE what IN ('moving', 'leaving', 'left')"
_FORGET = "DELETE FROM places WHERE what IN ('blobs', 'id')"
_KEEP_WORD = (
    "INSERT OR IGNORE INTO places (what, word, address) SELECT 'id', ?, ? "
    "WHERE NOT EXISTS (SELECT 1 FROM places WHERE what = 'blobs')"
)
_PLACE = "INSERT OR IGNORE INTO places (what, word, address) VALUES (?, ?, ?)"


class Differs(OSError):
    """Bytes are not what their row says."""


class Moved(NamedTuple):
    """What a move did."""

    files: int
    bytes: int
    copied: int  # files that were not there already


def move(catalogue: Any, source: Any, target: Any, spool: Path, ops: Any, say: Callable[[str], None]) -> Moved:
    """Bring the bytes of every file from the store `source` to `target`, and make that the place."""
    moved, place = bring(catalogue, source, target, address_of(target), spool, ops, say)
    catalogue.write([(_FORGET, ()), (_PLACE, place)])
    return moved


def bring(
    catalogue: Any, source: Any, target: Any, address: str, spool: Path, ops: Any, say: Callable[[str], None],
) -> Tuple[Moved, Tuple[str, str, str]]:
    """Steps 1 to 4 of a move that is called `address`; and the row of `places` that makes the target the place."""
    _refuse_another(catalogue, {address, address_of(source)})
    word = _claim(catalogue, target)
    begin(catalogue, source, address)
    files = total = copied = 0
    for key, size, sha256 in _rows(catalogue):
        copied += _bring(key, size, sha256, source, target, spool, ops)
        files, total = files + 1, total + size
        if files % _ROWS == 0:
            say(f"{files} files, {total} bytes are there")
    _count(catalogue, target, files)
    return Moved(files, total, copied), ("blobs" if target.is_far else "id", word, address_of(target))


def begin(catalogue: Any, source: Any, address: str) -> None:
    """Freeze the files for a move that is called `address`; StoreRefused where another one was begun."""
    here = address_of(source)
    _refuse_another(catalogue, {address, here})
    # The move that brought the audio here is over, whether a server has begun since or not.
    catalogue.write([(_OVER, (here,)), (_FREEZE, (word_of(catalogue), address))])
    _refuse_another(catalogue, {address})


def cancel(catalogue: Any) -> bool:
    """Let the catalogue be changed again, where a move was begun and not finished; whether there was one."""
    return bool(catalogue.write([(_THAW, ())])[0])


def thaw(catalogue: Any, blobs: Any) -> None:
    """A server begins with `blobs`: where that is what the audio was moved to, the catalogue may be changed again."""
    moved = catalogue.read(_MOVING)
    if not moved or moved[0][0] != address_of(blobs):
        return
    if catalogue.read("SELECT 1 FROM places WHERE what = ? AND address = ?", (
        "blobs" if blobs.is_far else "id", address_of(blobs),
    )):
        catalogue.write([(_THAW, ())])


def address_of(blobs: Any) -> str:
    """How a store is called in the catalogue."""
    return blobs.text if blobs.is_far else HOME


def word_of(catalogue: Any) -> str:
    """The word of this catalogue, a fresh one where it has none yet."""
    known = catalogue.read(_WORD)
    return known[0][0] if known else os.urandom(16).hex()


def _refuse_another(catalogue: Any, addresses: Set[str]) -> None:
    for (under_way,) in catalogue.read(_MOVING):
        if under_way not in addresses:
            raise StoreRefused(f"a move to {under_way} was begun: finish it, or say --cancel")


def _claim(catalogue: Any, target: Any) -> str:
    # Kept before the store has it: an interrupted or cancelled move must not leave a mark that nobody knows.
    catalogue.write([(_KEEP_WORD, (word_of(catalogue), HOME))])
    word = word_of(catalogue)
    if target.is_far:
        mark = target.mark()
        if mark is None:
            target.set_mark(word)
        elif mark != word:
            raise StoreRefused(f"{target.text} belongs to another catalogue")
    return word


def _rows(catalogue: Any) -> Iterator[Tuple[str, int, str]]:
    after = ""
    while True:
        rows = catalogue.read("SELECT key, size, sha256 FROM files WHERE key > ? ORDER BY key LIMIT ?", (after, _ROWS))
        if not rows:
            return
        yield from rows
        after = rows[-1][0]


def _bring(key: str, size: int, sha256: str, source: Any, target: Any, spool: Path, ops: Any) -> int:
    """Have the bytes of `key` in the target, verified; how many copies that took of the file, 0 or 1."""
    if target.size(key) == size and sha256_of(target.pieces(key)) == sha256:
        return 0
    for _ in range(_TRIES):
        path = str(spool / (os.urandom(16).hex() + ".part"))
        source.lend(key, path)
        with open(path, "r+b", buffering=0) as file:  # Windows syncs what may be written
            try:
                found = sha256_of(pieces_of(file))
                if found != sha256:
                    raise Differs(f"the bytes {key} have the sha256 {found}, their row says {sha256}: see `db check`")
                target.put(key, file, size, sha256)
            except BaseException:
                file.close()
                with contextlib.suppress(FileNotFoundError):
                    ops.remove(path)
                raise
        if target.size(key) == size and sha256_of(target.pieces(key)) == sha256:
            return 1
    raise Differs(f"the bytes {key} came back from {address_of(target)} as others")


def _count(catalogue: Any, target: Any, files: int) -> None:
    """See that the target has a key for each row, by its own list."""
    there = target.scan()
    key = next(there, None)
    named = 0
    for wanted, _, _ in _rows(catalogue):
        while key is not None and key < wanted:
            key = next(there, None)
        if key != wanted:
            raise Differs(f"{address_of(target)} does not list the bytes {wanted}")
        named += 1
    if named != files:
        raise Differs(f"{files} files were brought over, the catalogue has {named}: is it written to by others?")
