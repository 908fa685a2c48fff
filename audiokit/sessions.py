"""The page's log-in as a cookie: made, found and taken back.  Pure: text in, text out.

The cookie is a secret of 256 bits, of which only the digest is kept (audiokit/credentials.py). No
script can read it (HttpOnly), no other site's page has it sent along (SameSite=Strict), and under
TLS it never leaves in the clear (Secure). Never raises: a cookie that is malformed is none.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from typing import Dict, Optional

CHANCE_BYTES = 32
# "__Host-": a browser takes such a name only with Secure and Path=/ and without Domain, so that
# neither a neighbour's host nor a page in the clear can plant one (RFC 6265bis section 4.1.3.2).
_NAMES = {False: "audioserver", True: "__Host-audioserver"}
_VALUE = re.compile(r"[A-Za-z0-9_-]{43}")


def new_value(chance: bytes) -> str:
    """The cookie's value out of CHANCE_BYTES bytes of chance."""
    return urlsafe_b64encode(chance).decode("ascii").rstrip("=")


def set_cookie(value: str, seconds: int, is_secure: bool) -> str:
    """A Set-Cookie field that keeps `value` for so long; `is_secure` under TLS."""
    secure = "; Secure" if is_secure else ""
    return (f"{_NAMES[is_secure]}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")


def forget_cookie(is_secure: bool) -> str:
    """A Set-Cookie field that takes it back."""
    return set_cookie("", 0, is_secure)


def shown(fields: Dict[str, str], is_secure: bool) -> Optional[str]:
    """The value in a request's Cookie field; None where there is none, or more than one to
    choose from."""
    field = fields.get("cookie")
    if field is None:
        return None
    pairs = [pair.partition("=") for pair in field.split(";")]
    values = {value.strip(" \t") for name, _, value in pairs if name.strip(" \t") == _NAMES[is_secure]}
    value = values.pop() if len(values) == 1 else ""
    return value if _VALUE.fullmatch(value) else None
