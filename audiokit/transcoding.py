"""One audio file to another, from its beginning to its end: decoded, resampled, encoded.

What is damaged is told as warnings; `Damage` and `Undecodable` are raised where nothing can be decoded, OSError where the
disk fails.  Memory does not grow with the input.  Knows nothing of workers and of segments.
"""

from __future__ import annotations

import os
from typing import Any, BinaryIO, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

from .codec.decoder import Decoder
from .codec.encoder import Encoder
from .codec.pcm import PcmReader, is_large, wav_header
from .codec.resample import Resampler
from .formats.info import AudioInfo

PIECE = 1 << 16  # bytes of source taken at a time: some 2 s of MP3, 0.4 s of WAV


class Damage(Exception):
    """Nothing could be decoded; the words say why."""


class Piece(NamedTuple):
    """Some decoded PCM, 16 bits."""

    pcm: bytes
    rate: int  # Hz
    share: float  # of the source that is read


def convert(
    source: BinaryIO, info: AudioInfo, target: str, wanted: Dict[str, Any], on_progress: Callable[[float], None],
) -> List[str]:
    """Convert an open file to a new file; the warnings of what was damaged."""
    warnings: List[str] = []
    pieces = decoded(source, info, wanted, warnings)
    with new_file(target) as out:
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


def stream(path: str, out: BinaryIO, wanted: Dict[str, Any], info: AudioInfo, is_over: Callable[[], bool]) -> List[str]:
    """Convert a file to `out` as it is made: an MP3 without Info header, a WAV of unknown length.  Stops where `is_over()`."""
    warnings: List[str] = []
    with open(path, "rb") as source:
        pieces = decoded(source, info, wanted, warnings)
        encoder = None if wanted["format"] == "wav" else encoder_for(wanted)
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


def new_file(path: str) -> BinaryIO:
    """A file that only we may read, to be written and read again."""
    return open(path, "w+b", opener=lambda path, flags: os.open(path, flags, 0o600))


# -- from a source to samples -----------------------------------------------------------------------


class Pcm:
    """Frames of a PCM file by number, as 16 bits."""

    def __init__(self, source: BinaryIO, info: AudioInfo, wanted: Dict[str, Any]) -> None:
        self._source, self._start, self.rate = source, info.audio_offset or 0, info.sample_rate
        self._reader = _reader(info, wanted)
        self.frames = (info.audio_bytes or 0) // self._reader.frame_bytes

    def read(self, first: int, end: int) -> bytes:
        """The frames `first` to `end`."""
        size = self._reader.frame_bytes
        self._source.seek(self._start + first * size)
        return self._reader.convert(self._source.read((end - first) * size))


def _reader(info: AudioInfo, wanted: Dict[str, Any]) -> PcmReader:
    """What reads the source; dither belongs here only where nothing is resampled behind it."""
    dither = wanted["dither"] if info.sample_rate == wanted["rate"] else "none"
    return PcmReader(info.codec, info.channels, wanted["channels"], speakers=info.speakers, dither=dither)


def decoded(source: BinaryIO, info: AudioInfo, wanted: Dict[str, Any], warnings: List[str]) -> Iterator[Piece]:
    """An open file from its beginning; what was damaged is added to `warnings` at its end."""
    if info.container == "mp3":
        return _from_mp3(source, wanted["channels"], warnings)
    return _from_pcm(source, info, wanted)


def _from_pcm(source: BinaryIO, info: AudioInfo, wanted: Dict[str, Any]) -> Iterator[Piece]:
    reader = _reader(info, wanted)
    source.seek(info.audio_offset or 0)
    total = left = info.audio_bytes or 0
    size = max(PIECE // reader.frame_bytes, 1) * reader.frame_bytes
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
    for data in iter(lambda: source.read(PIECE), b""):
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


# -- from samples to a result -----------------------------------------------------------------------


def encoder_for(wanted: Dict[str, Any], lead_in: bytes = b"", with_info: bool = False) -> Encoder:
    """The MP3 encoder that is wanted; see `Encoder`."""
    return Encoder(
        wanted["rate"], wanted["channels"], bitrate_kbps=wanted["bitrate"], quality=wanted["quality"],
        with_info=with_info, lead_in=lead_in,
    )


class _Mp3:
    """An MP3 whose Info frame is known at its end."""

    def __init__(self, out: BinaryIO, wanted: Dict[str, Any]) -> None:
        self._out = out
        self._encoder = encoder_for(wanted, with_info=True)

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
