"""What an encoder is asked for, checked: the one place that says no.

`BadParameters` names the value and what is allowed.
"""

from __future__ import annotations

from typing import NamedTuple, Optional

from .blocks import GRANULE
from .frame import StreamFormat, stream_format

DEFAULT_BITRATE = 64  # kbit/s a channel in MPEG-1, half of that in the lower rates
BEST, WORST = 0, 9  # qualities


class BadParameters(ValueError):
    """A sample rate, number of channels, bitrate or quality that Layer III or the encoder lacks."""


class Parameters(NamedTuple):
    """What stays the same in a stream."""

    layout: StreamFormat
    bitrate_kbps: Optional[int]  # of every frame; None where the quality is constant instead
    quality: Optional[int]  # 0 (best) to 9
    cutoff: int  # lines from here on are left out
    margin: float  # gains by which noise stays above (positive) or below the thresholds
    shaping: float  # how far noise follows the thresholds, 0 to 1

    @property
    def lowpass_hertz(self) -> int:
        """The frequency of the cutoff."""
        return round(self.cutoff * self.layout.sample_rate / 2 / GRANULE)


# By kbit/s a channel, the highest frequency worth its bits: below 16 kbit/s a telephone's, and
# above 64 all that is heard.  By listening tests of many encoders, common practice.
_CUTOFF_BY_RATE = (
    (4, 2000), (8, 3500), (16, 5500), (24, 8000), (32, 11000), (40, 13500), (48, 15100),
    (56, 16000), (64, 17000), (80, 18600), (96, 19700), (128, 20500),
)  # fmt: skip
_CUTOFF_BY_QUALITY = (22000, 20500, 19500, 19000, 18500, 18000, 17000, 16000, 14500, 12000)
_MARGIN_BY_QUALITY = (-0.5, 0.8, 2.0, 3.2, 4.5, 5.7, 6.9, 8.1, 9.3, 10.5)
_MONO_MARGIN = -2.0  # one channel is heard alone

# Half way to the thresholds wins, by noise-to-mask ratios of music: the model is coarser than the
# ear.  Where bits are scarce nothing is hidden anyhow, and shaping only costs: from so many bits a
# sample down it is lost by so much a bit.
_SHAPING, _LEAST_SHAPING = 0.45, 0.1
_PLENTY, _SHAPING_LOST = 1.45, 0.5


def _cutoff_hertz(kbps_a_channel: float) -> float:
    below = _CUTOFF_BY_RATE[0]
    if kbps_a_channel <= below[0]:
        return below[1]
    for above in _CUTOFF_BY_RATE[1:]:
        if kbps_a_channel <= above[0]:
            share = (kbps_a_channel - below[0]) / (above[0] - below[0])
            return below[1] + share * (above[1] - below[1])
        below = above
    return float("inf")


def parameters(
    sample_rate: int,
    channels: int,
    bitrate_kbps: Optional[int] = None,
    quality: Optional[int] = None,
) -> Parameters:
    """The parameters of a stream; BadParameters for what cannot be."""
    try:
        layout = stream_format(sample_rate, channels)
    except ValueError as error:
        raise BadParameters(str(error)) from None
    if bitrate_kbps is not None and quality is not None:
        raise BadParameters("both a bitrate and a quality: one decides the other")
    if quality is not None:
        if quality not in range(BEST, WORST + 1):
            raise BadParameters("a quality of %r: there are 0 (best) to 9" % (quality,))
        hertz: float = _CUTOFF_BY_QUALITY[quality]
        return Parameters(
            layout,
            None,
            quality,
            _lines(hertz, sample_rate),
            _MARGIN_BY_QUALITY[quality] + (_MONO_MARGIN if channels == 1 else 0.0),
            _SHAPING,
        )
    if bitrate_kbps is None:
        bitrate_kbps = DEFAULT_BITRATE * channels // (2 if layout.is_lsf else 1)
    if bitrate_kbps not in layout.bitrates[1:]:
        raise BadParameters(
            "a bitrate of %r kbit/s: at %d Hz Layer III has %s"
            % (bitrate_kbps, sample_rate, ", ".join(map(str, layout.bitrates[1:])))
        )
    # One channel lacks what two have in common.
    hertz = _cutoff_hertz(bitrate_kbps / channels * (1.0 if channels == 2 else 0.8))
    scarcity = _PLENTY - 1000 * bitrate_kbps / (sample_rate * channels)
    shaping = min(max(_SHAPING - _SHAPING_LOST * scarcity, _LEAST_SHAPING), _SHAPING)
    return Parameters(layout, bitrate_kbps, None, _lines(hertz, sample_rate), 0.0, shaping)


def _lines(hertz: float, sample_rate: int) -> int:
    """Lines below a frequency; all of them where it is nearly half the sample rate."""
    share = hertz / (sample_rate / 2)
    return GRANULE if share > 0.95 else int(share * GRANULE)
