"""What is to be made of which audio: from the parameters of a request and a look at its source to an `Order`.

Everything that can be refused is refused here, before a worker is bothered: parameters that Layer III does not have, audio
that cannot be decoded, input that is too long.  Pure.  Raises `Refusal`.
"""

from __future__ import annotations

from functools import partial
from posixpath import splitext  # no name has a slash of either kind
from typing import Any, Dict, Iterable, NamedTuple, Optional, Tuple, Union

from .formats.info import AudioInfo
from .formats.mpeg_header import BITRATES
from .job import Conversion, Order
from .offers import (
    DECODED,
    DEFAULT_BITRATE,
    DEFAULT_RATE,
    MP3_RATES,
    WAV_RATES,
    is_decoded,
    is_resampled,
    rates_in_words,
)
from .parameters import bad, once, one_of
from .wire.problems import Refusal

PARAMETERS = ("id", "source", "name", "rate", "bitrate", "quality", "channels", "format", "async", "save_as")
QUALITIES = range(10)  # 0 is the best
MIME = {"mp3": "audio/mpeg", "wav": "audio/wav"}
_HIGHEST_BITRATE = 320  # kbit/s: what a result of constant quality is taken to need on the disk


class Wanted(NamedTuple):
    """What a request asks for."""

    id: Optional[str] = None  # of the stored file that is the source
    source: Optional[str] = None  # its name, instead
    name: Optional[str] = None  # of the posted body
    rate: int = DEFAULT_RATE  # Hz
    bitrate: Optional[int] = None  # kbit/s
    quality: Optional[int] = None
    channels: Optional[int] = None
    format: str = "mp3"
    is_async: bool = False
    save_as: Optional[str] = None

    @property
    def stored(self) -> Dict[str, str]:
        """The stored source as arguments of the storage; empty when the body is the source."""
        if self.id is not None:
            return {"id": self.id}
        return {"name": self.source} if self.source is not None else {}


def wanted_of(pairs: Iterable[Tuple[str, str]], form: Iterable[Tuple[str, str]] = ()) -> Wanted:
    """The query's parameters, behind them a form's; Refusal says what is wrong and what may be."""
    given = once(pairs, PARAMETERS)
    given = {**once(form, PARAMETERS), **given}
    if "id" in given and "source" in given:
        raise bad("source", "id and source both say which file is meant")
    if "bitrate" in given and "quality" in given:
        raise bad("quality", "bitrate and quality exclude each other: one decides the other")
    kind = one_of(given, "format", ("mp3", "wav")) or "mp3"
    for key in ("bitrate", "quality"):
        if kind == "wav" and key in given:
            raise bad(key, f"{key} is of MP3; WAV has none")
    rate = _rate(given, kind)
    channels = _number(given, "channels", (1, 2))
    return Wanted(
        given.get("id"),
        given.get("source"),
        given.get("name"),
        rate,
        _number(given, "bitrate", BITRATES[rate >= 32_000, 3][1:]),
        _number(given, "quality", QUALITIES),
        channels,
        kind,
        one_of(given, "async", ("true", "false")) == "true",
        given.get("save_as"),
    )


def _rate(given: Dict[str, str], kind: str) -> int:
    if kind == "mp3":
        return _number(given, "rate", MP3_RATES) or DEFAULT_RATE
    low, high = WAV_RATES
    rate = _whole(given.get("rate", str(DEFAULT_RATE)))
    if rate is None or not low <= rate <= high:
        raise bad("rate", f"rate is {given['rate'][:20]!r}; for WAV {low} to {high} Hz can be")
    return rate


def _number(given: Dict[str, str], key: str, allowed: Iterable[int]) -> Optional[int]:
    if key not in given:
        return None
    number = _whole(given[key])
    if number is None or number not in allowed:
        raise bad(key, f"{key} is {given[key][:20]!r}; there are {', '.join(map(str, allowed))}")
    return number


def _whole(text: str) -> Optional[int]:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


class Look(NamedTuple):
    """What has to be known of the source."""

    container: str
    codec: str
    sample_rate: int
    channels: int
    duration: float  # seconds
    bitrate: Optional[int]  # bit/s
    bitrate_mode: Optional[str]
    truncated: bool
    warnings: Tuple[str, ...]

    @classmethod
    def of(cls, info: Union[AudioInfo, Dict[str, Any]]) -> Look:
        """From what the readers found, or from a record."""
        get = info.get if isinstance(info, dict) else partial(getattr, info)
        found = {name: get(name) for name in cls._fields}
        return cls(**dict(found, warnings=tuple(found["warnings"])))


def order_of(wanted: Wanted, look: Look, name: Optional[str], longest: float) -> Order:
    """What is to be made of such a source; Refusal for what cannot be."""
    if look.duration > longest:
        raise Refusal("too-large", f"{look.duration:.0f} s of audio; {longest:.0f} s are converted", limit=longest)
    result = f"{splitext(name)[0]}.{wanted.format}" if name else f"resampled.{wanted.format}"
    mime = MIME[wanted.format]
    if _is_as_wanted(wanted, look):
        return Order(None, result, mime, "passthrough", look.warnings, look.duration, wanted.save_as)
    if not is_decoded(look.container, look.codec):
        words = f"{look.codec} in {look.container} is not decoded; {DECODED}, are"
        raise Refusal("unsupported-conversion", words, codec=look.codec)
    if not is_resampled(look.sample_rate):
        raise Refusal("unsupported-conversion", rates_in_words(look.sample_rate), codec=look.codec)
    channels = wanted.channels or min(look.channels, 2)
    bitrate = wanted.bitrate
    if wanted.format == "mp3" and bitrate is None and wanted.quality is None:
        bitrate = DEFAULT_BITRATE[channels]
    conversion = Conversion(wanted.format, wanted.rate, channels, bitrate, wanted.quality)
    return Order(conversion, result, mime, _words(look, conversion), look.warnings, look.duration, wanted.save_as)


def _is_as_wanted(wanted: Wanted, look: Look) -> bool:
    """Whether the source is what was asked for already."""
    if look.sample_rate != wanted.rate or wanted.channels not in (None, look.channels):
        return False
    if wanted.format == "wav":
        return (look.container, look.codec) == ("wav", "pcm_s16le") and look.channels <= 2 and not look.truncated
    if look.container != "mp3" or look.codec != "mp3" or wanted.quality is not None:
        return False
    return wanted.bitrate is None or (look.bitrate_mode == "CBR" and look.bitrate == 1000 * wanted.bitrate)


def _words(look: Look, conversion: Conversion) -> str:
    how = [conversion.format]
    if conversion.bitrate is not None:
        how.append(f"{conversion.bitrate}k")
    elif conversion.quality is not None:
        how.append(f"q{conversion.quality}")
    how.append("mono" if conversion.channels == 1 else "stereo")
    return f"converted {look.sample_rate}->{conversion.rate} {' '.join(how)}"


def size_of(order: Order, seconds: float) -> int:
    """Bytes that the result will need, about."""
    conversion = order.conversion
    if conversion is None:
        return 0
    if conversion.format == "wav":
        return int(seconds * conversion.rate) * 2 * conversion.channels
    return int(seconds * 125 * (conversion.bitrate or _HIGHEST_BITRATE))
