"""The bit reservoir: how many bits a frame may use, and which frame is big enough (11172-3, C.1.5.4.1).

A frame that needs few bits leaves room to later ones.  The room is bounded twice: by the largest
main_data_begin, and by the decoder's input buffer of 7680 bits, which holds the room and the frame
itself (2.4.3.1).

Counts bits only; never sees one.
"""

from __future__ import annotations

from typing import Tuple

from .frame import StreamFormat

_BUFFER_BYTES = 7680 // 8


class ConstantRate:
    """Frames of one bitrate: the reservoir is filled and emptied around the mean."""

    def __init__(self, layout: StreamFormat, bitrate_kbps: int) -> None:
        self.bitrate_kbps = bitrate_kbps
        self._layout = layout
        self._rest = 0  # of the bytes a frame rounded down, in parts of the sample rate
        self._slots = layout.frame_samples // 8 * 1000 * bitrate_kbps
        whole = layout.frame_bytes(bitrate_kbps)
        self.largest = min(layout.largest_begin, max(_BUFFER_BYTES - whole, 0))
        self._mean_demand = 0.0

    def next_padding(self) -> int:
        """padding_bit of the next frame: the mean of the frames is exactly the bitrate (2.4.2.3)."""
        self._rest += self._slots % self._layout.sample_rate
        if self._rest < self._layout.sample_rate:
            return 0
        self._rest -= self._layout.sample_rate
        return 1

    def budget(self, area: int, ahead: int, demand: float) -> Tuple[int, int]:
        """(bits to aim at, bits at most) of a frame with `area` bytes and `ahead` bytes before it.

        `demand` is how much the frame needs, in any unit; the mean demand gets the mean rate.
        """
        mean = 8 * area
        self._mean_demand += (demand - self._mean_demand) * (0.05 if self._mean_demand else 1.0)
        at_most = mean + 8 * ahead
        full = 8 * self.largest
        aim = mean + min(max(demand - self._mean_demand, -0.3 * mean), 0.6 * 8 * ahead)
        aim = max(aim, at_most - 0.9 * full)
        return int(min(aim, at_most)), at_most
