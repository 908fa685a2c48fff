"""Window switching: which granules are coded in short blocks (11172-3, C.1.5.3 and figure C.7).

A long block spreads its quantisation noise over 36 ms at 32 kHz; before an attack that noise is
heard.  The attack detector looks at the energies of the PCM's first difference, which favours high
frequencies, in BLOCKs so short that an attack falls into one of the three short windows.

Never looks at lines; decides for all channels alike, so that middle and side may be formed.
"""

from __future__ import annotations

import math
import struct
from array import array
from typing import List, Sequence

from .analysis import HISTORY
from .blocks import GRANULE, LONG, SHORT, START, STOP

LOOKAHEAD = 2  # granules: the next one's attack is wanted, and its last samples lie behind it
# Granules in front of HISTORY from which it is known how loud it was and how crowded.  Who begins there may see another
# attack than who comes from far, and a start block needs its short one: so at the end of a run all look from there.
MEMORY = 4
_SETTLED = 3  # granules: the types of two views that are the same in so many are the same from there on

BLOCK = 48  # samples: twelve a granule, four a short window
BLOCKS = GRANULE // BLOCK
# A granule answers for the PCM up to one BLOCK into the next granule: the window of granule g
# is centred on the end of granule g - 1, and the polyphase filters delay by 240 samples.
BEHIND = 11  # blocks of the granule before that are this granule's own
# A start block's window falls off through the first two of these blocks: an attack there would
# spread over all of it.  Then the granule before is short as well.
LEAK = 2

_RATIO = 16.0  # an attack is so many times the mean of what went before
# Amid other attacks, as in applause and rain, it is this: a long block between two of them holds others that the mean,
# which is high then, hides.  They crowd where so many came that the sum of what each adds, which fades, is enough.
_RATIO_AMID = 4.0
_CROWD, _CROWDED, _FADING = 0.25, 0.3, 0.97  # an attack adds; enough (two within 20 blocks); a block leaves
_DECAY = 0.8  # of that mean, a block
_FLOOR = BLOCK // 2 * 40.0**2  # energy of a block below which nothing is an attack


_BLOCKS_OF = struct.Struct("<%dh" % (BLOCK // 2)).iter_unpack


def block_energies(even: bytes, odd: bytes) -> List[float]:
    """Energy of the differences of every two neighbours in each BLOCK of 16-bit samples."""
    distances = map(math.dist, _BLOCKS_OF(even), _BLOCKS_OF(odd))
    return [distance * distance for distance in distances]


def attacks(energies: Sequence[float]) -> List[int]:
    """The numbers of the blocks much louder than the decaying mean of those before them, less so amid others."""
    out: List[int] = []
    mean = energies[0] if energies else 0.0
    crowd = 0.0
    for number, energy in enumerate(energies):
        crowd *= _FADING
        if energy > _FLOOR and energy > (_RATIO_AMID if crowd > _CROWDED else _RATIO) * mean:
            out.append(number)
            crowd = min(crowd + _CROWD, 1.0)
        mean += (1 - _DECAY) * (energy - mean)
    return out


def attacked_granules(pcm: bytes, channels: int) -> List[bool]:
    """Whether an attack falls among the samples that each granule answers for.

    `pcm` is interleaved, whole granules; of the last granule only the first blocks are seen.
    """
    samples = array("h", pcm)
    granules = len(samples) // (GRANULE * channels)
    out = [False] * granules
    for channel in range(channels):
        even, odd = [samples[channel + at :: 2 * channels].tobytes() for at in (0, channels)]
        for block in attacks(block_energies(even, odd)):
            for granule in {(block + BEHIND) // BLOCKS, (block + BEHIND - LEAK) // BLOCKS}:
                if granule < granules:
                    out[granule] = True
    return out


def block_types(attacked: Sequence[bool], previous: int) -> List[int]:
    """The block types of all granules but the last, whose attack is only looked ahead to.

    `previous` is the type of the granule before the first.  A start block must come before a short
    one and a stop block behind it; a granule that would have to be both is short as well.
    """
    out: List[int] = []
    for now, following in zip(attacked, attacked[1:]):
        after_short = previous in (START, SHORT)
        if previous == START or now or (after_short and following):
            block_type = SHORT
        elif after_short:
            block_type = STOP
        else:
            block_type = START if following else LONG
        out.append(block_type)
        previous = block_type
    return out


class WindowSwitch:
    """The block types of a stream, run by run."""

    def __init__(self, channels: int, before: bytes = b"") -> None:
        """`before`: where a stream goes on, whole granules in front of its HISTORY, at most MEMORY."""
        self._channels, self._before = channels, before
        self._last = -1  # block type of the granule before the run; -1 before the first run

    def types(self, pcm: bytes) -> List[int]:
        """The block type of every granule of `pcm` but the last LOOKAHEAD ones.

        `pcm` begins with HISTORY granules that the run before ended with, or, in the first run,
        with what came before the stream; of that the types are found out too, so that a stream
        which goes on where another ended switches windows as one stream would.
        """
        size = 2 * GRANULE * self._channels
        pcm, first = self._before + pcm, len(self._before) // size + HISTORY
        attacked = attacked_granules(pcm, self._channels)
        end = len(attacked) - LOOKAHEAD
        # The last ones as whoever goes on there sees them
        view = max(end - HISTORY - MEMORY, 0)
        seam = max(end + 1 - _SETTLED, first + 1)
        attacked[seam : end + 1] = attacked_granules(pcm[view * size :], self._channels)[seam - view : end + 1 - view]
        if self._last < 0:
            self._last = block_types(attacked[: first + 1], LONG)[-1]
        types = block_types(attacked[first : end + 1], self._last)
        self._last = (types or [self._last])[-1]
        self._before = pcm[view * size : (end - HISTORY) * size]
        return [LONG] * HISTORY + types
