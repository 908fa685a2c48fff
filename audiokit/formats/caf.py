"""CAF, Apple's Core Audio Format.

"Apple Core Audio Format Specification 1.0".  Reads chunk headers, the description, the head of the
packet table and the information strings; the table itself only where it is needed to count.
Raises NotAudio for unknown data formats, Damaged where the description or the data is missing, or
nothing tells how long the packets are.

    "caff", u16 version, u16 flags; chunks: 4 characters, i64 size, content
    desc  f64 Hz, 4 characters format, u32 flags, u32 bytes a packet, u32 frames a packet (0 where
          they vary; a frame is one sample of every channel), u32 channels, u32 bits
    data  u32 edits, samples or packets; the size may be -1: to the end of the file
    pakt  i64 packets, i64 valid frames, i32 priming frames, i32 remainder; of each packet its
          bytes and its frames, where desc says 0, seven bits a byte, highest first
    chan  Apple's channel layout
    info  u32 count; key, zero, value, zero …
"""

from __future__ import annotations

import math
import struct
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

from audiokit.formats import tags as tagging
from audiokit.formats.alac import alac_packet_samples, unwrapped
from audiokit.formats.chunks import NAME
from audiokit.formats.info import AudioInfo, Damaged, NotAudio, Tags
from audiokit.formats.source import MAX_READ, Source
from audiokit.formats.speakers import Speakers, of_layout

MAX_CHUNKS = 1024
MAX_CHANNELS = 1024
MAX_RATE = 16_000_000  # Hz
MAX_INFO_BYTES = 1 << 18
MAX_LAYOUT_BYTES = 2048  # of the channel layout: a hundred descriptions
MAX_INFO_STRINGS = 1000  # keys and values
MAX_PACKETS = 1 << 20  # counted one by one, where they must be: nearly six hours of 20 ms
_MAX_NUMBER = (1 << 40) - 1
_MAX_PACKET_FRAMES = 1 << 24  # no codec comes near; what says more did not know
_CHUNK = struct.Struct(">4sq")
_DESCRIPTION = struct.Struct(">d4sIIIII")
_PACKET_TABLE = struct.Struct(">qqii")
_HEADER = 8 + _CHUNK.size + _DESCRIPTION.size  # bytes of a file that tell it from others: the magic and the description
_HEADERS = 4  # looked for on either side of the sound; libsndfile writes one
_IS_FLOAT, _IS_LITTLE = 1, 2
_ALAC_BITS = {1: 16, 2: 20, 3: 24, 4: 32}


class _Format(NamedTuple):
    codec: str
    profile: Optional[str] = None
    word: str = ""  # of RFC 6381, for `codecs=`
    lossless: bool = False


_FORMATS: Dict[bytes, _Format] = {
    b"aac ": _Format("aac", "LC", "mp4a.40.2"),
    b"aach": _Format("aac", "HE-AAC", "mp4a.40.5"),
    b"aacp": _Format("aac", "HE-AACv2", "mp4a.40.29"),
    b"aacl": _Format("aac", "LD", "mp4a.40.23"),
    b"aace": _Format("aac", "ELD", "mp4a.40.39"),
    b"usac": _Format("aac", "xHE-AAC", "mp4a.40.42"),
    b"alac": _Format("alac", word="alac", lossless=True),
    b"flac": _Format("flac", word="flac", lossless=True),
    b"opus": _Format("opus", word="opus"),
    b"ulaw": _Format("pcm_mulaw"),
    b"alaw": _Format("pcm_alaw"),
    b"ima4": _Format("adpcm_ima_qt"),
    b".mp1": _Format("mp1", "layer I"),
    b".mp2": _Format("mp2", "layer II"),
    b".mp3": _Format("mp3", "layer III", "mp3"),
    b"ac-3": _Format("ac3"),
    b"ec-3": _Format("eac3"),
    b"samr": _Format("amr_nb"),
    b"sawb": _Format("amr_wb"),
    b"ilbc": _Format("ilbc"),
    b"agsm": _Format("gsm"),
    b"ms\0\x02": _Format("adpcm_ms"),
    b"ms\0\x11": _Format("adpcm_ima_wav"),
    b"ms\0\x31": _Format("gsm_ms"),
    b"MAC3": _Format("mace3"),
    b"MAC6": _Format("mace6"),
    b"QDMC": _Format("qdmc"),
    b"QDM2": _Format("qdm2"),
    b"Qclp": _Format("qcelp"),
}
_STYLES = {"pcm_mulaw": "ulaw", "pcm_alaw": "alaw"}


class _Chunk(NamedTuple):
    offset: int  # of the content
    size: int  # bytes, as declared; -1 to the end of the file


class _Description(NamedTuple):
    rate: float  # Hz
    format: bytes
    flags: int
    packet_bytes: int  # 0: they vary
    packet_frames: int  # 0: they vary
    channels: int
    bits: int


class _Data(NamedTuple):
    offset: int
    size: int  # bytes that are there
    declared: int
    is_cut: bool


class _Length(NamedTuple):
    frames: int
    promised: int
    source: str
    is_cut: bool = False  # in the packet table, so that packets are lost that are there


def matches(head: bytes) -> bool:
    """The magic."""
    return head[:4] == b"caff"


def read(source: Source, start: int = 0) -> AudioInfo:
    """The CAF file at `start`."""
    chunks = _chunks(source, start + 8)
    if b"desc" not in chunks:
        raise Damaged("a CAF file without a desc chunk", start + 8)
    description = _description(source, chunks[b"desc"])
    form = _format(description, chunks[b"desc"])
    if b"data" not in chunks:
        raise Damaged("a CAF file without a data chunk", source.size)
    warnings: List[str] = []
    data = _data(source, start, chunks[b"data"], warnings)
    length = _length(source, description, data, chunks.get(b"pakt"), warnings)
    return _describe(source, chunks, description, form, data, length, warnings)


def _describe(
    source: Source, chunks: Dict[bytes, _Chunk], description: _Description, form: _Format,
    data: _Data, length: _Length, warnings: List[str],
) -> AudioInfo:  # fmt: skip
    if not length.frames:
        warnings.append("there are no samples")
    duration = length.frames / description.rate
    style = _STYLES.get(form.codec)
    if description.format == b"lpcm":
        style = "float" if description.flags & _IS_FLOAT else "int"
    is_constant, is_cut = bool(description.packet_bytes), data.is_cut or length.is_cut
    return AudioInfo(
        container="caf",
        codec=form.codec,
        codec_profile=form.profile,
        mime="audio/x-caf" + (f"; codecs={form.word}" if form.word else ""),
        sample_rate=round(description.rate),
        channels=description.channels,
        duration=duration,
        duration_exact=True,
        duration_source=length.source,
        duration_declared=length.promised / description.rate if is_cut else None,
        truncated=is_cut,
        bits_per_sample=_bits(source, chunks, description, form),
        sample_format=style or ("int" if form.lossless else None),
        bitrate=round(data.size * 8 / duration) if duration else None,
        bitrate_mode="CBR" if is_constant else "VBR",
        lossless=form.lossless,
        tags=_tags(source, chunks.get(b"info")),
        warnings=tuple(warnings),
        samples=length.frames,
        audio_offset=data.offset,
        audio_bytes=data.size,
        speakers=_speakers(source, chunks.get(b"chan"), description.channels),
    )


# The chunks
# ----------------------------------------------------------------------------------------


def _chunks(source: Source, position: int) -> Dict[bytes, _Chunk]:
    """The first chunk of every name."""
    found: Dict[bytes, _Chunk] = {}
    for _ in range(MAX_CHUNKS):
        head = source.read(position, _CHUNK.size)
        if len(head) < _CHUNK.size:
            break
        name, size = _CHUNK.unpack(head)
        position += _CHUNK.size
        if name == b"data" and 0 <= size <= 4 and not _is_chunk(source, position + size):
            size = -1  # by a program that writes to a pipe, and could not come back to say how much it was
        found.setdefault(name, _Chunk(position, size))
        if size < 0:
            break  # data to the end of the file; of anything else a lie that nothing can follow
        position += size
    return found


def _is_chunk(source: Source, position: int) -> bool:
    """Whether a chunk begins there, or the file has ended."""
    head = source.read(position, _CHUNK.size)
    if len(head) < _CHUNK.size:
        return not head
    name, size = _CHUNK.unpack(head)
    return NAME.match(name) is not None and -1 <= size <= source.size - position


def _description(source: Source, chunk: _Chunk) -> _Description:
    description = _Description(*source.unpack(_DESCRIPTION, chunk.offset))
    rate, channels = description.rate, description.channels
    if not math.isfinite(rate) or not 1 <= rate <= MAX_RATE or not 0 < channels <= MAX_CHANNELS:
        raise NotAudio(f"CAF with {channels} channels at {rate:g} Hz", chunk.offset)
    if description.packet_frames > _MAX_PACKET_FRAMES:
        raise Damaged(f"desc says {description.packet_frames} frames a packet", chunk.offset + 20)
    return description


def _format(description: _Description, chunk: _Chunk) -> _Format:
    if description.format != b"lpcm":
        form = _FORMATS.get(description.format)
        if form is None:
            name = description.format.decode("latin-1")
            raise NotAudio(f"CAF with the unknown format {name!r}", chunk.offset + 8)
        return form
    width, rest = divmod(description.packet_bytes, description.channels)
    widths = (4, 8) if description.flags & _IS_FLOAT else (1, 2, 3, 4)
    if rest or width not in widths or not 0 < description.bits <= 8 * width:
        raise NotAudio(
            f"CAF with PCM of {description.bits} bits in packets of "
            f"{description.packet_bytes} bytes",
            chunk.offset,
        )
    kind = "f" if description.flags & _IS_FLOAT else "s"
    order = "" if width == 1 else "le" if description.flags & _IS_LITTLE else "be"
    return _Format(f"pcm_{kind}{8 * width}{order}", lossless=True)


def _bits(source: Source, chunks: Dict[bytes, _Chunk], description: _Description, form: _Format) -> Optional[int]:
    """Valid bits of a sample; ALAC tells them in its flags, or in its magic cookie."""
    if form.codec in _STYLES:
        return 8
    if form.codec == "alac":
        bits = _ALAC_BITS.get(description.flags)
        if bits is None and b"kuki" in chunks:
            cookie = unwrapped(source.read(chunks[b"kuki"].offset, 48))
            bits = cookie[5] if len(cookie) > 5 else None
        return bits if bits in (16, 20, 24, 32) else None
    return description.bits or None if form.lossless else None


def _data(source: Source, start: int, chunk: _Chunk, warnings: List[str]) -> _Data:
    offset = chunk.offset + 4
    there = max(source.size - offset, 0)
    if chunk.size < 0:
        offset, end = _without_headers(source, start, offset)
        return _Data(offset, end - offset, end - offset, False)
    declared = max(chunk.size - 4, 0)
    if declared > there:
        if not there:
            raise Damaged(f"data says {declared} bytes, the file ends before them", chunk.offset)
        warnings.append(f"data says {declared} bytes, the file has {there}")
    return _Data(offset, min(declared, there), declared, declared > there)


def _without_headers(source: Source, start: int, offset: int) -> Tuple[int, int]:
    """Where data begins and ends that goes on to the end of the file.

    libsndfile writes its header again where it was to be filled in: in a pipe that is before and behind the sound.
    """
    head, length, end = source.read(start, _HEADER), offset - start, max(source.size, offset)
    for _ in range(_HEADERS):
        if end - offset >= length and source.read(offset, _HEADER) == head:
            offset += length
        if end - offset >= length and source.read(end - length, _HEADER) == head:
            end -= length
    return offset, end


# How long it is
# ------------------------------------------------------------------------------------


def _length(
    source: Source,
    description: _Description,
    data: _Data,
    table: Optional[_Chunk],
    warnings: List[str],
) -> _Length:
    per_packet, packet_bytes = description.packet_frames, description.packet_bytes
    head = source.read(table.offset, _PACKET_TABLE.size) if table else b""
    if table is None or len(head) < _PACKET_TABLE.size:
        if not packet_bytes or not per_packet:
            raise Damaged("nothing tells how long the packets are: the packet table is missing", source.size)
        frames = data.size // packet_bytes * per_packet
        return _Length(frames, data.declared // packet_bytes * per_packet, "samples")
    is_cut = not packet_bytes and table.offset + table.size > source.size
    packets, valid, priming, remainder = _PACKET_TABLE.unpack(head)
    priming, remainder = max(priming, 0), max(remainder, 0)
    if packet_bytes and per_packet:
        held = data.size // packet_bytes * per_packet
        promised = data.declared // packet_bytes * per_packet
    elif data.is_cut or is_cut or not per_packet or valid <= 0:
        walked = _walk(source, description, data, table, packets, warnings)
        held, promised = walked.held, walked.promised
    else:
        held = promised = max(packets, 0) * per_packet
    # valid frames are those behind the priming and before the remainder
    wanted = valid if 0 < valid <= promised else max(promised - priming - remainder, 0)
    if 0 < promised < valid and not is_cut:
        warnings.append(f"the packet table says {valid} frames, its packets hold {promised}")
    if is_cut:
        wanted = valid if valid > 0 else max(packets * per_packet - priming - remainder, wanted)
    elif description.format == b"alac" and wanted == promised and not data.is_cut:
        wanted -= _unfilled(source, description, data, table, packets)
    present = min(wanted, max(held - priming, 0))
    if present < wanted and not data.is_cut and not is_cut:
        warnings.append(f"the packet table says {wanted} frames, the data holds {held}")
    is_walked = packet_bytes == 0 and (data.is_cut or is_cut)
    return _Length(present, wanted, "frames" if is_walked else "header", is_cut)


class _Walked(NamedTuple):
    """What the packet table says, packet by packet."""

    held: int  # frames of the packets that are whole
    promised: int  # frames of all
    last: int  # bytes from the start of the data to the last packet


def _walk(
    source: Source,
    description: _Description,
    data: _Data,
    table: _Chunk,
    packets: int,
    warnings: List[str],
) -> _Walked:
    numbers = _numbers(source, table)
    size, frames = description.packet_bytes, description.packet_frames
    used = held = promised = last = 0
    for _ in range(min(packets, MAX_PACKETS)):
        try:
            size = description.packet_bytes or next(numbers)
            frames = description.packet_frames or next(numbers)
        except StopIteration:
            if not description.packet_frames:
                raise Damaged("the packet table does not tell how long packets are", table.offset)
            warnings.append("the packet table ends early")
            break
        last, used = used, used + size
        promised += frames
        held = promised if used <= data.size else held
    if packets > MAX_PACKETS:
        warnings.append(f"only the first {MAX_PACKETS} of {packets} packets were counted")
    if not data.is_cut and used > data.size:
        warnings.append(f"the packets should take {used} bytes, the data has {data.size}")
    return _Walked(held, promised, last)


def _numbers(source: Source, table: _Chunk) -> Iterator[int]:
    """The numbers of the packet table; of those that are too long for any use, the lowest bits."""
    stop = min(table.offset + max(table.size, 0), source.size)
    number = 0
    for position in range(table.offset + _PACKET_TABLE.size, stop, MAX_READ):
        for byte in source.read(position, min(MAX_READ, stop - position)):
            number = (number << 7 | byte & 0x7F) & _MAX_NUMBER
            if byte < 0x80:
                yield number
                number = 0


def _unfilled(source: Source, description: _Description, data: _Data, table: _Chunk, packets: int) -> int:
    """Frames that the last packet of ALAC lacks, where the table does not tell its remainder."""
    last = _walk(source, description, data, table, packets, []).last
    whole = description.packet_frames
    return whole - alac_packet_samples(source.read(data.offset + last, 7), whole)


def _speakers(source: Source, chunk: Optional[_Chunk], channels: int) -> Speakers:
    size = min(max(chunk.size, 0), MAX_LAYOUT_BYTES) if chunk else 0
    return of_layout(source.read(chunk.offset, size), channels) if size else ()


def _tags(source: Source, chunk: Optional[_Chunk]) -> Tags:
    tags: Tags = {}
    if chunk is None:
        return tags
    content = source.read(chunk.offset + 4, min(max(chunk.size - 4, 0), MAX_INFO_BYTES))
    strings = content.split(b"\0", MAX_INFO_STRINGS)[:MAX_INFO_STRINGS]
    for key, value in zip(strings[::2], strings[1::2]):
        name = tagging.canonical("caf", tagging.utf8_or_cp1252(key))
        tagging.add(tags, name, tagging.utf8_or_cp1252(value))
    return tags
