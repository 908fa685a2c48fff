"""The resampler: 16-bit PCM of one rate to 16-bit PCM of another, on packed integers.

One output sample is a sum of K inputs around its place in time, weighted by a Kaiser-windowed sinc (Kaiser
1974; Smith, "Digital Audio Resampling").  With out : in reduced to L : M, output n = L*m + r lies at input
M*m + r*M/L: there are only L different sets of weights, one a *phase* r, and all outputs of a phase are made
at once, slot m of a packed integer each.  Four ways, by the size of L and M:

    convolved   L*M small (48 to 32 kHz is 2 : 3): the input is split into its M residues, and the sum over a
                residue's taps is one multiplication of two huge integers, a convolution along the slots
    phased      L and M below 4,096, upwards (32 to 44.1 kHz is 441 : 320): sums of vectors times constants
    halved      the same downwards (44.1 to 32 kHz is 320 : 441): phased to twice the rate with a tenth of the
                taps, since most of what that filter lets through the next one stops; and then convolved with a
                half-band filter, of which every other weight is 0
    direct      any other pair: a sample at a time, with weights interpolated between phases; slow and as right

The response is flat to 0.4531 of the lower rate (14.5 kHz for 32 kHz) and 104 dB down from 0.5469 of it on, so
that what aliases at all lands above the flat part.  Weights of 20 bits, each phase's sum exactly 1 (of the halved
way: all phases' mean): no drift at DC, and integer arithmetic throughout, so that a result does not depend on how the
input was cut.

No files, clocks or processes.  Raises ValueError for rates or channels out of range.
"""

from __future__ import annotations

import math
from array import array
from functools import lru_cache
from operator import mul
from random import Random
from typing import Dict, Iterator, List, NamedTuple, Sequence, Tuple

from .packed import flip_signs, ones, slots

MIN_RATE, MAX_RATE = 8_000, 192_000  # Hz, of what is made
MIN_SOURCE_RATE, MAX_SOURCE_RATE = 1_000, 768_000  # Hz; converters make up to 768 kHz, sonar and seismology more
PASSBAND = 0.453125  # of the lower rate: 14.5 of 32 kHz is flat; the stop band begins as far above half of it
STOPBAND_DB = 104.0  # 100 dB and what rounding the weights to 20 bits takes
_FRACTION = 20  # bits of a weight
_WIDTH = 40  # bits of a slot: 16 of the sample, 20 of the weight, 2 of the sum of |weights|, the sign
_GROUPS = 400  # outputs of a phase made at once: fewer cost more each, more leave the cache
_CONVOLVED = 64  # L * M up to which the residues are convolved
_CONVOLVED_SLOTS = 1600  # outputs of a phase made at once there, in each channel, and by the half-band filter
_DOUBLED_FRACTION = 18  # bits of a weight of the filter to twice the rate: what it makes keeps 2 of them
_HALVED_FRACTION = 22  # bits below a place of what the half-band filter makes
# Makes all positive there: 2.2 times full scale, the sum of the first filter's |weights|, and of it in the second
# what a sum of some of the weights can be, -0.46 to 0.96; and that stays below the 18 bits that the slot has.
_ABOVE = 3 << 15
_PHASED = 4096  # L or M above which the weights of all phases would be too many
_DIRECT_PHASES = 1024  # between which the direct way interpolates: an error of -118 dB


class Ratio(NamedTuple):
    """out : in as small whole numbers, and the filter's length."""

    up: int  # L, outputs a group
    down: int  # M, inputs a group
    taps: int  # K, inputs that make one output; even


@lru_cache(maxsize=32)
def ratio_of(rate_in: int, rate_out: int) -> Ratio:
    """The ratio of two rates in Hz; ValueError for a rate out of range."""
    made = (MIN_RATE, MAX_RATE) if rate_out != rate_in else (MIN_SOURCE_RATE, MAX_SOURCE_RATE)
    for rate, low, high in ((rate_in, MIN_SOURCE_RATE, MAX_SOURCE_RATE), (rate_out, *made)):
        if not low <= rate <= high:
            raise ValueError(f"a rate of {rate} Hz; {low} to {high} are resampled")
    common = math.gcd(rate_in, rate_out)
    up, down = rate_out // common, rate_in // common
    taps = _taps((1 - 2 * PASSBAND) * min(rate_in, rate_out) / rate_in)
    if up * down > _CONVOLVED:  # longer groups pack fewer samples twice
        times = -(-128 // max(up, down))
        up, down = up * times, down * times
    return Ratio(up, down, taps)


# -- weights --------------------------------------------------------------------------------------------------


def _taps(transition: float) -> int:
    """How many a filter needs between its bands, in cycles an input sample (Kaiser's formula); even."""
    return 2 * math.ceil((STOPBAND_DB - 8) / (2.285 * 2 * math.pi * transition) / 2)


def _bessel_i0(x: float) -> float:
    """The modified Bessel function of order 0 (Abramowitz and Stegun 9.8.1 and 9.8.2, error below 2e-7)."""
    if x < 3.75:
        t = (x / 3.75) ** 2
        return 1 + t * (3.5156229 + t * (3.0899424 + t * (1.2067492 + t * (0.2659732 + t * (0.0360768 + t * 0.0045813)))))
    t = 3.75 / x
    series = 0.39894228 + t * (0.01328592 + t * (0.00225319 + t * (-0.00157565 + t * (0.00916281 + t * (
        -0.02057706 + t * (0.02635537 + t * (-0.01647633 + t * 0.00392377)))))))
    return series * math.exp(x) / math.sqrt(x)


def _windowed_sinc(taps: int, fraction: float, cutoff: float) -> List[float]:
    """The windowed sinc at k - (taps/2 - 1) - fraction, k = 0 … taps-1; `cutoff` in cycles a sample."""
    beta = 0.1102 * (STOPBAND_DB - 8.7)
    half = taps / 2
    out = []
    for k in range(taps):
        t = k - (taps // 2 - 1) - fraction
        inside = 1 - (t / half) ** 2
        if inside < 0:
            out.append(0.0)
            continue
        x = 2 * math.pi * cutoff * t
        sinc = math.sin(x) / x if x else 1.0
        out.append(sinc * _bessel_i0(beta * math.sqrt(inside)))
    return out


def _weights(taps: int, fraction: float, cutoff: float) -> List[float]:
    """The same with a sum of 1."""
    weights = _windowed_sinc(taps, fraction, cutoff)
    total = sum(weights)
    return [value / total for value in weights]


@lru_cache(maxsize=8)
def _phases(ratio: Ratio) -> List[Tuple[int, List[int]]]:
    """For each output of a group: its first input, and its weights as integers whose sum is 2**20."""
    cutoff = 0.5 * min(ratio.up, ratio.down) / ratio.down
    known: Dict[int, List[int]] = {}  # groups that were multiplied up repeat their phases
    out = []
    for r in range(ratio.up):
        first, rest = divmod(r * ratio.down, ratio.up)
        if rest not in known:
            known[rest] = _whole(_weights(ratio.taps, rest / ratio.up, cutoff), _FRACTION)
        out.append((first, known[rest]))
    return out


@lru_cache(maxsize=8)
def _doubling(up: int, down: int) -> Tuple[Ratio, List[Tuple[int, List[int]]]]:
    """(ratio, phases) of the filter to twice the output's rate, for up : down.

    It has the whole of the output's rate to fall in, from 0.4531 to 1.4531 of it: what comes through in between
    lies, at twice the rate, where the half-band filter stops.  So does the image of DC, and only the mean of the
    phases' sums is 1: to make every sum 1 would spoil a filter as short as this.
    """
    share = up / down
    ratio = Ratio(2 * up, down, _taps(share))
    places = [divmod(r * down, ratio.up) for r in range(ratio.up)]
    all_weights = [_windowed_sinc(ratio.taps, rest / ratio.up, (PASSBAND + 0.5) * share) for _, rest in places]
    unit = ratio.up / sum(map(sum, all_weights)) * (1 << _DOUBLED_FRACTION)
    return ratio, [
        (first, [round(value * unit) for value in weights])
        for (first, _), weights in zip(places, all_weights)
    ]


def _whole(weights: Sequence[float], fraction: int) -> List[int]:
    """Weights in 2**-fraction, rounded; what rounding lost of their sum goes to the largest."""
    unit = 1 << fraction
    out = [round(value * unit) for value in weights]
    out[max(range(len(out)), key=out.__getitem__)] += round(sum(weights) * unit) - sum(out)
    return out


@lru_cache(maxsize=1)
def _half_band() -> List[int]:
    """Weights at the odd places around an output, from twice its rate; there is one more, 1/2 at its own."""
    taps = _taps(0.5 - PASSBAND)
    weights = _weights(taps + taps % 4, 0.0, 0.25)[0::2]  # the first is at an odd place
    share = 0.5 / sum(weights)
    return _whole([value * share for value in weights], _FRACTION)


# -- the four ways --------------------------------------------------------------------------------------------


def _spread(plane: bytes) -> int:
    """The vector of 16-bit samples, offset ones."""
    data = bytearray(len(plane) // 2 * 5)
    data[0::5] = plane[0::2]
    data[1::5] = plane[1::2]
    return int.from_bytes(data, "little")


def _vectors(offset: array, channels: int, ratio: Ratio, groups: int) -> List[int]:
    """For each input that some output of a group sees, its vector: slot (channel, group)."""
    planes = [offset[channel::channels] for channel in range(channels)]
    reach = (groups - 1) * ratio.down + 1
    return [
        _spread(b"".join([samples[q : q + reach : ratio.down].tobytes() for samples in planes]))
        for q in range(ratio.down + ratio.taps)
    ]


class _Way:
    """How blocks are made: `grain` groups at a time, each of `down` inputs to `up` outputs.

    `make(offset, groups, noise)` takes offset samples (value + 32768), interleaved, of groups*down frames with
    `lead` more in front and `tail` behind; it gives groups*up frames, offset too.
    """

    def __init__(self, ratio: Ratio, channels: int) -> None:
        self.ratio, self.channels = ratio, channels
        self.lead, self.tail = ratio.taps // 2 - 1, ratio.taps // 2 + 1

    @property
    def grain(self) -> int:
        return _GROUPS

    def make(self, offset: array, groups: int, noise: Noise) -> array:
        raise NotImplementedError


class _Phased(_Way):
    """Slot (channel, group); a vector for each input of a group, a sum of products for each output."""

    def make(self, offset: array, groups: int, noise: Noise) -> array:
        ratio, channels = self.ratio, self.channels
        vectors = _vectors(offset, channels, ratio, groups)
        packed = slots(groups * channels, _WIDTH)
        bias = -packed.splat(0x8000 << _FRACTION)
        out = array("H", bytes(2 * groups * ratio.up * channels))
        for r, (first, weights) in enumerate(_phases(ratio)):
            total = sum(map(mul, vectors[first : first + ratio.taps], weights), bias)
            if noise.is_on:
                total += noise.vector(groups, channels)
            made = array("H", bytes(packed.int16(total, _FRACTION)))
            for channel in range(channels):
                out[r * channels + channel :: ratio.up * channels] = made[channel * groups : (channel + 1) * groups]
        return out


class _Halved(_Way):
    """Phased to twice the rate, in slots by time for each channel, even and odd apart; then convolved."""

    def __init__(self, ratio: Ratio, channels: int) -> None:
        super().__init__(ratio, channels)
        weights = _half_band()
        self._reach = len(weights) // 2  # of the odd samples, on either side of an output
        self._filter = sum([weight << (k * _WIDTH) for k, weight in enumerate(reversed(weights))])
        self._beside = -(-self._reach // ratio.up)  # groups in front and behind that it looks into
        half = _doubling(ratio.up, ratio.down)[0].taps // 2
        self.lead, self.tail = [self._beside * ratio.down + half + more for more in (-1, 1)]

    def make(self, offset: array, groups: int, noise: Noise) -> array:
        up, channels = self.ratio.up, self.channels
        out = array("H", bytes(2 * groups * up * channels))
        for channel, (even, odd) in enumerate(self._double(offset, groups + 2 * self._beside)):
            for first in range(0, groups * up, _CONVOLVED_SLOTS):
                end = min(first + _CONVOLVED_SLOTS, groups * up)
                at = self._beside * up + first
                made = self._halve(even, odd, at, end - first, noise)
                out[first * channels + channel : end * channels : channels] = made
        return out

    def _double(self, offset: array, groups: int) -> List[Tuple[bytearray, bytearray]]:
        """(even, odd) samples at twice the rate for each channel: fields of _WIDTH bits, (value + _ABOVE) * 4."""
        ratio, phases = _doubling(self.ratio.up, self.ratio.down)
        size = _WIDTH // 8
        packed = slots(groups * self.channels, _WIDTH)
        centre = packed.splat(0x8000)
        vectors = [vector - centre for vector in _vectors(offset, self.channels, ratio, groups)]
        bias = packed.splat((_ABOVE << _DOUBLED_FRACTION) + 0x8000)  # ... and the half that rounds
        half = groups * ratio.up // 2 * size
        out = [(bytearray(half), bytearray(half)) for _ in range(self.channels)]
        step = ratio.up // 2 * size
        for r, (first, weights) in enumerate(phases):
            total = sum(map(mul, vectors[first : first + ratio.taps], weights), bias)
            data = total.to_bytes(packed.size, "little")
            for channel, halves in enumerate(out):
                own = slice(channel * groups * size, (channel + 1) * groups * size)
                for byte in range(3):  # the lower two bytes of a field fall off
                    halves[r & 1][(r >> 1) * size + byte :: step] = data[own][byte + 2 :: size]
        return out

    def _halve(self, even: bytearray, odd: bytearray, at: int, count: int, noise: Noise) -> array:
        """`count` outputs from number `at` on."""
        reach, size = self._reach, _WIDTH // 8
        packed = slots(count, _WIDTH)
        beside = int.from_bytes(odd[(at - reach) * size : (at + count + reach) * size], "little")
        own = int.from_bytes(even[at * size : (at + count) * size], "little")
        # Every slot of the product positive, so that those below and above can be cut off exactly.
        above = ones(count + 4 * reach, _WIDTH) * (_ABOVE << _HALVED_FRACTION)
        back = packed.splat(2 * _ABOVE << _HALVED_FRACTION)
        total = ((beside * self._filter + above) >> (2 * reach - 1) * _WIDTH) & packed.all
        total += (own << (_FRACTION - 1)) - back
        if noise.is_on:
            total += noise.vector(count, 1) << (_HALVED_FRACTION - _FRACTION)
        return array("H", bytes(packed.int16(total, _HALVED_FRACTION)))


class _Convolved(_Way):
    """One integer a channel and residue; one product a residue and output phase."""

    def __init__(self, ratio: Ratio, channels: int) -> None:
        super().__init__(ratio, channels)
        # Input M*m + q of a group is residue q % M, moved by q // M slots.
        self._reach = (ratio.down - 1 + ratio.taps - 1) // ratio.down + 1
        self._filters = [self._residues(first, weights) for first, weights in _phases(ratio)]

    @property
    def grain(self) -> int:
        return _CONVOLVED_SLOTS

    def _residues(self, first: int, weights: Sequence[int]) -> List[int]:
        """For each residue the integer whose slots are its weights, last one first."""
        out = [0] * self.ratio.down
        for k, weight in enumerate(weights):
            step, residue = divmod(first + k, self.ratio.down)
            out[residue] += weight << ((self._reach - 1 - step) * _WIDTH)
        return out

    def make(self, offset: array, groups: int, noise: Noise) -> array:
        ratio, channels = self.ratio, self.channels
        packed = slots(groups, _WIDTH)
        lead = (self._reach - 1) * _WIDTH
        # Every slot of the product positive, so that those below and above can be cut off exactly.
        above = ones(groups + 2 * self._reach, _WIDTH) << (_WIDTH - 2)
        back = packed.splat((1 << (_WIDTH - 2)) + (0x8000 << _FRACTION))
        out = array("H", bytes(2 * groups * ratio.up * channels))
        for channel in range(channels):
            vectors = self._vectors(offset[channel::channels], groups)
            for r, filters in enumerate(self._filters):
                total = ((sum(map(mul, vectors, filters), above) >> lead) & packed.all) - back
                if noise.is_on:
                    total += noise.vector(groups, 1)
                made = array("H", bytes(packed.int16(total, _FRACTION)))
                out[r * channels + channel :: ratio.up * channels] = made
        return out

    def _vectors(self, samples: array, groups: int) -> List[int]:
        down, count = self.ratio.down, groups + self._reach - 1
        return [_spread(samples[residue::down][:count].tobytes()) for residue in range(down)]


@lru_cache(maxsize=2)
def _interpolated(taps: int, up: int, down: int) -> List[List[float]]:
    """Weights at _DIRECT_PHASES + 1 places from one sample to the next; fewer for a narrower filter."""
    count = max(64, min(_DIRECT_PHASES, _DIRECT_PHASES * up // down))
    cutoff = 0.5 * min(up, down) / down
    return [_weights(taps, place / count, cutoff) for place in range(count + 1)]


class _Direct(_Way):
    """A sample at a time; a "group" is one output, and its place in time is counted exactly."""

    @property
    def grain(self) -> int:
        return 1

    def make(self, offset: array, groups: int, noise: Noise) -> array:
        ratio, channels = self.ratio, self.channels
        table = _interpolated(ratio.taps, ratio.up, ratio.down)
        count = len(table) - 1
        outputs = groups * ratio.up
        out = array("H", bytes(2 * outputs * channels))
        for channel in range(channels):
            samples = [value - 32768 for value in offset[channel::channels]]
            made = []
            for n in range(outputs):
                first, rest = divmod(n * ratio.down, ratio.up)
                place, between = divmod(rest * count, ratio.up)
                part = samples[first : first + ratio.taps]
                low = _dot(table[place], part)
                made.append(low + (_dot(table[place + 1], part) - low) * between / ratio.up)
            if noise.is_on:
                made = [value + dither for value, dither in zip(made, noise.floats(outputs))]
            out[channel::channels] = array("H", [min(max(math.floor(v + 32768.5), 0), 65535) for v in made])
        return out


def _plain_dot(weights: Sequence[float], samples: Sequence[int]) -> float:
    return sum(map(mul, weights, samples))


_dot = getattr(math, "sumprod", _plain_dot)  # 3.12 and later, three times as fast


# -- dither ---------------------------------------------------------------------------------------------------


class Noise:
    """Triangular dither of two places' width (TPDF), of a block: the same for the same seed and block."""

    def __init__(self, is_on: bool, seed: int, block: int) -> None:
        self.is_on = is_on
        self._random = Random(seed * 0x1_0000_0001 + block) if is_on else None

    def vector(self, groups: int, channels: int) -> int:
        """One value for each slot, in 2**-20 of a place."""
        packed = slots(groups * channels, _WIDTH)
        mask = packed.splat((1 << _FRACTION) - 1)
        bits = 32 * -(-packed.count * _WIDTH // 32)
        one, two = (self._random.getrandbits(bits) & mask for _ in range(2))
        return one + two - packed.splat((1 << _FRACTION) - 1)

    def floats(self, count: int) -> Iterator[float]:
        """`count` values in places."""
        draw = self._random.random
        return (draw() + draw() - 1 for _ in range(count))


# -- the resampler --------------------------------------------------------------------------------------------


class Resampler:
    """Interleaved 16-bit little-endian PCM from `rate_in` to `rate_out` Hz, in pieces of any size.

    `process` gives what is ready, `finish` the rest; together exactly round(frames * out / in) frames, halves
    up.  `dither` is "none" or "tpdf".  A *segment* of a longer input, for work in parallel: `lead_in` is the PCM
    before it (at least `lead` frames of it, or all there is), `start` the number of its first frame, a multiple of
    `grain_in`; `finish(lead_out)` takes the PCM behind it.  Segments put together are the whole, bit for bit.
    """

    def __init__(
        self, rate_in: int, rate_out: int, channels: int, *, dither: str = "none", seed: int = 0,
        start: int = 0, lead_in: bytes = b"",
    ) -> None:
        if channels < 1:
            raise ValueError(f"{channels} channels")
        if dither not in ("none", "tpdf"):
            raise ValueError(f"dither {dither!r}; none or tpdf")
        self.ratio = ratio = ratio_of(rate_in, rate_out)
        self.channels = channels
        self._frame = 2 * channels
        self._is_same = rate_in == rate_out
        self._dither, self._seed = dither == "tpdf", seed
        if ratio.up * ratio.down <= _CONVOLVED:
            self._way: _Way = _Convolved(ratio, channels)
        elif max(ratio.up, ratio.down) <= _PHASED:
            self._way = (_Halved if ratio.up < ratio.down else _Phased)(ratio, channels)
        else:
            self._way = _Direct(ratio, channels)
        self.grain_in = self._way.grain * ratio.down  # frames of input a block takes
        self.grain_out = self._way.grain * ratio.up
        self.lead = self._way.lead  # frames before the first that its output needs
        self.tail = self._way.tail  # and behind the last
        if start % self.grain_in:
            raise ValueError(f"a segment starts at {start}, not at a multiple of {self.grain_in}")
        self._block = start // self.grain_in
        self._frames_in = self._frames_out = 0
        lead_in = lead_in[-self.lead * self._frame :] if self.lead else b""
        self._waiting = bytearray(self.lead * self._frame - len(lead_in)) + lead_in

    def process(self, pcm: bytes) -> bytes:
        """What can be told of the output with `pcm` added, a whole number of frames."""
        if self._is_same:
            return bytes(pcm)
        self._frames_in += len(pcm) // self._frame
        self._waiting += pcm
        out = []
        need = (self.lead + self.grain_in + self.tail) * self._frame
        while len(self._waiting) >= need:
            out.append(self._make(self._way.grain))
        made = b"".join(out)
        self._frames_out += len(made) // self._frame
        return made

    def finish(self, lead_out: bytes = b"") -> bytes:
        """The rest, up to the last frame of the input; `lead_out` is what follows it, silence by default."""
        if self._is_same:
            return b""
        ratio = self.ratio
        left = (2 * self._frames_in * ratio.up + ratio.down) // (2 * ratio.down) - self._frames_out
        self._waiting += lead_out + bytes((self.grain_in + 2 * self.tail) * self._frame)
        out = []
        while left > 0:
            groups = min(self._way.grain, -(-left // ratio.up))
            made = self._make(groups)
            out.append(made[: left * self._frame])
            left -= groups * ratio.up
        return b"".join(out)

    def _make(self, groups: int) -> bytes:
        """Make `groups` groups of output and let go of their input."""
        ratio = self.ratio
        frames = self.lead + groups * ratio.down + self.tail
        offset = array("H", flip_signs(bytes(self._waiting[: frames * self._frame])))
        made = self._way.make(offset, groups, Noise(self._dither, self._seed, self._block))
        del self._waiting[: groups * ratio.down * self._frame]
        self._block += 1
        return flip_signs(made.tobytes())
