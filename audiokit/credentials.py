"""Passwords and tokens: how they are made, shown and kept.

Never touches files, sockets, clocks or rows: the salt and every other chance are parameters.  Never keeps a secret: of a
password there is a slow digest, of a token a quick one, for a token has 256 bits of its own.  Pure.

Passwords are hashed with scrypt (RFC 7914), or with PBKDF2 (RFC 8018) where this Python has no scrypt; the hash says with
which parameters.  Raises `Refusal` for passwords that cannot be.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
import unicodedata
from base64 import b32encode, urlsafe_b64decode, urlsafe_b64encode
from typing import List, NamedTuple, Union

from .parameters import bad

# -- passwords ----------------------------------------------------------------------------------------------

SALT_BYTES = 16
_DIGEST_BYTES = 32
PASSWORD_BYTES = 1024  # of UTF-8; a longer one is no better, and hashing begins with all of it

# Of OWASP's settings for scrypt: 16 MiB for as long as a login may take.
SCRYPT = "scrypt$16384$8$5"
# OWASP's count for PBKDF2-HMAC-SHA256.
PBKDF2 = "pbkdf2-sha256$600000"
_HAS_SCRYPT = hasattr(hashlib, "scrypt")  # missing where Python was built with an OpenSSL without it
PARAMETERS = SCRYPT if _HAS_SCRYPT else PBKDF2
_HASH = re.compile(r"(scrypt\$\d{1,9}\$\d{1,4}\$\d{1,4}|pbkdf2-sha256\$\d{1,9})\$([A-Za-z0-9_-]+)\$([A-Za-z0-9_-]+)")


def valid_password(text: str) -> str:
    """`text` as a password; Refusal `bad-parameter` when it is empty, far too long or has a control character."""
    if not text:
        raise bad("password", "the password is empty")
    if len(text.encode("utf-8", "replace")) > PASSWORD_BYTES:
        raise bad("password", f"the password has more than {PASSWORD_BYTES} bytes")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise bad("password", "the password has a control character in it")
    return text


def hash_password(password: str, salt: bytes, parameters: str = PARAMETERS) -> str:
    """What is kept of a password: parameters, salt and digest in one text.  Takes a fraction of a second."""
    return f"{parameters}${_text(salt)}${_text(_derived(password, salt, parameters))}"


def verify_password(password: str, kept: str) -> bool:
    """Whether `password` is the one of which `kept` was kept.

    False also for a text that is no hash, and for a hash by scrypt where this Python has none.
    """
    found = _HASH.fullmatch(kept)
    if found is None or (kept.startswith("scrypt$") and not _HAS_SCRYPT):
        return False
    parameters, salt, digest = found.groups()
    return hmac.compare_digest(_derived(password, _bytes(salt), parameters), _bytes(digest))


def is_outdated(kept: str, parameters: str = PARAMETERS) -> bool:
    """Whether today's parameters cost a guesser more than those of `kept`: the next login should hash anew."""
    old, new = kept.split("$"), parameters.split("$")
    if old[0] != new[0]:
        return new[0] == "scrypt"  # PBKDF2 needs no memory: scrypt is dearer to guess at any count
    return _cost(old) < _cost(new)


def _cost(parts: List[str]) -> int:
    return math.prod(int(number) for number in (parts[1:4] if parts[0] == "scrypt" else parts[1:2]))


def stand_in(parameters: str = PARAMETERS) -> str:
    """A hash of no password, to verify against where there is no account: it takes as long as a true one."""
    return f"{parameters}${_text(bytes(SALT_BYTES))}${_text(bytes(_DIGEST_BYTES))}"


def _derived(password: str, salt: bytes, parameters: str) -> bytes:
    secret = unicodedata.normalize("NFC", password).encode("utf-8", "replace")  # RFC 8265 section 4.2
    kind, *numbers = parameters.split("$")
    if kind == "pbkdf2-sha256":
        return hashlib.pbkdf2_hmac("sha256", secret, salt, int(numbers[0]), _DIGEST_BYTES)
    n, r, p = map(int, numbers)
    # 128 n r bytes for the mixing and 128 r p for the lanes, and something for OpenSSL's own.
    memory = 128 * r * (n + p + 2) + (1 << 20)
    return hashlib.scrypt(secret, salt=salt, n=n, r=r, p=p, maxmem=memory, dklen=_DIGEST_BYTES)


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode("ascii").rstrip("=")


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


# -- tokens -------------------------------------------------------------------------------------------------

TOKEN_PREFIX = "aus_"  # so that people, and what searches for leaked secrets, know one when they see it
_ID_BYTES, _SECRET_BYTES = 5, 32
TOKEN_CHANCE_BYTES = _ID_BYTES + _SECRET_BYTES
_TOKEN = re.compile(r"aus_([a-z2-7]{8})_[A-Za-z0-9_-]{43}")


class NewToken(NamedTuple):
    """A token as it is made, once."""

    id: str  # shown in lists and logs
    text: str  # what the client keeps
    digest: str  # what the catalogue keeps


def new_token(chance: bytes) -> NewToken:
    """A token out of TOKEN_CHANCE_BYTES bytes of `chance`."""
    if len(chance) != TOKEN_CHANCE_BYTES:
        raise ValueError(f"a token takes {TOKEN_CHANCE_BYTES} bytes of chance, not {len(chance)}")
    id = b32encode(chance[:_ID_BYTES]).decode("ascii").lower()
    text = f"{TOKEN_PREFIX}{id}_{_text(chance[_ID_BYTES:])}"
    return NewToken(id, text, secret_digest(text))


def is_token(text: str) -> bool:
    """Whether `text` has the form of a token; whether it is one only the catalogue knows."""
    return _TOKEN.fullmatch(text) is not None


def secret_digest(text: str) -> str:
    """What is kept of a secret with 256 bits of its own: lower-case hex.  No salt: there is nothing to guess."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


# -- as they are shown --------------------------------------------------------------------------------------


class Basic(NamedTuple):
    """Name and password of RFC 7617."""

    name: str  # lower case, as accounts are
    password: str


def parse_authorization(field: str) -> Union[Basic, str, None]:
    """A `Basic`, or a token's text, out of an Authorization field; None when it is neither, or malformed.

    `Bearer` is RFC 6750's; `Token` is what many audio APIs say instead.
    """
    scheme, _, rest = field.partition(" ")
    scheme, rest = scheme.lower(), rest.strip(" ")
    if scheme in ("bearer", "token"):
        return rest if is_token(rest) else None
    if scheme != "basic" or not re.fullmatch(r"[A-Za-z0-9+/_-]+={0,2}", rest):
        return None
    try:
        data = urlsafe_b64decode(rest.rstrip("=").replace("+", "-").replace("/", "_") + "=" * (-len(rest.rstrip("=")) % 4))
        name, colon, password = data.decode("utf-8").partition(":")
    except ValueError:
        return None
    return Basic(name.lower(), password) if colon else None
