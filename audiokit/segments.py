"""A long conversion in parts that any worker may make: planned, converted each, put together.

A segment is whole blocks of the resampler and whole frames of the encoder, which begins each with an empty bit reservoir
(resampling.py says where).  Segments do not depend on how many workers there are, so neither do the bytes of the result.

    plan               ->   the samples of each segment, and for an MP3 target.plan: what each has to decode
    convert_segment    ->   target.0, target.1, … and for an MP3 target.0.report, …: what was damaged
    join, reported     ->   the target, and the warnings; nothing else is left

Raises what transcoding.py does.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from typing import Any, BinaryIO, Callable, Dict, Iterator, List, Optional, Tuple

from .codec.decoder import Planner, Report, Segment, decode_segment
from .codec.encoder import Encoder, segment_samples
from .codec.info_tag import StreamRecord
from .codec.parameters import Parameters, parameters
from .codec.pcm import wav_header
from .codec.resample import Resampler
from .formats.info import AudioInfo
from .resampling import Grid, Reach, edges, reach, samples_out
from .transcoding import PIECE, Damage, Pcm, encoder_for, new_file

SEGMENT_S = 20  # s of audio that a segment has at least: about a second of work, of which the seams are a tenth


def plan(source: BinaryIO, info: AudioInfo, target: str, wanted: Dict[str, Any]) -> Optional[List[Tuple[int, int]]]:
    """The samples of the result (first, end) of each segment; None where it is made in one piece.

    What the segments of an MP3 have to decode is written beside the target, a line each: a plan of ten hours
    would be too long for a message.
    """
    if info.duration is not None and info.duration < 2 * SEGMENT_S:
        return None
    if info.container == "mp3":
        planner = Planner(wanted["channels"])
        source.seek(0)
        for data in iter(lambda: source.read(PIECE), b""):
            planner.feed(data)
        whole = planner.finish()
        if whole is None:  # the sampling rate changes in between
            return None
        rate, frames = whole.sample_rate, whole.samples
    else:
        pcm = Pcm(source, info, wanted)
        rate, frames = pcm.rate, pcm.frames
    found = segments_of(frames, rate, wanted)
    if len(found) < 2:
        return None
    if info.container == "mp3":
        with new_file(f"{target}.plan") as file:
            for part in found:
                line = _mp3_line(planner, part, frames, rate, wanted)
                file.write(json.dumps(line).encode() + b"\n")
    return found


def segments_of(frames: int, rate: int, wanted: Dict[str, Any]) -> List[Tuple[int, int]]:
    """The samples of the result (first, end) of each segment of `frames` at `rate`."""
    samples = samples_out(frames, rate, wanted["rate"])
    frame = segment_samples(_parameters(wanted)) if wanted["format"] == "mp3" else 1
    places = edges(samples, round(SEGMENT_S * wanted["rate"]), frame)
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


def convert_segment(
    source: BinaryIO, identify: Callable[[BinaryIO], AudioInfo], target: str, wanted: Dict[str, Any],
    part: Tuple[int, int, int], on_progress: Callable[[float], None],
) -> None:
    """Segment (number, first, end) of the result: frames of MP3, or PCM, in a file of its own."""
    number, first, end = part
    width = 2 * wanted["channels"]
    if os.path.exists(f"{target}.plan"):  # an MP3: counting its frames again may cost more than the segment
        pcm: Any = _Mp3Part(source, f"{target}.plan", number)
    else:
        pcm = Pcm(source, identify(source), wanted)
    need, grid, ahead = _reach(first, end, pcm.frames, pcm.rate, wanted)
    resampler = Resampler(
        pcm.rate, wanted["rate"], wanted["channels"], dither=wanted["dither"],
        start=need.begin if wanted["dither"] != "none" else 0,
        lead_in=pcm.read(max(need.begin - grid.lead, 0), need.begin),
    )
    pieces = _resampled(pcm, resampler, need.begin, need.stop)
    with new_file(f"{target}.{number}") as out:
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
        with new_file(f"{target}.{number}.report") as file:
            file.write(json.dumps(vars(pcm.report)).encode())


def _encode_part(
    out: BinaryIO, pieces: Iterator[Tuple[float, bytes]], wanted: Dict[str, Any], sizes: Tuple[int, int, int],
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
            encoder = encoder_for(wanted, bytes(front[:skip]))
            piece = bytes(front[skip:])
        body, rest = piece[:size], piece[size:]
        size -= len(body)
        tail += rest[: ahead - len(tail)]
        out.write(encoder.encode(body))
        on_progress(share)
    encoder = encoder or encoder_for(wanted, bytes(front))
    out.write(encoder.finish(bytes(tail) if ahead else None))


def _resampled(pcm: Pcm, resampler: Resampler, begin: int, stop: int) -> Iterator[Tuple[float, bytes]]:
    at = begin
    while at < stop:
        upto = min(at + PIECE // 4, stop)
        yield (upto - begin) / (stop - begin), resampler.process(pcm.read(at, upto))
        at = upto
    yield 1.0, resampler.finish(pcm.read(stop, min(stop + resampler.tail, pcm.frames)))


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


def join(parts: List[str], target: str, wanted: Dict[str, Any], samples: int) -> None:
    """Put segments together to the result, and remove them."""
    is_mp3 = wanted["format"] == "mp3"
    record = None
    with new_file(target) as out:
        if is_mp3:
            record = StreamRecord(_parameters(wanted))
            out.write(record.info_frame(0))
        else:
            size = sum(os.path.getsize(part) for part in parts)
            out.write(wav_header(wanted["rate"], wanted["channels"], size // (2 * wanted["channels"])))
        for part in parts:
            with open(part, "rb") as file:
                while True:
                    data = file.read() if is_mp3 else file.read(PIECE)
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


def reported(target: str, count: int) -> List[str]:
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
