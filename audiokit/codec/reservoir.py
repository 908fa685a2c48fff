"""The bit reservoir: how many bits a frame may use, and which bitrate holds them (C.1.5.4.1).

A frame that needs few bits leaves room to later ones, up to the largest main_data_begin; at a
constant rate also no more than the decoder's input buffer of 7680 bits holds beside a frame
(2.4.3.1).

Counts bits only; never sees one.
"""

from __future__ import annotations

from typing import NamedTuple

from .frame import StreamFormat

_BUFFER_BYTES = 7680 // 8
_SHARE = 0.9  # of the reservoir, what one frame may take: attacks come in twos
_FULL = 0.9  # a reservoir so full is emptied into whatever frame comes
_THRIFT = 0.3  # of the mean, what an easy frame leaves at most
# Behind 17 bytes of side information, 8 kbit/s leave 3 to 6 bytes.  mpg123 looks further ahead than
# that and refuses such a frame when its last byte is used.
_TINY_AREA, _TINY_SPARE = 8, 1
_MEMORY = 0.05  # weight of the newest frame in the mean demand


class Budget(NamedTuple):
    """What a frame may use."""

    aim: int  # bits to use if there is use for them
    at_most: int  # bits
    to_threshold: bool  # whether noise may stay at the thresholds though there be bits


class Frame(NamedTuple):
    """What a frame is."""

    bitrate_kbps: int
    padding: int
    area: int  # bytes behind the side information
    stuffing: int  # bytes of nothing at the end of the frame's main data


class ConstantRate:
    """Frames of one bitrate: the reservoir is filled and emptied around the mean."""

    def __init__(self, layout: StreamFormat, bitrate_kbps: int) -> None:
        self._layout = layout
        self._bitrate = bitrate_kbps
        self._slots = layout.frame_samples // 8 * 1000 * bitrate_kbps
        self._rest = 0  # of the bytes the frames so far rounded down, in parts of the sample rate
        whole = layout.frame_bytes(bitrate_kbps)
        self._largest = min(layout.largest_begin, max(_BUFFER_BYTES - whole, 0))
        self._mean_demand = -1.0

    def _padding(self) -> int:
        """padding_bit of the next frame: the frames' mean is exactly the bitrate (2.4.2.3)."""
        rest = self._rest + self._slots % self._layout.sample_rate
        return int(rest >= self._layout.sample_rate)

    def _area(self) -> int:
        return self._layout.frame_bytes(self._bitrate, self._padding()) - self._layout.overhead

    def budget(self, ahead: int, demand: float) -> Budget:
        """The budget of the next frame, with `ahead` bytes in the reservoir.

        `demand` is about how many bits it needs, too many or too few by the same for all frames.
        """
        area = self._area()
        mean, reservoir = 8 * (area if area > _TINY_AREA else area - _TINY_SPARE), 8 * ahead
        if self._mean_demand < 0:
            self._mean_demand = demand
        self._mean_demand += (demand - self._mean_demand) * _MEMORY
        extra = max(demand - self._mean_demand, -_THRIFT * mean)
        extra = max(min(extra, _SHARE * reservoir), reservoir - _FULL * 8 * self._largest)
        return Budget(int(mean + min(extra, reservoir)), mean + reservoir, False)

    def frame(self, ahead: int, main_bytes: int) -> Frame:
        """The next frame, now that its main data are known; one call a frame."""
        padding, area = self._padding(), self._area()
        self._rest += self._slots % self._layout.sample_rate
        self._rest -= padding * self._layout.sample_rate
        stuffing = max(ahead + area - main_bytes - self._largest, 0)
        return Frame(self._bitrate, padding, area, stuffing)


class VariableRate:
    """Each frame gets the smallest bitrate that holds it."""

    def __init__(self, layout: StreamFormat) -> None:
        self._layout = layout

    def _area(self, bitrate_kbps: int) -> int:
        return self._layout.frame_bytes(bitrate_kbps) - self._layout.overhead

    def budget(self, ahead: int, demand: float) -> Budget:
        """The budget of the next frame: all that the largest frame holds."""
        bits = 8 * (self._area(self._layout.bitrates[-1]) + ahead)
        return Budget(bits, bits, True)

    def frame(self, ahead: int, main_bytes: int) -> Frame:
        """The next frame, now that its main data are known."""
        for bitrate in self._layout.bitrates[1:]:
            area = self._area(bitrate)
            spare = _TINY_SPARE if area <= _TINY_AREA else 0
            if ahead + area >= main_bytes + spare:
                break
        stuffing = max(ahead + area - main_bytes - self._layout.largest_begin, 0)
        return Frame(bitrate, 0, area, stuffing)
