"""MPEG audio, layers I to III: every frame is counted, so that the duration is exact and what is
missing shows.

ISO/IEC 11172-3 section 2.4 and 13818-3; the frame header is in mpeg_header.  Reads the tags behind
the audio, then the frames from the first to the last in steps of 1 MiB; looks for a first frame
within 64 KiB and gives up beyond.  Raises NotAudio where no frames are, Damaged where less than
half of the bytes are.

A syncword is eleven bits, which anything can contain, so what counts as frames is strict: layer I,
whose headers resemble the tables of executables, only right at the start; layers II and III where
two more frames of the same version, layer and rate follow; free format, whose frames may be of any
length, where their side information holds and they are not one and the same, as the waves of a
tone in bare samples are.
"""

from __future__ import annotations

import re
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

from audiokit.formats import tags as tagging
from audiokit.formats import tail as tail_tags
from audiokit.formats.info import AudioInfo, Damaged, NotAudio
from audiokit.formats.mpeg_gapless import Stream, cut_of, missing_frames
from audiokit.formats.mpeg_header import (
    BITRATES,
    HEADER_BYTES,
    MAX_FREE_FORMAT_BYTES,
    FrameHeader,
    StreamNote,
    frame_sizes,
    free_format_bytes,
    parse_header,
    parse_stream_note,
    part2_3_lengths,
    same_stream,
)
from audiokit.formats.patterns import is_pattern
from audiokit.formats.source import MAX_READ, Source

_WINDOW = 1 << 16  # bytes in which a first frame must begin; 2048 is the most that was seen in real files
_WINDOW_BEHIND_ID3 = 12 << 16  # bytes, where an ID3 tag is in front, whose size may be too small
_CONFIRMING, _CONFIRMING_FAR = 2, 5  # further frames that must follow; more where chance has more room
_CONFIRMING_AGAIN = 1  # where the stream is known, as by the decoder: both count the same frames
_RESYNC_WINDOW = 1 << 18  # bytes in which frames must go on after a gap
_MAX_GAPS = 10_000
_MAX_TOLD = 5  # places of damage in the warnings
_MAX_TRIES = 4096  # syncwords that are looked at while searching, in all: some 10 ms
_TRIES_A_GAP = 8  # more of them for every gap that ended: a damaged recording is not junk
_MAX_FREE_TRIES = 8  # the same in free format, where each costs a search of its own
_MAX_FREE_BIT_RATE = 700_000  # bit/s in layer III: LAME writes up to 640,000
_FIRST_READ = 1 << 14  # bytes; reads grow from here on, so that short runs of frames cost little
_LOOK_AHEAD = 4 * MAX_FREE_FORMAT_BYTES
_NOT_A_SIZE = 1 << 40  # stands for a third byte that no frame of the stream has

# All that can begin a frame: the second byte without reserved version and layer, the third without
# forbidden bit rate and reserved rate; a lookahead, since a false one may overlap a true one.
_CANDIDATE = re.compile(
    rb"(?=\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff][%s])"
    % b"".join(b"\\x%02x" % byte for byte in range(0xF0) if byte >> 2 & 3 != 3)
)


class _Start(NamedTuple):
    """Where frames begin."""

    offset: int
    header: FrameHeader
    free_bytes: int  # of an unpadded free-format frame, else 0


class _Frames(NamedTuple):
    """What counting found."""

    end: int  # offset behind the last whole frame
    thirds: Dict[int, int]  # third header byte -> frames that have it: bit rate and padding
    bytes: int  # of all whole frames
    gaps: Tuple[Tuple[int, int], ...]  # (offset, bytes) of what is no frame, between frames
    shorts: Tuple[Tuple[int, int], ...]  # (offset of the end, bytes that lack) of frames
    lost: int  # bytes behind the last whole frame
    is_cut: bool  # a frame begins there and the file ends inside it

    @property
    def count(self) -> int:
        return sum(self.thirds.values())

    @property
    def gap_bytes(self) -> int:
        return sum(size for _, size in self.gaps)


def matches(head: bytes) -> bool:
    """Whether the bytes begin with a frame header; frames may also begin further on, see `read`."""
    return parse_header(head) is not None


def starts_here(source: Source, start: int) -> bool:
    """Whether frames, not only a syncword, are at `start`."""
    return _chained_at_start(source.read(start, _LOOK_AHEAD), source.size - start) is not None


def read(source: Source, start: int = 0) -> AudioInfo:
    """The MPEG audio stream at `start` or soon behind it."""
    tail = tail_tags.read(source, start)
    search = _Search(source, tail.end)
    first = search.first(start)
    note, audio = _note(source, first, tail.end)
    frames = _walk(source, audio, first, search)
    if frames.count == 0:
        raise NotAudio("an MPEG audio header without a whole frame", first.offset)
    is_little = frames.end - frames.gap_bytes - first.offset < (tail.end - first.offset) // 2
    if is_little and not source.is_zeros(frames.end, tail.end):  # zeros are what a download left empty
        seconds = frames.count * first.header.samples_per_frame / first.header.sample_rate
        raise Damaged(f"frame sync lost at byte {frames.end}: {seconds:.1f} s are playable", frames.end)
    return _describe(source, start, first, note, frames, tail)


# Finding frames


class _Search:
    """Looks for frames where none need be, with a bound on what it spends on one file."""

    def __init__(self, source: Source, end: int) -> None:
        self.end = end
        self._source = source
        self._tries = _MAX_TRIES
        self._free_tries = _MAX_FREE_TRIES

    def first(self, start: int) -> _Start:
        """The first frame of the stream; raises NotAudio where there is none."""
        window = _WINDOW if start == 0 else _WINDOW_BEHIND_ID3
        data = self._source.read(start, min(window + _LOOK_AHEAD, self.end - start))
        free = _chained_at_start(data, self.end - start)
        if free is not None:
            return _Start(start, parse_header(data), free)
        for position, header, free in self._chains(data, window, _CONFIRMING):
            if header.layer != 1 and (
                (position < _WINDOW and not free)
                or _chained(data, position, _CONFIRMING_FAR) is not None
            ):
                return _Start(start + position, header, free)
        shown = " ".join(f"{byte:02x}" for byte in data[:8])
        raise NotAudio(f"not audio that is known: starts with {shown}, no MPEG audio frames follow", start)

    def next(self, offset: int, header: FrameHeader) -> Optional[int]:
        """Where frames of the stream of `header` go on at or behind `offset`, or None."""
        for window in (_FIRST_READ, _RESYNC_WINDOW):
            data = self._source.read(offset, min(window + _LOOK_AHEAD, self.end - offset))
            end = self.end - offset
            for position, other, _ in self._chains(data, window, _CONFIRMING_AGAIN, end):
                is_other = other.is_free_format and not header.is_free_format  # whose bit rate is damaged
                if same_stream(header, other) and not is_other:
                    self._tries += _TRIES_A_GAP
                    return offset + position
        return None

    def _chains(
        self, data: bytes, window: int, confirming: int, end: int = -1
    ) -> Iterator[Tuple[int, FrameHeader, int]]:
        for candidate in _CANDIDATE.finditer(data, 0, min(window, len(data))):
            position = candidate.start()
            header = parse_header(data[position : position + HEADER_BYTES])
            if header is None:
                continue
            self._tries -= 1
            self._free_tries -= header.is_free_format
            if self._tries < 0:
                return
            if header.is_free_format and self._free_tries < 0:
                continue
            free = _chained(data, position, confirming, end)
            if free is not None:
                yield position, header, free


def _chained(data: bytes, position: int, confirming: int, end: int = -1) -> Optional[int]:
    """The free-format frame size (0 in other formats) if `confirming` frames follow the one at
    `position`, or all up to `end`."""
    header = parse_header(data[position : position + HEADER_BYTES])
    free = _free_bytes(data, position, header)
    if header is None or free is None or free and _is_pattern(data, position, header, free):
        return None
    if is_pattern(data[position : position + _frame_bytes(header, free)]):
        return None
    for _ in range(confirming):
        position += _frame_bytes(header, free)
        if position == end:
            break
        other = parse_header(data[position : position + HEADER_BYTES])
        if other is None or not same_stream(header, other) or other.is_free_format and not free:
            return None
        header = other
    return free


def _chained_at_start(data: bytes, length: int) -> Optional[int]:
    """The same where the audio, of `length` bytes, begins: it may also be too short for three
    frames.

    Then the last one must end where the audio does, or two must begin.
    """
    free = _chained(data, 0, _CONFIRMING)
    if free is not None:
        return free
    header = parse_header(data[:HEADER_BYTES])
    if header is None or header.is_free_format or is_pattern(data[: header.frame_bytes]):
        return None
    offset = header.frame_bytes
    other = parse_header(data[offset : offset + HEADER_BYTES])
    if other is not None and same_stream(header, other) and not other.is_free_format:
        return 0 if offset + other.frame_bytes >= length else None
    return 0 if offset == length else None


def _free_bytes(data: bytes, position: int, header: Optional[FrameHeader]) -> Optional[int]:
    if header is None or not header.is_free_format:
        return 0
    return free_format_bytes(data, position) or None


def _is_pattern(data: bytes, position: int, header: FrameHeader, free_bytes: int) -> bool:
    """Whether the free-format frame at `position` is none.

    Any distance serves as a length in free format, so samples without a header that hold a steady
    tone look like frames one period apart: repeated to the byte though they do not say silence, or
    with side information that cannot be.  In layers I and II silence does not show; right at the
    start frames are believed.
    """
    size = _frame_bytes(header, free_bytes)
    frame = data[position : position + size]
    is_silent = position == 0
    if header.layer == 3:
        lengths = part2_3_lengths(frame, header)
        bits = size * 8 * header.sample_rate // header.samples_per_frame
        if lengths is None or bits > _MAX_FREE_BIT_RATE:
            return True
        is_silent = not any(lengths)
    return not is_silent and data.startswith(frame, position + size)


def _frame_bytes(header: FrameHeader, free_bytes: int) -> int:
    return header.frame_bytes or free_bytes + header.padding * header.slot_bytes


def _note(source: Source, first: _Start, end: int) -> Tuple[Optional[StreamNote], int]:
    """The descriptive first frame, if there is one, and where the audio frames begin."""
    size = _frame_bytes(first.header, first.free_bytes)
    if first.offset + size > end:
        return None, first.offset
    note = parse_stream_note(source.read(first.offset, size), first.header)
    return note, first.offset + (size if note else 0)


# Counting the frames


def _walk(source: Source, offset: int, first: _Start, search: _Search) -> _Frames:
    """Count the whole frames from `offset` to the end of the audio, stepping over gaps."""
    sizes = [size or _NOT_A_SIZE for size in frame_sizes(first.header, first.free_bytes)]
    second = source.read(first.offset + 1, 1)[0]
    pair = (second & 0xFE, second | 1)  # with and without CRC
    thirds: Dict[int, int] = {}
    gaps: List[Tuple[int, int]] = []
    shorts: List[Tuple[int, int]] = []
    total = 0
    while True:
        last, position, is_cut = _run(source, offset, search.end, sizes, pair, thirds)
        total += position - offset
        if position >= search.end or len(gaps) + len(shorts) >= _MAX_GAPS:
            break
        # What lacks bytes is followed too early by the next: it is looked for in the last frame, too.
        begin = position + 1 if is_cut else min(last + HEADER_BYTES, position)
        again = search.next(begin, first.header)
        if again is None:
            break
        if again < position:
            shorts.append((again, position - again))
            total -= position - again
        else:
            gaps.append((position, again - position))
        offset = again
    lost = search.end - position
    return _Frames(position, thirds, total, tuple(gaps), tuple(shorts), lost, is_cut)


def _run(
    source: Source,
    offset: int,
    end: int,
    sizes: List[int],
    pair: Tuple[int, int],
    thirds: Dict[int, int],
) -> Tuple[int, int, bool]:
    """Count frames into `thirds` until one does not follow; where the last one begins, where none follows,
    and whether the end cuts the one that begins there."""
    step = _FIRST_READ
    last = offset
    while offset < end:
        data = source.read(offset, min(step, end - offset))
        position, seen = _equal_frames(data, sizes, pair), bytearray()
        if position:
            thirds[data[2]] = thirds.get(data[2], 0) + position // sizes[data[2]]
            last = offset + position - sizes[data[2]]
        note_third = seen.append
        try:  # the end of the block is met once in 1 MiB, so nothing is spent on looking for it
            while data[position] == 0xFF and data[position + 1] in pair:
                third = data[position + 2]
                note_third(third)
                position += sizes[third]
        except IndexError:
            pass
        is_partial = False
        if position > len(data):  # the last one is not whole in this block, or is no frame at all
            size = sizes[seen.pop()]
            position -= size
            is_partial = size != _NOT_A_SIZE
        for third in set(seen):
            thirds[third] = thirds.get(third, 0) + seen.count(third)
        offset += position
        if seen:
            last = offset - sizes[seen[-1]]
        is_stuck = not is_partial and len(data) - position >= 3
        if is_stuck or len(data) < step:
            return last, offset, is_partial
        step = min(4 * step, MAX_READ)
    return last, offset, False


def _equal_frames(data: bytes, sizes: List[int], pair: Tuple[int, int]) -> int:
    """Bytes of the frames at the start of `data` that all have one third byte, so one length.

    Constant bit rates without padding (rates that divide, speech above all) are counted by slices
    with a stride, at the speed of C.
    """
    if len(data) < 3 or sizes[data[2]] >= len(data):
        return 0
    size, third = sizes[data[2]], data[2:3]
    frames = len(data) // size
    for column, good in (
        (data[0::size], b"\xff"),
        (data[1::size], bytes(pair)),
        (data[2::size], third),
    ):
        frames = min(frames, len(column) - len(column.lstrip(good)))
    return frames * size


# Telling what was found


def _describe(
    source: Source,
    start: int,
    first: _Start,
    note: Optional[StreamNote],
    frames: _Frames,
    tail: tail_tags.Tail,
) -> AudioInfo:
    header = first.header
    samples_per_frame, rate = header.samples_per_frame, header.sample_rate
    warnings: List[str] = []
    if first.offset > start:
        warnings.append(f"{first.offset - start} bytes before the first frame, at byte {start}, are not audio")
    missing = missing_frames(note, Stream(frames.count, frames.end - first.offset, frames.is_cut))
    cut = cut_of(note, samples_per_frame, missing)
    samples = cut.presented(frames.count * samples_per_frame)
    seconds = samples / rate
    truncated = _damage(source, frames, seconds, warnings)
    declared = None
    if missing or note and note.frames and not 0 <= note.frames - frames.count <= 1:
        declared = cut_of(note, samples_per_frame).presented(note.frames * samples_per_frame) / rate
    if note and note.frames is not None and declared is None and note.frames == 0:
        warnings.append(f"the {note.kind} header says 0 frames, the file has {frames.count}")
    if declared is not None:
        warnings.append(
            f"the {note.kind} header says {note.frames} frames ({declared:.3f} s), "
            f"the file has {frames.count}"
        )
        truncated = truncated or missing > 0
    bitrate, mode = _bitrate(first, note, frames, samples_per_frame)
    tags = dict(tail.tags)
    if note and note.encoder:
        tagging.fill(tags, {"encoder": note.encoder})
    return AudioInfo(
        container="mp3",
        codec=f"mp{header.layer}",
        codec_profile=f"MPEG-{header.version:g} layer {'I' * header.layer}",
        mime="audio/mpeg",
        sample_rate=rate,
        channels=header.channels,
        duration=seconds,
        duration_exact=True,
        duration_source="frames",
        duration_declared=declared,
        truncated=truncated,
        bitrate=bitrate,
        bitrate_mode=mode,
        tags=tags,
        pictures=tail.pictures,
        warnings=tuple(warnings),
        samples=samples,
        audio_offset=first.offset,
        audio_bytes=frames.end - first.offset - frames.gap_bytes,
    )


def _damage(source: Source, frames: _Frames, seconds: float, warnings: List[str]) -> bool:
    """Say what is no frame between and behind the frames; whether the end is missing."""
    for offset, size in frames.gaps[:_MAX_TOLD]:
        warnings.append(f"{size} bytes at byte {offset} are not frames")
    if len(frames.gaps) > _MAX_TOLD:
        warnings.append(f"{len(frames.gaps)} places in all are not frames")
    for offset, size in frames.shorts[:_MAX_TOLD]:
        warnings.append(f"the frame before byte {offset} lacks {size} bytes")
    if len(frames.shorts) > _MAX_TOLD:
        warnings.append(f"{len(frames.shorts)} frames in all lack bytes")
    if frames.is_cut:
        warnings.append(f"the file ends inside the frame at byte {frames.end}: {seconds:.3f} s are playable")
        return True
    if not frames.lost:
        return False
    if source.is_zeros(frames.end, frames.end + frames.lost):
        warnings.append(f"{frames.lost} bytes of zeros behind the last frame, at byte {frames.end}")
        return False
    if frames.lost < _WINDOW and len(frames.gaps) < _MAX_GAPS:
        warnings.append(f"{frames.lost} bytes behind the last frame, at byte {frames.end}, are not audio")
        return False
    warnings.append(f"frame sync lost at byte {frames.end}: {seconds:.1f} s are playable")
    return True


def _bitrate(first: _Start, note: Optional[StreamNote], frames: _Frames, samples_per_frame: int) -> Tuple[int, str]:
    """bit/s of the frames, and whether they vary."""
    header = first.header
    seconds = frames.count * samples_per_frame / header.sample_rate
    mean = round(frames.bytes * 8 / seconds)
    indexes = {third >> 4 for third in frames.thirds}
    told = note.bitrate_mode if note else None
    if len(indexes) > 1:
        return mean, told if told == "ABR" else "VBR"
    if told in ("VBR", "ABR"):
        return mean, told
    if 0 in indexes:  # free format: constant, of any size
        return mean, "CBR"
    return BITRATES[header.version == 1.0, header.layer][indexes.pop()] * 1000, "CBR"
