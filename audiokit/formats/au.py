"""AU, the audio of Sun and NeXT (.au, .snd).

Sun's "au(5)" and NeXT's "SNDSoundStruct".  Reads the header and its annotation, of the samples
nothing.  Raises NotAudio for encodings that are no samples (DSP programs, compressed scores),
Damaged where samples were promised and none are there.

    ".snd", u32 offset of the samples, u32 bytes of them (all ones: not known), u32 encoding,
    u32 Hz, u32 channels, an annotation up to the samples;
    big-endian, and little-endian behind "dns." as DEC wrote it
"""

from __future__ import annotations

import struct
from typing import Dict, List, NamedTuple, Optional

from audiokit.formats import tags as tagging
from audiokit.formats.chunks import STREAMED
from audiokit.formats.info import AudioInfo, Damaged, NotAudio, Tags
from audiokit.formats.source import Source

MAX_CHANNELS = 1024
MAX_RATE = 16_000_000  # Hz
_UNKNOWN = 0xFFFFFFFF
_HEADER = struct.Struct(">5I")
_HEADER_BYTES = 24  # with the magic
_ANNOTATION_BYTES = 4096


class _Encoding(NamedTuple):
    """How samples are written: `codec` with {} for the byte order."""

    codec: str
    bits: int  # that one sample takes
    sample_format: Optional[str]  # None where bits are coded further


_ENCODINGS: Dict[int, _Encoding] = {
    1: _Encoding("pcm_mulaw", 8, "ulaw"),
    2: _Encoding("pcm_s8", 8, "int"),
    3: _Encoding("pcm_s16{}", 16, "int"),
    4: _Encoding("pcm_s24{}", 24, "int"),
    5: _Encoding("pcm_s32{}", 32, "int"),
    6: _Encoding("pcm_f32{}", 32, "float"),
    7: _Encoding("pcm_f64{}", 64, "float"),
    23: _Encoding("adpcm_g726", 4, None),  # G.721
    24: _Encoding("adpcm_g722", 4, None),
    25: _Encoding("adpcm_g726", 3, None),  # G.723 of 24 kbit/s
    26: _Encoding("adpcm_g726", 5, None),  # G.723 of 40 kbit/s
    27: _Encoding("pcm_alaw", 8, "alaw"),
}


def matches(head: bytes) -> bool:
    """The magic, in either byte order."""
    return head[:4] in (b".snd", b"dns.")


def read(source: Source, start: int = 0) -> AudioInfo:
    """The AU file at `start`."""
    is_little = source.read(start, 4) == b"dns."
    layout = struct.Struct("<5I") if is_little else _HEADER
    header, declared, code, rate, channels = source.unpack(layout, start + 4)
    encoding = _ENCODINGS.get(code)
    if encoding is None:
        raise NotAudio(f"an AU file with the unknown encoding {code}", start + 12)
    if not 0 < channels <= MAX_CHANNELS or not 0 < rate <= MAX_RATE:
        raise NotAudio(f"an AU file with {channels} channels at {rate} Hz", start + 16)
    if not _HEADER_BYTES <= header <= source.size - start:
        raise Damaged(f"the samples begin at {header}, the file has {source.size - start} bytes", start + 4)
    there = source.size - start - header
    warnings: List[str] = []
    size = _size(declared, there, start + 8, warnings)
    unit = encoding.bits * channels  # bits of one sample of every channel
    samples = size * 8 // unit
    is_cut = size < declared < STREAMED
    if not samples:
        warnings.append("there are no samples")
    elif encoding.sample_format and size * 8 % unit:
        warnings.append(f"the data ends inside a sample of {unit // 8} bytes")
    is_linear = encoding.sample_format in ("int", "float")
    return AudioInfo(
        container="au",
        codec=encoding.codec.format("le" if is_little else "be"),
        # RFC 2046 section 4.3: audio/basic is one channel of mu-law at 8000 Hz and nothing else
        mime="audio/basic" if (code, rate, channels) == (1, 8000, 1) else "audio/x-au",
        sample_rate=rate,
        channels=channels,
        duration=samples / rate,
        duration_exact=True,
        duration_source="samples",
        duration_declared=declared * 8 // unit / rate if is_cut else None,
        truncated=is_cut,
        bits_per_sample=encoding.bits if encoding.sample_format else None,
        sample_format=encoding.sample_format,
        bitrate=unit * rate,
        bitrate_mode="CBR",
        lossless=is_linear,
        tags=_tags(source.read(start + _HEADER_BYTES, min(header - _HEADER_BYTES, _ANNOTATION_BYTES))),
        warnings=tuple(warnings),
        samples=samples,
        audio_offset=start + header,
        audio_bytes=size,
    )


def _size(declared: int, there: int, offset: int, warnings: List[str]) -> int:
    """The bytes of samples, of those that are there."""
    if declared == _UNKNOWN:
        return there
    if declared == 0 and there:
        warnings.append(f"the header says 0 bytes of samples, the file has {there}")
        return there
    if declared > there:
        if not there:
            raise Damaged(f"the header says {declared} bytes of samples, the file ends before them", offset)
        warnings.append(f"the header says {declared} bytes of samples, the file has {there}")
    return min(declared, there)


def _tags(annotation: bytes) -> Tags:
    """The annotation: lines of name=value as some programs write them, or one comment."""
    tags: Tags = {}
    text = tagging.utf8_or_cp1252(annotation)
    lines = [line.partition("=") for line in text.splitlines()]
    if all(middle and tagging.canonical("caf", name.strip()) for name, middle, _ in lines):
        for name, _, value in lines:
            tagging.add(tags, tagging.canonical("caf", name.strip()), value)
    else:
        tagging.add(tags, "comment", text)
    return tags
