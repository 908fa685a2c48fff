"""A secret key in a file of the data folder, made when first needed, readable by nobody else
(0600); or the one that all servers of a cluster share.

Never in a backup or a dump of the catalogue: whoever gets one can sign nothing.  Raises OSError,
and `BadKey` for what is no key, rather than signing with less than a whole one.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Callable

_KEY = re.compile(r"[0-9a-f]{64}")
_BYTES = 32  # as long as the digest that it keys: RFC 2104 section 3 finds no use in more
_OTHERS = 0o077  # of a file's mode: what group and others may


class BadKey(ValueError):
    """The file is there and holds no key; the text says which."""


def read_or_make(path: Path, ops: Any, chance: Callable[[int], bytes] = os.urandom) -> bytes:
    """The key in the file `path`; a fresh one, durable, where there is no file.  Only under the
    folder's lock."""
    try:
        return _read(path)
    except FileNotFoundError:
        pass
    _make(path, ops, chance(_BYTES).hex())
    return _read(path)


def shared(path: Path, agreed: Callable[[str], str]) -> bytes:
    """The key that all servers use: `agreed` is given ours, and answers whose was first.  Ours is
    the one in the file `path`, so that what it signed goes on, else a fresh one."""
    try:
        ours = _read(path)
    except FileNotFoundError:
        ours = os.urandom(_BYTES)
    text = agreed(ours.hex())
    if not _KEY.fullmatch(text):
        raise BadKey("what the catalogue keeps to sign links with is no key")
    return bytes.fromhex(text)


def replace(path: Path, ops: Any, key: bytes) -> None:
    """Make `key` the one in the file `path`, durable."""
    _make(path, ops, key.hex())


def _read(path: Path) -> bytes:
    with open(path, encoding="ascii", errors="replace") as file:
        if os.name == "posix" and os.fstat(file.fileno()).st_mode & _OTHERS:
            os.fchmod(file.fileno(), 0o600)
        text = file.read(_BYTES * 2 + 3).rstrip("\n")
    if not _KEY.fullmatch(text):
        raise BadKey(
            f"{path} holds no key: remove it, and a new one is made; "
            "links signed with the old one end"
        )
    return bytes.fromhex(text)


def _make(path: Path, ops: Any, text: str) -> None:
    """A name of its own first, so that a crash leaves a whole key or none."""
    part = str(path) + ".part"
    try:
        ops.remove(part)
    except FileNotFoundError:
        pass
    with open(part, "wb", buffering=0, opener=lambda name, _: ops.create(name)) as file:
        ops.write(file, text.encode("ascii") + b"\n")  # one block: written whole or not at all
        ops.sync(file.fileno())
    ops.rename(part, str(path))
    ops.sync_directory(str(path.parent))
