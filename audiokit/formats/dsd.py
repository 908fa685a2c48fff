"""DSD, one bit a sample: Sony's DSF and Philips' DSDIFF (.dff), in the latter also lossless DST.

"DSF File Format Specification" 1.01 and "DSDIFF File Format Specification" 1.5.  The rate is the
true one of the single bits (2822400 Hz for DSD64).  Reads chunk headers and tags, of the samples
nothing; where a DST file is cut short, the headers of its frames.  Raises NotAudio for other
contents, Damaged where the parts that describe the sound are missing.

    DSF     little-endian: "DSD ", u64 28, u64 bytes of the file, u64 offset of an ID3v2 tag or 0
            "fmt ", u64 52, u32 version 1, u32 format 0, u32 channel type, u32 channels, u32 Hz,
            u32 bits (1: the lowest bit first, 8: the highest), u64 samples a channel, u32 4096,
            u32 0
            "data", u64 size of the chunk; blocks of 4096 bytes, one of each channel in turn,
            the last ones filled up
    DSDIFF  big-endian: "FRM8", u64 size, "DSD "; chunks: 4 characters, u64 size, content, a pad
            byte if odd
            PROP "SND " { FS u32 Hz, CHNL u16 channels …, CMPR 4 characters … }
            "DSD " samples, a byte of each channel in turn; or
            "DST " { FRTE u32 frames, u16 frames a second; DSTF one frame, DSTC its checksum … }
            DIIN { DIAR artist, DITI title: u32 length, text }, "ID3 " an ID3v2 tag
"""

from __future__ import annotations

import struct
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

from audiokit.formats import id3
from audiokit.formats import tags as tagging
from audiokit.formats.chunks import Chunk
from audiokit.formats.info import AudioInfo, Damaged, NotAudio, Picture, Tags
from audiokit.formats.source import Source

MAX_CHANNELS = 64
MAX_RATE = 100_000_000  # Hz; DSD1024 is 49152000
MAX_CHUNKS = 1024  # of one level
MAX_DST_FRAMES = 1 << 19  # at 75 a second, two hours; only a file that is cut short is walked
_DSF_HEAD = struct.Struct("<4sQQQ")
_DSF_FORMAT = struct.Struct("<4sQIIIIIIQII")
_DSF_DATA = struct.Struct("<4sQ")
_CHUNK = struct.Struct(">4sQ")


def matches(head: bytes) -> bool:
    """Either magic."""
    return head[:4] == b"DSD " or head[:4] == b"FRM8" and head[12:16] == b"DSD "


def read(source: Source, start: int = 0) -> AudioInfo:
    """The DSF or DSDIFF file at `start`."""
    return (_read_dsf(source, start) if source.read(start, 4) == b"DSD " else _read_dff(source, start))


class _Sound(NamedTuple):
    """What is said of the samples, and what is there of them."""

    container: str
    codec: str
    rate: int  # Hz of single bits
    channels: int
    samples: int  # a channel, that are there
    promised: int
    offset: int
    size: int  # bytes that are there
    is_cut: bool


def _describe(sound: _Sound, tags: Tags, pictures: Tuple[Picture, ...], warnings: List[str]) -> AudioInfo:
    if not 0 < sound.channels <= MAX_CHANNELS or not 0 < sound.rate <= MAX_RATE:
        raise NotAudio(f"DSD with {sound.channels} channels at {sound.rate} Hz")
    if sound.promised and not sound.samples and sound.is_cut:
        raise Damaged("samples are promised, the file ends before them", sound.offset)
    if not sound.samples:
        warnings.append("there are no samples")
    duration = sound.samples / sound.rate
    is_packed = sound.codec == "dst"
    return AudioInfo(
        container=sound.container,
        codec=sound.codec,
        mime="audio/x-" + sound.container,
        sample_rate=sound.rate,
        channels=sound.channels,
        duration=duration,
        duration_exact=True,
        duration_source="frames" if is_packed else "samples",
        duration_declared=sound.promised / sound.rate if sound.is_cut else None,
        truncated=sound.is_cut,
        bits_per_sample=1,
        sample_format="int",
        bitrate=round(sound.size * 8 / duration)
        if is_packed and duration
        else sound.rate * sound.channels,
        bitrate_mode="VBR" if is_packed else "CBR",
        lossless=True,
        tags=tags,
        pictures=pictures,
        warnings=tuple(warnings),
        samples=sound.samples,
        audio_offset=sound.offset,
        audio_bytes=sound.size,
    )


# DSF
# -----------------------------------------------------------------------------------------------


def _read_dsf(source: Source, start: int) -> AudioInfo:
    _, head_size, file_size, tag_at = source.unpack(_DSF_HEAD, start)
    if head_size < _DSF_HEAD.size:
        raise Damaged(f"the DSD chunk says {head_size} bytes, it has 28", start + 4)
    at = start + head_size
    name, size, version, form, _, channels, rate, bits, samples, block, _ = source.unpack(_DSF_FORMAT, at)
    if name != b"fmt " or size < _DSF_FORMAT.size:
        raise Damaged("a DSF file without a fmt chunk", at)
    if version != 1 or form or bits not in (1, 8) or not 0 < block <= 1 << 20:
        raise NotAudio(f"DSF of version {version}, format {form}, {bits} bits", at + 12)
    name, data_size = source.unpack(_DSF_DATA, at + size)
    if name != b"data":
        raise Damaged("a DSF file without a data chunk", at + size)
    if not 0 < channels <= MAX_CHANNELS:
        raise NotAudio(f"DSF with {channels} channels", at + 24)
    first = at + size + _DSF_DATA.size
    there = min(max(data_size - _DSF_DATA.size, 0), source.size - first)
    groups, rest = divmod(there, block * channels)
    last = rest - block * (channels - 1)  # of the last channel's block: what all channels have
    present = 8 * (groups * block + max(last, 0))
    warnings: List[str] = []
    is_cut = present < samples or first + data_size - _DSF_DATA.size > source.size
    if present < samples:
        warnings.append(f"the header says {samples} samples a channel, the file has {present}")
    elif is_cut or start + file_size > source.size:
        warnings.append(f"the header says {file_size} bytes, the file has {source.size - start}")
    tags, pictures = _id3(source, start + tag_at) if tag_at else ({}, ())
    sound = _Sound("dsf", "dsd", rate, channels, min(present, samples), samples, first, there, is_cut)
    return _describe(sound, tags, pictures, warnings)


def _id3(source: Source, offset: int) -> Tuple[Tags, Tuple[Picture, ...]]:
    if offset >= source.size:
        return {}, ()
    tag = id3.read_tag(source, offset)
    return tag.tags, tag.pictures


# DSDIFF
# --------------------------------------------------------------------------------------------


def _read_dff(source: Source, start: int) -> AudioInfo:
    chunks: Dict[bytes, Chunk] = {}
    for chunk in _chunks(source, start + 16, source.size):
        chunks.setdefault(chunk.name, chunk)
    properties = chunks.get(b"PROP")
    if properties is None or source.read(properties.offset, 4) != b"SND ":
        raise Damaged("a DSDIFF file without its PROP chunk", start + 16)
    rate, channels, compression = _properties(source, properties)
    warnings: List[str] = []
    if compression == b"DSD ":
        sound = _plain(source, chunks.get(b"DSD "), rate, channels, warnings)
    elif compression == b"DST ":
        sound = _dst(source, chunks.get(b"DST "), rate, channels, warnings)
    else:
        raise NotAudio(f"DSDIFF with the unknown compression {compression!r}", properties.offset)
    tags, pictures = _id3(source, chunks[b"ID3 "].offset) if b"ID3 " in chunks else ({}, ())
    if b"DIIN" in chunks:
        tagging.fill(tags, _edited_master(source, chunks[b"DIIN"]))
    return _describe(sound, tags, pictures, warnings)


def _chunks(source: Source, position: int, stop: int) -> Iterator[Chunk]:
    for _ in range(MAX_CHUNKS):
        head = source.read(position, _CHUNK.size)
        if len(head) < _CHUNK.size or position >= stop:
            return
        name, size = _CHUNK.unpack(head)
        yield Chunk(name, position + _CHUNK.size, size)
        position += _CHUNK.size + size + size % 2


def _properties(source: Source, properties: Chunk) -> Tuple[int, int, bytes]:
    """Rate, channels and compression of the sound."""
    rate, channels, compression = 0, 0, b"DSD "
    for chunk in _chunks(source, properties.offset + 4, properties.end):
        content = source.read(chunk.offset, 4)
        if chunk.name == b"FS  ":
            rate = int.from_bytes(content, "big")
        elif chunk.name == b"CHNL":
            channels = int.from_bytes(content[:2], "big")
        elif chunk.name == b"CMPR":
            compression = content
    if not 0 < channels <= MAX_CHANNELS or not 0 < rate <= MAX_RATE:
        raise NotAudio(f"DSDIFF with {channels} channels at {rate} Hz", properties.offset)
    return rate, channels, compression


def _plain(source: Source, chunk: Optional[Chunk], rate: int, channels: int, warnings: List[str]) -> _Sound:
    if chunk is None:
        raise Damaged("a DSDIFF file without samples", source.size)
    there = min(chunk.size, source.size - chunk.offset)
    is_cut = there < chunk.size
    if is_cut:
        warnings.append(f"the samples should take {chunk.size} bytes, the file has {there}")
    samples, promised = there // channels * 8, chunk.size // channels * 8
    return _Sound("dff", "dsd", rate, channels, samples, promised, chunk.offset, there, is_cut)


def _dst(source: Source, chunk: Optional[Chunk], rate: int, channels: int, warnings: List[str]) -> _Sound:
    first = next(_chunks(source, chunk.offset, chunk.end), None) if chunk else None
    if chunk is None or first is None or first.name != b"FRTE":
        raise Damaged("a DSDIFF file whose DST frames are not counted", source.size)
    head = source.read(first.offset, 6)
    count, per_second = int.from_bytes(head[:4], "big"), int.from_bytes(head[4:], "big")
    if not per_second:
        raise Damaged("a DSDIFF file with 0 frames a second", first.offset + 4)
    there = min(chunk.size, source.size - chunk.offset)
    whole = count
    if there < chunk.size:
        whole = min(_whole_frames(source, first.end + first.size % 2), count)
        warnings.append(f"the header says {count} frames, the file has {whole}")
    return _Sound(
        "dff", "dst", rate, channels, whole * rate // per_second, count * rate // per_second,
        chunk.offset, there, there < chunk.size,
    )  # fmt: skip


def _whole_frames(source: Source, position: int) -> int:
    whole = 0
    for _ in range(MAX_DST_FRAMES):
        head = source.read(position, _CHUNK.size)
        if len(head) < _CHUNK.size:
            break
        name, size = _CHUNK.unpack(head)
        position += _CHUNK.size + size + size % 2
        if position > source.size or name not in (b"DSTF", b"DSTC"):
            break
        whole += name == b"DSTF"
    return whole


def _edited_master(source: Source, chunk: Chunk) -> Tags:
    """DIIN: the artist and the title."""
    tags: Tags = {}
    for one in _chunks(source, chunk.offset, chunk.end):
        name = {b"DIAR": "artist", b"DITI": "title"}.get(one.name)
        if name:
            length = int.from_bytes(source.read(one.offset, 4), "big")
            text = source.read(one.offset + 4, min(length, 4 * tagging.MAX_CHARACTERS))
            tagging.add(tags, name, tagging.utf8_or_cp1252(text))
    return tags
