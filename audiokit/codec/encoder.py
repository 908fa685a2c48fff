"""The MP3 encoder: 16-bit PCM in, frames of Layer III out (MPEG-1, MPEG-2, and the unofficial 2.5).

    encoder = Encoder(32000, 2, bitrate_kbps=128)      or quality=0..9 instead
    file.write(encoder.encode(pcm))                    as often as there is PCM
    file.write(encoder.finish())
    file.seek(0); file.write(encoder.info_frame())     over the placeholder that came first

For a stream that cannot be rewound, `with_info=False` leaves the placeholder out.

One file in several processes.  Cut the PCM into segments at multiples of `segment_samples` and give
each its own Encoder, which knows of its neighbours only some PCM:

    encoder = Encoder(..., with_info=False, lead_in=PCM before it)       b"" for the first one
    frames = encoder.encode(segment) + encoder.finish(lead_out=PCM behind it)      None for the last

`lead_in_samples` and `lead_out_samples` say how much PCM is looked at; more does not harm.  The
frames of all segments, one after another, are a valid stream, and `info_tag.StreamRecord` makes the
Info frame of them.  Each segment begins with an empty bit reservoir and stuffs at its end.

How it works: PCM is collected to runs of CHUNK granules; a run is transformed as packed integers
(`analysis`), then coded frame by frame.  How the caller cuts the PCM into calls changes nothing.

Raises BadParameters (`parameters`) when made, ValueError when called after `finish`, or when a
segment that is not the last has not whole frames.  Any PCM at all can be encoded; a last sample
that is cut short is left out.
"""

from __future__ import annotations

from typing import List, Optional, Sequence

from audiokit.formats.mpeg_gapless import DECODER_DELAY

from .analysis import HISTORY, Spectra
from .blocks import GRANULE
from .frame import MID_SIDE, FrameWriter, Granule, main_data, side_info
from .granule import Spectrum, code, hidden_gain, left_right, mid_side, wanted_scalefactors
from .info_tag import ENCODER_DELAY, StreamRecord
from .parameters import BadParameters, Parameters, parameters
from .quantize import HIGHEST_GAIN
from .reservoir import Budget, ConstantRate, VariableRate
from .transients import LOOKAHEAD, MEMORY, WindowSwitch

__all__ = ["BadParameters", "Encoder", "Parameters", "parameters"]

CHUNK = 200  # granules a run: 3.6 s at 32 kHz; shorter runs are slower, longer ones hardly faster
# The filterbanks delay by 481 and 576 samples, of which the decoder's own share is 529.
_FRONT = ENCODER_DELAY - 528  # samples of silence that bring the delay to what is told
_LEAST_FRAMES = 2  # of a whole stream: ffmpeg refuses one of a single frame behind the Info frame
_LEAST_SHARE = 0.1  # of a frame's mean, what any granule's channel gets
# What it gets before another takes more than the mean: its entropy and what scalefactors and codes cost besides,
# within this share of the mean.  A tone behind its own attack has little entropy and is silent below that.
_CODING_BITS, _EARNED_SHARE = 150, 0.4
_NO_SCFSI = ((0, 0, 0, 0), (0, 0, 0, 0))


def segment_samples(parameters: Parameters) -> int:
    """Samples a frame: segments are a multiple of this."""
    return parameters.layout.frame_samples


class Encoder:
    """One stream, or one segment of it."""

    lead_in_samples = (MEMORY + HISTORY) * GRANULE + _FRONT
    lead_out_samples = LOOKAHEAD * GRANULE

    def __init__(
        self,
        sample_rate: int,
        channels: int,
        *,
        bitrate_kbps: Optional[int] = None,
        quality: Optional[int] = None,
        with_info: bool = True,
        lead_in: bytes = b"",
    ) -> None:
        """`bitrate_kbps` for frames of one size, or `quality`, 0 (best) to 9, for frames as needed.

        With neither, 64 kbit/s a channel, or 32 below 32 kHz.  `lead_in` is PCM.
        """
        self.parameters = parameters(sample_rate, channels, bitrate_kbps, quality)
        layout = self.parameters.layout
        self._bytes = 0  # of PCM, so far
        self.record = StreamRecord(self.parameters)
        self._layout = layout
        self._sample_bytes = 2 * channels
        self._granule_bytes = GRANULE * self._sample_bytes
        history = (HISTORY * GRANULE + _FRONT) * self._sample_bytes
        before = lead_in[:-history][-MEMORY * self._granule_bytes :]
        self._pcm = bytearray(lead_in[-history:].rjust(history, b"\0"))
        self._placeholder = self.record.info_frame(0) if with_info else b""
        self._is_finished = False
        self._is_continued = bool(lead_in)  # frames are in front of these
        self._switch = WindowSwitch(channels, before[len(before) % self._granule_bytes :])
        constant = self.parameters.bitrate_kbps
        self._rate = VariableRate(layout) if constant is None else ConstantRate(layout, constant)
        self._writer = FrameWriter()
        self._gains = [HIGHEST_GAIN] * channels  # where the last search ended

    @property
    def samples(self) -> int:
        """Samples a channel that were handed in so far."""
        return self._bytes // self._sample_bytes

    def encode(self, pcm: bytes) -> bytes:
        """Takes interleaved 16-bit little-endian PCM; gives the frames that are complete."""
        if self._is_finished:
            raise ValueError("encode after finish")
        self._pcm += pcm
        self._bytes += len(pcm)
        run = (HISTORY + CHUNK + LOOKAHEAD) * self._granule_bytes
        out = []
        at = 0
        while len(self._pcm) - at >= run:
            out.append(self._run(bytes(self._pcm[at : at + run])))
            at += CHUNK * self._granule_bytes
        del self._pcm[:at]
        return self._out(b"".join(out))

    def finish(self, lead_out: Optional[bytes] = None) -> bytes:
        """The frames that are left.  `lead_out`: PCM behind this segment, None at the end."""
        if self._is_finished:
            raise ValueError("finish twice")
        self._is_finished = True
        whole = len(self._pcm) // self._sample_bytes * self._sample_bytes
        del self._pcm[whole:]
        samples = whole // self._sample_bytes - HISTORY * GRANULE
        frame = self._layout.frame_samples
        if lead_out is None:
            # The encoder's own 528 samples of delay and the decoder's must be pushed out.
            frames = -(-(samples + ENCODER_DELAY - _FRONT + DECODER_DELAY) // frame)
            if not self._is_continued:
                frames = max(frames, _LEAST_FRAMES)
        else:
            frames, rest = divmod(samples - _FRONT, frame)
            if rest:
                raise ValueError("a segment of %d samples more than whole frames" % rest)
        left = frames * self._layout.granules
        length = (HISTORY + left + LOOKAHEAD) * self._granule_bytes
        self._pcm += (lead_out or b"")[: max(length - whole, 0)]
        self._pcm += bytes(max(length - len(self._pcm), 0))
        out = []
        for first in range(0, left, CHUNK):
            granules = HISTORY + min(CHUNK, left - first) + LOOKAHEAD
            at = first * self._granule_bytes
            out.append(self._run(bytes(self._pcm[at : at + granules * self._granule_bytes])))
        self._pcm.clear()
        return self._out(b"".join(out) + self._writer.finish())

    def info_frame(self) -> bytes:
        """The Info frame of the stream so far, as long as the placeholder that it replaces."""
        return self.record.info_frame(self.samples)

    def _out(self, frames: bytes) -> bytes:
        self.record.add(frames)
        placeholder, self._placeholder = self._placeholder, b""
        return placeholder + frames

    def _run(self, pcm: bytes) -> bytes:
        """The frames of HISTORY, some, and LOOKAHEAD granules: of those between."""
        types = self._switch.types(pcm)
        seen = len(types) * self._granule_bytes
        spectra = Spectra(pcm[:seen], self._layout.channels, self._layout.sample_rate)
        spectra.transform(types)
        step = self._layout.granules
        return b"".join(
            [
                self._frame(spectra, range(first, first + step), types)
                for first in range(HISTORY, len(types), step)
            ]
        )

    def _frame(self, spectra: Spectra, numbers: Sequence[int], types: Sequence[int]) -> bytes:
        """One frame, and what it completes."""
        layout, writer = self._layout, self._writer
        channels = range(layout.channels)
        pairs = [
            left_right([spectra.lines(c, n) for c in channels], types[n], layout, self.parameters.cutoff)
            for n in numbers
        ]
        apart = sum([one.entropy for pair in pairs for one in pair.spectra])
        joint = sum([one.entropy for pair in pairs for one in pair.mid_side])
        is_joint = layout.channels == 2 and joint < apart
        rows = [mid_side(pair) if is_joint else pair.spectra for pair in pairs]
        ahead = writer.ahead
        budget = self._rate.budget(ahead, joint if is_joint else apart)
        granules = self._code(rows, budget)
        main = main_data(granules)
        frame = self._rate.frame(ahead, len(main))
        head = layout.header(frame.bitrate_kbps, frame.padding, MID_SIDE if is_joint else 0)
        head += side_info(layout, ahead, _NO_SCFSI[: layout.channels], granules)
        return writer.add(head, frame.area, main + bytes(frame.stuffing))

    def _code(self, rows: Sequence[Sequence[Spectrum]], budget: Budget) -> List[List[Granule]]:
        """The granules of a frame; bits go where the entropy is."""
        targets = iter(_shares([one.entropy for row in rows for one in row], budget.aim))
        left = budget.at_most
        spare = 0
        out = []
        for row in rows:
            granules = []
            for channel, spectrum in enumerate(row):
                scalefactors, gains = wanted_scalefactors(spectrum, self.parameters.shaping)
                target = next(targets) + spare
                if budget.to_threshold:
                    finest = round(hidden_gain(spectrum, gains) + self.parameters.margin)
                    one = code(spectrum, scalefactors, target, left, finest, finest)
                else:
                    one = code(spectrum, scalefactors, target, left, self._gains[channel])
                    spare = max(target - len(one.main), 0)
                    self._gains[channel] = one.gain
                left -= len(one.main)
                granules.append(one)
            out.append(granules)
        return out


def _shares(entropies: Sequence[float], bits: int) -> List[int]:
    """`bits` given out so that the noise lies equally far from what is hidden everywhere.

    Each line's bits are half the logarithm of its signal-to-noise ratio: the same noise-to-mask
    ratio for all means each one's entropy plus a constant.
    """
    mean_bits = bits / len(entropies)
    mean = sum(entropies) / len(entropies)
    shares = [
        max(
            mean_bits + entropy - mean,
            min(entropy + _CODING_BITS, _EARNED_SHARE * mean_bits),
            _LEAST_SHARE * mean_bits,
        )
        for entropy in entropies
    ]
    factor = bits / (sum(shares) or 1.0)
    return [int(share * factor) for share in shares]
