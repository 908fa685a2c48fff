"""The WAV family: RIFF and RIFX, RF64 and BW64 beyond 4 GiB, Sony's Wave64.

IBM's and Microsoft's "Multimedia Programming Interface and Data Specifications 1.0" (RIFF, WAVE,
INFO), EBU Tech 3285 (bext) and 3306 (RF64), ITU-R BS.2088 (BW64), Sony Pictures' "Sony Wave64".
Reads chunk headers, the format, the tags; of the samples nothing, except where frames of MPEG
audio, AAC or AC-3 are to be counted.  Raises NotAudio for what is no WAVE, Damaged where a promised
part is missing altogether.

    RIFF/RIFX  "RIFF", u32 size, "WAVE"; chunks: 4 characters, u32 size, content, a pad byte if odd
    RF64/BW64  the same with sizes of FFFFFFFF, the true ones in a first chunk "ds64":
               u64 RIFF size, u64 data size, u64 samples, u32 entries: 4 characters, u64 size
    Wave64     GUIDs for the names, u64 sizes that include the header, content padded to 8
"""

from __future__ import annotations

import re
import struct
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

from audiokit.formats import id3
from audiokit.formats import tags as tagging
from audiokit.formats.chunks import MAX_CHUNKS, NAME, STREAMED, Chunk, behind
from audiokit.formats.info import AudioInfo, Damaged, NotAudio, Picture, Tags
from audiokit.formats.source import Source
from audiokit.formats.speakers import of_mask
from audiokit.formats.wave_format import WaveFormat, parse_wave_format

MAX_INFO_BYTES = 1 << 18  # of a LIST of tags that are looked at
_UNKNOWN = 0xFFFFFFFF  # a size that the writer did not know, or that is in ds64
_DS64 = struct.Struct("<QQQI")
_MAX_LONG = 64  # chunks beyond 4 GiB besides the data
_NEVER = 1 << 62  # bytes; what says more, in the 64 bits of Wave64 and ds64, was written to a pipe
_W64_PADDING = 7  # bytes of padding that some writers of Wave64 count as content
_W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_W64_WAVE = bytes.fromhex("77617665f3acd3118cd100c04f8edb8a")


class _Layout(NamedTuple):
    """How one member of the family writes its chunks."""

    container: str
    byte_order: str
    first: int  # offset of the first chunk
    end: int  # offset that the outermost size claims; 0 where it claims nothing


class _Parts(NamedTuple):
    """The chunks that matter."""

    format: Optional[Chunk]
    data: Optional[Chunk]
    fact: Optional[Chunk]
    ds64: Optional[Chunk]
    texts: Tuple[Chunk, ...]  # LIST, id3, bext


def matches(head: bytes) -> bool:
    """RIFF, RIFX, RF64 or BW64 of any form, or Wave64; other forms are refused by name in
    `read`."""
    return (
        head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64")
        and len(head) >= 8
        or head[:16] == _W64_RIFF
    )


def read(source: Source, start: int = 0) -> AudioInfo:
    """The WAV file at `start`."""
    layout = _layout(source, start)
    parts = _parts(source, layout)
    if parts.format is None:
        raise NotAudio("a WAV file without a format chunk", layout.first)
    described = source.read(parts.format.offset, min(parts.format.size, 128))
    wave = parse_wave_format(described, parts.format.offset, layout.byte_order)
    if parts.data is None:
        for chunk in parts.texts:
            if source.read(chunk.offset, 4) == b"wavl":
                raise NotAudio("a WAV file of pieces with silence between them (wavl), which is not read", chunk.offset)
        raise Damaged("a WAV file without a data chunk", layout.first)
    warnings: List[str] = []
    data = _Data.of(source, layout, parts, warnings)
    if layout.end > source.size and layout.end - start < STREAMED and not data.is_cut:
        warnings.append(f"RIFF says {layout.end - start} bytes, the file has {source.size - start}")
    fact = _fact_samples(source, layout, parts)
    length = _length(source, wave, data, fact, warnings)
    tags, pictures = _tags(source, parts.texts)
    return _describe(layout, wave, data, length, tags, pictures, warnings)


# The chunks


def _layout(source: Source, start: int) -> _Layout:
    head = source.read(start, 40)
    if head[:16] == _W64_RIFF:
        if head[24:40] != _W64_WAVE:
            raise NotAudio("a Wave64 file without WAVE", start + 24)
        return _Layout("w64", "<", start + 40, start + int.from_bytes(head[16:24], "little"))
    if len(head) < 12:
        raise EOFError(start + len(head))
    form, magic = head[8:12], head[:4]
    if form != b"WAVE":
        raise NotAudio(f"a RIFF file of {_FORMS.get(form, repr(form.decode('latin-1')))}, not WAVE", start + 8)
    byte_order = ">" if magic == b"RIFX" else "<"
    size = struct.unpack(byte_order + "I", head[4:8])[0]
    container = {b"RF64": "rf64", b"BW64": "bw64"}.get(magic, "wav")
    return _Layout(container, byte_order, start + 12, start + 8 + size if size not in (0, _UNKNOWN) else 0)


_FORMS = {
    b"AVI ": "AVI video",
    b"WEBP": "a WebP picture",
    b"RMID": "MIDI",
    b"ACON": "an animated cursor",
    b"sfbk": "a SoundFont",
    b"DLS ": "downloadable sounds",
    b"CDDA": "a CD track's place",
    b"CDXA": "CD-XA",
}


def _parts(source: Source, layout: _Layout) -> _Parts:
    found: Dict[bytes, Chunk] = {}
    texts: List[Chunk] = []
    ds64 = None
    for chunk in _chunks(source, layout):
        name = chunk.name.lower() if layout.container == "w64" else chunk.name
        if name == b"ds64":
            ds64 = chunk
        elif name in (b"LIST", b"list", b"id3 ", b"ID3 ", b"bext"):
            texts.append(chunk)
        elif name in (b"fmt ", b"data", b"fact"):
            found.setdefault(name, chunk)
    return _Parts(found.get(b"fmt "), found.get(b"data"), found.get(b"fact"), ds64, tuple(texts))


def _chunks(source: Source, layout: _Layout) -> Iterator[Chunk]:
    """The chunks in order; the size of a data chunk is as it must be to go on, others as
    declared."""
    is_w64 = layout.container == "w64"
    head_bytes = 24 if is_w64 else 8
    position = layout.first
    long: Dict[bytes, int] = {}  # sizes of 64 bits, which ds64 tells
    for _ in range(MAX_CHUNKS):
        head = source.read(position, head_bytes)
        if len(head) < head_bytes:
            return
        name, content = head[:4], position + head_bytes
        if is_w64:
            size = int.from_bytes(head[16:24], "little") - head_bytes
        else:
            size = struct.unpack(layout.byte_order + "I", head[4:8])[0]
        if size < 0 or not NAME.match(name):
            return
        if name == b"ds64":
            long = _long_sizes(source.read(content, min(size, _DS64.size + 12 * _MAX_LONG)))
        if name == b"data":
            size = _data_size(source, layout, content, size, long.get(name, 0))
        elif size == _UNKNOWN:
            size = long.get(name, size)
        yield Chunk(name, content, size)
        if content + size >= source.size:
            return
        end = content + size
        position = end + -(end - layout.first) % 8 if is_w64 else behind(source, end, size % 2 == 1)


def _long_sizes(ds64: bytes) -> Dict[bytes, int]:
    """The size of the data chunk, and of others beyond 4 GiB, by their names (EBU Tech 3306 section 4)."""
    if len(ds64) < _DS64.size:
        return {}
    _, data, _, count = _DS64.unpack_from(ds64)
    sizes = {b"data": data}
    for at in range(_DS64.size, min(_DS64.size + 12 * count, len(ds64) - 11), 12):
        sizes.setdefault(ds64[at : at + 4], int.from_bytes(ds64[at + 4 : at + 12], "little"))
    return sizes


def _data_size(source: Source, layout: _Layout, content: int, size: int, ds64_size: int) -> int:
    """The bytes that the data chunk claims, where one can say; the rest of the file where it was
    never told.

    Beyond 4 GiB plain RIFF wraps around; programs that cannot go back leave 0.
    """
    rest = source.size - content
    if size == _UNKNOWN and ds64_size:
        return ds64_size
    if size == 0 and rest > 0 and not _is_chunk(source, content, layout):
        return rest
    if layout.container == "wav" and size != _UNKNOWN and rest - size >= 1 << 32:
        return size + ((rest - size) >> 32 << 32)
    return size


def _is_chunk(source: Source, position: int, layout: _Layout) -> bool:
    """Whether what is at `position` looks like another chunk that fits into the file."""
    head = source.read(position, 8)
    if len(head) < 8 or not re.match(rb"[A-Za-z0-9_ ]{4}", head):
        return False
    return position + 8 + struct.unpack(layout.byte_order + "I", head[4:8])[0] <= source.size + 1


class _Data(NamedTuple):
    """The coded audio: what is there, and what was promised."""

    offset: int
    size: int  # bytes that are there
    declared: Optional[int]  # bytes promised, where more
    is_cut: bool
    padding: int  # bytes that `size` may have too much

    @classmethod
    def of(cls, source: Source, layout: _Layout, parts: _Parts, warnings: List[str]) -> _Data:
        """The data chunk against the file's size."""
        offset, size = parts.data.offset, parts.data.size
        rest = max(source.size - offset, 0)
        padding = {"w64": _W64_PADDING, "rf64": 1, "bw64": 1}.get(layout.container, 0)
        if size <= rest:
            return cls(offset, size, None, False, padding)
        if size >= (STREAMED if layout.container == "wav" else _NEVER) or size == _UNKNOWN:
            warnings.append(f"data says {size} bytes, as if written to a pipe, the file has {rest}")
            return cls(offset, rest, None, False, 0)
        if rest == 0:
            raise Damaged(f"data says {size} bytes, the file ends before them", offset)
        warnings.append(f"data says {size} bytes, the file has {rest}")
        return cls(offset, rest, size, True, 0)


def _fact_samples(source: Source, layout: _Layout, parts: _Parts) -> int:
    """Samples a channel that the fact chunk or ds64 claims; 0 where nothing does."""
    samples = 0 if parts.ds64 is None else _UNKNOWN
    if parts.fact is not None and parts.fact.size >= 4:
        width = 8 if layout.container == "w64" and parts.fact.size >= 8 else 4
        raw = source.read(parts.fact.offset, width)
        samples = int.from_bytes(raw, "little" if layout.byte_order == "<" else "big")
    if samples == _UNKNOWN:
        samples = (int.from_bytes(source.read(parts.ds64.offset + 16, 8), "little") if parts.ds64 else 0)
    return samples


# How long it is


class _Length(NamedTuple):
    """The duration and how it is known; `inner` describes frames that were counted."""

    samples: Optional[int]
    seconds: float
    source: str
    is_exact: bool
    declared: Optional[float] = None
    inner: Optional[AudioInfo] = None


def _length(source: Source, wave: WaveFormat, data: _Data, fact: int, warnings: List[str]) -> _Length:
    if wave.is_linear:
        if 0 <= data.size - fact * wave.block_align <= data.padding and fact:
            return _of_samples(fact, wave, None)
        if data.size % wave.block_align > data.padding:
            warnings.append(f"the data ends inside a sample of {wave.block_align} bytes")
        declared = data.declared // wave.block_align / wave.sample_rate if data.declared else None
        return _of_samples(data.size // wave.block_align, wave, declared)
    inner = _count_frames(source, wave, data)
    if inner is not None:
        return _Length(inner.samples, inner.duration, inner.duration_source, inner.duration_exact, None, inner)
    counted = wave.samples_in(data.size)
    if counted:
        promised = wave.samples_in(data.declared or data.size)
        filled = max(wave.samples_per_block or wave.samples_in(wave.block_align), 2)  # G.726 and such have blocks, too
        if 0 < promised - fact < filled:
            promised = fact  # the last block is filled up
        elif fact and abs(promised - fact) > max(wave.samples_per_block, 1) and fact != promised:
            warnings.append(f"fact says {fact} samples, the data holds {counted}")
        declared = promised / wave.sample_rate if data.is_cut else None
        return _of_samples(min(counted, promised), wave, declared)
    return _by_rate(wave, data, fact)


def _of_samples(samples: int, wave: WaveFormat, declared: Optional[float]) -> _Length:
    return _Length(samples, samples / wave.sample_rate, "samples", True, declared)


def _count_frames(source: Source, wave: WaveFormat, data: _Data) -> Optional[AudioInfo]:
    """What counting the frames says, for codecs that are streams of frames; None where there are
    none."""
    part = source.part(data.offset, data.offset + data.size)
    try:
        if wave.codec in ("mp2", "mp3"):
            from audiokit.formats import mpeg

            return mpeg.read(part)
        if wave.codec == "aac":
            from audiokit.formats import adts

            return adts.read(part) if adts.matches(part.read(0, 64)) else None
        if wave.codec in ("ac3", "eac3"):
            from audiokit.formats import ac3

            return ac3.read(part) if ac3.matches(part.read(0, 64)) else None
    except NotAudio:
        pass  # what the chunk calls frames is none: the header's word is all there is
    return None


def _by_rate(wave: WaveFormat, data: _Data, fact: int) -> _Length:
    """By the fact chunk, else by the average bytes a second."""
    seconds = data.size / wave.byte_rate if wave.byte_rate else 0.0
    if fact and not data.is_cut:
        return _Length(fact, fact / wave.sample_rate, "header", True)
    if not seconds:
        raise Damaged(f"{wave.codec} in WAV that does not tell its duration", data.offset)
    declared = data.declared / wave.byte_rate if data.declared else None
    return _Length(None, seconds, "estimate", False, declared)


# Tags ---------------------------------------------------------------------------------------------


def _tags(source: Source, texts: Tuple[Chunk, ...]) -> Tuple[Tags, Tuple[Picture, ...]]:
    """ID3 first, which has encodings, then INFO, then what broadcasters write."""
    tags: Tags = {}
    pictures: Tuple[Picture, ...] = ()
    for chunk in texts:
        if chunk.name.lower() == b"id3 ":
            tag = id3.read_tag(source, chunk.offset)
            tagging.fill(tags, tag.tags)
            pictures += tag.pictures
    for chunk in texts:
        if chunk.name.upper() == b"LIST" and source.read(chunk.offset, 4) == b"INFO":
            tagging.fill(tags, _info_tags(source.read(chunk.offset + 4, min(chunk.size - 4, MAX_INFO_BYTES))))
    for chunk in texts:
        if chunk.name == b"bext":
            tagging.fill(tags, _bext_tags(source.read(chunk.offset, min(chunk.size, 602))))
    return tags, pictures


def _info_tags(data: bytes) -> Tags:
    """INFO: 4 characters, u32 size, text, a pad byte if odd, which some writers forget."""
    tags: Tags = {}
    position = 0
    while position + 8 <= len(data):
        name = data[position : position + 4].decode("latin-1")
        little = int.from_bytes(data[position + 4 : position + 8], "little")
        big = int.from_bytes(data[position + 4 : position + 8], "big")
        size = min(little, big)  # RIFX writes it the other way round; a text is short
        text = data[position + 8 : position + 8 + size]
        tagging.add(tags, tagging.canonical("riff", name), tagging.utf8_or_cp1252(text))
        position += 8 + size
        if size % 2 and (data[position : position + 1] < b"A" or not data[position : position + 4].isalnum()):
            position += 1
    return tags


def _bext_tags(data: bytes) -> Tags:
    """bext: description 256, originator 32, reference 32, date 10 (yyyy-mm-dd), …"""
    tags: Tags = {}
    tagging.add(tags, "description", tagging.utf8_or_cp1252(data[:256]))
    tagging.add(tags, "encodedby", tagging.utf8_or_cp1252(data[256:288]))
    date = tagging.utf8_or_cp1252(data[320:330])
    if re.fullmatch(r"\d{4}.\d\d.\d\d", date) and date[:4] != "0000":
        tagging.add(tags, "date", f"{date[:4]}-{date[5:7]}-{date[8:]}")
    return tags


# All together


def _describe(
    layout: _Layout,
    wave: WaveFormat,
    data: _Data,
    length: _Length,
    tags: Tags,
    pictures: Tuple[Picture, ...],
    warnings: List[str],
) -> AudioInfo:
    inner = length.inner
    if length.seconds == 0:
        warnings.append("there are no samples")
    if inner is not None:
        warnings += inner.warnings
        if inner.sample_rate != wave.sample_rate or inner.channels != wave.channels:
            warnings.append(
                f"the format chunk says {wave.channels} channels at {wave.sample_rate} Hz, "
                f"the frames {inner.channels} at {inner.sample_rate} Hz"
            )
    is_lossless = wave.sample_format in ("int", "float") or wave.codec in ("flac", "wmalossless")
    bits = (wave.valid_bits if wave.sample_format in ("int", "float") else 8 if wave.is_linear else None)
    if wave.is_linear:
        bitrate: Optional[int] = wave.sample_rate * wave.block_align * 8
    else:
        bitrate = round(data.size * 8 / length.seconds) if length.seconds else None
    return AudioInfo(
        container=layout.container,
        codec=inner.codec if inner else wave.codec,
        codec_profile=inner.codec_profile if inner else None,
        mime="audio/x-w64" if layout.container == "w64" else "audio/wav",
        sample_rate=inner.sample_rate if inner else wave.sample_rate,
        channels=inner.channels if inner else wave.channels,
        duration=length.seconds,
        duration_exact=length.is_exact,
        duration_source=length.source,
        duration_declared=length.declared,
        truncated=data.is_cut or bool(inner and inner.truncated),
        bits_per_sample=bits,
        sample_format=wave.sample_format,
        bitrate=inner.bitrate if inner else bitrate,
        bitrate_mode=inner.bitrate_mode if inner else "CBR",
        lossless=is_lossless,
        tags=tags,
        pictures=pictures,
        warnings=tuple(warnings),
        samples=length.samples,
        audio_offset=data.offset,
        audio_bytes=length.samples * wave.block_align if wave.is_linear else data.size,
        speakers=of_mask(wave.channel_mask, wave.channels),
    )
