"""Where an rqlite cluster is, and who we are there.  Parsing is pure; raises `BadAddress`, which says no secret.

    rqlite://[USER[:PASSWORD]@]HOST[:PORT],HOST[:PORT],…[?tls=yes&ca=FILE&cert=FILE&key=FILE&passfile=FILE&level=weak|strong]
"""

from __future__ import annotations

import re
from typing import Dict, NamedTuple, Optional, Tuple
from urllib.parse import parse_qsl, unquote

SCHEME = "rqlite://"
_PORT = 4001  # rqlite's own
_NODE = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._\-]+)(?::([0-9]{1,5}))?")
_CHOICES = {"tls": ("yes", "no"), "level": ("weak", "strong")}
_PARAMETERS = ("tls", "ca", "cert", "key", "passfile", "level")


class BadAddress(ValueError):
    """The address of a cluster that cannot be one."""


class Node(NamedTuple):
    """One of the cluster's."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Address(NamedTuple):
    """A cluster: any of its nodes answers for all."""

    nodes: Tuple[Node, ...]  # in the order in which they are asked
    user: Optional[str]
    password: str
    is_tls: bool
    ca: Optional[str]  # file of the authority that signed the nodes' certificates, where the system's are not it
    cert: Optional[str]  # file of our own certificate, and of its key
    key: Optional[str]
    level: str  # rqlite's read consistency
    passfile: Optional[str] = None  # its first line is the password

    @property
    def text(self) -> str:
        """How it is called in messages: without the password."""
        return SCHEME + ",".join(map(str, self.nodes))


def parse(text: str) -> Address:
    """The cluster that a text as above names."""
    if not text.startswith(SCHEME):
        raise BadAddress("a catalogue elsewhere is rqlite://HOST:4001,HOST:4001,…")
    rest, _, query = text[len(SCHEME):].partition("?")
    who, at, hosts = rest.rpartition("@")
    given = _parameters(query)
    user, colon, password = who.partition(":")
    if at and not (user and (colon or "passfile" in given)) or "passfile" in given and (colon or not at):
        raise BadAddress("before @ stand a user and a password with a colon between them, or a user with passfile=FILE")
    if ":" in unquote(user):  # RFC 7617 section 2
        raise BadAddress("a user's name has no colon in it")
    is_tls = given.get("tls", "yes" if {"ca", "cert", "key"} & set(given) else "no") == "yes"
    if not is_tls and {"ca", "cert", "key"} & set(given):
        raise BadAddress("ca, cert and key are of TLS, and tls is no")
    if "key" in given and "cert" not in given:
        raise BadAddress("a key is that of a cert")
    nodes = tuple(_node(number, host) for number, host in enumerate(hosts.rstrip("/").split(","), 1))
    if len(set(nodes)) < len(nodes):
        raise BadAddress("a node is named twice")
    return Address(
        nodes, unquote(user) if at else None, unquote(password), is_tls,
        given.get("ca"), given.get("cert"), given.get("key"), given.get("level", "weak"), given.get("passfile"),
    )


def _parameters(query: str) -> Dict[str, str]:
    if "@" in query:
        raise BadAddress("there is an @ behind the ?: in a user or a password, ? is written %3F, @ %40 and / %2F")
    given: Dict[str, str] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in _PARAMETERS or key in given or not value:
            raise BadAddress(f"the parameters are {', '.join(_PARAMETERS)}, each once and with a value")
        if value not in _CHOICES.get(key, (value,)):
            raise BadAddress(f"{key} is one of {', '.join(_CHOICES[key])}")
        given[key] = value
    return given


def _node(number: int, text: str) -> Node:
    """What cannot be one is not repeated: it may be a password that lacks its @."""
    found = _NODE.fullmatch(text)
    port = int(found.group(2) or _PORT) if found else 0
    if found is None or not 0 < port < 65536:
        raise BadAddress(f"node {number} of the address is not HOST:PORT")
    return Node(found.group(1).strip("[]"), port)
