"""MP4, M4A, 3GP and QuickTime: plain, fragmented, or both, by tables and edit lists.

ISO/IEC 14496-12 (boxes, tables, fragments, edit lists), Apple's "QuickTime File Format" and
technical note 2258 (iTunSMPB).  Reads the tables of one audio track, of fragments only their
headers; of samples nothing.  Raises NotAudio where no track is audio, Damaged where its tables are
missing.

    ftyp
    moov ( mvhd  trak ( tkhd  edts ( elst )  mdia ( mdhd  hdlr  minf ( stbl ( … ) ) ) )
           mvex ( trex )  udta );  stbl ( stsd stts stsc stsz stco )
    moof ( traf ( tfhd  trun ) )  mdat
"""

from __future__ import annotations

import struct
from typing import Dict, List, NamedTuple, Optional, Tuple

from audiokit.formats import mp4_fragments, mp4_tables, mp4_tags
from audiokit.formats.impostors import image_brand
from audiokit.formats.info import AudioInfo, Damaged, NotAudio
from audiokit.formats.mp4_boxes import Box, boxes
from audiokit.formats.mp4_codec import Codec, parse_sample_entry
from audiokit.formats.mpeg_header import HEADER_BYTES, SINGLE_CHANNEL, parse_header
from audiokit.formats.source import MAX_READ, Source

_AC3_BLOCK = 256  # samples: what frames of AC-3 and E-AC-3 are made of, and the delay of a decoder
_MAX_FRAME_SAMPLES = 1 << 16  # no codec has longer frames, and each has a byte at least
_MAX_TRACKS = 64
_MAX_OUTER = 4096  # outermost boxes before the first fragment; a camera writes a few mdat
_MAX_SECONDS = 10**8  # three years: what says more is damaged
_TOP = frozenset((
    b"ftyp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"sidx",
    b"uuid", b"mfra", b"meta", b"pdin", b"emsg", b"prft", b"udta", b"ssix", b"PICT",
))


class _Layout(NamedTuple):
    """The outermost boxes."""

    moov: Optional[Box]
    fragments: int  # offset of the first moof, 0 without one
    data_bytes: int  # in mdat boxes outside fragments
    end: int  # what the boxes claim


class _Track(NamedTuple):
    """An audio track."""

    number: int
    codec: Codec
    timescale: int  # units a second
    declared: int  # units that mdhd claims, 0 where unknown
    tables: Dict[bytes, Box]  # stts, stsc, stsz, stco, co64
    edits: Tuple[Tuple[int, int], ...]  # (units of the movie, media time or -1)
    is_clocked: bool  # mdhd says how many units a second has


class _Movie(NamedTuple):
    timescale: int
    duration: int  # units; 0 where unknown
    tracks: List[_Track]
    others: List[str]  # kinds of the other tracks
    unknown: Optional[NotAudio]  # why an audio track was not taken
    defaults: Dict[int, mp4_fragments.Defaults]  # by track, for fragments
    tags: mp4_tags.Mp4Tags


class _Media(NamedTuple):
    """What the tables and fragments of a track hold."""

    units: int  # of what is there
    promised: int  # units of what was promised
    is_cut: bool
    source: str  # "samples", "header", "estimate": see AudioInfo
    bytes: int  # of coded audio, 0 where not known
    is_fragmented: bool = False  # some of it is in fragments


def matches(head: bytes) -> bool:
    """A box of the outermost level at the very beginning."""
    return head[4:8] in _TOP and len(head) >= 8


def read(source: Source, start: int = 0) -> AudioInfo:
    """The MP4 file at `start`."""
    layout = _layout(source, start)
    if layout.moov is None:
        picture = image_brand(source.read(start, 16))
        if layout.end > source.size and not picture:
            raise Damaged("an MP4 file that ends before its movie box", source.size)
        raise NotAudio(f"starts like {picture}" if picture else "an MP4 file without a movie box", start)
    movie = _movie(source, layout.moov)
    if not movie.tracks:
        raise movie.unknown or NotAudio(
            f"an MP4 file without an audio track: {', '.join(movie.others) or 'empty'}",
            layout.moov.start,
        )
    track = movie.tracks[0]
    warnings: List[str] = []
    media = _media(source, layout, movie, track)
    units, promised = _presented(movie, track, media)
    if units <= 0 and not media.units:
        raise Damaged(f"MP4 with {track.codec.codec}, but its tables hold no samples", layout.moov.start)
    if promised > _MAX_SECONDS * track.timescale:
        seconds = promised / track.timescale
        raise Damaged(f"an MP4 whose tables last {seconds:.0f} s", layout.moov.start)
    return _describe(source, layout, movie, track, media, (units, promised), warnings)


# The movie


def _layout(source: Source, start: int) -> _Layout:
    moov, fragments, data_bytes = None, 0, 0
    offset, end = start, start
    for _ in range(_MAX_OUTER):
        head = source.read(offset, 16)
        if len(head) < 8:
            break
        size, header = int.from_bytes(head[:4], "big"), 8
        if size == 1:
            size, header = int.from_bytes(head[8:16], "big"), 16
        elif size == 0:
            size = source.size - offset
        name = head[4:8]
        if size < header or name not in _TOP and not name.isalnum():
            break
        if name not in _TOP and offset + size > source.size:
            break  # a tag of another kind, whose letters are no size
        if name == b"moov" and moov is None:
            moov = Box(name, offset + header, min(offset + size, source.size))
        elif name == b"mdat":
            data_bytes += min(size, source.size - offset) - header
        elif name == b"moof" and moov is not None:
            return _Layout(moov, offset, data_bytes, offset)
        offset += size
        end = offset
    return _Layout(moov, fragments, data_bytes, end)


def _movie(source: Source, moov: Box) -> _Movie:
    timescale, duration = 1000, 0
    tracks: List[_Track] = []
    others: List[str] = []
    unknown: Optional[NotAudio] = None
    defaults: Dict[int, mp4_fragments.Defaults] = {}
    found = mp4_tags.Mp4Tags({}, [], None)
    for box in boxes(source, moov.start, moov.stop):
        if box.name == b"mvhd":
            timescale, duration = _times(source, box)
        elif box.name == b"trak" and len(tracks) + len(others) < _MAX_TRACKS:
            try:
                track, kind = _track(source, box)
            except NotAudio as error:
                unknown = unknown or error
                continue
            if track is not None:
                tracks.append(track)
            else:
                others.append(kind)
        elif box.name == b"mvex":
            defaults = mp4_fragments.fragment_defaults(source, box)
        elif box.name == b"udta":
            found = mp4_tags.read_user_data(source, box)
        elif box.name == b"meta":
            found = mp4_tags.merged(found, mp4_tags.read_meta(source, box))
    return _Movie(timescale, duration, tracks, others, unknown, defaults, found)


def _times(source: Source, box: Box) -> Tuple[int, int]:
    """Timescale and duration of mvhd or mdhd: behind times of 4 or, in version 1, of 8 bytes."""
    data = source.read(box.start, 32)
    if len(data) < 20:
        raise EOFError(box.start + len(data))
    width, at = (8, 20) if data[0] == 1 else (4, 12)
    timescale = int.from_bytes(data[at : at + 4], "big")
    duration = int.from_bytes(data[at + 4 : at + 4 + width], "big")
    return timescale, 0 if duration == (1 << 8 * width) - 1 else duration


def _track(source: Source, trak: Box) -> Tuple[Optional[_Track], str]:
    """The track if it is audio, and what kind it is."""
    number, handler, timescale, declared = 0, b"", 0, 0
    tables: Dict[bytes, Box] = {}
    edits: Tuple[Tuple[int, int], ...] = ()
    pending = [trak]
    for _ in range(_MAX_TRACKS):  # boxes that hold boxes; a handful in a true file
        if not pending:
            break
        parent = pending.pop()
        for box in boxes(source, parent.start, parent.stop):
            if box.name in (b"mdia", b"minf", b"stbl", b"edts"):
                pending.append(box)
            elif box.name == b"tkhd":
                data = source.read(box.start, 24)
                number = int.from_bytes(data[20:24] if data[:1] == b"\1" else data[12:16], "big")
            elif box.name == b"mdhd":
                timescale, declared = _times(source, box)
            elif box.name == b"hdlr" and parent.name == b"mdia":
                handler = source.read(box.start + 8, 4)
            elif box.name == b"elst":
                edits = _edits(source, box)
            elif box.name in (b"stsd", b"stts", b"stsc", b"stsz", b"stz2", b"stco", b"co64"):
                tables.setdefault(box.name, box)
    kind = {
        b"vide": "video",
        b"soun": "audio",
        b"text": "text",
        b"sbtl": "subtitles",
        b"hint": "hints",
        b"tmcd": "timecode",
        b"meta": "metadata",
    }.get(handler, "something else")
    if handler != b"soun" or b"stsd" not in tables:
        entry = source.read(tables[b"stsd"].start + 12, 4) if b"stsd" in tables else b""
        return None, "a picture" if entry in (b"jpeg", b"png ", b"mjpa") else kind
    stsd = tables[b"stsd"]
    size = int.from_bytes(source.read(stsd.start + 8, 4), "big")
    entry = source.read(stsd.start + 8, min(size, stsd.stop - stsd.start - 8, MAX_READ))
    codec = parse_sample_entry(entry, stsd.start + 8)
    codec = _of_first_frame(source, codec, tables)
    return _Track(number, codec, timescale or codec.sample_rate, declared, tables, edits, timescale > 0), kind


def _of_first_frame(source: Source, codec: Codec, tables: Dict[bytes, Box]) -> Codec:
    """MPEG audio's layer and channels by its first frame.

    Entries say 2 channels whatever there is, and esds one object type for all three layers.
    """
    chunks = tables.get(b"co64") or tables.get(b"stco")
    if codec.codec not in ("mp1", "mp2", "mp3") or chunks is None:
        return codec
    table = source.read(chunks.start + 4, 12)  # u32 entries, the first of 4 or of 8 bytes
    if not int.from_bytes(table[:4], "big"):
        return codec
    first = int.from_bytes(table[4 : 12 if chunks.name == b"co64" else 8], "big")
    header = parse_header(source.read(first, HEADER_BYTES))
    if header is None or header.sample_rate != codec.sample_rate:
        return codec
    channels = 1 if header.mode == SINGLE_CHANNEL else 2
    return codec._replace(codec=f"mp{header.layer}", channels=channels)


def _edits(source: Source, box: Box) -> Tuple[Tuple[int, int], ...]:
    """elst: version, flags, u32 entries: duration and media time of 4 or 8 bytes, 4 bytes rate."""
    head = source.read(box.start, 8)
    layout = struct.Struct(">QqI" if head[:1] == b"\1" else ">IiI")
    count = min(int.from_bytes(head[4:8], "big"), 1000)
    data = source.read(box.start + 8, min(count * layout.size, max(box.stop - box.start - 8, 0)))
    usable = len(data) // layout.size * layout.size
    return tuple((duration, time) for duration, time, _ in layout.iter_unpack(data[:usable]))


# How long it is


def _presented(movie: _Movie, track: _Track, media: _Media) -> Tuple[float, float]:
    """Units of the track that are presented, of what is there and of what was promised.

    An edit list says where the media begins (after the encoder's priming) and how long it goes on,
    the latter in the movie's coarse units: where the media ends within two of them, its own end is
    meant.
    """
    sounding = [(duration, time) for duration, time in track.edits if time >= 0]
    if media.is_fragmented:  # edits were written before the fragments: only where they begin is known
        sounding = [(0, time) for _, time in sounding[:1]]
    if not sounding:
        skip, total = _itunes_gapless(movie, track)
        if total and abs(skip + total - media.promised) < 8 * 1024 * (track.timescale / track.codec.sample_rate):
            return min(total, media.units - skip), total
        priming = track.codec.pre_skip * track.timescale / track.codec.sample_rate
        return max(media.units - priming, 0), max(media.promised - priming, 0)
    ratio = track.timescale / (movie.timescale or 1000)
    there = promised = 0.0
    for duration, time in sounding:
        length = duration * ratio
        for_all = max(media.promised - time, 0)
        if duration == 0 or abs(length - for_all) <= 2 * ratio:
            length = for_all
        promised += min(length, for_all)
        there += min(length, max(media.units - time, 0))
    is_ac3 = track.codec.codec in ("ac3", "eac3") and media.promised % _AC3_BLOCK == 0
    if is_ac3 and 0 < media.promised - promised <= _AC3_BLOCK:
        return media.units, media.promised  # decoders present whole frames, the delay of 256 included
    return there, promised


def _itunes_gapless(movie: _Movie, track: _Track) -> Tuple[int, int]:
    """(units of priming, of sound) by iTunSMPB: zeros, delay, padding, samples, hexadecimal."""
    words = (movie.tags.gapless or "").split()
    try:
        delay, total = int(words[1], 16), int(words[3], 16)
    except (IndexError, ValueError):
        return 0, 0
    scale = track.timescale / track.codec.sample_rate
    return round(delay * scale), round(total * scale) if total < 1 << 48 else 0


def _media(source: Source, layout: _Layout, movie: _Movie, track: _Track) -> _Media:
    """The sum of the tables, and of the fragments behind them."""
    plain = _table_units(source, layout, track)
    if not layout.fragments:
        return plain
    more = mp4_fragments.fragments(source, layout.fragments, track.number, movie.defaults)
    return _Media(
        plain.units + more.ticks,
        plain.promised + more.promised,
        plain.is_cut or more.is_cut,
        more.source,
        layout.data_bytes + more.bytes,
        more.promised > 0,
    )


def _table_units(source: Source, layout: _Layout, track: _Track) -> _Media:
    """What stts says of the samples that stsz counts, as far as the file goes."""
    tables, frame_bytes = track.tables, track.codec.frame_bytes
    if b"stts" not in tables:
        return _Media(0, 0, False, "samples", 0)
    total = mp4_tables.times(source, tables[b"stts"])
    samples, units = total.samples, total.ticks
    if b"stsz" in tables or b"stz2" in tables:
        samples = min(mp4_tables.Sizes(source, tables).count, samples)
    if samples < total.samples:
        units = mp4_tables.ticks_of(source, tables[b"stts"], samples)
    if not units and not layout.fragments and track.declared:
        return _Media(track.declared, track.declared, False, "header", 0)
    if not samples or not mp4_tables.may_be_cut(source, tables, layout.end):
        return _Media(units, units, False, "samples", 0)
    there = mp4_tables.samples_there(source, tables, frame_bytes)
    if there is None or there >= samples:
        return _Media(units, units, there is None, "samples", 0)
    return _Media(mp4_tables.ticks_of(source, tables[b"stts"], there), units, True, "samples", 0)


# All together


def _declared(
    source: Source,
    layout: _Layout,
    track: _Track,
    media: _Media,
    lengths: Tuple[float, float],
    warnings: List[str],
) -> Optional[float]:
    """The seconds that the file says where it has others; `lengths`: those it has and those its table promises."""
    seconds, promised = lengths
    if media.is_cut:
        what = f"the file ends at byte {source.size}, before its samples do"
        warnings.append(f"{what}: {seconds:.3f} of {promised:.3f} s are playable")
    elif not layout.fragments and track.declared and abs(track.declared - media.units) > track.timescale:
        declared = track.declared / track.timescale
        warnings.append(f"mdhd says {declared:.3f} s, the table of samples {media.units / track.timescale:.3f} s")
        return declared
    elif layout.end > source.size:
        warnings.append(f"the file ends at byte {source.size}, inside its last box; the audio is there")
    elif not layout.fragments and layout.end < source.size:
        warnings.append(f"{source.size - layout.end} bytes behind the last box, at byte {layout.end}")
    return promised if promised - seconds > 0.0005 else None


def _is_sound(track: _Track, size: int, seconds: float, warnings: List[str]) -> bool:
    """Whether the times of the samples, of `size` bytes where that is known, can be what they say."""
    if not track.is_clocked:
        warnings.append(f"no mdhd tells the clock: {track.timescale} ticks a second are assumed")
    is_long = 0 < size * _MAX_FRAME_SAMPLES < seconds * track.codec.sample_rate
    if is_long:
        warnings.append(f"the times of the samples mean {seconds:.0f} s, which {size} bytes cannot be")
    return track.is_clocked and not is_long


def _describe(
    source: Source,
    layout: _Layout,
    movie: _Movie,
    track: _Track,
    media: _Media,
    units: Tuple[float, float],
    warnings: List[str],
) -> AudioInfo:
    codec = track.codec
    seconds, promised = units[0] / track.timescale, units[1] / track.timescale
    has_video = "video" in movie.others
    if has_video:
        warnings.append("besides the audio there is video")
    if len(movie.tracks) > 1:
        warnings.append(f"{len(movie.tracks)} audio tracks; the first is described")
    if codec.is_encrypted:
        warnings.append("the audio is encrypted")
    declared = _declared(source, layout, track, media, (seconds, promised), warnings)
    if media.source == "estimate":
        warnings.append("more fragments than are counted: the duration is an estimate")
    if not seconds:
        warnings.append("there are no samples")
    size = media.bytes or (layout.data_bytes if not movie.others and len(movie.tracks) == 1 else 0)
    is_sound = _is_sound(track, size, seconds, warnings)
    is_exact = is_sound and media.source == "samples"
    samples = round(seconds * codec.sample_rate) if is_exact else None
    kind = "audio/3gpp" if codec.codec.startswith("amr") else "audio/mp4"  # what browsers play of 3GP is MP4
    return AudioInfo(
        container="mp4",
        codec=codec.codec,
        codec_profile=codec.profile,
        mime=f'{kind}; codecs="{codec.codecs}"' if codec.codecs else kind,
        sample_rate=codec.sample_rate,
        channels=codec.channels,
        duration=seconds,
        duration_exact=is_exact,
        duration_source=media.source if is_sound else "estimate",
        duration_declared=declared,
        truncated=media.is_cut or layout.end > source.size,
        bits_per_sample=codec.bits,
        sample_format=codec.sample_format,
        bitrate=round(size * 8 / seconds) if size and seconds else None,
        lossless=codec.codec in ("alac", "flac", "truehd", "als")
        or codec.sample_format in ("int", "float"),
        tags=movie.tags.tags,
        pictures=tuple(image for image in movie.tags.pictures if image.offset + image.length <= source.size),
        warnings=tuple(warnings),
        samples=samples,
        audio_offset=None,
        audio_bytes=size or None,
    )
