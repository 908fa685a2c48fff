"""The peaks of an audio file: its lowest and highest samples, as a new file that waveform.py reads.

Raises what transcoding.py does.
"""

from __future__ import annotations

import os
from array import array
from typing import Any, BinaryIO, Dict, Iterator, List, Optional, Tuple

from .codec.peaks import Summary, pairs
from .codec.resample import Resampler
from .formats.info import AudioInfo
from .transcoding import PIECE, Pcm, Piece, decoded, new_file
from .waveform import FINEST, Writer, merged


def summarise(source: BinaryIO, info: AudioInfo, target: str, region: Optional[Tuple[int, int, int]]) -> List[str]:
    """The peaks of an open file as a new file (see `waveform`); the warnings of what was damaged.

    `region` of PCM is (first, stop, samples a pixel): finer than the peaks of all, or a multiple of their pixels.
    """
    channels = min(info.channels, 2)
    wanted = {"channels": channels, "rate": info.sample_rate, "dither": "none"}
    warnings: List[str] = []
    with new_file(target) as out:
        if region is not None:
            first, stop, pixel = region
            pcm = Pcm(source, info, wanted)
            stop = min(stop, pcm.frames)
            writer = Writer(out, channels, pixel)
            for values in _of_region(pcm, first, stop, pixel, channels):
                writer.add(values)
            writer.finish(info.sample_rate, max(stop - first, 0))
            return warnings
        pieces = decoded(source, info, wanted, warnings)
        writer, summary, rate = Writer(out, channels), Summary(channels), 0
        for rate, pcm in _at_first_rate(pieces, channels):
            writer.add(summary.add(pcm))
        writer.add(summary.finish())
        writer.finish(rate or info.sample_rate, summary.frames)
    return warnings


def _of_region(pcm: Pcm, first: int, stop: int, pixel: int, channels: int) -> Iterator[array]:
    """The pairs of a region, in pieces."""
    if pixel % FINEST:
        yield pairs(pcm.read(first, stop), channels, pixel)
        return
    summary, rest = Summary(channels), array("h")
    size = pixel // FINEST * 2 * channels  # numbers of a pixel's own pixels
    for at in range(first, stop, PIECE):
        rest += summary.add(pcm.read(at, min(at + PIECE, stop)))
        whole = len(rest) - len(rest) % size
        yield merged(rest[:whole], channels, pixel // FINEST)
        rest = rest[whole:]
    yield merged(rest + summary.finish(), channels, pixel // FINEST)


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


def bare(source: BinaryIO, pcm: Dict[str, Any]) -> AudioInfo:
    """What a file is that has samples alone, of which `pcm` says how they are written."""
    return AudioInfo(
        "pcm", pcm["codec"], pcm["sample_rate"], pcm["channels"], 0.0, False, "estimate", "",
        audio_offset=0, audio_bytes=os.fstat(source.fileno()).st_size, speakers=tuple(pcm["speakers"]),
    )
