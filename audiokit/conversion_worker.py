"""One order at a time, in a process of its own: a line of JSON in, lines of JSON out.

    {"source": path, "target": path, "conversion": {…}}   ->   {"progress": 0.5} …   {"warnings": […]}
                                                          or   {"failure": code, "words": …}
                                                          or   {"segments": [[0, 529200], …]}
    the same with "segment": [number, of, first, end]     ->   target.0, target.1, …
    the same with "join": count                           ->   the target, made of those
    {"source": path, "target": path, "peaks": region, "pcm": {…} or null}     ->   the target, as `waveform` has it

What is long is answered with the segments that it falls into: whole blocks of the resampler, whole
frames of the encoder, which begins each with an empty bit reservoir.  They do not depend on how
many workers there are, so neither do the bytes of the result.

It ends when its standard input does, whatever it is doing then: a server that is killed leaves
nobody behind. Memory does not grow with the input.  Started by `conversions`, which tells it how to
identify audio.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import sys
import threading
from array import array
from queue import SimpleQueue
from typing import Any, BinaryIO, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

from .codec.decoder import (
    Decoder,
    Planner,
    Report,
    Segment,
    Undecodable,
    decode_segment,
)
from .codec.encoder import Encoder, segment_samples
from .codec.info_tag import StreamRecord
from .codec.parameters import Parameters, parameters
from .codec.pcm import PcmReader, is_large, wav_header
from .codec.peaks import Summary, pairs
from .codec.resample import Resampler
from .formats.info import AudioInfo, NotAudio
from .resampling import Grid, Reach, edges, reach, samples_out
from .waveform import FINEST, Writer, merged
from .wire.problems import is_full

_PIECE = 1 << 16  # bytes of source taken at a time: some 2 s of MP3, 0.4 s of WAV
_NICENESS = 10  # so that a server on the same cores answers first
_SEGMENT = (
    20  # s of audio a segment has at least: about a second of work, of which the seams are a tenth
)


class Damage(Exception):
    """Nothing could be decoded; the words say why."""


class Piece(NamedTuple):
    """Some decoded PCM, 16 bits."""

    pcm: bytes
    rate: int  # Hz
    share: float  # of the source that is read


def work(identify: Callable[[BinaryIO], AudioInfo]) -> None:
    """Serve orders from standard input until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends ^C to all; the parent decides
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    orders: SimpleQueue = SimpleQueue()
    threading.Thread(target=_listen, args=(orders,), daemon=True).start()
    while True:
        order = orders.get()
        _say(_carried_out(order, identify))


def _listen(orders: SimpleQueue) -> None:
    for line in sys.stdin.buffer:
        orders.put(json.loads(line))
    os._exit(0)


def _say(words: Dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(words).encode() + b"\n")
    sys.stdout.buffer.flush()


def _tell(share: float) -> None:
    _say({"progress": share})


def _carried_out(order: Dict[str, Any], identify: Callable[[BinaryIO], AudioInfo]) -> Dict[str, Any]:
    try:
        target = order["target"]
        if "peaks" in order:
            with open(order["source"], "rb") as source:
                info = _bare(source, order["pcm"]) if order["pcm"] else identify(source)
                return {"warnings": summarise(source, info, target, order["peaks"])}
        wanted = order["conversion"]
        if "join" in order:
            join(
                [f"{target}.{number}" for number in range(order["join"])],
                target,
                wanted,
                order["samples"],
            )
            return {"warnings": _reported(target, order["join"])}
        with open(order["source"], "rb") as source:
            if "segment" in order:
                number, _, first, end = order["segment"]
                convert_segment(source, identify, target, wanted, (number, first, end), _tell)
                return {"warnings": []}
            info = identify(source)
            segments = plan(source, info, target, wanted)
            if segments is not None:
                return {"segments": segments, "samples": segments[-1][1]}
            return {"warnings": convert(source, info, target, wanted, _tell)}
    except (Undecodable, NotAudio, Damage) as error:
        return {"failure": "damaged-audio", "words": str(error)}
    except OSError as error:
        if is_full(error):
            return {"failure": "no-space", "words": "the disk is full"}
        return {"failure": "internal", "words": f"the conversion failed: {error.strerror}"}


def convert(
    source: BinaryIO,
    info: AudioInfo,
    target: str,
    wanted: Dict[str, Any],
    on_progress: Callable[[float], None],
) -> List[str]:
    """Convert an open file to a new file; the warnings of what was damaged."""
    warnings: List[str] = []
    pieces = _decoded(source, info, wanted, warnings)
    with _new(target) as out:
        writer = _Wav(out, wanted, info.duration) if wanted["format"] == "wav" else _Mp3(out, wanted)
        frames = 0
        for pcm, share in _at_rate(pieces, wanted):
            frames += len(pcm)
            writer.add(pcm)
            on_progress(share)
        if not frames:
            raise Damage("there is no sound in it that can be decoded")
        writer.finish()
    return warnings


def _new(path: str) -> BinaryIO:
    return open(path, "w+b", opener=lambda path, flags: os.open(path, flags, 0o600))


# -- segments --------------------------------------------------------------------------------------


def plan(source: BinaryIO, info: AudioInfo, target: str, wanted: Dict[str, Any]) -> Optional[List[Tuple[int, int]]]:
    """The samples of the result (first, end) of each segment; None where it is made in one piece.

    What the segments of an MP3 have to decode is written beside the target, a line each: a plan of ten hours
    would be too long for a message.
    """
    if info.duration is not None and info.duration < 2 * _SEGMENT:
        return None
    if info.container == "mp3":
        planner = Planner(wanted["channels"])
        source.seek(0)
        for data in iter(lambda: source.read(_PIECE), b""):
            planner.feed(data)
        whole = planner.finish()
        if whole is None:  # the sampling rate changes in between
            return None
        rate, frames = whole.sample_rate, whole.samples
    else:
        rate, frames = info.sample_rate, _pcm_frames(info, PcmReader(info.codec, info.channels))
    found = segments_of(frames, rate, wanted)
    if len(found) < 2:
        return None
    if info.container == "mp3":
        with _new(f"{target}.plan") as file:
            for part in found:
                line = _mp3_line(planner, part, frames, rate, wanted)
                file.write(json.dumps(line).encode() + b"\n")
    return found


def segments_of(frames: int, rate: int, wanted: Dict[str, Any]) -> List[Tuple[int, int]]:
    """The samples of the result (first, end) of each segment of `frames` at `rate`."""
    samples = samples_out(frames, rate, wanted["rate"])
    frame = segment_samples(_parameters(wanted)) if wanted["format"] == "mp3" else 1
    places = edges(samples, round(_SEGMENT * wanted["rate"]), frame)
    return list(zip(places, places[1:]))


def _mp3_line(
    planner: Planner, part: Tuple[int, int], frames: int, rate: int, wanted: Dict[str, Any]
) -> Dict[str, Any]:
    """What a segment of MP3 decodes: its share of the frames, and what its neighbours count in their reports."""
    first, end = part
    need, resampler, _ = _reach(first, end, frames, rate, wanted)
    places = [
        max(need.begin - resampler.lead, 0),
        planner.frame_edge(first * rate // wanted["rate"]) if first else 0,
        planner.frame_edge(end * rate // wanted["rate"]),
        min(need.stop + resampler.tail, frames),
    ]
    if end == samples_out(frames, rate, wanted["rate"]):
        places[2] = frames
    places = [min(max(place, places[0]), places[3]) for place in places]
    spans = [planner.span(a, b) if a < b else None for a, b in zip(places, places[1:])]
    damage = (planner.skipped_bytes, planner.is_cut) if not first else (0, False)
    return {"first": places[0], "frames": frames, "rate": rate, "spans": spans, "damage": damage}


def _reach(first: int, end: int, frames: int, rate: int, wanted: Dict[str, Any]) -> Tuple[Reach, Resampler, int]:
    """What of the source a segment needs, with a resampler to ask, and how far the encoder looks on."""
    resampler = Resampler(rate, wanted["rate"], wanted["channels"])
    is_last = end == samples_out(frames, rate, wanted["rate"])
    is_mp3 = wanted["format"] == "mp3"
    before = Encoder.lead_in_samples if is_mp3 and first else 0
    ahead = Encoder.lead_out_samples if is_mp3 and not is_last else 0
    grid = Grid(resampler.ratio.down, resampler.ratio.up)
    if wanted["dither"] != "none":
        grid = Grid(resampler.grain_in, resampler.grain_out)
    return reach(first, end, frames, grid, before, ahead, is_last), resampler, ahead


def _parameters(wanted: Dict[str, Any]) -> Parameters:
    return parameters(wanted["rate"], wanted["channels"], wanted["bitrate"], wanted["quality"])


def _pcm_frames(info: AudioInfo, reader: PcmReader) -> int:
    return (info.audio_bytes or 0) // reader.frame_bytes


def convert_segment(
    source: BinaryIO,
    identify: Callable[[BinaryIO], AudioInfo],
    target: str,
    wanted: Dict[str, Any],
    part: Tuple[int, int, int],
    on_progress: Callable[[float], None],
) -> None:
    """Segment (number, first, end) of the result: frames of MP3, or PCM, in a file of its own."""
    number, first, end = part
    width = 2 * wanted["channels"]
    if os.path.exists(f"{target}.plan"):  # an MP3: counting its frames again may cost more than the segment
        pcm: Any = _Mp3Part(source, f"{target}.plan", number)
    else:
        pcm = _Pcm(source, identify(source), wanted)
    need, grid, ahead = _reach(first, end, pcm.frames, pcm.rate, wanted)
    resampler = Resampler(
        pcm.rate,
        wanted["rate"],
        wanted["channels"],
        dither=wanted["dither"],
        start=need.begin if wanted["dither"] != "none" else 0,
        lead_in=pcm.read(max(need.begin - grid.lead, 0), need.begin),
    )
    pieces = _resampled(pcm, resampler, need.begin, need.stop)
    with _new(f"{target}.{number}") as out:
        if wanted["format"] == "mp3":
            sizes = (need.skip * width, (end - first) * width, ahead * width)
            _encode_part(out, pieces, wanted, sizes, on_progress)
        else:
            made = 0
            for share, piece in pieces:
                begin, stop = need.skip * width - made, (need.skip + end - first) * width - made
                made += len(piece)
                out.write(piece[max(begin, 0) : max(stop, 0)])
                on_progress(share)
    if isinstance(pcm, _Mp3Part):
        with _new(f"{target}.{number}.report") as file:
            file.write(json.dumps(vars(pcm.report)).encode())


def _encode_part(
    out: BinaryIO,
    pieces: Iterator[Tuple[float, bytes]],
    wanted: Dict[str, Any],
    sizes: Tuple[int, int, int],
    on_progress: Callable[[float], None],
) -> None:
    """Encode PCM; of its `sizes` in bytes the first and the last part are only looked at."""
    skip, size, ahead = sizes
    front, encoder = bytearray(), None
    tail = bytearray()
    for share, piece in pieces:
        if encoder is None:
            front += piece
            if len(front) < skip:
                continue
            encoder = _encoder(wanted, bytes(front[:skip]))
            piece = bytes(front[skip:])
        body, rest = piece[:size], piece[size:]
        size -= len(body)
        tail += rest[: ahead - len(tail)]
        out.write(encoder.encode(body))
        on_progress(share)
    encoder = encoder or _encoder(wanted, bytes(front))
    out.write(encoder.finish(bytes(tail) if ahead else None))


def _encoder(wanted: Dict[str, Any], lead_in: bytes = b"", with_info: bool = False) -> Encoder:
    return Encoder(
        wanted["rate"],
        wanted["channels"],
        bitrate_kbps=wanted["bitrate"],
        quality=wanted["quality"],
        with_info=with_info,
        lead_in=lead_in,
    )


def _resampled(pcm: _Pcm, resampler: Resampler, begin: int, stop: int) -> Iterator[Tuple[float, bytes]]:
    at = begin
    while at < stop:
        upto = min(at + _PIECE // 4, stop)
        yield (upto - begin) / (stop - begin), resampler.process(pcm.read(at, upto))
        at = upto
    yield 1.0, resampler.finish(pcm.read(stop, min(stop + resampler.tail, pcm.frames)))


class _Pcm:
    """Frames of a PCM file by number, as 16 bits."""

    def __init__(self, source: BinaryIO, info: AudioInfo, wanted: Dict[str, Any]) -> None:
        self._source, self._start, self.rate = source, info.audio_offset or 0, info.sample_rate
        self._reader = _reader(info, wanted)
        self.frames = _pcm_frames(info, self._reader)

    def read(self, first: int, end: int) -> bytes:
        size = self._reader.frame_bytes
        self._source.seek(self._start + first * size)
        return self._reader.convert(self._source.read((end - first) * size))


class _Mp3Part:
    """The PCM of a segment's reach, decoded at once: some 6 MB."""

    def __init__(self, source: BinaryIO, plan: str, number: int) -> None:
        with open(plan, "rb") as file:
            line = json.loads(next(itertools.islice(file, number, None)))
        self.frames, self.rate, self._first = line["frames"], line["rate"], line["first"]
        self.report = Report()
        pcm = []
        for place, fields in enumerate(line["spans"]):
            if fields is None:
                continue
            span = Segment(*fields)
            source.seek(span.start)
            made, report = decode_segment(source.read(span.end - span.start), span)
            pcm.append(made)
            self._width = 2 * span.channels
            if place == 1:  # the others are its neighbours' to tell of
                self.report = report
        self.report.skipped_bytes, self.report.is_cut = line["damage"]
        self._pcm = b"".join(pcm)

    def read(self, first: int, end: int) -> bytes:
        """The frames `first` to `end`, counted from the beginning of the stream."""
        return self._pcm[(first - self._first) * self._width : (end - self._first) * self._width]


def _reported(target: str, count: int) -> List[str]:
    """What the segments of an MP3 said of damage, put together; Damage where nothing could be decoded."""
    whole = Report()
    for number in range(count):
        try:
            with open(f"{target}.{number}.report", "rb") as file:
                said = json.loads(file.read())
        except FileNotFoundError:
            continue
        os.remove(f"{target}.{number}.report")
        for name, value in said.items():
            setattr(whole, name, getattr(whole, name) + value)
    with contextlib.suppress(FileNotFoundError):
        os.remove(f"{target}.plan")
    if whole.frames and whole.frames_muted >= whole.frames:
        raise Damage("none of its frames could be decoded")
    return whole.warnings


def join(parts: List[str], target: str, wanted: Dict[str, Any], samples: int) -> None:
    """Put segments together to the result, and remove them."""
    is_mp3 = wanted["format"] == "mp3"
    record = None
    with _new(target) as out:
        if is_mp3:
            record = StreamRecord(_parameters(wanted))
            out.write(record.info_frame(0))
        else:
            size = sum(os.path.getsize(part) for part in parts)
            out.write(wav_header(wanted["rate"], wanted["channels"], size // (2 * wanted["channels"])))
        for part in parts:
            with open(part, "rb") as file:
                while True:
                    data = file.read() if is_mp3 else file.read(_PIECE)
                    if not data:
                        break
                    if record is not None:
                        record.add(data)
                    out.write(data)
        if record is not None:
            out.seek(0)
            out.write(record.info_frame(samples))
    for part in parts:  # only now: who dies before has it done again by another
        os.remove(part)


# -- peaks -----------------------------------------------------------------------------------------


def summarise(source: BinaryIO, info: AudioInfo, target: str, region: Optional[Tuple[int, int, int]]) -> List[str]:
    """The peaks of an open file as a new file (see `waveform`); the warnings of what was damaged.

    `region` of PCM is (first, stop, samples a pixel): finer than the peaks of all, or a multiple of their pixels.
    """
    channels = min(info.channels, 2)
    wanted = {"channels": channels, "rate": info.sample_rate, "dither": "none"}
    warnings: List[str] = []
    with _new(target) as out:
        if region is not None:
            first, stop, pixel = region
            pcm = _Pcm(source, info, wanted)
            stop = min(stop, pcm.frames)
            writer = Writer(out, channels, pixel)
            for values in _of_region(pcm, first, stop, pixel, channels):
                writer.add(values)
            writer.finish(info.sample_rate, max(stop - first, 0))
            return warnings
        pieces = _decoded(source, info, wanted, warnings)
        writer, summary, rate = Writer(out, channels), Summary(channels), 0
        for rate, pcm in _at_first_rate(pieces, channels):
            writer.add(summary.add(pcm))
        writer.add(summary.finish())
        writer.finish(rate or info.sample_rate, summary.frames)
    return warnings


def _of_region(pcm: _Pcm, first: int, stop: int, pixel: int, channels: int) -> Iterator[array]:
    """The pairs of a region, in pieces."""
    if pixel % FINEST:
        yield pairs(pcm.read(first, stop), channels, pixel)
        return
    summary, rest = Summary(channels), array("h")
    size = pixel // FINEST * 2 * channels  # numbers of a pixel's own pixels
    for at in range(first, stop, _PIECE):
        rest += summary.add(pcm.read(at, min(at + _PIECE, stop)))
        whole = len(rest) - len(rest) % size
        yield merged(rest[:whole], channels, pixel // FINEST)
        rest = rest[whole:]
    yield merged(rest + summary.finish(), channels, pixel // FINEST)


def _bare(source: BinaryIO, pcm: Dict[str, Any]) -> AudioInfo:
    """What a file is that has samples alone."""
    return AudioInfo(
        "pcm", pcm["codec"], pcm["sample_rate"], pcm["channels"], 0.0, False, "estimate", "",
        audio_offset=0, audio_bytes=os.fstat(source.fileno()).st_size, speakers=tuple(pcm["speakers"]),
    )


def _at_first_rate(pieces: Iterator[Piece], channels: int) -> Iterator[Tuple[int, bytes]]:
    """Pieces at the rate of the first: a pixel is as long at the end as at the beginning."""
    rate, other, resampler = 0, 0, None
    for piece in pieces:
        rate = rate or piece.rate
        if piece.rate != other and resampler is not None:
            yield rate, resampler.finish()
            resampler = None
        if piece.rate not in (rate, other):
            resampler = Resampler(piece.rate, rate, channels)
        other = piece.rate
        yield rate, piece.pcm if resampler is None else resampler.process(piece.pcm)
    if resampler is not None:
        yield rate, resampler.finish()


# -- a whole file ----------------------------------------------------------------------------------


def _reader(info: AudioInfo, wanted: Dict[str, Any]) -> PcmReader:
    """What reads the source; dither belongs here only where nothing is resampled behind it."""
    dither = wanted["dither"] if info.sample_rate == wanted["rate"] else "none"
    return PcmReader(info.codec, info.channels, wanted["channels"], speakers=info.speakers, dither=dither)


def _decoded(source: BinaryIO, info: AudioInfo, wanted: Dict[str, Any], warnings: List[str]) -> Iterator[Piece]:
    """An open file from its beginning; what was damaged is added to `warnings` at its end."""
    if info.container == "mp3":
        return _from_mp3(source, wanted["channels"], warnings)
    return _from_pcm(source, info, wanted)


def _from_pcm(source: BinaryIO, info: AudioInfo, wanted: Dict[str, Any]) -> Iterator[Piece]:
    reader = _reader(info, wanted)
    source.seek(info.audio_offset or 0)
    total = left = info.audio_bytes or 0
    size = max(_PIECE // reader.frame_bytes, 1) * reader.frame_bytes
    while left > 0:
        data = source.read(min(size, left))
        if not data:
            return
        left -= len(data)
        yield Piece(reader.convert(data), info.sample_rate, 1 - left / total)


def _from_mp3(source: BinaryIO, channels: int, warnings: List[str]) -> Iterator[Piece]:
    decoder = Decoder(channels=channels)
    size = source.seek(0, os.SEEK_END) or 1
    source.seek(0)
    position = samples = 0
    for data in iter(lambda: source.read(_PIECE), b""):
        position += len(data)
        pcm = decoder.feed(data)
        for part, rate in decoder.by_rate(pcm, samples):
            yield Piece(part, rate, position / size)
        samples += len(pcm) // (2 * channels)
    pcm = decoder.finish()
    warnings += decoder.report.warnings
    if decoder.report.frames and decoder.report.frames_muted >= decoder.report.frames:
        raise Damage("none of its frames could be decoded")
    if len(decoder.formats) > 1:
        warnings.append("the sampling rate changes in between")
    for part, rate in decoder.by_rate(pcm, samples):
        yield Piece(part, rate, 1.0)


def _at_rate(pieces: Iterator[Piece], wanted: Dict[str, Any]) -> Iterator[Tuple[bytes, float]]:
    resampler: Optional[Resampler] = None
    rate_in = 0
    for piece in pieces:
        if piece.rate != rate_in:
            if resampler is not None:
                yield resampler.finish(), piece.share
            rate_in = piece.rate
            resampler = Resampler(rate_in, wanted["rate"], wanted["channels"], dither=wanted["dither"])
        yield resampler.process(piece.pcm), piece.share
    if resampler is not None:
        yield resampler.finish(), 1.0


class _Mp3:
    def __init__(self, out: BinaryIO, wanted: Dict[str, Any]) -> None:
        self._out = out
        self._encoder = _encoder(wanted, with_info=True)

    def add(self, pcm: bytes) -> None:
        self._out.write(self._encoder.encode(pcm))

    def finish(self) -> None:
        self._out.write(self._encoder.finish())
        self._out.seek(0)
        self._out.write(self._encoder.info_frame())


class _Wav:
    """A WAV whose length is known at its end; from how long it should be follows which head is kept free."""

    def __init__(self, out: BinaryIO, wanted: Dict[str, Any], seconds: float) -> None:
        self._out, self._wanted, self._bytes = out, wanted, 0
        # a tenth more than the source's duration, which an estimate may miss
        self._is_large = is_large(wanted["channels"], round(seconds * wanted["rate"] * 1.1))
        out.write(self._header())

    def _header(self) -> bytes:
        rate, channels = self._wanted["rate"], self._wanted["channels"]
        return wav_header(rate, channels, self._bytes // (2 * channels), self._is_large)

    def add(self, pcm: bytes) -> None:
        self._out.write(pcm)
        self._bytes += len(pcm)

    def finish(self) -> None:
        self._out.seek(0)
        self._out.write(self._header())


def stream(path: str, out: BinaryIO, wanted: Dict[str, Any], info: AudioInfo, is_over: Callable[[], bool]) -> List[str]:
    """Convert a file to `out` as it is made, here and now: an MP3 without Info header, a WAV of
    unknown length.  Stops where `is_over()`.
    """
    warnings: List[str] = []
    with open(path, "rb") as source:
        pieces = _decoded(source, info, wanted, warnings)
        encoder = None if wanted["format"] == "wav" else _encoder(wanted)
        if encoder is None:
            # RIFF has no word for "unknown"; the largest length is what pipes use, and readers clamp it
            out.write(wav_header(wanted["rate"], wanted["channels"], 0xFFFFFFFF // (2 * wanted["channels"]) - 64))
        frames = 0
        for pcm, _ in _at_rate(pieces, wanted):
            if is_over():
                break
            frames += len(pcm)
            out.write(pcm if encoder is None else encoder.encode(pcm))
        if not frames and not is_over():
            raise Damage("there is no sound in it that can be decoded")
        if encoder is not None:
            out.write(encoder.finish())
    return warnings
