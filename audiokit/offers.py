"""What is converted, and to what: one answer for the service, the command and waveforms.

`is_decoded` says of which files the workers can make samples, `is_resampled` at which rates they can be given; the tables
say what they make of them.  Pure; never
looks at a file.  Raises nothing.
"""

from __future__ import annotations

from .formats.mpeg_header import SAMPLE_RATES

DECODED = "MP3, and PCM in WAV, AIFF, AU and CAF"
# In these all PCM lies in one piece.  Elsewhere heads of blocks stand in between, or tables say where it is.
_IN_ONE_PIECE = ("wav", "rf64", "bw64", "w64", "aiff", "aifc", "au", "caf")
MP3_RATES = sorted(rate for rates in SAMPLE_RATES.values() for rate in rates)  # Hz
WAV_RATES = (8_000, 192_000)  # Hz
SOURCE_RATES = (1_000, 768_000)  # Hz, the resampler's range
DEFAULT_RATE = 32_000  # Hz
DEFAULT_BITRATE = {1: 64, 2: 128}  # kbit/s by channels


def is_decoded(container: str, codec: str) -> bool:
    """Whether the workers can make samples of it."""
    if container == "mp3":
        return codec == "mp3"
    return container in _IN_ONE_PIECE and codec.startswith("pcm_")


def is_resampled(rate: int) -> bool:
    """Whether samples of so many a second can be brought to another rate; some files have one in a second, or millions."""
    return SOURCE_RATES[0] <= rate <= SOURCE_RATES[1]


def rates_in_words(rate: int) -> str:
    """What is said of a rate that is not."""
    return f"a sampling rate of {rate} Hz is not converted; from {SOURCE_RATES[0]} to {SOURCE_RATES[1]} Hz are"
