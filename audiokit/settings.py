"""Every setting of the program: one frozen `Settings`, from flags and the environment.

Each limit has its unit, its default and the reason for it in `TABLE`, from which the flags, the help and the
test of the documentation are made.  Never reads files and never touches the catalogue.  A value that does not
fit raises `BadSetting`, which names the setting and the value.
"""

from __future__ import annotations

import argparse
import ipaddress
import math
import os
import re
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
_SIZE_UNITS = {"": 1, "b": 1, "k": KIB, "kib": KIB, "m": MIB, "mib": MIB, "g": GIB, "gib": GIB,
               "t": GIB << 10, "tib": GIB << 10, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_TIME_UNITS = {"": 1.0, "s": 1.0, "ms": 0.001, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_LARGEST = (1 << 63) - 1  # bytes: what a file system and a catalogue can count
_LONGEST_S = 100 * 366 * 86400.0  # s: a hundred years, beyond which calendars and timers end
_HOST_NAME = re.compile(r"[0-9a-z_-]+(?:\.[0-9a-z_-]+)*")
ENVIRONMENT_PREFIX = "AUDIOSERVER_"


class BadSetting(ValueError):
    """A setting's value that does not fit; the text names both."""


def size(text: str) -> int:
    """Bytes from "65536", "64KiB", "16G" (binary) or "16GB" (decimal)."""
    found = re.fullmatch(r"(\d{1,18})\s*([a-z]*)", text.strip().lower(), re.ASCII)
    if not found or found.group(2) not in _SIZE_UNITS:
        raise BadSetting(f"{text!r} is not a size such as 65536, 64KiB or 16GiB")
    number = int(found.group(1)) * _SIZE_UNITS[found.group(2)]
    if number > _LARGEST:
        raise BadSetting(f"{text!r} is more than any disk can hold")
    return number


def room(text: str) -> int:
    """Bytes that something has to fit in: from 1 on."""
    return _some(size(text))


def seconds(text: str) -> float:
    """Seconds from "10", "2.5s", "500ms", "5m", "1h" or "90d"."""
    found = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?)\s*([a-z]*)", text.strip().lower(), re.ASCII)
    if not found or found.group(2) not in _TIME_UNITS:
        raise BadSetting(f"{text!r} is not a time such as 10, 500ms or 1h")
    time = float(found.group(1)) * _TIME_UNITS[found.group(2)]
    if time > _LONGEST_S:
        raise BadSetting(f"{text!r} is more than a hundred years")
    return time


def count(text: str) -> int:
    """A whole number, not negative."""
    if not re.fullmatch(r"[0-9]{1,9}", text.strip()):
        raise BadSetting(f"{text!r} is not a whole number")
    return int(text)


def some(text: str) -> int:
    """A whole number from 1 on."""
    return _some(count(text))


def _some(number: int) -> int:
    if not number:
        raise BadSetting("with 0 nothing would ever be answered")
    return number


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def workers(text: str) -> int:
    """A number of processes; "cores" is one for each core that we may use."""
    if text.strip().lower() == "cores":
        return cores()
    number = count(text)
    if not number:
        raise BadSetting("0 workers would never be done")
    return number


def port(text: str) -> int:
    """A TCP port; 0 takes a free one."""
    number = count(text)
    if number > 65535:
        raise BadSetting(f"{text!r} is not a port from 0 to 65535")
    return number


def yes_or_no(text: str) -> bool:
    """A switch as the environment spells it."""
    word = text.strip().lower()
    if word in ("1", "yes", "true", "on"):
        return True
    if word in ("", "0", "no", "false", "off"):
        return False
    raise BadSetting(f"{text!r} is neither yes nor no")


def words(text: str) -> Tuple[str, ...]:
    """Comma-separated words."""
    return tuple(word.strip().lower() for word in text.split(",") if word.strip())


def hosts(text: str) -> Tuple[str, ...]:
    """Comma-separated names of hosts, without port: any other word would never fit a request's Host."""
    for word in words(text):
        if not _HOST_NAME.fullmatch(word):
            raise BadSetting(f"{word!r} is not the name of a host, such as audio.example; a port does not belong to it")
    return words(text)


def something(text: str) -> str:
    """Text that is not empty: an empty address is every address, and an empty folder the one we happen to be in."""
    if not text.strip():
        raise BadSetting("it is empty")
    return text


def store(text: str) -> str:
    """The address of a store of bytes, or nothing."""
    if text:
        from .blobs.place import BadPlace, parse  # here: what nobody names costs each start some time

        try:
            parse(text)
        except BadPlace as error:
            raise BadSetting(str(error)) from None
    return text


def cluster(text: str) -> str:
    """The address of a catalogue on other machines, or nothing."""
    if text:
        from .catalogue.address import BadAddress, parse

        try:
            parse(text)
        except BadAddress as error:
            raise BadSetting(str(error)) from None
    return text


def networks(text: str) -> Tuple[Any, ...]:
    """Comma-separated addresses and networks in CIDR notation."""
    found = []
    for word in words(text):
        try:
            found.append(ipaddress.ip_network(word))
        except ValueError:
            raise BadSetting(f"{word!r} is neither an IP address nor a network such as 10.0.0.0/8") from None
    return tuple(found)


def origins(text: str) -> Tuple[str, ...]:
    """Comma-separated origins of web pages: scheme, host and port, as browsers send them; or *."""
    for word in words(text):
        if word != "*" and not re.fullmatch(r"https?://[a-z0-9.\-_:\[\]]+", word):
            raise BadSetting(f"{word!r} is not an origin such as https://example.org:8443, and not *")
        if re.fullmatch(r"http://.*:80|https://.*:443", word):
            raise BadSetting(f"{word!r}: browsers leave a port out that their scheme implies")
    return words(text)


def log_format(text: str) -> str:
    """text, json or none."""
    if text not in ("text", "json", "none"):
        raise BadSetting(f"{text!r} is not a log format: text, json or none")
    return text


def public_url(text: str) -> str:
    """The beginning of URLs: scheme, host, perhaps a port and a path; without a slash at its end."""
    if text and not re.fullmatch(r"https?://[0-9A-Za-z.\-\[\]:]+(/[!-~]*)?", text) or re.search(r"[?#\"<>\\]", text):
        raise BadSetting(f"{text!r} is not a URL such as https://audio.example")
    return text.rstrip("/")


class Setting(NamedTuple):
    """One row of `TABLE`."""

    name: str  # the attribute; the flag is --name with dashes, the variable AUDIOSERVER_NAME
    default: str  # as a user would write it
    parse: Callable[[str], Any]
    reason: str  # what it is, its unit, and why this default

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return ENVIRONMENT_PREFIX + self.name.upper()


TABLE: Tuple[Setting, ...] = (
    Setting("host", "127.0.0.1", something, "address to listen on; loopback, so that nothing is open by accident"),
    Setting("port", "8000", port, "TCP port; 0 takes a free one, told on the first line of output"),
    Setting("data", "var", something, "folder of the catalogue and the audio, made on first use"),
    Setting("blobs", "", store, "where the audio is kept instead of the folder: "
            "`s3://BUCKET/PREFIX?endpoint=URL&region=NAME`; see docs/scale.md"),
    Setting("catalogue", "", cluster, "where the catalogue is kept instead of the folder: "
            "`rqlite://HOST:4001,HOST:4001,...`; see docs/scale.md"),
    Setting("redirect_downloads", "no", yes_or_no, "let clients fetch the bytes from the store itself, by an address "
            "that expires"),
    Setting("redirect_ttl", "1h", seconds, "how long such an address works; players come back to it when they seek"),
    Setting("orphan_grace", "24h", seconds, "bytes in a store that no row names go when they are as old as this; an "
            "upload may take so long from its bytes to its row"),
    Setting("far_threads", "32", some, "threads for what waits for a store; none are started without one"),
    Setting("max_upload", "16GiB", size, "largest body taken, bytes; a day of 24-bit stereo at 48 kHz is 23 GiB"),
    Setting("max_head", "32KiB", room, "request line and header fields together, bytes; nginx allows 4 x 8 KiB"),
    Setting("max_fields", "100", some, "header fields of a request; browsers send about 20"),
    Setting("max_target", "8KiB", room, "request target, bytes; RFC 9112 section 3 wants at least 8,000"),
    Setting("head_timeout", "10s", seconds, "time to send a head from its first byte, so that a trickle ends"),
    Setting("idle_timeout", "75s", seconds, "how long an unused connection is kept; nginx's value"),
    Setting("body_timeout", "20s", seconds, "a body or an answer without any progress for so long is given up"),
    Setting("body_rate", "15KiB", size, "bytes of a body that have to come in each minute, or it is given up: the thinnest "
            "speech codec makes 35 KB; 0: any progress will do"),
    Setting("linger_timeout", "2s", seconds, "how long a refused client may still send before the connection ends"),
    Setting("max_connections", "10000", some, "connections at once; past it the longest idle one is closed"),
    Setting("drain_limit", "64KiB", size, "an unwanted body up to so many bytes is read and dropped; beyond, "
            "the connection ends"),
    Setting("free_space", "64MiB", size, "free space kept on the disk, bytes, so that SQLite can always commit"),
    Setting("grace", "10s", seconds, "time that running requests get to finish after SIGTERM"),
    Setting("work_threads", "6", some, "threads for what may wait on the disk: large uploads, slow queries"),
    Setting("bulk_threads", "2", some, "threads that move bodies; more only fight for the interpreter lock"),
    Setting("allowed_host", "", hosts, "names, comma-separated, that a request's Host may carry besides IP "
            "literals and localhost"),
    Setting("tls_cert", "", str, "PEM file of a certificate and its chain: then TLS 1.2 and later is spoken, nothing "
            "else; read again on SIGHUP"),
    Setting("tls_key", "", str, "PEM file of its key, without a password; by default it is in the certificate's file"),
    Setting("trusted_proxy", "", networks, "addresses or networks, comma-separated, whose X-Forwarded-For and "
            "X-Forwarded-Proto are believed"),
    Setting("cors_origin", "", origins, "origins, comma-separated, whose pages may use the server from a browser; *: "
            "all may read, without credentials"),
    Setting("open", "no", yes_or_no, "let everybody in while there is no account, also on other addresses than loopback"),
    Setting("public_read", "no", yes_or_no, "reading takes no credential; all else does"),
    Setting("login_queue", "64", count, "passwords that may wait to be verified, two at a time; past it the answer is "
            "503 busy"),
    Setting("login_memory", "5m", seconds, "how long a verified password is not verified again; a change ends it at "
            "once"),
    Setting("guess_limit", "10", count, "wrong passwords of one account from one address in --guess-window, then 429; "
            "0: no limit"),
    Setting("guess_limit_address", "200", count, "wrong credentials from one address (IPv6: one /64), then 429; 0: no "
            "limit"),
    Setting("guess_window", "10m", seconds, "how long a wrong credential counts"),
    Setting("session_ttl", "7d", seconds, "how long the page stays logged in"),
    Setting("public_url", "", public_url, "where others reach the server, such as https://audio.example: links are "
            "then whole URLs, not paths"),
    Setting("jobs", "cores", workers, "processes that convert audio, started when first needed; more than cores gain "
            "nothing"),
    Setting("queue", "64", count, "conversions that may wait for a process; past it the answer is 503 busy"),
    Setting("result_ttl", "1h", seconds, "how long a result that nobody fetches is kept, also across a restart"),
    Setting("max_resample_seconds", "24h", seconds, "longest audio converted; a day takes some hours of a core"),
    Setting("peaks_cache", "256MiB", size, "waveforms kept on the disk, bytes, the longest unused ones go first; an hour "
            "of stereo takes 6.6 MB"),
    Setting("ui", "", str, "folder that the page's files are read from for each request, for who changes them"),
    Setting("log", "text", log_format, "access log on standard error: text, json or none"),
    Setting("portable", "no", yes_or_no, "use only what every platform has: select, no sendfile, no pread"),
)
_BY_NAME: Dict[str, Setting] = {setting.name: setting for setting in TABLE}


class Settings:
    """The settings of one server, read-only: `settings.max_upload`, `settings.grace`, ….

    Keyword arguments are values (not text) that replace defaults; an unknown name raises BadSetting.
    """

    def __init__(self, **values: Any) -> None:
        for setting in TABLE:
            vars(self)[setting.name] = setting.parse(setting.default)
        for name, value in values.items():
            if name not in _BY_NAME:
                raise BadSetting(f"there is no setting {name!r}")
            if isinstance(value, float) and not math.isfinite(value):
                raise BadSetting(f"{name}: {value!r} is not a usable number")
            vars(self)[name] = value

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"settings are read-only: {name}")

    @property
    def is_far(self) -> bool:
        """Whether something is kept on another machine."""
        return bool(self.blobs or self.catalogue)

    @classmethod
    def of(cls, arguments: Mapping[str, Optional[str]], environment: Mapping[str, str]) -> Settings:
        """Settings from parsed flags (text, or None where not given) and environment variables."""
        values: Dict[str, Any] = {}
        for setting in TABLE:
            text, where = arguments.get(setting.name), setting.flag
            if text is None:
                text, where = environment.get(setting.variable), setting.variable
            if text is None:
                continue
            try:
                values[setting.name] = setting.parse(text)
            except BadSetting as error:
                raise BadSetting(f"{where}: {error}") from None
        return cls(**values)


def add_flags(parser: argparse.ArgumentParser, names: Optional[List[str]] = None) -> None:
    """Give `parser` the flags of `names` (all of them by default), unset unless the user sets them."""
    for setting in TABLE:
        if names is not None and setting.name not in names:
            continue
        about = f"{setting.reason} (default {setting.default or 'none'}; {setting.variable})".replace("%", "%%")
        if setting.parse is yes_or_no:
            parser.add_argument(setting.flag, dest=setting.name, action="store_const", const="yes", help=about)
        else:
            parser.add_argument(setting.flag, dest=setting.name, metavar="VALUE", help=about)
