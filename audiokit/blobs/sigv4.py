"""AWS Signature Version 4 for S3: who asks, proved by a secret that is never sent.

Pure: the time, the keys and what is signed are parameters.  Follows "Authenticating Requests (AWS Signature
Version 4)" of the Amazon S3 API Reference; its published examples are the tests.  Raises nothing of its own.

S3 encodes a path once, where other services encode it twice, and signs the path as it is sent.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache
from typing import Iterable, List, Mapping, NamedTuple, Optional, Tuple
from urllib.parse import quote

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"
LONGEST_S = 7 * 86400  # a presigned address is refused beyond
_ALGORITHM = "AWS4-HMAC-SHA256"
_UNRESERVED = "-_.~"  # besides letters and digits: RFC 3986 section 2.3

Query = List[Tuple[str, str]]


class Keys(NamedTuple):
    """Credentials."""

    id: str
    secret: str
    token: Optional[str] = None  # of temporary ones


class Scope(NamedTuple):
    """What a signature holds for."""

    region: str
    time: str  # UTC, as 20130524T000000Z
    service: str = "s3"

    @property
    def text(self) -> str:
        """The credential scope."""
        return f"{self.time[:8]}/{self.region}/{self.service}/aws4_request"


def encoded_path(path: str) -> str:
    """A path as it is sent and signed."""
    return quote(path, safe="/" + _UNRESERVED)


def encoded_query(query: Iterable[Tuple[str, str]]) -> str:
    """A query as it is sent and signed: sorted, a parameter without value as `key=`, a space as %20."""
    pairs = [(quote(key, safe=_UNRESERVED), quote(value, safe=_UNRESERVED)) for key, value in query]
    return "&".join(f"{key}={value}" for key, value in sorted(pairs))


def signed_headers(
    method: str, path: str, query: Query, headers: Mapping[str, str], sha256: str, keys: Keys, scope: Scope
) -> List[Tuple[str, str]]:
    """The fields of a request that proves itself: `headers` (Host among them), the time, the digest, the signature.

    `path` is encoded already; `sha256` is the body's, in hex.
    """
    fields = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    fields.update({"x-amz-date": scope.time, "x-amz-content-sha256": sha256})
    if keys.token is not None:
        fields["x-amz-security-token"] = keys.token
    names = ";".join(sorted(fields))
    signature = _signature(method, path, encoded_query(query), fields, sha256, keys, scope)
    proof = f"{_ALGORITHM} Credential={keys.id}/{scope.text},SignedHeaders={names},Signature={signature}"
    return [*fields.items(), ("authorization", proof)]


def presigned_query(method: str, path: str, query: Query, host: str, seconds: int, keys: Keys, scope: Scope) -> str:
    """The query of an address that whoever has it may use for `seconds`, under this `host` alone."""
    full = [
        *query,
        ("X-Amz-Algorithm", _ALGORITHM),
        ("X-Amz-Credential", f"{keys.id}/{scope.text}"),
        ("X-Amz-Date", scope.time),
        ("X-Amz-Expires", str(min(seconds, LONGEST_S))),
        ("X-Amz-SignedHeaders", "host"),
    ]
    if keys.token is not None:
        full.append(("X-Amz-Security-Token", keys.token))
    text = encoded_query(full)
    signature = _signature(method, path, text, {"host": host}, UNSIGNED, keys, scope)
    return f"{text}&X-Amz-Signature={signature}"


def _signature(
    method: str, path: str, query: str, fields: Mapping[str, str], sha256: str, keys: Keys, scope: Scope
) -> str:
    lines = [f"{name}:{fields[name]}\n" for name in sorted(fields)]
    request = "\n".join([method, path, query, "".join(lines), ";".join(sorted(fields)), sha256])
    digest = hashlib.sha256(request.encode("utf-8")).hexdigest()
    to_sign = "\n".join([_ALGORITHM, scope.time, scope.text, digest])
    key = _signing_key(keys.secret, scope.time[:8], scope.region, scope.service)
    return _mac(key, to_sign).hex()


@lru_cache(maxsize=8)  # it lasts for a day
def _signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    key = ("AWS4" + secret).encode("utf-8")
    for word in (day, region, service, "aws4_request"):
        key = _mac(key, word)
    return key


def _mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode("utf-8"), hashlib.sha256).digest()
