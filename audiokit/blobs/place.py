"""Where an S3 store is, and who we are there: `s3://BUCKET/PREFIX?endpoint=…&region=…`, and the AWS tools' files.

Parsing is pure; the environment is handed in, and only `Credentials` reads files, the two that the AWS tools read.
Never says a secret.  Raises `BadPlace`, which names what is wrong.
"""

from __future__ import annotations

import configparser
import os
import re
import threading
from pathlib import Path
from typing import Dict, Mapping, NamedTuple, Optional, Tuple
from urllib.parse import parse_qsl, urlsplit

from .sigv4 import Keys, encoded_path

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]")  # "Bucket naming rules" of the S3 User Guide
_PREFIX = re.compile(r"[A-Za-z0-9!_.*'()\-/]*")  # its safe characters: every store keeps these as they are
_PARAMETERS = ("endpoint", "region", "style", "public", "single")
_SIZE = re.compile(r"([1-9][0-9]{0,11})([MG]iB)")
_SINGLE = (5 << 20, 5 << 30)  # bytes that a part has at least, and one PUT at most: "Amazon S3 multipart upload limits"
_DEFAULT_REGION = "us-east-1"


class BadPlace(ValueError):
    """The address of a store that cannot be one."""


class Endpoint(NamedTuple):
    """Who is spoken to."""

    is_tls: bool
    host: str
    port: int

    @property
    def authority(self) -> str:
        """What Host says: the port unless it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.is_tls else 80) else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """As a URL without a path."""
        return f"{'https' if self.is_tls else 'http'}://{self.authority}"


class Place(NamedTuple):
    """A bucket, and the beginning of every name in it that is ours."""

    bucket: str
    prefix: str  # "" or ends in a slash
    endpoint: Optional[Endpoint]  # None: AWS's own of the region
    region: Optional[str]  # None: as the environment or the config file says
    is_virtual: Optional[bool]  # the bucket is part of the host; None: where that is AWS
    public: Optional[Endpoint]  # what clients of presigned addresses see, where it is another one
    single: Optional[int]  # bytes of a file that goes in one PUT; None: as parts.py has it

    @property
    def text(self) -> str:
        """How it is called in messages."""
        return f"s3://{self.bucket}/{self.prefix}"


def parse(text: str) -> Place:
    """The place that `s3://BUCKET/PREFIX?endpoint=URL&region=NAME&style=path|virtual&public=URL&single=1GiB` names."""
    parts = urlsplit(text)
    if parts.scheme != "s3" or parts.fragment:
        raise BadPlace(f"{text!r} is not s3://BUCKET/PREFIX?endpoint=URL&region=NAME")
    if not _BUCKET.fullmatch(parts.netloc):
        raise BadPlace(f"{parts.netloc!r} is no bucket's name")
    prefix = parts.path.strip("/")
    if not _PREFIX.fullmatch(prefix) or any(word in ("", ".", "..") for word in prefix.split("/") if prefix):
        raise BadPlace(f"{prefix!r} is no prefix that every store keeps as it is")
    given: Dict[str, str] = {}
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
        if key not in _PARAMETERS or key in given or not value:
            raise BadPlace(f"{key}={value!r}: the parameters are {', '.join(_PARAMETERS)}, each once")
        given[key] = value
    if given.get("style", "path") not in ("path", "virtual"):
        raise BadPlace(f"style is {given['style']!r}, not path or virtual")
    return Place(
        parts.netloc, prefix and prefix + "/",
        endpoint_of(given["endpoint"]) if "endpoint" in given else None, given.get("region"),
        given["style"] == "virtual" if "style" in given else None,
        endpoint_of(given["public"]) if "public" in given else None,
        _single(given["single"]) if "single" in given else None,
    )


def _single(text: str) -> int:
    found = _SIZE.fullmatch(text)
    size = int(found.group(1)) << (20 if found.group(2) == "MiB" else 30) if found else 0
    if not _SINGLE[0] <= size <= _SINGLE[1]:
        raise BadPlace(f"single is {text!r}, not 5MiB to 5GiB")
    return size


def endpoint_of(text: str) -> Endpoint:
    """The endpoint of a URL such as https://s3.example.net or http://127.0.0.1:9000."""
    parts = urlsplit(text)
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/") or port == -1:
        raise BadPlace(f"{text!r} is no endpoint such as https://s3.example.net or http://127.0.0.1:9000")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise BadPlace("an endpoint has neither a user nor a query in it")
    is_tls = parts.scheme == "https"
    return Endpoint(is_tls, parts.hostname, port or (443 if is_tls else 80))


def settled(place: Place, environment: Mapping[str, str]) -> Place:
    """The place with nothing left open: what it does not say, the environment and the config file do."""
    region = place.region or environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    region = region or _config(environment).get("region") or _DEFAULT_REGION
    endpoint, is_virtual = place.endpoint, place.is_virtual
    if endpoint is None:
        named = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
        endpoint = endpoint_of(named) if named else None
    if endpoint is None:
        endpoint = endpoint_of(f"https://s3.{region}.amazonaws.com")
        # With a dot in the bucket's name no certificate fits the host that it would be part of.
        is_virtual = "." not in place.bucket if is_virtual is None else is_virtual
    return place._replace(region=region, endpoint=endpoint, is_virtual=bool(is_virtual))


def addressed(place: Place, name: str, endpoint: Optional[Endpoint] = None) -> Tuple[Endpoint, str]:
    """Who is asked for the object `name` ("" for the bucket) of a settled place, and by which path, encoded."""
    endpoint = endpoint or place.endpoint
    path = encoded_path(name)
    if place.is_virtual:
        return endpoint._replace(host=f"{place.bucket}.{endpoint.host}"), "/" + path
    return endpoint, f"/{place.bucket}/{path}" if name else f"/{place.bucket}"


class Credentials:
    """The keys as the AWS tools find them: the environment, else the profile in the shared credentials file.

    The file is read again when it has changed, so that keys can be renewed while the server runs.  Thread-safe.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._lock = threading.Lock()
        self._read: Tuple[float, Optional[Keys]] = (-1.0, None)

    def current(self) -> Keys:
        """The keys; BadPlace says where they were looked for."""
        own = self._environment
        if own.get("AWS_ACCESS_KEY_ID") and own.get("AWS_SECRET_ACCESS_KEY"):
            return Keys(own["AWS_ACCESS_KEY_ID"], own["AWS_SECRET_ACCESS_KEY"], own.get("AWS_SESSION_TOKEN") or None)
        path, profile = credentials_file(own), _profile(own)
        with self._lock:
            try:
                changed = os.stat(path).st_mtime
            except OSError:
                changed = -1.0
            if self._read[0] != changed:
                self._read = (changed, _keys(_section(path, profile)))
            keys = self._read[1]
        if keys is None:
            raise BadPlace(
                "no keys: neither AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are set, nor has "
                f"{path} them in [{profile}]"
            )
        return keys


def credentials_file(environment: Mapping[str, str]) -> Path:
    """Where the keys are kept."""
    return Path(environment.get("AWS_SHARED_CREDENTIALS_FILE") or Path.home() / ".aws" / "credentials")


def _config(environment: Mapping[str, str]) -> Dict[str, str]:
    path = Path(environment.get("AWS_CONFIG_FILE") or Path.home() / ".aws" / "config")
    profile = _profile(environment)
    return _section(path, profile if profile == "default" else f"profile {profile}")


def _profile(environment: Mapping[str, str]) -> str:
    return environment.get("AWS_PROFILE") or "default"


def _section(path: Path, name: str) -> Dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text("utf-8"))
        return dict(parser.items(name)) if parser.has_section(name) else {}
    except OSError:
        return {}
    except (configparser.Error, ValueError) as error:
        raise BadPlace(f"{path} cannot be read: {type(error).__name__}") from None  # its text may hold a secret


def _keys(section: Mapping[str, str]) -> Optional[Keys]:
    if not section.get("aws_access_key_id") or not section.get("aws_secret_access_key"):
        return None
    return Keys(
        section["aws_access_key_id"], section["aws_secret_access_key"], section.get("aws_session_token") or None
    )
