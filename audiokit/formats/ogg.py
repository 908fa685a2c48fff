"""Ogg with Vorbis, Opus, FLAC or Speex: how long it sounds, by its granule positions.

RFC 3533 (Ogg), RFC 7845 (Opus, sections 4.2 to 4.5), "Vorbis I specification" appendix A, Xiph's
"Ogg mapping for FLAC" and the Speex manual.  Reads the pages of the headers, the first pages of
audio and the end of the file; only a file of several streams one behind the other, or of several
at once, is walked page by page.  Raises NotAudio where no stream is audio, Damaged where there is
no page of audio.

    page  "OggS", u8 version, u8 flags (1 continued, 2 first, 4 last), i64 granule position,
          u32 serial, u32 sequence, u32 CRC, u8 segments, their lengths;
          a length below 255 ends a packet
"""

from __future__ import annotations

import struct
import zlib
from typing import Callable, Iterator, List, NamedTuple, Optional, Set, Tuple, Union

from audiokit.formats import vorbis_comment, xiph
from audiokit.formats.flac_frame import STREAMINFO_BYTES, StreamInfo, parse_frame, parse_stream_info
from audiokit.formats.info import AudioInfo, Damaged, NotAudio, Tags
from audiokit.formats.source import MAX_READ, Source

_HEADER = struct.Struct("<4sBBqIIIB")
_CONTINUED, _FIRST, _LAST = 1, 2, 4
_NO_PACKET_ENDS = -1  # the granule position of such a page (RFC 3533 section 6)
_MAX_STREAMS = 64  # at once
_MAX_HEADER_PAGES = 4096  # until audio begins; a large cover is some 60 pages
_MAX_HEADER_BYTES = 4 << 20  # of one header packet; covers are in the comments
_TAIL_BYTES = 1 << 16  # a page has at most 65,307 bytes
_MAX_SECONDS = 10**8  # three years: what says more is damaged
_MAX_LINKS = 10_000  # streams one behind the other: songs of a radio station
_FILL = bytes(16)  # what the end of a page may be that a download left empty, if its checksum says so, too
_PACKET_HEAD_BYTES = 16  # enough for Opus' TOC, Vorbis' mode, FLAC's frame header

_OTHERS = (
    (b"OpusHead", "Opus audio"),
    (b"\x01vorbis", "Vorbis audio"),
    (b"\x7fFLAC", "FLAC audio"),
    (b"Speex   ", "Speex audio"),
    (b"\x80theora", "Theora video"),
    (b"\x01video", "OGM video"),
    (b"BBCD\0", "Dirac video"),
    (b"OVP80", "VP8 video"),
    (b"fishead\0", "a skeleton"),
    (b"CMML", "CMML text"),
    (b"\x80kate", "Kate text"),
    (b"\x01text", "OGM text"),
    (b"CELT    ", "CELT audio"),
    (b"PCM     ", "PCM audio"),
    (b"\x8bJNG", "pictures"),
    (b"\x8aMNG", "pictures"),
)


class _Page(NamedTuple):
    offset: int
    flags: int
    granule: int
    serial: int
    sequence: int
    lacing: bytes
    body: int  # offset
    end: int  # offset behind it


class _Stream(NamedTuple):
    """A logical stream that is audio."""

    serial: int
    codec: str
    sample_rate: int
    channels: int
    head: Union[xiph.OpusHead, xiph.VorbisHead, xiph.SpeexHead, StreamInfo]


def matches(head: bytes) -> bool:
    """ "OggS" of version 0."""
    return head[:5] == b"OggS\0"


def read(source: Source, start: int = 0) -> AudioInfo:
    """The Ogg file at `start`."""
    link = _open(source, start)
    stream = link.stream
    length = _length(source, link)
    if length.samples is None:
        raise Damaged(f"Ogg with {stream.codec}, but no page of it holds audio", link.audio)
    seconds = length.samples / stream.sample_rate
    if seconds > _MAX_SECONDS:
        raise Damaged(f"Ogg whose granule positions mean {seconds:.0f} s", link.audio)
    size = length.end - link.audio
    bits = stream.head.bits if isinstance(stream.head, StreamInfo) else None
    return AudioInfo(
        container="ogg",
        codec=stream.codec,
        mime=f"audio/ogg; codecs={stream.codec}",
        sample_rate=stream.sample_rate,
        channels=stream.channels,
        duration=seconds,
        duration_exact=not length.is_emptied,
        duration_source="samples",
        truncated=length.is_cut or length.is_emptied or not length.is_ended,
        bits_per_sample=bits,
        sample_format="int" if bits else None,
        bitrate=round(size * 8 / seconds) if seconds > 0 and not link.others else None,
        bitrate_mode="VBR",
        lossless=stream.codec == "flac",
        tags=_tags(link),
        warnings=tuple(_warnings(source, link, length, seconds)),
        samples=length.samples,
        audio_offset=link.audio,
        audio_bytes=size,
    )


def _warnings(source: Source, link: _Link, length: _Length, seconds: float) -> List[str]:
    warnings = [f"besides the audio there is {other}" for other in link.others if "skeleton" not in other]
    if length.kinds > 1:
        warnings.append("streams of several kinds follow one another; the first is described")
    if length.is_cut:
        warnings.append(f"the file ends inside a page: {seconds:.3f} s are playable")
    elif length.is_emptied:
        warnings.append(f"the last page ends in zeros and its checksum does not hold: less than {seconds:.3f} s are playable")
    elif not length.is_ended:
        warnings.append("the last page is not marked as the end of the stream, something may be missing")
    elif length.end < source.size:
        size = source.size - length.end
        warnings.append(f"{size} bytes behind the last page, at byte {length.end}, are not audio")
    return warnings


# Pages


def _page(data: bytes, at: int, base: int) -> Optional[_Page]:
    """The page whose header is at `at` in `data`, which begins at `base` of the file."""
    if len(data) - at < _HEADER.size:
        return None
    magic, version, flags, granule, serial, sequence, _, segments = _HEADER.unpack_from(data, at)
    lacing = data[at + _HEADER.size : at + _HEADER.size + segments]
    if magic != b"OggS" or version or flags > 7 or len(lacing) < segments:
        return None
    body = base + at + _HEADER.size + segments
    return _Page(base + at, flags, granule, serial, sequence, lacing, body, body + sum(lacing))


def _pages(source: Source, offset: int) -> Iterator[_Page]:
    """The pages from `offset` on, one behind the other, whole ones only.

    Junk between them is stepped over.
    """
    step = 1 << 12  # grows: streams may be short, pages are up to 64 KiB
    base, data = offset, source.read(offset, step)
    at = 0
    while True:
        if len(data) - at < _HEADER.size + 255 and base + len(data) < source.size:
            base, at, step = base + at, 0, min(step * 2, MAX_READ)
            data = source.read(base, step)
        page = _page(data, at, base)
        if page is None:
            at = data.find(b"OggS", at + 1)
            if at < 0:
                return
            continue
        if page.end > source.size:
            return
        yield page
        at = page.end - base
        if at > len(data):
            base, at = page.end, 0
            data = source.read(base, step)


def _packet_heads(source: Source, page: _Page) -> Iterator[Tuple[bytes, bool, bool]]:
    """The first bytes of each packet on a page, whether it begins there, whether it ends there."""
    position, size, begins = page.body, 0, not page.flags & _CONTINUED
    for length in page.lacing:
        size += length
        if length < 255:
            yield source.read(position, min(size, _PACKET_HEAD_BYTES)), begins, True
            position, size, begins = position + size, 0, True
    if size:
        yield source.read(position, min(size, _PACKET_HEAD_BYTES)), begins, False


# Opening a stream


class _Link(NamedTuple):
    """One chained file: the audio stream in it, and the first page behind its headers."""

    stream: _Stream
    serials: Set[int]  # of all streams that begin here
    others: Tuple[str, ...]  # what the streams beside it are
    packets: Tuple[bytes, ...]  # header packets behind the first
    audio: int  # offset of the first page of audio


def _open(source: Source, offset: int) -> _Link:
    """Read the headers of the streams that begin at `offset`."""
    stream: Optional[_Stream] = None
    serials: Set[int] = set()
    others: List[str] = []
    packets: List[bytes] = []
    partial = b""
    for number, page in enumerate(_pages(source, offset)):
        if number >= _MAX_HEADER_PAGES or len(serials) > _MAX_STREAMS:
            break
        if (
            stream is not None
            and page.serial == stream.serial
            and _is_opened(stream.codec, packets)
        ):
            return _Link(stream, serials, tuple(others), tuple(packets), page.offset)
        body = source.read(page.body, page.end - page.body)
        if page.flags & _FIRST:
            serials.add(page.serial)
            found = _stream(page.serial, body, page.body) if stream is None else None
            stream = stream or found
            others += [] if found else [_name(body)]
        elif stream is None:
            break
        elif page.serial == stream.serial:
            for size, is_whole in _sizes(page.lacing):
                partial = (partial + body[:size])[:_MAX_HEADER_BYTES]
                body = body[size:]
                if is_whole:
                    packets.append(partial)
                    partial = b""
    if stream is None:
        kinds = ", ".join(others[:4]) or "nothing"
        raise NotAudio(f"an Ogg file of {kinds}, without audio that is known", offset)
    raise Damaged(f"Ogg with {stream.codec}, but no page of it holds audio", source.size)


def _sizes(lacing: bytes) -> Iterator[Tuple[int, bool]]:
    size = 0
    for length in lacing:
        size += length
        if length < 255:
            yield size, True
            size = 0
    if size:
        yield size, False


def _stream(serial: int, packet: bytes, offset: int) -> Optional[_Stream]:
    """The audio stream that begins with `packet`, or None for another kind."""
    opus = xiph.parse_opus_head(packet)
    if opus:
        return _Stream(serial, "opus", xiph.OPUS_RATE, opus.channels, opus)
    vorbis = xiph.parse_vorbis_head(packet)
    if vorbis:
        return _Stream(serial, "vorbis", vorbis.sample_rate, vorbis.channels, vorbis)
    speex = xiph.parse_speex_head(packet)
    if speex:
        return _Stream(serial, "speex", speex.sample_rate, speex.channels, speex)
    at = {b"\x7fFLAC": 13 + 4, b"fLaC\0": 4 + 4}.get(packet[:5])
    if at is not None:
        info = parse_stream_info(packet[at : at + STREAMINFO_BYTES], offset + at)
        return _Stream(serial, "flac", info.sample_rate, info.channels, info)
    return None


def _name(packet: bytes) -> str:
    for magic, name in _OTHERS:
        if packet.startswith(magic):
            return name
    return "an unknown stream"


def _is_opened(codec: str, packets: List[bytes]) -> bool:
    """Whether the header packets behind the first are all: comments, of Vorbis also the setup."""
    if codec == "flac":  # metadata blocks, the last of them marked
        return bool(packets) and (not packets[-1] or packets[-1][0] & 0x80 != 0)
    return len(packets) >= (2 if codec == "vorbis" else 1)


def _tags(link: _Link) -> Tags:
    """The comments in the header packets, behind what names the packet."""
    codec = link.stream.codec
    names = {"opus": b"OpusTags", "vorbis": b"\x03vorbis", "speex": b""}
    for packet in link.packets:
        if codec == "flac":
            if packet[:1] in (b"\x04", b"\x84"):
                return vorbis_comment.parse(packet[4:])
        elif packet.startswith(names[codec]):
            return vorbis_comment.parse(packet[len(names[codec]) :])
    return {}


# How long it is


def _clock(link: _Link) -> Optional[Callable[[bytes], int]]:
    """A function that says how many samples a packet is, called for all in order.

    None where unknown.
    """
    head = link.stream.head
    if isinstance(head, xiph.OpusHead):
        return xiph.opus_packet_samples
    if isinstance(head, xiph.SpeexHead):
        return lambda packet: head.packet_samples
    if isinstance(head, xiph.VorbisHead):
        modes = xiph.parse_vorbis_modes(link.packets[1])
        return xiph.VorbisClock(head, modes).samples if modes else None
    return None


def _first_granule(source: Source, link: _Link) -> int:
    """The granule position at which the stream begins: not 0 where a recording began in its midst.

    The position of a page is that of the last sample that ends on it, so what its packets hold is
    subtracted (RFC 7845 section 4.3).  Less than 0 means samples that are not presented: Speex
    writes the look-ahead of its encoder so, which positions do not count and nobody hears.
    """
    clock = _clock(link)
    samples = 0
    for page in _pages(source, link.audio):
        if page.serial != link.stream.serial:
            continue
        for head, begins, _ in _packet_heads(source, page):
            if isinstance(link.stream.head, StreamInfo):
                frame = parse_frame(head, 0, link.stream.head)
                return frame.first_sample if frame else 0
            if clock is None:
                return 0
            samples += clock(head) if begins else 0
        if page.granule != _NO_PACKET_ENDS:
            return max(page.granule - samples, 0)
    return 0


def _presented(source: Source, link: _Link, last_granule: int) -> int:
    """Samples from the first to the last, without what the decoder makes to warm up."""
    skip = link.stream.head.pre_skip if isinstance(link.stream.head, xiph.OpusHead) else 0
    return max(last_granule - _first_granule(source, link) - skip, 0)


class _End(NamedTuple):
    """The last pages."""

    pages: Tuple[_Page, ...]  # whole ones, in order
    is_cut: bool  # the file ends inside a page


def _end(source: Source, link: _Link) -> _End:
    """The pages in the last 64 KiB, or in the last 1 MiB where the stream has none there."""
    for reach in (_TAIL_BYTES, MAX_READ):
        base = max(link.audio, source.size - reach)
        data = source.read(base, source.size - base)
        at = data.find(b"OggS")
        pages: List[_Page] = []
        is_cut = False
        while at >= 0:
            page = _page(data, at, base)
            is_cut = len(data) - at < _HEADER.size + 255 if page is None else page.end > source.size
            if page is not None and not is_cut:
                pages.append(page)
                at = page.end - base
            at = data.find(b"OggS", at if page is not None and not is_cut else at + 1)
        if base == link.audio or any(_is_sounding(page, link) for page in pages):
            break
    return _End(tuple(pages), is_cut)


def _is_sounding(page: _Page, link: _Link) -> bool:
    return page.serial == link.stream.serial and page.granule != _NO_PACKET_ENDS


def _is_one_stream(link: _Link, end: _End) -> bool:
    """Whether the end belongs to the stream of the beginning, as its sequence numbers tell.

    Streams one behind the other may have the same serial number, if a file was copied behind it:
    then the pages that were counted are too few for the bytes.
    """
    if any(page.serial not in link.serials or page.flags & _FIRST for page in end.pages):
        return False
    ours = [page for page in end.pages if page.serial == link.stream.serial]
    if not ours or not any(_is_sounding(page, link) for page in ours):
        return False
    if end.pages[0].offset <= link.audio + _TAIL_BYTES:
        return True
    mean = (ours[-1].end - ours[0].offset) / len(ours)
    return mean * (ours[-1].sequence + 1) > 0.75 * (ours[-1].end - link.audio)


class _Length(NamedTuple):
    samples: Optional[int]  # None: no page of audio
    end: int  # offset behind the last page
    is_cut: bool
    is_ended: bool  # the last page says so
    kinds: int  # of the streams one behind the other: codec, rate and channels
    is_emptied: bool = False  # the last page has zeros where its end was


def _length(source: Source, link: _Link) -> _Length:
    end = _end(source, link)
    if not _is_one_stream(link, end):
        return _walk(source, link, end.is_cut)
    last = [page for page in end.pages if _is_sounding(page, link)][-1]
    is_ended = any(page.flags & _LAST for page in end.pages if page.serial == link.stream.serial)
    samples = _presented(source, link, last.granule)
    return _Length(samples, end.pages[-1].end, end.is_cut, is_ended, 1, _is_emptied(source, last))


def _is_emptied(source: Source, page: _Page) -> bool:
    """Whether there are zeros where the end of a page was, as in a download that made room for all and got less."""
    if source.read(max(page.body, page.end - len(_FILL)), len(_FILL)) != _FILL:
        return False
    data = source.read(page.offset, page.end - page.offset)
    told = int.from_bytes(data[22:26], "little")
    return told != 0 and told != _checksum(data[:22] + bytes(4) + data[26:])


# A byte with its bits the other way round
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _checksum(page: bytes) -> int:
    """The CRC of a page (RFC 3533 section 6): zlib's with all bits the other way round, and nothing inverted."""
    mirrored = zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)


def _walk(source: Source, first: _Link, is_cut: bool) -> _Length:
    """Page by page, where the end does not tell: the streams one behind the other, added up."""
    link: Optional[_Link] = first
    seconds, links, granule, last = 0.0, 1, None, None
    kinds = {first.stream[1:4]}

    def close() -> float:
        if link is None or granule is None:
            return 0.0
        return _presented(source, link, granule) / link.stream.sample_rate

    for page in _pages(source, first.audio):
        if page.flags & _FIRST and (last is None or not last.flags & _FIRST) and links < _MAX_LINKS:
            seconds += close()
            links, granule = links + 1, None
            try:
                link = _open(source, page.offset)
                kinds.add(link.stream[1:4])
            except NotAudio:
                link = None
        elif link is not None and page.offset >= link.audio and _is_sounding(page, link):
            granule = page.granule
        last = page
    seconds += close()
    if last is None or not seconds:
        return _Length(None, first.audio, is_cut, False, 1)
    samples = round(seconds * first.stream.sample_rate)
    return _Length(samples, last.end, is_cut, bool(last.flags & _LAST), len(kinds))
