"""Header field values: dates, hosts, media types, Content-Disposition, digests, weights, preferences.

Text in, values out, and back.  Field values are text with one character a byte (latin-1), as heads
give them. What is malformed raises `Refusal` where the field changes what is done, and is ignored
where its standard says so.  No clock: times are parameters, in whole seconds since 1970-01-01 UTC.
"""

from __future__ import annotations

import base64
import binascii
import calendar
import datetime
import ipaddress
import re
from functools import lru_cache
from typing import Dict, List, Optional, Tuple
from urllib.parse import quote, unquote_to_bytes

from .problems import Refusal

TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # RFC 9110 section 5.6.2
_QUOTED = r'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'  # section 5.6.4
_PAIR = re.compile(r"\\(.)", re.DOTALL)

# -- dates (RFC 9110 section 5.6.7) -------------------------------------------------------------------

_DAYS = "Mon Tue Wed Thu Fri Sat Sun".split()
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_TIME = r"(\d\d):(\d\d):(\d\d)"
_IMF = re.compile(rf"(?:{'|'.join(_DAYS)}), (\d\d) ([A-Z][a-z]{{2}}) (\d{{4}}) {_TIME} GMT", re.ASCII)
_RFC850 = re.compile(
    rf"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (\d\d)-([A-Z][a-z]{{2}})-(\d\d) {_TIME} GMT",
    re.ASCII,
)
_ASCTIME = re.compile(rf"(?:{'|'.join(_DAYS)}) ([A-Z][a-z]{{2}}) ([ \d]\d) {_TIME} (\d{{4}})", re.ASCII)


@lru_cache(maxsize=256)  # the same second, and the same files' seconds, come again and again
def http_date(seconds: int) -> str:
    """`seconds` since 1970 as an IMF-fixdate, such as "Sun, 06 Nov 1994 08:49:37 GMT"."""
    when = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return (
        f"{_DAYS[when.weekday()]}, {when.day:02} {_MONTHS[when.month - 1]} {when.year:04} "
        f"{when:%H:%M:%S} GMT"
    )


def parse_http_date(value: str) -> Optional[int]:
    """Seconds since 1970 of any of the three forms of an HTTP date; None for anything else."""
    found = _IMF.fullmatch(value)
    if found:
        day, month, year, *time = found.groups()
        return _seconds(int(year), month, day, time)
    found = _RFC850.fullmatch(value)
    if found:
        day, month, year, *time = found.groups()
        # Two digits mean a year that is not 50 years ahead; without a clock: 1970 to 2069.
        return _seconds(int(year) + (1900 if int(year) >= 70 else 2000), month, day, time)
    found = _ASCTIME.fullmatch(value)
    if found:
        month, day, *time, year = found.groups()
        return _seconds(int(year), month, day, time)
    return None


def _seconds(year: int, month: str, day: str, time: List[str]) -> Optional[int]:
    hour, minute, second = map(int, time)
    if month not in _MONTHS or hour > 23 or minute > 59 or second > 60:  # 60: a leap second
        return None
    try:
        date = datetime.date(year, _MONTHS.index(month) + 1, int(day))
    except ValueError:
        return None
    return calendar.timegm((date.year, date.month, date.day, hour, minute, second))


# -- Host (RFC 9110 section 7.2, RFC 3986 section 3.2.2) -----------------------------------------------

# A registered name may hold a comma by its grammar; two joined Host fields would look like one, so
# not here.
_HOST = re.compile(
    r"(?:\[([0-9A-Fa-f:.]+)\]|((?:[0-9A-Za-z\-._~!$&'()*+;=]|%[0-9A-Fa-f]{2})+))(?::(\d{0,5}))?",
    re.ASCII,
)


def parse_host(value: str) -> Tuple[str, Optional[int]]:
    """(host, port) of a Host field; IPv6 without its brackets, port None where none is said.  Or
    Refusal."""
    found = _HOST.fullmatch(value)
    if found is None:
        raise _bad_host(value)
    literal, name, port = found.groups()
    if literal is not None and not (":" in literal and is_ip_literal(literal)):  # brackets are of IPv6
        raise _bad_host(value)
    if port and int(port) > 65535:
        raise _bad_host(value)
    return literal if literal is not None else name, int(port) if port else None


def _bad_host(value: str) -> Refusal:
    return Refusal("bad-request", f"Host: {value!r} is not a host with an optional port", close=True)


def is_ip_literal(host: str) -> bool:
    """Whether `host` is an IPv4 address in four decimals or an IPv6 address, with or without
    brackets."""
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return "%" not in host


def is_loopback(address: str) -> bool:
    """Whether an IP address, not a name, is this machine's own to itself."""
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


# -- values with parameters ------------------------------------------------------------------------------

_PARAMETER = re.compile(rf"[ \t]*;[ \t]*(?:({TOKEN})=({TOKEN}|{_QUOTED}))?")
_MEDIA_TYPE = re.compile(rf"({TOKEN}/{TOKEN})")
_KIND = re.compile(rf"[ \t]*({TOKEN})")


def _parameters(value: str, start: int, field: str) -> Dict[str, str]:
    """`; name=value` pairs from `start` to the end, names in lower case, quoted values still
    quoted."""
    found: Dict[str, str] = {}
    while start < len(value):
        match = _PARAMETER.match(value, start)
        if match is None:
            if value[start:].strip(" \t"):
                raise Refusal("bad-request", f"{field}: {value!r} is malformed at {value[start:]!r}")
            break
        if match.group(1) is not None:
            name = match.group(1).lower()
            if name in found:
                raise Refusal("bad-request", f"{field}: {value!r} has {name} twice")
            found[name] = match.group(2)
        start = match.end()
    return found


def _unquoted(value: str) -> str:
    return _PAIR.sub(r"\1", value[1:-1]) if value.startswith('"') else value


def parse_media_type(value: str, field: str = "Content-Type") -> Tuple[str, Dict[str, str]]:
    """("type/subtype", parameters) in lower case but for parameters' values (RFC 9110 section
    8.3.1)."""
    match = _MEDIA_TYPE.match(value)
    if match is None:
        raise Refusal("bad-request", f"{field}: {value!r} is not a media type")
    parameters = _parameters(value, match.end(), field)
    return match.group(1).lower(), {name: _unquoted(text) for name, text in parameters.items()}


# -- Content-Disposition (RFC 6266, RFC 8187, RFC 7578 section 4.2) ----------------------------------------

_EXTENDED = re.compile(
    r"([A-Za-z0-9\-_.!#$%&+^`{}~]+)'([A-Za-z0-9\-]*)'((?:[0-9A-Za-z!#$&+\-.^_`|~]|%[0-9A-Fa-f]{2})*)"
)
_NOT_IN_FALLBACK = re.compile(r'[^\x20-\x7e]|["\\/]')
_ATTR_CHARS = "!#$&+-.^_`|~"  # RFC 8187 section 3.2.1, besides letters and digits


def content_disposition(kind: str, name: str) -> str:
    """A Content-Disposition that names a file: a plain name for every client, the true one for
    most.

    The plain form avoids quotes and backslashes, which clients read differently (RFC 6266 appendix
    D). Whatever `name` is, the value is visible ASCII and spaces.
    """
    fallback = _NOT_IN_FALLBACK.sub("_", name)
    extended = quote(name.encode("utf-8", "replace"), safe=_ATTR_CHARS)
    return f"{kind}; filename=\"{fallback}\"; filename*=UTF-8''{extended}"


def parse_content_disposition(value: str) -> Tuple[str, Optional[str], Optional[str]]:
    """(kind, filename, filename*) of a header field; a name that is not given is None."""
    kind, parameters = disposition_parameters(value)
    plain, extended = parameters.get("filename"), parameters.get("filename*")
    return (
        kind,
        None if plain is None else utf8_if_it_is(_unquoted(plain)),
        None if extended is None else parse_extended(extended),
    )


def disposition_parameters(value: str) -> Tuple[str, Dict[str, str]]:
    """(kind in lower case, parameters with quoted values still quoted)."""
    match = _KIND.match(value)
    if match is None:
        raise Refusal("bad-request", f"Content-Disposition: {value!r} has no type")
    return match.group(1).lower(), _parameters(value, match.end(), "Content-Disposition")


def parse_extended(value: str) -> str:
    """The text of an extended value, such as UTF-8''na%C3%AFve.wav (RFC 8187 section 3.2)."""
    match = _EXTENDED.fullmatch(value)
    if match is None or match.group(1).lower() not in ("utf-8", "iso-8859-1"):
        raise Refusal("bad-name", f"filename*: {value!r} is not an extended value in UTF-8")
    try:
        return unquote_to_bytes(match.group(3)).decode(match.group(1))
    except UnicodeDecodeError:
        raise Refusal("bad-name", f"filename*: {value!r} is not in the {match.group(1)} it names") from None


def utf8_if_it_is(value: str) -> str:
    """Field text as UTF-8 where its bytes are that: clients send raw UTF-8, the standard knows
    latin-1."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


# -- digests (RFC 9530; dictionaries of RFC 8941 section 3.2) ----------------------------------------------

_SF_PARAMETER = (
    r'[ ]*;[ ]*[a-z*][a-z0-9_\-.*]*(?:=(?:"(?:[ !#-\[\]-~]|\\["\\])*"|:[A-Za-z0-9+/=]*:|\?[01]'
    r"|-?\d{1,15}(?:\.\d{1,3})?|[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*))?"
)
_DIGEST = re.compile(rf"([a-z*][a-z0-9_\-.*]*)=:([A-Za-z0-9+/]*={{0,2}}):(?:{_SF_PARAMETER})*", re.ASCII)
_COMMA = re.compile(r"[ \t]*,[ \t]*")


def parse_digest_field(value: str) -> Dict[str, bytes]:
    """The digests of a Content-Digest or Repr-Digest by algorithm; a malformed field is refused."""
    found: Dict[str, bytes] = {}
    position = 0
    while position < len(value):
        match = _DIGEST.match(value, position)
        if match is None:
            raise _bad_digest(value)
        found[match.group(1)] = _base64(match.group(2), value)
        position = match.end()
        if position < len(value):
            comma = _COMMA.match(value, position)
            if comma is None or comma.end() == len(value):
                raise _bad_digest(value)
            position = comma.end()
    if len(found.get("sha-256", bytes(32))) != 32:
        raise _bad_digest(value)
    return found


def _base64(text: str, value: str) -> bytes:
    try:
        # Padding is optional to a reader (RFC 8941 section 4.2.7).
        return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True)
    except binascii.Error:
        raise _bad_digest(value) from None


def _bad_digest(value: str) -> Refusal:
    return Refusal("bad-request", f"{value!r} is not a digest field such as sha-256=:…:")


def format_digest(sha256: bytes) -> str:
    """The value of Repr-Digest or Content-Digest for a sha-256."""
    return "sha-256=:" + base64.b64encode(sha256).decode("ascii") + ":"


# -- weights (RFC 9110 section 12.4.2) ------------------------------------------------------------------------

_WEIGHT = re.compile(r";[ \t]*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)[ \t]*(?:;|\Z)", re.ASCII)


def weights(value: str) -> Dict[str, float]:
    """What a field such as Accept names, in lower case, and how much it is wanted: 1 where that is not said, 0 not at all.

    What is no weight says nothing.
    """
    found: Dict[str, float] = {}
    for item in value.lower().split(","):
        said = _WEIGHT.search(item)
        found[item.partition(";")[0].strip(" \t")] = float(said.group(1)) if said else 1.0
    return found


# -- Prefer (RFC 7240) ---------------------------------------------------------------------------------------

_VALUE = rf"[ \t]*(?:=[ \t]*(?:({TOKEN}|{_QUOTED})[ \t]*)?)?"
# White space is taken in one place only, or a long run of it could be read in ever so many ways.
_PREFERENCE = re.compile(rf"[ \t,]*({TOKEN}){_VALUE}(?:;[ \t]*(?:{TOKEN}{_VALUE})?)*(?:,|\Z)")


def parse_prefer(value: str) -> Dict[str, str]:
    """Preferences by lower-case name, "" where there is no value; the first of a name counts
    (section 2).

    What is malformed is ignored, from there on: a preference may be.
    """
    found: Dict[str, str] = {}
    position = 0
    while True:
        match = _PREFERENCE.match(value, position)
        if match is None:
            return found
        found.setdefault(match.group(1).lower(), _unquoted(match.group(2) or ""))
        position = match.end()
