"""What a file is: its bytes looked at, the one reader of its container asked, an `AudioInfo` or
`NotAudio`.

`identify(file)` is the only way in, for uploads and for the command line alike.  The content alone
decides: no name, extension or declared type is looked at.  Reads through one `Source`, never whole
files, never in more than 1 MiB steps.  Raises `NotAudio` (or `Damaged`, a kind of it) with a reason
for people and a byte offset; whatever else comes out is a bug of ours, an OSError of the file
itself apart.

Readers are imported when the first file of their kind comes by, so that starting costs nothing.
"""

from __future__ import annotations

import functools
import importlib
import io
import os
import struct
from typing import Any, BinaryIO, Dict, Optional, Tuple

from audiokit.formats.info import AudioInfo, Damaged, NotAudio, Picture
from audiokit.formats.source import Source

__all__ = [
    "AudioInfo",
    "Damaged",
    "EXTENSION",
    "FAMILY",
    "NotAudio",
    "Picture",
    "extension",
    "identify",
    "identify_path",
    "record_fields",
]

HEAD_BYTES = 64  # what a reader's `matches` gets to see

# Which reader a beginning belongs to: (offset, bytes, module).  Only a hint: the reader's own
# `matches` decides. In the order of how likely they are, since the first that fits is asked first.
_MAGIC: Tuple[Tuple[int, bytes, str], ...] = (
    (0, b"RIFF", "riff"),
    (0, b"fLaC", "flac"),
    (0, b"OggS", "ogg"),
    (4, b"ftyp", "mp4"),
    (0, b"FORM", "aiff"),
    (0, b"\x1aE\xdf\xa3", "matroska"),
    (0, b"RIFX", "riff"),
    (0, b"RF64", "riff"),
    (0, b"BW64", "riff"),
    (0, b"riff", "riff"),
    (4, b"moov", "mp4"),
    (4, b"moof", "mp4"),
    (4, b"mdat", "mp4"),
    (4, b"wide", "mp4"),
    (4, b"free", "mp4"),
    (4, b"skip", "mp4"),
    (4, b"pnot", "mp4"),
    (4, b"styp", "mp4"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
    (0, b"caff", "caf"),
    (0, b".snd", "au"),
    (0, b"dns.", "au"),
    (0, b"#!AMR", "amr"),
    (0, b"wvpk", "wavpack"),
    (0, b"MAC ", "ape"),
    (0, b"MACF", "ape"),
    (0, b"MPCK", "musepack"),
    (0, b"MP+", "musepack"),
    (0, b"TTA1", "tta"),
    (0, b"TTA2", "tta"),
    (0, b"DSD ", "dsd"),
    (0, b"FRM8", "dsd"),
    (0, b"\x0b\x77", "ac3"),
    (0, b"\x77\x0b", "ac3"),
    (0, b"\x7f\xfe\x80\x01", "dts"),
    (0, b"\xfe\x7f\x01\x80", "dts"),
    (0, b"\x1f\xff\xe8\0", "dts"),
    (0, b"\xff\x1f\0\xe8", "dts"),
)

# The family that the `format` filter means: every container, and the words that people use for
# them.
FAMILY: Dict[str, str] = {
    "wav": "wav",
    "rf64": "wav",
    "bw64": "wav",
    "w64": "wav",
    "wave": "wav",
    "aiff": "aiff",
    "aifc": "aiff",
    "aif": "aiff",
    "mp3": "mp3",
    "mp2": "mp3",
    "mpeg": "mp3",
    "mpga": "mp3",
    "flac": "flac",
    "ogg": "ogg",
    "oga": "ogg",
    "opus": "ogg",
    "spx": "ogg",
    "mp4": "mp4",
    "m4a": "mp4",
    "m4b": "mp4",
    "mov": "mp4",
    "3gp": "mp4",
    "adts": "adts",
    "aac": "adts",
    "matroska": "matroska",
    "mka": "matroska",
    "mkv": "matroska",
    "webm": "webm",
    "asf": "asf",
    "wma": "asf",
    "ac3": "ac3",
    "eac3": "ac3",
    "dts": "dts",
    "latm": "latm",
    "loas": "latm",
    "au": "au",
    "snd": "au",
    "caf": "caf",
    "amr": "amr",
    "wv": "wv",
    "wavpack": "wv",
    "ape": "ape",
    "mpc": "mpc",
    "musepack": "mpc",
    "tta": "tta",
    "dsf": "dsf",
    "dff": "dff",
}

# The usual extension of a container, or of a codec in it.
EXTENSION: Dict[str, str] = {
    "wav": ".wav",
    "rf64": ".wav",
    "bw64": ".wav",
    "w64": ".w64",
    "aiff": ".aiff",
    "aifc": ".aifc",
    "mp3": ".mp3",
    "mp3/mp2": ".mp2",
    "mp3/mp1": ".mp1",
    "flac": ".flac",
    "ogg": ".ogg",
    "ogg/opus": ".opus",
    "ogg/speex": ".spx",
    "ogg/flac": ".oga",
    "mp4": ".m4a",
    "mp4/amr_nb": ".3gp",
    "mp4/amr_wb": ".3gp",
    "adts": ".aac",
    "matroska": ".mka",
    "webm": ".webm",
    "asf": ".wma",
    "ac3": ".ac3",
    "ac3/eac3": ".eac3",
    "dts": ".dts",
    "latm": ".latm",
    "au": ".au",
    "caf": ".caf",
    "amr": ".amr",
    "wv": ".wv",
    "ape": ".ape",
    "mpc": ".mpc",
    "tta": ".tta",
    "dsf": ".dsf",
    "dff": ".dff",
}


def extension(info: AudioInfo) -> str:
    """The usual extension of such a file, with its dot; "" for a kind that has none."""
    return EXTENSION.get(f"{info.container}/{info.codec}") or EXTENSION.get(info.container, "")


def identify(file: BinaryIO, size: Optional[int] = None) -> AudioInfo:
    """What the open, seekable binary `file` is.

    `size` is its length in bytes, asked of the file when not given.  The position of `file`
    afterwards is unspecified.  Raises NotAudio or Damaged; an OSError of the file goes through.
    """
    if size is None:
        size = file.seek(0, os.SEEK_END)
    return identify_source(_source_of(file, size))


def identify_path(path: str) -> AudioInfo:
    """What the file at `path` is; see `identify`."""
    with open(path, "rb") as file:
        return identify(file)


def identify_source(source: Source) -> AudioInfo:
    """What the bytes of `source` are; see `identify`."""
    if source.size == 0:
        raise NotAudio("the file is empty", 0)
    leading = _leading_tags(source)
    try:
        info = _read(source, leading.end if leading else 0)
    except (EOFError, struct.error) as error:
        offset = error.args[0] if error.args and isinstance(error.args[0], int) else source.size
        raise Damaged(f"the file ends inside a header, at byte {offset}", offset) from None
    return _module("id3").merge(info, leading) if leading else info


def _leading_tags(source: Source) -> Any:
    """The tags in front of the audio: those of ID3v2, and behind them of APEv2; None where there are none."""
    head = source.read(0, 8)
    if head[:3] != b"ID3" and head != b"APETAGEX":
        return None
    leading = _module("id3").leading_tags(source)
    ape = _module("ape_tag").read_at_start(source, leading.end)
    if ape is None:
        return leading
    tags = dict(leading.tags)
    _module("tags").fill(tags, ape.tags)
    return leading._replace(end=ape.end, tags=tags, pictures=leading.pictures + ape.pictures)


def _read(source: Source, start: int) -> AudioInfo:
    """Ask the reader that the bytes at `start` belong to; without one say what they are instead."""
    head = source.read(start, HEAD_BYTES)
    if start > source.size:
        raise NotAudio(f"an ID3 tag that ends at byte {start}, the file has {source.size}", 0)
    if not head:
        kind = "an APE" if source.read(0, 8) == b"APETAGEX" else "an ID3"
        raise NotAudio(f"{kind} tag with no audio behind it", start)
    for offset, magic, name in _MAGIC:
        if head.startswith(magic, offset) and _module(name).matches(head):
            return _module(name).read(source, start)
    if head[0] == 0xFF and head[:2] != b"\xff\xfe":  # a syncword, and not the mark of UTF-16
        if _module("adts").matches(head):
            return _module("adts").read(source, start)
        if _module("mpeg").starts_here(source, start):
            return _module("mpeg").read(source, start)
    if head[0] == 0x56 and _module("latm").starts_here(source, start):
        return _module("latm").read(source, start)
    impostors = _module("impostors")
    head = source.read(start, impostors.HEAD_BYTES)
    looks_like = impostors.looks_like(head)
    is_rest_of_tag = start and impostors.looks_like_text(head)
    if looks_like and not is_rest_of_tag:
        raise NotAudio(f"starts like {looks_like}", start)
    return _module("mpeg").read(source, start)  # looks for frames behind a little that is none


@functools.lru_cache(maxsize=None)
def _module(name: str) -> Any:
    return importlib.import_module("audiokit.formats." + name)


def _source_of(file: BinaryIO, size: int) -> Source:
    """The bytes of a file: one call to the system a read where it has `pread`."""
    try:
        descriptor = file.fileno()
    except (AttributeError, io.UnsupportedOperation):
        descriptor = None
    if descriptor is None or not hasattr(os, "pread"):
        return Source.of_file(file, size)
    return Source(lambda offset, length: os.pread(descriptor, length, offset), size)


# The audio fields of the record, in the order of docs/api.md.
_PLAIN_FIELDS = (
    "container",
    "codec",
    "codec_profile",
    "mime",
    "duration",
    "duration_exact",
    "duration_source",
    "duration_declared",
    "truncated",
    "sample_rate",
    "channels",
    "bits_per_sample",
    "sample_format",
    "bitrate",
    "bitrate_mode",
    "lossless",
)


def record_fields(info: AudioInfo) -> Dict[str, object]:
    """The audio fields of a file's record, ready for JSON; see docs/api.md."""
    fields: Dict[str, object] = {name: getattr(info, name) for name in _PLAIN_FIELDS}
    fields["tags"] = dict(info.tags)
    fields["pictures"] = [picture._asdict() for picture in info.pictures]
    fields["warnings"] = list(info.warnings)
    return fields
