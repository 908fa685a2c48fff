"""What both ways of the codec know of a granule: its size, its block types and their windows.

Numbered and named as in ISO/IEC 11172-3.  Pure data, and one formula.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Tuple

GRANULE = 576  # samples a channel, and lines
LONG, START, SHORT, STOP = range(4)  # block_type (2.4.2.7): the window of a granule


@lru_cache(maxsize=None)
def window_of(block_type: int) -> Tuple[float, ...]:
    """The window of a block type (2.4.3.4.10.3): 36 values, 12 for each of the short ones."""
    long = [math.sin(math.pi / 36 * (i + 0.5)) for i in range(36)]
    short = [math.sin(math.pi / 12 * (i + 0.5)) for i in range(12)]
    start = long[:18] + [1.0] * 6 + short[6:] + [0.0] * 6
    return tuple((long, start, short, start[::-1])[block_type])
