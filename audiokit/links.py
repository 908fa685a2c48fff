"""Links that let somebody in without a credential: signed ones, that read one file, and drops, that
only upload.

A signed link says what it allows, and a keyed digest (HMAC with SHA-256, RFC 2104) over the method,
the path and every parameter says that this server made it: whatever is changed, left out or added,
the digest does not fit.  A drop's link is a secret of 256 bits, of which only the digest is kept
(audiokit/credentials.py).

Pure: the key, the time and every chance are parameters.  Never says of a link more than that it
does not fit.  Raises `Refusal`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b32encode, urlsafe_b64encode
from typing import Iterable, NamedTuple, Optional, Tuple

from .wire.problems import Refusal

ID_CHANCE_BYTES = 15  # 120 bits, as files have
TOKEN_CHANCE_BYTES = 32
DROP_PREFIX = (
    "drop_"  # so that people, and what searches for leaked secrets, know one when they see it
)

_PATH = "/links/"
_DROP_PATH = "/drop/"
_SIGNED = ("download", "expires")  # the parameters, in the order in which they are signed
_SIGNATURE = "signature"
_SECONDS = re.compile(r"[1-9][0-9]{0,11}")
_DROP_TOKEN = re.compile(r"drop_[A-Za-z0-9_-]{43}")


class Link(NamedTuple):
    """A signed link: a row of `links`."""

    id: str
    file: str  # id of what it reads
    account: int  # who made it; 0 = nobody, in open mode
    download: bool  # to be saved, not shown
    created_ms: int
    expires_ms: int  # whole seconds, as the link says them


class Claim(NamedTuple):
    """What a link whose signature fits says."""

    id: str
    download: bool
    expires_ms: int


class Drop(NamedTuple):
    """A row of `drops`, its digest apart; a limit that is None does not hold anything."""

    id: str
    account: int  # whose the files will be; 0 = nobody, in open mode
    note: str
    created_ms: int
    expires_ms: int
    most_files: Optional[int]
    most_bytes: Optional[int]
    most_ms: Optional[int]  # milliseconds of audio
    files: int = 0  # that came through it so far
    bytes: int = 0
    duration_ms: int = 0


def new_id(chance: bytes) -> str:
    """An id out of ID_CHANCE_BYTES bytes of chance."""
    return b32encode(chance).decode("ascii").lower()


# -- signed links ----------------------------------------------------------------------------------


def whole_seconds(milliseconds: int) -> int:
    """A time (ms) as a link can say it: the last whole second."""
    return milliseconds // 1000 * 1000


def target_of(key: bytes, link: Link) -> str:
    """Path and query of a link, for a GET or HEAD."""
    said = {"download": _word(link.download), "expires": str(link.expires_ms // 1000)}
    query = "&".join(f"{name}={said[name]}" for name in _SIGNED)
    return f"{_PATH}{link.id}?{query}&{_SIGNATURE}={_signature(key, 'GET', link.id, said.items())}"


def claim_of(key: bytes, method: str, id: str, pairs: Iterable[Tuple[str, str]], now_ms: int) -> Claim:
    """What the link of this id and these parameters says; Refusal `forbidden` when it does not
    fit or has expired."""
    pairs = list(pairs)
    said = dict(pairs)
    signature = said.pop(_SIGNATURE, "")
    # Every parameter is signed, so that one that is unknown or given twice cannot fit: it is looked
    # at all the same.
    others = [pair for pair in pairs if pair[0] != _SIGNATURE]
    wanted = _signature(key, "GET" if method == "HEAD" else method, id, others)
    fits = hmac.compare_digest(wanted.encode("ascii"), signature.encode("utf-8", "replace"))
    if not fits or len(pairs) != len(_SIGNED) + 1 or sorted(said) != sorted(_SIGNED):
        raise Refusal("forbidden", "the link is not as it was made: its signature does not fit")
    if not _SECONDS.fullmatch(said["expires"]) or said["download"] not in ("true", "false"):
        raise Refusal("forbidden", "the link was made by another version of the server")
    expires_ms = int(said["expires"]) * 1000
    if expires_ms <= now_ms:
        raise Refusal("forbidden", "the link has expired")
    return Claim(id, said["download"] == "true", expires_ms)


def _signature(key: bytes, method: str, id: str, said: Iterable[Tuple[str, str]]) -> str:
    """The digest over all that is said.  Lengths come first, so that no two links have the same
    text."""
    words = [method, _PATH + id]
    for name, value in sorted(said):
        words += [name, value]
    text = "".join(f"{len(word)}:{word}" for word in ["audioserver link 1", *words])
    digest = hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
    return urlsafe_b64encode(digest).decode("ascii").rstrip("=")


def _word(value: bool) -> str:
    return "true" if value else "false"


# -- drops -----------------------------------------------------------------------------------------


def new_drop_token(chance: bytes) -> str:
    """The secret in a drop's link, out of TOKEN_CHANCE_BYTES bytes of chance."""
    return DROP_PREFIX + urlsafe_b64encode(chance).decode("ascii").rstrip("=")


def is_drop_token(text: str) -> bool:
    """Whether `text` has the form of one; whether it is one only the catalogue knows."""
    return _DROP_TOKEN.fullmatch(text) is not None


def drop_target(token: str) -> str:
    """The path that uploads through a drop are posted to."""
    return _DROP_PATH + token
