"""MP3 in, PCM out: MPEG-1, 2 and 2.5 Layer III (ISO/IEC 11172-3, 13818-3).

`Decoder` takes a stream in any chunks and gives 16-bit signed little-endian interleaved PCM.  It
works on batches of granules, since the packed stages want long vectors, and keeps two granules of
history: memory does not grow with the stream.  Nothing is carried between batches but those two
granules and 511 bytes of bit reservoir, all exact integers: so a stream may be decoded in segments
(`Planner`, `decode_segment`) by several workers, and gives the same bytes.

What cannot be decoded is silent and counted in the report.  The only exception is Undecodable: no
Layer III frame at all, or Layer I or II.

Where the stream changes its number of channels, the output keeps that of its first frame: mono goes
to both channels, two channels are averaged into one.  Where it changes its sampling rate, a new run
begins with a silent filterbank; `formats` says from which sample on.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from typing import Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from audiokit.codec.blocks import GRANULE
from audiokit.codec.hybrid import SILENCE, WIDTH, Block, hybrid
from audiokit.codec.main_data import RESERVOIR_BYTES, Blocks, Report, Unpacker
from audiokit.codec.packed import flip_signs, slots
from audiokit.codec.sync import Frame, FrameReader, Undecodable
from audiokit.codec.synthesis import synthesize
from audiokit.formats.mpeg_gapless import Cut, Stream, cut_of, missing_frames
from audiokit.formats.mpeg_header import (
    FrameHeader,
    StreamNote,
    parse_header,
    parse_stream_note,
)

# Granules decoded together: more are faster a granule (100: + 5 %), fewer keep latency and memory
# low (200 at 44.1 kHz: 2.6 s, some 30 MB).
BATCH_GRANULES = 200
HISTORY_GRANULES = 2  # one for the overlap, and one for the 15 time slots of the synthesis window

__all__ = [
    "Decoder",
    "Format",
    "Planner",
    "Report",
    "Segment",
    "Undecodable",
    "Whole",
    "decode_segment",
]


class Format(NamedTuple):
    """A run of PCM of one sampling rate."""

    first_sample: int  # of the output, a channel, where the run begins
    sample_rate: int  # Hz
    channels: int  # of the output; the same in all runs


class Renderer:
    """Frames to PCM, in batches; what Decoder and the workers share."""

    def __init__(self, report: Report, channels: int = 0) -> None:
        self.channels = channels  # of the output; 0: as the first frame
        self.sample_rate = 0
        self._unpacker = Unpacker(report)
        self._frames: List[Frame] = []
        self._history: List[Blocks] = []

    def is_change(self, header: FrameHeader) -> bool:
        """Whether a frame with this header needs a new run."""
        return header.sample_rate != self.sample_rate

    def begin(self, header: FrameHeader) -> None:
        """Begin a run with an empty reservoir and a silent past; `flush` first."""
        self.sample_rate = header.sample_rate
        self.channels = self.channels or header.channels
        self._history = [(SILENCE,)] * HISTORY_GRANULES
        self._unpacker.reset()

    def push(self, frame: Frame) -> bytes:
        """Take a frame of this run; PCM when a batch is complete."""
        self._frames.append(frame)
        if len(self._frames) * frame.header.granules < BATCH_GRANULES:
            return b""
        return self.flush()

    def lead_in(self, report: Report) -> None:
        """Use the frames pushed so far as history only, and count from here on in `report`."""
        blocks = self._unpacker.unpack(self._frames)
        self._frames = []
        self._history = (self._history + blocks)[-HISTORY_GRANULES:]
        self._unpacker.report = report

    def flush(self, silent_granules: int = 0) -> bytes:
        """PCM of all frames pushed so far, and of this much silence behind them."""
        blocks = self._unpacker.unpack(self._frames)
        self._frames = []
        blocks += [(SILENCE,)] * silent_granules
        if not blocks:
            return b""
        pcm = render(self._history + blocks, self.channels)
        self._history = (self._history + blocks)[-HISTORY_GRANULES:]
        return pcm


def render(granules: Sequence[Blocks], channels: int) -> bytes:
    """PCM of these granules but for the first two, which are history."""
    width = max(max([len(blocks) for blocks in granules]), channels)
    # A granule of fewer channels than the batch: its one channel goes to both.
    lanes: List[Block] = [blocks[channel % len(blocks)] for channel in range(width) for blocks in granules]
    count = len(granules)
    arithmetic = slots(len(lanes), WIDTH)
    time, _ = hybrid(lanes, arithmetic)
    planes = synthesize(time, arithmetic)
    out = array("H", bytes(2 * width * GRANULE * (count - HISTORY_GRANULES)))
    stride = GRANULE * width
    for slot, row in enumerate(planes):
        for j, plane in enumerate(row):
            samples = array("H", bytes(plane))
            at = (32 * slot + j) * width
            for channel in range(width):
                first = channel * count + HISTORY_GRANULES
                out[at + channel :: stride] = samples[first : (channel + 1) * count]
    pcm = flip_signs(out.tobytes())
    return _average(pcm) if width > channels else pcm


def _average(pcm: bytes) -> bytes:
    """The mean of left and right."""
    pairs = slots(len(pcm) // 4, 32)
    offset = int.from_bytes(flip_signs(pcm), "little")
    low = pairs.splat(0xFFFF)
    # Offset samples are positive: left in the low half of each pair, right in the high half.
    mean = ((offset & low) + (offset >> 16 & low) + pairs.ones) >> 1 & low
    data = array("H", mean.to_bytes(len(pcm), "little"))[::2]
    return flip_signs(data.tobytes())


class Trim:
    """Cuts the encoder's and the decoder's delay off the front and the padding off the end.

    `skip` and `most` are samples a channel; what may have to be dropped, `most` of them, is held back.
    """

    def __init__(self, skip: int = 0, most: int = 0, frame_bytes: int = 2) -> None:
        self._skip = skip * frame_bytes
        self._most = most * frame_bytes
        self._frame_bytes = frame_bytes
        self.held = b""  # PCM that may have to be dropped

    def push(self, pcm: bytes) -> bytes:
        """What can be given out."""
        if self._skip:
            some = min(self._skip, len(pcm))
            self._skip -= some
            pcm = pcm[some:]
        if not self._most:
            return pcm
        pcm = self.held + pcm
        keep = max(len(pcm) - self._most, 0)
        self.held = pcm[keep:]
        return pcm[:keep]

    def finish(self, drop: int) -> bytes:
        """What was held back, but for the last `drop` samples."""
        return self.held[: max(len(self.held) - drop * self._frame_bytes, 0)]


class Extent:
    """How far a stream reached yet, and what of it is cut."""

    def __init__(self, first: Frame, note: Optional[StreamNote]) -> None:
        self.frames = 0  # that are decoded
        self._note = note
        self._size = first.header.samples_per_frame
        self._begin, self._end = first.offset, first.offset

    @property
    def whole_cut(self) -> Cut:
        """Of a stream that ends as its note says: never less than what `cut` will be."""
        return cut_of(self._note, self._size)

    def add(self, frame: Frame) -> None:
        """The next frame."""
        self.frames += 1
        self._end = frame.offset + len(frame.data)

    def cut(self, is_cut: bool) -> Cut:
        """Of the stream as it ended: inside a frame, or not."""
        found = Stream(self.frames, self._end - self._begin, is_cut)
        return cut_of(self._note, self._size, missing_frames(self._note, found))


class Decoder:
    """A stream of MP3, fed in any chunks, as PCM."""

    def __init__(self, *, gapless: bool = True, channels: int = 0) -> None:
        """`gapless`: cut what the LAME tag says; `channels`: of the output, 0 as the stream."""
        self.report = Report()
        self.formats: List[Format] = []
        self.note: Optional[StreamNote] = None  # of the Xing, Info or VBRI frame in front
        self._is_gapless = gapless
        self._reader = FrameReader()
        self._renderer = Renderer(self.report, channels)
        self._extent: Optional[Extent] = None
        self._trim = Trim()
        self._samples = 0  # a channel, given out

    @property
    def sample_rate(self) -> int:
        """Hz of the current run; 0 before the first frame."""
        return self._renderer.sample_rate

    @property
    def channels(self) -> int:
        """Of the output; 0 before the first frame."""
        return self._renderer.channels

    def feed(self, data: bytes) -> bytes:
        """PCM that is complete with this data; Undecodable at Layer I or II."""
        return self._decode(self._reader.feed(data))

    def finish(self) -> bytes:
        """The rest of the PCM; Undecodable if there was no frame at all."""
        pcm = self._decode(self._reader.finish())
        if not self.formats:
            raise Undecodable(self._reader.absence)
        cut = self._extent.cut(self._reader.is_cut)
        pcm += self._give(self._renderer.flush(cut.silent_granules))
        return pcm + self._trim.finish(cut.drop)

    def by_rate(self, pcm: bytes, first: int) -> Iterator[Tuple[bytes, int]]:
        """(PCM, Hz) of each run in `pcm`, which begins at sample `first` of the output."""
        size = 2 * self.channels
        at, number = 0, bisect_right(self.formats, (first, math.inf))
        for run in self.formats[number:]:
            end = min((run.first_sample - first) * size, len(pcm))
            if at < end:
                yield pcm[at:end], self.formats[number - 1].sample_rate
            at, number = end, number + 1
        if at < len(pcm):
            yield pcm[at:], self.formats[number - 1].sample_rate

    def _decode(self, frames: Iterable[Frame]) -> bytes:
        parts = []
        for frame in frames:
            if not self.formats:
                self.note = parse_stream_note(frame.data, frame.header)
                self._extent = Extent(frame, self.note if self._is_gapless else None)
                self._begin(frame.header)
                if self.note is not None:
                    continue
            elif self._renderer.is_change(frame.header):
                parts.append(self._give(self._renderer.flush()))
                self._begin(frame.header)
            self._extent.add(frame)
            parts.append(self._give(self._renderer.push(frame)))
        self.report.skipped_bytes = self._reader.skipped_bytes
        self.report.is_cut = self._reader.is_cut
        return b"".join(parts)

    def _begin(self, header: FrameHeader) -> None:
        """Begin a run; the first settles what is cut."""
        self._renderer.begin(header)
        if not self.formats:
            whole = self._extent.whole_cut
            self._trim = Trim(whole.skip, whole.drop, 2 * self.channels)
        first = self._samples + len(self._trim.held) // (2 * self.channels)
        self.formats.append(Format(first, header.sample_rate, self.channels))

    def _give(self, pcm: bytes) -> bytes:
        """What of this PCM can be given out now."""
        pcm = self._trim.push(pcm)
        self._samples += len(pcm) // (2 * max(self.channels, 1))
        return pcm


# --- Segments --------------------------------------------------------------------------------


class Segment(NamedTuple):
    """A part of a stream that a worker can decode by itself."""

    start: int  # its bytes in the stream
    end: int
    frames: Tuple[Tuple[int, int, bool], ...]  # offset from `start`, bytes, is_continuous
    lead_in: int  # of the frames: decoded for the reservoir and the history, not given out
    channels: int
    skip: int  # samples to cut from the PCM's front and end (gapless)
    drop: int
    silent_granules: int  # behind the last frame


class Whole(NamedTuple):
    """What all of a stream gives."""

    sample_rate: int  # Hz
    channels: int
    samples: int  # a channel


class Planner:
    """Reads a stream, in any chunks, for the places where it can be split."""

    def __init__(self, channels: int = 0) -> None:
        self._reader = FrameReader()
        self._channels = channels  # of the output; 0: as the first frame
        self._header: Optional[FrameHeader] = None
        self._extent: Optional[Extent] = None
        self._offsets = array("Q")
        self._sizes = array("H")
        self._mains = array("H")  # bytes of main_data
        self._is_continuous = bytearray()
        self._is_one_rate = True
        self._skip = self._silent = 0

    @property
    def skipped_bytes(self) -> int:
        """That belong to no frame and no known tag."""
        return self._reader.skipped_bytes

    @property
    def is_cut(self) -> bool:
        """Whether the last frame is incomplete, and left out."""
        return self._reader.is_cut

    def frame_edge(self, sample: int) -> int:
        """The first sample of the frame that this sample is of; behind `finish`."""
        size = self._header.granules * GRANULE
        return max((sample + self._skip) // size * size - self._skip, 0)

    def span(self, first: int, end: int) -> Segment:
        """What decodes to the samples `first` to `end` of the output; behind `finish`."""
        size, count = self._header.granules * GRANULE, len(self._offsets)
        begin = min((first + self._skip) // size, count - 1)
        stop = min(-(-(end + self._skip) // size), count)
        silent = self._silent if end + self._skip > count * size else 0
        skip = first + self._skip - begin * size
        drop = stop * size + silent * GRANULE - end - self._skip
        channels = self._channels or self._header.channels
        return self._segment(begin, stop, channels, skip, drop, silent)

    def feed(self, data: bytes) -> None:
        """Take the next bytes; Undecodable at Layer I or II."""
        self._take(self._reader.feed(data))

    def finish(self) -> Optional[Whole]:
        """What all of it gives; None where the sampling rate changes, so that the stream has to be
        decoded in one go.  Undecodable if there was no frame at all."""
        self._take(self._reader.finish())
        if self._header is None:
            raise Undecodable(self._reader.absence)
        if not self._is_one_rate:
            return None
        cut = self._extent.cut(self._reader.is_cut)
        self._skip = cut.skip
        self._silent = cut.silent_granules
        samples = cut.presented(self._extent.frames * self._header.samples_per_frame)
        return Whole(self._header.sample_rate, self._channels or self._header.channels, samples)

    def _segment(self, first: int, last: int, channels: int, skip: int, drop: int, silent: int) -> Segment:
        begin = self._lead_in(first)
        start = self._offsets[begin] if begin < len(self._offsets) else 0
        frames = tuple(
            [
                (self._offsets[i] - start, self._sizes[i], bool(self._is_continuous[i]))
                for i in range(begin, last)
            ]
        )
        end = start + frames[-1][0] + frames[-1][1] if frames else start
        return Segment(start, end, frames, first - begin, channels, skip, drop, silent)

    def _lead_in(self, first: int) -> int:
        """The frame to begin with, so that frame `first` and its history come out right: the
        frames of two granules, and in front of those all that their reservoir can reach."""
        begin = max(first - HISTORY_GRANULES // self._header.granules, 0)
        reach = 0
        while begin and reach < RESERVOIR_BYTES:
            begin -= 1
            reach += self._mains[begin]
        return begin

    def _take(self, frames: Iterable[Frame]) -> None:
        for frame in frames:
            header = frame.header
            if self._header is None:
                self._header = header
                note = parse_stream_note(frame.data, header)
                self._extent = Extent(frame, note)
                if note is not None:
                    continue
            self._extent.add(frame)
            self._is_one_rate &= header.sample_rate == self._header.sample_rate
            self._offsets.append(frame.offset)
            self._sizes.append(len(frame.data))
            main = len(frame.data) - header.side_info_offset - header.side_info_bytes
            self._mains.append(max(main, 0))
            self._is_continuous.append(frame.is_continuous)


def decode_segment(data: bytes, segment: Segment) -> Tuple[bytes, Report]:
    """(PCM, report) of a segment, from the stream's bytes `segment.start` to `segment.end`.

    The PCM of spans that follow each other, from the first sample to the last, is that of Decoder,
    byte for byte.
    """
    frames = []
    for offset, size, is_continuous in segment.frames:
        part = data[offset : offset + size]
        header = parse_header(part)
        if header is None:
            raise ValueError("no frame at byte %d of the segment" % offset)
        frames.append(Frame(header, part, segment.start + offset, is_continuous))
    lead_in_report = Report()
    report = Report()
    renderer = Renderer(lead_in_report, segment.channels)
    trim = Trim(segment.skip, segment.drop, 2 * segment.channels)
    parts = []
    if frames:
        renderer.begin(frames[0].header)
        for frame in frames[: segment.lead_in]:
            renderer.push(frame)
        renderer.lead_in(report)
        for frame in frames[segment.lead_in :]:
            parts.append(trim.push(renderer.push(frame)))
        parts.append(trim.push(renderer.flush(segment.silent_granules)))
    return b"".join(parts), report
