"""Who somebody is and what they may do: accounts, scopes, and how it is said that something is not open to somebody.

Pure.  Raises `Refusal` for names and scopes that cannot be.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import FrozenSet, Iterable, NamedTuple, Optional, Tuple

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
