"""AIFF and AIFF-C.

Apple's "Audio Interchange File Format: AIFF" 1.3 and "AIFF-C" draft of 1991; ima4 by QuickTime's
sound format description.  Reads chunk headers and texts, of the samples nothing.  Raises NotAudio
for other forms and unknown compressions, Damaged where COMM or SSND is missing.  The standard
library's aifc cannot serve: it is gone from Python 3.13 and knew half of the compressions.

    "FORM", u32 size, "AIFF" or "AIFC"; chunks: 4 characters, u32 size, content, a pad byte if odd
    COMM  i16 channels, u32 sample frames, i16 bits, 80-bit float rate; AIFC: 4 characters
          compression, its name
    CHAN  Apple's channel layout, as in CAF
    SSND  u32 offset, u32 block size, samples
"""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

from audiokit.formats import id3
from audiokit.formats import tags as tagging
from audiokit.formats.chunks import MAX_CHUNKS, NAME, STREAMED, Chunk, behind
from audiokit.formats.info import AudioInfo, Damaged, NotAudio, Picture, Tags
from audiokit.formats.source import Source
from audiokit.formats.speakers import of_layout

MAX_CHANNELS = 1024
MAX_RATE = 16_000_000  # Hz
_UNKNOWN = (0, 0xFFFFFFFF)  # sizes of writers that could not go back
_PIPED = 0x7F000008  # the SSND that SoX writes to a pipe, less what is no whole sample
_TEXT_BYTES = 4 * tagging.MAX_CHARACTERS
_LAYOUT_BYTES = 2048  # of the channel layout: a hundred descriptions
_COMM = struct.Struct(">hIhHQ")
_IMA4_PACKET_BYTES, _IMA4_PACKET_SAMPLES = 34, 64  # a channel


class _Compression(NamedTuple):
    """How samples are written: `codec` with {} for the bits of a sample, rounded up to bytes."""

    codec: str
    bits: int  # of a sample as written, 0 where COMM says
    sample_format: Optional[str]


_COMPRESSIONS: Dict[bytes, _Compression] = {
    b"NONE": _Compression("pcm_s{}be", 0, "int"),
    b"twos": _Compression("pcm_s{}be", 0, "int"),
    b"sowt": _Compression("pcm_s{}le", 0, "int"),
    b"raw ": _Compression("pcm_u8", 8, "int"),
    b"in16": _Compression("pcm_s{}be", 16, "int"),
    b"in24": _Compression("pcm_s{}be", 24, "int"),
    b"in32": _Compression("pcm_s{}be", 32, "int"),
    b"42ni": _Compression("pcm_s{}le", 24, "int"),
    b"23ni": _Compression("pcm_s{}le", 32, "int"),
    b"fl32": _Compression("pcm_f32be", 32, "float"),
    b"FL32": _Compression("pcm_f32be", 32, "float"),
    b"fl64": _Compression("pcm_f64be", 64, "float"),
    b"FL64": _Compression("pcm_f64be", 64, "float"),
    b"ulaw": _Compression("pcm_mulaw", 8, "ulaw"),
    b"ULAW": _Compression("pcm_mulaw", 8, "ulaw"),
    b"alaw": _Compression("pcm_alaw", 8, "alaw"),
    b"ALAW": _Compression("pcm_alaw", 8, "alaw"),
    b"ima4": _Compression("adpcm_ima_qt", 0, None),
    b"GSM ": _Compression("gsm", 0, None),
    b"agsm": _Compression("gsm", 0, None),
    b"G722": _Compression("adpcm_g722", 0, None),
    b"G726": _Compression("adpcm_g726", 0, None),
    b"MAC3": _Compression("mace3", 0, None),
    b"MAC6": _Compression("mace6", 0, None),
    b"QDMC": _Compression("qdmc", 0, None),
    b"QDM2": _Compression("qdm2", 0, None),
    b"Qclp": _Compression("qcelp", 0, None),
    b"dwvw": _Compression("dwvw", 0, None),
}


class _Common(NamedTuple):
    """COMM."""

    channels: int
    frames: int  # sample frames, or packets of a block codec
    bits: int
    rate: float  # Hz; 22254.5454… on old Macintoshes
    compression: _Compression
    name: bytes

    @property
    def sample_bits(self) -> int:
        """Bits that a sample takes: whole bytes (AIFF 1.3, "Sound Data Chunk")."""
        return self.compression.bits or (self.bits + 7) // 8 * 8

    @property
    def sample_bytes(self) -> int:
        """Bytes of a sample of every channel."""
        return self.sample_bits // 8 * self.channels

    @property
    def codec(self) -> str:
        codec = self.compression.codec.format(self.sample_bits)
        return codec[:-2] if codec.startswith("pcm_s8") else codec  # one byte has no order


class _Sound(NamedTuple):
    """SSND: what is there, and what was promised."""

    offset: int
    size: int  # bytes that are there
    is_cut: bool
    is_piped: bool = False  # how much was to come, nobody knew


def matches(head: bytes) -> bool:
    """An IFF form of any kind; other kinds are refused by name in `read`."""
    return head[:4] == b"FORM" and len(head) >= 8


def read(source: Source, start: int = 0) -> AudioInfo:
    """The AIFF or AIFF-C file at `start`."""
    head = source.read(start, 12)
    if len(head) < 12:
        raise EOFError(start + len(head))
    form = head[8:12]
    if form not in (b"AIFF", b"AIFC"):
        kind = {b"8SVX": "8SVX sound, which is not read", b"ILBM": "a picture"}.get(form)
        raise NotAudio(f"an IFF file of {kind or repr(form.decode('latin-1'))}, not AIFF", start + 8)
    common, sound, layout, texts = None, None, None, []
    for chunk in _chunks(source, start + 12):
        if chunk.name == b"COMM" and common is None:
            common = chunk
        elif chunk.name == b"SSND" and sound is None:
            sound = chunk
        elif chunk.name == b"CHAN":
            layout = chunk
        elif chunk.name in (b"NAME", b"AUTH", b"(c) ", b"ANNO", b"ID3 ", b"id3 "):
            texts.append(chunk)
    if common is None:
        raise Damaged("an AIFF file without a COMM chunk", start + 12)
    described = _common(source, common, form == b"AIFC")
    warnings: List[str] = []
    found = _describe(form, described, _sound(source, sound, described, warnings), source, texts, warnings)
    if layout is None:
        return found
    said = source.read(layout.offset, min(layout.size, _LAYOUT_BYTES))
    return replace(found, speakers=of_layout(said, found.channels))


def _chunks(source: Source, position: int) -> Iterator[Chunk]:
    for _ in range(MAX_CHUNKS):
        head = source.read(position, 8)
        if len(head) < 8 or not NAME.match(head):
            return
        size = int.from_bytes(head[4:], "big")
        yield Chunk(head[:4], position + 8, size)
        position = behind(source, position + 8 + size, size % 2 == 1)


def _common(source: Source, chunk: Chunk, is_compressed: bool) -> _Common:
    channels, frames, bits, exponent, mantissa = source.unpack(_COMM, chunk.offset)
    rate = _extended(exponent, mantissa)
    if not 0 < channels <= MAX_CHANNELS or not 1 <= rate <= MAX_RATE or not 0 <= bits <= 64:
        raise NotAudio(f"AIFF with {channels} channels of {bits} bits at {rate:g} Hz", chunk.offset)
    name = b"NONE"
    if is_compressed and chunk.size >= _COMM.size + 4:
        name = source.read(chunk.offset + _COMM.size, 4)
    compression = _COMPRESSIONS.get(name)
    if compression is None:
        raise NotAudio(f"AIFF-C with the unknown compression {name.decode('latin-1')!r}", chunk.offset + 18)
    if compression.sample_format and not (compression.bits or 0 < bits <= 32):
        raise NotAudio(f"AIFF with samples of {bits} bits", chunk.offset + 6)
    return _Common(channels, frames, bits, rate, compression, name)


def _extended(exponent: int, mantissa: int) -> float:
    """An 80-bit float: sign, 15 bits of exponent with a bias of 16383, 64 bits with an explicit
    one."""
    if exponent & 0x8000 or not 16383 <= exponent < 16383 + 32:
        return 0.0  # negative, below 1 Hz or beyond any rate
    return mantissa * 2.0 ** (exponent - 16383 - 63)


def _sound(source: Source, chunk: Optional[Chunk], common: _Common, warnings: List[str]) -> _Sound:
    if chunk is None:
        if common.frames:
            raise Damaged(f"COMM promises {common.frames} samples, there is no SSND chunk", source.size)
        return _Sound(source.size, 0, False)  # AIFF 1.3: none is needed where there are no samples
    head = source.read(chunk.offset, 8)
    offset = chunk.offset + 8 + int.from_bytes(head[:4], "big")
    rest = max(source.size - offset, 0)
    size = chunk.size - (offset - chunk.offset)
    is_piped = chunk.size >= STREAMED or 0 <= _PIPED - chunk.size < common.sample_bytes
    if chunk.size in _UNKNOWN or is_piped and size > rest:
        warnings.append(f"SSND says {chunk.size} bytes, as if written to a pipe, the file has {rest}")
        return _Sound(offset, rest, False, True)
    if size < 0:
        raise Damaged(
            f"SSND of {chunk.size} bytes starts {offset - chunk.offset} bytes into itself",
            chunk.offset,
        )
    if size <= rest:
        return _Sound(offset, size, False)
    if rest == 0:
        raise Damaged(f"SSND says {size} bytes, the file ends before them", offset)
    warnings.append(f"SSND says {size} bytes, the file has {rest}")
    return _Sound(offset, rest, True)


def _samples(common: _Common, sound: _Sound, warnings: List[str]) -> Tuple[int, Optional[int], bool]:
    """Samples a channel that are there, how many COMM promises where it is wrong, whether that is
    certain."""
    if common.name == b"ima4":
        packets = sound.size // (_IMA4_PACKET_BYTES * common.channels)
        there = packets * _IMA4_PACKET_SAMPLES
        if there - _IMA4_PACKET_SAMPLES < common.frames <= there and common.frames != packets:
            return common.frames, None, True  # counted in samples, the last packet is filled up
        promised = common.frames * _IMA4_PACKET_SAMPLES  # counted in packets
        return there, promised if common.frames and promised != there else None, True
    if common.compression.sample_format is None:
        return common.frames, None, not sound.is_cut
    there = sound.size // common.sample_bytes
    if common.frames in _UNKNOWN or there == common.frames:
        return there, None, True
    if sound.is_piped and common.frames > there:
        return there, None, True
    if there > common.frames and not sound.is_cut:
        if (there - common.frames) * common.sample_bytes >= 8:  # less is padding
            warnings.append(f"COMM says {common.frames} samples, SSND has {there}")
        return common.frames, None, True
    if not sound.is_cut:
        warnings.append(f"COMM says {common.frames} samples, SSND has {there}")
    return there, common.frames, True


def _texts(source: Source, chunks: List[Chunk]) -> Tuple[Tags, Tuple[Picture, ...]]:
    tags: Tags = {}
    pictures: Tuple[Picture, ...] = ()
    for chunk in chunks:
        if chunk.name.upper() == b"ID3 ":
            tag = id3.read_tag(source, chunk.offset)
            tagging.fill(tags, tag.tags)
            pictures += tag.pictures
    plain: Tags = {}
    for chunk in chunks:
        name = tagging.canonical("aiff", chunk.name.decode("ascii"))
        if name:
            text = source.read(chunk.offset, min(chunk.size, _TEXT_BYTES))
            tagging.add(plain, name, tagging.utf8_or_cp1252(text))
    tagging.fill(tags, plain)
    return tags, pictures


def _describe(
    form: bytes,
    common: _Common,
    sound: _Sound,
    source: Source,
    texts: List[Chunk],
    warnings: List[str],
) -> AudioInfo:
    samples, promised, is_exact = _samples(common, sound, warnings)
    if not samples:
        warnings.append("there are no samples")
    seconds = samples / common.rate
    tags, pictures = _texts(source, texts)
    style = common.compression.sample_format
    bits = (
        None
        if style is None
        else common.bits
        if style == "int" and common.bits
        else common.sample_bits
    )
    bitrate, size = round(sound.size * 8 / seconds) if seconds else None, sound.size
    if style:
        size = samples * common.sample_bytes
        bitrate = round(common.rate * common.sample_bits * common.channels)
    return AudioInfo(
        container="aifc" if form == b"AIFC" else "aiff",
        codec=common.codec,
        mime="audio/aiff",
        sample_rate=round(common.rate),
        channels=common.channels,
        duration=seconds,
        duration_exact=is_exact,
        duration_source="samples" if is_exact else "header",
        duration_declared=promised / common.rate if promised else None,
        truncated=sound.is_cut,
        bits_per_sample=min(bits, common.sample_bits) if bits else None,
        sample_format=style,
        bitrate=bitrate,
        bitrate_mode="CBR",
        lossless=style in ("int", "float"),
        tags=tags,
        pictures=pictures,
        warnings=tuple(warnings),
        samples=samples,
        audio_offset=sound.offset,
        audio_bytes=size,
    )
