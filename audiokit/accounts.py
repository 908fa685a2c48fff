"""Who somebody is, what they may do, and how passwords and tokens are kept: the rules, pure.

Never touches files, sockets, clocks or rows: the time, the salt and every other chance are parameters.  Never keeps
a secret: of a password there is a slow digest, of a token a quick one, for a token has 256 bits of its own.

Passwords are hashed with scrypt (RFC 7914), or with PBKDF2 (RFC 8018) where this Python has no scrypt; the hash
says with which parameters.  Raises `Refusal` for names, scopes and passwords that cannot be.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import math
import re
import unicodedata
from base64 import b32encode, urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Dict, FrozenSet, Iterable, List, NamedTuple, Optional, Tuple, Union

from .parameters import bad
from .wire.problems import Refusal

# -- who may do what ----------------------------------------------------------------------------------------

READ, WRITE, DELETE, ADMIN = "read", "write", "delete", "admin"
SCOPES = (READ, WRITE, DELETE, ADMIN)
ANYONE = "anyone"  # of a route: no credential is asked for, and none is looked at
KNOWN = "known"  # of a route: any credential will do, whatever its scopes

# What is read by its id: one's own; what others share as well; everything.
OWN, SHARED, ALL = "own", "shared", "all"

OPEN, BASIC, TOKEN, SESSION, PUBLIC = "open", "basic", "token", "session", "public"


@dataclass(frozen=True)
class Who:
    """Who asks, and what they may."""

    account: int = 0  # owner of what they upload; 0 = nobody
    name: Optional[str] = None  # of the account
    scopes: FrozenSet[str] = frozenset()
    is_admin: bool = False  # an admin's account, and not a token that leaves that aside
    how: str = PUBLIC  # one of OPEN … PUBLIC
    token: Optional[str] = None  # id of the token that was shown

    # Every request asks for these, so that they are worked out once.
    reach: str = field(init=False)  # what they read by its id: OWN, SHARED or ALL
    holds: str = field(init=False)  # what they change and remove: OWN or ALL
    lists: Optional[int] = field(init=False)  # the owner whose files they list; None: everybody's
    names: Optional[int] = field(init=False)  # … whose files they call by name; None: whoever's is the newest
    ends: Optional[int] = field(init=False)  # … whose links, drops, tokens and conversions they end; None: anybody's
    label: str = field(init=False)  # for the log: the account, and the token's id; "-" for nobody

    def __post_init__(self) -> None:
        is_public = self.how == PUBLIC
        sees_all = self.is_admin or is_public
        derived = {
            "reach": ALL if sees_all else SHARED if self.account else OWN,
            "holds": ALL if self.is_admin else OWN,
            "lists": None if sees_all else self.account,
            "names": None if is_public else self.account,
            "ends": None if self.is_admin else self.account,
            "label": f"{self.name}/{self.token}" if self.token else self.name or "-",
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def may(self, scope: str) -> bool:
        """Whether a route that asks for `scope` is open to them."""
        if scope == ADMIN:
            return self.is_admin
        return scope in self.scopes or scope == ANYONE or (scope == KNOWN and self.how != PUBLIC)


NOBODY = Who()
EVERYBODY = Who(0, None, frozenset((READ, WRITE, DELETE)), False, OPEN)  # while there is no account
PUBLIC_READER = Who(0, None, frozenset((READ,)), False, PUBLIC)  # under --public-read


class Account(NamedTuple):
    """A row of `accounts`."""

    id: int
    name: str
    password: str  # its hash
    is_admin: bool
    is_disabled: bool
    created_ms: int
    most_bytes: Optional[int] = None  # quotas; None: no limit
    most_files: Optional[int] = None
    most_ms: Optional[int] = None

    def who(self, how: str, scopes: Iterable[str] = SCOPES, token: Optional[str] = None) -> Who:
        """Somebody who has shown that they are this account, with those of `scopes` that it has."""
        mine = frozenset(scopes) - (frozenset() if self.is_admin else {ADMIN})
        return Who(self.id, self.name, mine, ADMIN in mine, how, token)


class Token(NamedTuple):
    """A row of `tokens`, its digest apart."""

    id: str
    account: int
    scopes: Tuple[str, ...]
    note: str
    created_ms: int
    expires_ms: Optional[int]
    used_ms: Optional[int]


_NAME = re.compile(r"[a-z0-9_][a-z0-9._@-]{0,63}")
NOTE_CHARACTERS = 200  # of a token's or a drop's note


def valid_account_name(text: str) -> str:
    """`text` as an account's name, in lower case; Refusal `bad-name`."""
    name = text.lower()
    if not _NAME.fullmatch(name):
        raise Refusal(
            "bad-name", f"the account's name {text[:80]!r} is not 1 to 64 of a-z 0-9 . _ @ -, "
            "beginning with a letter, a digit or _", parameter="name",
        )
    return name


def valid_scopes(words: Iterable[str]) -> Tuple[str, ...]:
    """The scopes in their own order; Refusal `bad-parameter` names one that there is not."""
    wanted = [word.strip() for word in words]
    for word in wanted:
        if word not in SCOPES:
            raise bad("scope", f"scope has {word[:40]!r}, not {', '.join(SCOPES)}")
    if not wanted:
        raise bad("scope", "scope is empty")
    return tuple(scope for scope in SCOPES if scope in wanted)


def valid_note(text: str) -> str:
    """`text` as a note of one line; Refusal `bad-parameter`."""
    if len(text) > NOTE_CHARACTERS or not text.isprintable():
        raise bad("note", f"note is not one line of at most {NOTE_CHARACTERS} characters")
    return text


# -- refusals -----------------------------------------------------------------------------------------------

def unauthorized(detail: str) -> Refusal:
    """401, and what would help (RFC 9110 section 11.6.1)."""
    return Refusal("unauthorized", detail, headers=CHALLENGES)


# Basic first: what cannot read lists of challenges reads this one (RFC 7617 section 2).
CHALLENGES: Tuple[Tuple[str, str], ...] = (
    ("WWW-Authenticate", 'Basic realm="audioserver", charset="UTF-8"'),
    ("WWW-Authenticate", 'Bearer realm="audioserver"'),
)


def not_admitted(who: Who, scope: str) -> Refusal:
    """Why a route of `scope` is not open to `who`: 401 for nobody, 403 for somebody."""
    if who.how == PUBLIC:
        return unauthorized("this takes a credential: Basic, or Bearer with a token")
    if scope == ADMIN:
        return Refusal("forbidden", "this is for admins")
    return Refusal(
        "forbidden", f"the token has not the scope {scope!r}", scope=scope,
        headers=[("WWW-Authenticate", f'Bearer realm="audioserver", error="insufficient_scope", scope="{scope}"')],
    )


def too_many(wait: float) -> Refusal:
    """429 after too many wrong credentials; `wait` in seconds."""
    seconds = int(wait) + 1
    return Refusal(
        "too-many-requests", f"too many wrong credentials: come again in {seconds} s",
        headers=[("Retry-After", str(seconds))],
    )


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


# -- credentials --------------------------------------------------------------------------------------------


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


# -- guessing -----------------------------------------------------------------------------------------------


class Guesses:
    """How often somebody was wrong of late: of one account from one address, and from one address at all.

    A counter that is given the time (s, monotonic).  An attempt counts as wrong from its beginning, so that a
    hundred at once are a hundred; being right takes its own count back.
    """

    def __init__(self, window: float, most: int, most_of_address: int, remembered: int = 20_000) -> None:
        """`window`: s that a failure counts; `most`: of one account from one address; 0 switches a limit off."""
        self._window, self._most, self._most_of_address = window, most, most_of_address
        self._remembered = remembered  # keys kept; beyond it the oldest is forgotten
        self._failures: Dict[Tuple[str, str], Tuple[float, int]] = {}

    @property
    def is_quiet(self) -> bool:
        """Whether nobody was wrong of late: then nothing needs to be asked."""
        return not self._failures

    def wait(self, name: str, address: str, now: float) -> float:
        """Seconds until `name` ("": a token) may be tried from `address` again; 0: now."""
        of_address = self._left(("", address), self._most_of_address, now)
        return max(of_address, self._left((name, address), self._most, now)) if name else of_address

    def attempt(self, name: str, address: str, now: float) -> None:
        """Somebody tries `name` ("": a token), and is wrong until told otherwise."""
        for key in {(name, address), ("", address)}:
            since, count = self._failures.pop(key, (now, 0))
            if now - since >= self._window:
                since, count = now, 0
            self._failures[key] = since, count + 1  # the last touched is last
        while len(self._failures) > self._remembered:
            del self._failures[next(iter(self._failures))]

    def was_right(self, name: str, address: str) -> None:
        """The attempt was no guess: the account is as if it had not been tried from there."""
        self._failures.pop((name, address), None)
        since, count = self._failures.pop(("", address), (0.0, 0))
        if count > 1:
            self._failures["", address] = since, count - 1

    def forget_old(self, now: float) -> None:
        """Drop what does not count any more."""
        for key, (since, _) in list(self._failures.items()):
            if now - since < self._window:
                break  # those behind it were touched later; what is old among them goes the next time
            del self._failures[key]

    def _left(self, key: Tuple[str, str], most: int, now: float) -> float:
        found = self._failures.get(key)
        if found is None or not most:
            return 0.0
        since, count = found
        if now - since >= self._window:
            del self._failures[key]
            return 0.0
        return since + self._window - now if count >= most else 0.0


def network_of(address: str) -> str:
    """What guesses are counted by: the address itself, or of IPv6 its network of 64 bits, which one person has."""
    address = address.partition("%")[0].lower()
    if ":" not in address:
        return address
    try:
        whole = ipaddress.IPv6Address(address)
    except ValueError:
        return address
    if whole.ipv4_mapped is not None:
        return str(whole.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(whole) >> 64 << 64, 64)))
