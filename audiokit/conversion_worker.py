"""One order at a time, in a process of its own: a line of JSON in, lines of JSON out.

    {"source": path, "target": path, "conversion": {…}}   ->   {"progress": 0.5} …   {"warnings": […]}
                                                          or   {"failure": code, "words": …}
                                                          or   {"segments": [[0, 529200], …]}
    the same with "segment": [number, of, first, end]     ->   target.0, target.1, …
    the same with "join": count                           ->   the target, made of those

Long PCM is answered with the segments that it falls into: whole blocks of the resampler, whole
frames of the encoder, which begins each with an empty bit reservoir.  They do not depend on how
many workers there are, so neither do the bytes of the result.

It ends when its standard input does, whatever it is doing then: a server that is killed leaves
nobody behind. Memory does not grow with the input.  Started by `conversions`, which tells it how to
identify audio.
"""

from __future__ import annotations

import errno
import json
import math
import os
import signal
import sys
import threading
from queue import SimpleQueue
from typing import Any, BinaryIO, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

from .codec.decoder import Decoder, Undecodable
from .codec.encoder import Encoder, segment_samples
from .codec.info_tag import StreamRecord
from .codec.parameters import parameters
from .codec.pcm import PcmReader, wav_header
from .codec.resample import Resampler
from .formats.info import AudioInfo, NotAudio

_PIECE = 1 << 16  # bytes of source taken at a time: some 2 s of MP3, 0.4 s of WAV
_NICENESS = 10  # so that a server on the same cores answers first
_SEGMENT = (
    20  # s of audio a segment has at least: about a second of work, of which the seams are a tenth
)
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


class Damage(Exception):
    """Nothing could be decoded; the words say why."""


class Piece(NamedTuple):
    """Some decoded PCM, 16 bits."""

    pcm: bytes
    rate: int  # Hz
    share: float  # of the source that is read


def work(identify: Callable[[BinaryIO], AudioInfo]) -> None:
    """Serve orders from standard input until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ^C is for the server, which then ends us
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the parent decides
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


def _carried_out(
    order: Dict[str, Any], identify: Callable[[BinaryIO], AudioInfo]
) -> Dict[str, Any]:
    try:
        target, wanted = order["target"], order["conversion"]
        if "join" in order:
            join(
                [f"{target}.{number}" for number in range(order["join"])],
                target,
                wanted,
                order["samples"],
            )
            return {"warnings": []}
        with open(order["source"], "rb") as source:
            if "segment" in order:
                info, (number, of, first, end) = identify(source), order["segment"]
                convert_segment(
                    source, info, f"{target}.{number}", wanted, first, end, number + 1 == of, _tell
                )
                return {"warnings": []}
            info = identify(source)
            segments = segments_of(info, wanted)
            if len(segments) > 1:
                return {
                    "segments": segments,
                    "samples": _samples_out(segments[-1][1], info.sample_rate, wanted["rate"]),
                }
            return {"warnings": convert(source, target, wanted, identify, _tell)}
    except (Undecodable, NotAudio, Damage) as error:
        return {"failure": "damaged-audio", "words": str(error)}
    except OSError as error:
        if error.errno in _FULL:
            return {"failure": "no-space", "words": "the disk is full"}
        return {"failure": "internal", "words": f"the conversion failed: {error.strerror}"}


def convert(
    source: BinaryIO,
    target: str,
    wanted: Dict[str, Any],
    identify: Callable[[BinaryIO], AudioInfo],
    on_progress: Callable[[float], None],
) -> List[str]:
    """Convert an open file to a new file; the warnings of what was damaged."""
    info = identify(source)
    channels = wanted["channels"]
    warnings: List[str] = []
    if info.container == "mp3":
        pieces = _from_mp3(source, info, channels, warnings)
    else:
        pieces = _from_pcm(source, info, wanted)
    with _new(target) as out:
        writer = _Wav(out, wanted) if wanted["format"] == "wav" else _Mp3(out, wanted)
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
    return open(path, "wb", opener=lambda path, flags: os.open(path, flags, 0o600))


# -- segments --------------------------------------------------------------------------------------


def segments_of(info: AudioInfo, wanted: Dict[str, Any]) -> List[Tuple[int, int]]:
    """The frames of input (first, end) of each segment; a single one where it is short, or no PCM."""
    if info.container == "mp3":
        return [(0, 0)]
    resampler = Resampler(info.sample_rate, wanted["rate"], wanted["channels"])
    block = (
        resampler.grain_out
    )  # segments are whole blocks of the resampler, and whole frames of the encoder
    if wanted["format"] == "mp3":
        frame = _frame_samples(wanted)
        block *= frame // math.gcd(block, frame)
    step = (
        -(-_SEGMENT * wanted["rate"] // block) * block // resampler.grain_out * resampler.grain_in
    )
    frames = _pcm_frames(info, PcmReader(info.codec, info.channels))
    edges = [
        *range(0, max(frames - step // 2, 1), step),
        frames,
    ]  # the last one is at least half of one
    return list(zip(edges, edges[1:]))


def _samples_out(frames: int, rate_in: int, rate_out: int) -> int:
    """What the resampler makes of so many frames."""
    return (2 * frames * rate_out + rate_in) // (2 * rate_in)


def _frame_samples(wanted: Dict[str, Any]) -> int:
    return segment_samples(
        parameters(wanted["rate"], wanted["channels"], wanted["bitrate"], wanted["quality"])
    )


def _pcm_frames(info: AudioInfo, reader: PcmReader) -> int:
    return (info.audio_bytes or 0) // reader.frame_bytes


def convert_segment(
    source: BinaryIO,
    info: AudioInfo,
    target: str,
    wanted: Dict[str, Any],
    first: int,
    end: int,
    is_last: bool,
    on_progress: Callable[[float], None],
) -> None:
    """The frames `first` to `end` of PCM: those of MP3, or PCM, as a part of the result."""
    channels, width = wanted["channels"], 2 * wanted["channels"]
    pcm = _Pcm(source, info, wanted)
    is_mp3 = wanted["format"] == "mp3"
    ahead = Encoder.lead_out_samples if is_mp3 and not is_last else 0
    before = Encoder.lead_in_samples if is_mp3 and first else 0
    grid = Resampler(info.sample_rate, wanted["rate"], channels)
    begin = first - -(-before // grid.grain_out) * grid.grain_in
    stop = min(end + -(-ahead // grid.grain_out) * grid.grain_in, pcm.frames)
    resampler = Resampler(
        info.sample_rate,
        wanted["rate"],
        channels,
        dither=wanted["dither"],
        start=begin,
        lead_in=pcm.read(max(begin - grid.lead, 0), begin),
    )
    skip = (
        (first - begin) // grid.grain_in * grid.grain_out * width
    )  # bytes in front that are only looked at
    size = None if is_last else (end - first) // grid.grain_in * grid.grain_out * width
    lead_in, lead_out, encoder = b"", b"", None
    with _new(target) as out:
        for share, piece in _resampled(pcm, resampler, begin, stop):
            if len(lead_in) < skip:
                taken = piece[: skip - len(lead_in)]
                lead_in, piece = lead_in + taken, piece[len(taken) :]
            if size is not None:
                piece, rest = piece[:size], piece[size:]
                size -= len(piece)
                lead_out += rest
            if piece and is_mp3:
                encoder = encoder or _encoder(wanted, lead_in[-before * width :] if before else b"")
                piece = encoder.encode(piece)
            out.write(piece)
            on_progress(share)
        if is_mp3:
            encoder = encoder or _encoder(wanted, lead_in)
            out.write(encoder.finish(None if is_last else lead_out[: ahead * width]))


def _encoder(wanted: Dict[str, Any], lead_in: bytes) -> Encoder:
    return Encoder(
        wanted["rate"],
        wanted["channels"],
        bitrate_kbps=wanted["bitrate"],
        quality=wanted["quality"],
        with_info=False,
        lead_in=lead_in,
    )


def _resampled(
    pcm: _Pcm, resampler: Resampler, begin: int, stop: int
) -> Iterator[Tuple[float, bytes]]:
    at = begin
    while at < stop:
        upto = min(at + _PIECE // 4, stop)
        yield (upto - begin) / (stop - begin), resampler.process(pcm.read(at, upto))
        at = upto
    yield 1.0, resampler.finish(pcm.read(stop, min(stop + resampler.ratio.taps, pcm.frames)))


class _Pcm:
    """Frames of a PCM file by number, as 16 bits."""

    def __init__(self, source: BinaryIO, info: AudioInfo, wanted: Dict[str, Any]) -> None:
        self._source, self._start = source, info.audio_offset or 0
        self._reader = _reader(info, wanted)
        self.frames = _pcm_frames(info, self._reader)

    def read(self, first: int, end: int) -> bytes:
        size = self._reader.frame_bytes
        self._source.seek(self._start + first * size)
        return self._reader.convert(self._source.read((end - first) * size))


def join(parts: List[str], target: str, wanted: Dict[str, Any], samples: int) -> None:
    """Put segments together to the result, and remove them."""
    is_mp3 = wanted["format"] == "mp3"
    record = None
    with _new(target) as out:
        if is_mp3:
            asked = parameters(
                wanted["rate"], wanted["channels"], wanted["bitrate"], wanted["quality"]
            )
            record = StreamRecord(asked)
            out.write(record.info_frame(0))
        else:
            size = sum(os.path.getsize(part) for part in parts)
            out.write(
                wav_header(wanted["rate"], wanted["channels"], size // (2 * wanted["channels"]))
            )
        for part in parts:
            with open(part, "rb") as file:
                while True:
                    data = file.read() if is_mp3 else file.read(_PIECE)
                    if not data:
                        break
                    if record is not None:
                        record.add(data)
                    out.write(data)
            os.remove(part)
        if record is not None:
            out.seek(0)
            out.write(record.info_frame(samples))


# -- a whole file ----------------------------------------------------------------------------------


def _reader(info: AudioInfo, wanted: Dict[str, Any]) -> PcmReader:
    """What reads the source; dither belongs here only where nothing is resampled behind it."""
    dither = wanted["dither"] if info.sample_rate == wanted["rate"] else "none"
    return PcmReader(info.codec, info.channels, wanted["channels"], dither=dither)


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


def _from_mp3(
    source: BinaryIO, info: AudioInfo, channels: int, warnings: List[str]
) -> Iterator[Piece]:
    decoder = Decoder(channels=channels)
    size = source.seek(0, os.SEEK_END) or 1
    source.seek(0)
    position = 0
    while True:
        data = source.read(_PIECE)
        if not data:
            break
        position += len(data)
        pcm = decoder.feed(data)
        if pcm:
            yield Piece(pcm, decoder.sample_rate, position / size)
    pcm = decoder.finish()
    warnings += decoder.report.warnings
    if decoder.report.frames and decoder.report.frames_muted >= decoder.report.frames:
        raise Damage("none of its frames could be decoded")
    if len(decoder.formats) > 1:
        warnings.append("the sampling rate changes in between")
    yield Piece(pcm, decoder.sample_rate, 1.0)


def _at_rate(pieces: Iterator[Piece], wanted: Dict[str, Any]) -> Iterator[Tuple[bytes, float]]:
    resampler: Optional[Resampler] = None
    rate_in = 0
    for piece in pieces:
        if piece.rate != rate_in:
            if resampler is not None:
                yield resampler.finish(), piece.share
            rate_in = piece.rate
            resampler = Resampler(
                rate_in, wanted["rate"], wanted["channels"], dither=wanted["dither"]
            )
        yield resampler.process(piece.pcm), piece.share
    if resampler is not None:
        yield resampler.finish(), 1.0


class _Mp3:
    def __init__(self, out: BinaryIO, wanted: Dict[str, Any]) -> None:
        self._out = out
        self._encoder = Encoder(
            wanted["rate"],
            wanted["channels"],
            bitrate_kbps=wanted["bitrate"],
            quality=wanted["quality"],
        )

    def add(self, pcm: bytes) -> None:
        self._out.write(self._encoder.encode(pcm))

    def finish(self) -> None:
        self._out.write(self._encoder.finish())
        self._out.seek(0)
        self._out.write(self._encoder.info_frame())


class _Wav:
    def __init__(self, out: BinaryIO, wanted: Dict[str, Any]) -> None:
        self._out, self._wanted, self._bytes = out, wanted, 0
        self._header = wav_header(wanted["rate"], wanted["channels"], 0)
        out.write(self._header)

    def add(self, pcm: bytes) -> None:
        self._out.write(pcm)
        self._bytes += len(pcm)

    def finish(self) -> None:
        frames = self._bytes // (2 * self._wanted["channels"])
        header = wav_header(self._wanted["rate"], self._wanted["channels"], frames)
        if len(header) == len(self._header):
            self._out.seek(0)
            self._out.write(header)


def stream(path: str, out: BinaryIO, wanted: Dict[str, Any], info: AudioInfo) -> List[str]:
    """Convert a file to `out` as it is made, here and now: an MP3 without Info header, a WAV of unknown length."""
    warnings: List[str] = []
    with open(path, "rb") as source:
        if info.container == "mp3":
            pieces = _from_mp3(source, info, wanted["channels"], warnings)
        else:
            pieces = _from_pcm(source, info, wanted)
        encoder = None if wanted["format"] == "wav" else _encoder(wanted, b"")
        if encoder is None:
            # RIFF has no word for "unknown"; the largest length is what pipes use, and readers clamp it
            out.write(
                wav_header(
                    wanted["rate"], wanted["channels"], 0xFFFFFFFF // (2 * wanted["channels"]) - 64
                )
            )
        frames = 0
        for pcm, _ in _at_rate(pieces, wanted):
            frames += len(pcm)
            out.write(pcm if encoder is None else encoder.encode(pcm))
        if not frames:
            raise Damage("there is no sound in it that can be decoded")
        if encoder is not None:
            out.write(encoder.finish())
    return warnings
