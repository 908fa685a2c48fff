"""One conversion at a time, in a process of its own: a line of JSON in, lines of JSON out.

    {"source": path, "target": path, "conversion": {…}}   ->   {"progress": 0.5} …   {"warnings": […]}
                                                          or   {"failure": code, "words": …}

It ends when its standard input does, whatever it is doing then: a server that is killed leaves nobody behind.
Memory does not grow with the input.  Started by `conversions`, which tells it how to identify audio.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import threading
from queue import SimpleQueue
from typing import Any, BinaryIO, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

from .codec.decoder import Decoder, Undecodable
from .codec.encoder import Encoder
from .codec.pcm import PcmReader, wav_header
from .codec.resample import Resampler
from .formats.info import AudioInfo, NotAudio

_PIECE = 1 << 16  # bytes of source taken at a time: some 2 s of MP3, 0.4 s of WAV
_NICENESS = 10  # so that a server on the same cores answers first
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


def _carried_out(order: Dict[str, Any], identify: Callable[[BinaryIO], AudioInfo]) -> Dict[str, Any]:
    try:
        with open(order["source"], "rb") as source:
            warnings = convert(source, order["target"], order["conversion"], identify, lambda x: _say({"progress": x}))
        return {"warnings": warnings}
    except (Undecodable, NotAudio, Damage) as error:
        return {"failure": "damaged-audio", "words": str(error)}
    except OSError as error:
        if error.errno in _FULL:
            return {"failure": "no-space", "words": "the disk is full"}
        return {"failure": "internal", "words": f"the conversion failed: {error.strerror}"}


def convert(
    source: BinaryIO, target: str, wanted: Dict[str, Any], identify: Callable[[BinaryIO], AudioInfo],
    on_progress: Callable[[float], None],
) -> List[str]:
    """Convert an open file to a new file; the warnings of what was damaged."""
    info = identify(source)
    channels = wanted["channels"]
    warnings: List[str] = []
    if info.container == "mp3":
        pieces = _from_mp3(source, info, channels, warnings)
    else:
        pieces = _from_pcm(source, info, channels)
    opener = lambda path, flags: os.open(path, flags, 0o600)  # noqa: E731
    with open(target, "wb", opener=opener) as out:
        writer = _Wav(out, wanted) if wanted["format"] == "wav" else _Mp3(out, wanted)
        frames = 0
        for pcm, share in _at_rate(pieces, wanted["rate"], channels):
            frames += len(pcm)
            writer.add(pcm)
            on_progress(share)
        if not frames:
            raise Damage("there is no sound in it that can be decoded")
        writer.finish()
    return warnings


def _from_pcm(source: BinaryIO, info: AudioInfo, channels: int) -> Iterator[Piece]:
    reader = PcmReader(info.codec, info.channels, channels)
    source.seek(info.audio_offset or 0)
    total = left = info.audio_bytes or 0
    size = max(_PIECE // reader.frame_bytes, 1) * reader.frame_bytes
    while left > 0:
        data = source.read(min(size, left))
        if not data:
            return
        left -= len(data)
        yield Piece(reader.convert(data), info.sample_rate, 1 - left / total)


def _from_mp3(source: BinaryIO, info: AudioInfo, channels: int, warnings: List[str]) -> Iterator[Piece]:
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


def _at_rate(pieces: Iterator[Piece], rate: int, channels: int) -> Iterator[Tuple[bytes, float]]:
    resampler: Optional[Resampler] = None
    rate_in = 0
    for piece in pieces:
        if piece.rate != rate_in:
            if resampler is not None:
                yield resampler.finish(), piece.share
            rate_in = piece.rate
            resampler = Resampler(rate_in, rate, channels)
        yield resampler.process(piece.pcm), piece.share
    if resampler is not None:
        yield resampler.finish(), 1.0


class _Mp3:
    def __init__(self, out: BinaryIO, wanted: Dict[str, Any]) -> None:
        self._out = out
        self._encoder = Encoder(
            wanted["rate"], wanted["channels"], bitrate_kbps=wanted["bitrate"], quality=wanted["quality"]
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
