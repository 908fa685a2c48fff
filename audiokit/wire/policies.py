"""What browsers are told they may do with an answer: three content policies, and whose the answer is.

`PAGE` is for the page and its parts, `DATA` for JSON and every refusal, `DOWNLOAD` for bytes that somebody
uploaded.  That no browser guesses at a content type ("nosniff") is said by `responses.head_bytes`, of every answer.
No answer ever contains HTML made from a request.  Values only; see W3C Content Security Policy 3 and Fetch.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Tuple

Headers = Tuple[Tuple[str, str], ...]

# Nothing from elsewhere, nothing inline, and no text that becomes markup (W3C Trusted Types).  `blob:` is for covers
# of albums, which the page cuts out of the audio.
PAGE = "; ".join((
    "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' blob:", "media-src 'self'",
    "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
    "require-trusted-types-for 'script'", "trusted-types 'none'",
))  # fmt: skip
DATA = "default-src 'none'; frame-ancestors 'none'"
DOWNLOAD = "default-src 'none'; media-src 'self'; sandbox"  # even where it is opened as a document, it runs nothing
# What a credential is sent with: whoever sends none, or another one, is to get another answer.
_CREDENTIALS = "Authorization, Cookie"


@lru_cache(maxsize=256)
def private(headers: Headers) -> Headers:
    """The fields of an answer that was given to a credential: no shared cache may keep it or give it to others."""
    control = dict(headers).get("Cache-Control", "no-cache")
    if "no-store" not in control:
        words = [word.strip() for word in control.split(",")]
        control = ", ".join(["private"] + [word for word in words if word not in ("public", "private")])
    kept = tuple(field for field in headers if field[0] != "Cache-Control")
    return with_fields((*kept, ("Cache-Control", control)), (("Vary", _CREDENTIALS),))


@lru_cache(maxsize=256)
def with_fields(headers: Headers, more: Headers) -> Headers:
    """`headers` and `more` fields, what the answer varies by in one of them."""
    varies = [value for name, value in (*headers, *more) if name == "Vary"]
    fields = tuple(field for field in (*headers, *more) if field[0] != "Vary")
    return (*fields, ("Vary", ", ".join(varies))) if varies else fields
