"""Embedded pictures: what their type numbers mean, and what their first bytes say.

The numbers are ID3v2.4's (section 4.14 of its frames), which FLAC and ASF share.  Bytes of pictures
are never read beyond their first few: a `Picture` is a place in the file.
"""

from __future__ import annotations

import struct
from typing import Optional

from audiokit.formats.info import Picture
from audiokit.formats.source import Source

TYPES = (
    "other",
    "file icon",
    "other file icon",
    "front cover",
    "back cover",
    "leaflet page",
    "media",
    "lead artist",
    "artist",
    "conductor",
    "band",
    "composer",
    "lyricist",
    "recording location",
    "during recording",
    "during performance",
    "screen capture",
    "a bright coloured fish",
    "illustration",
    "band logotype",
    "publisher logotype",
)
MAX_PICTURES = 64  # of one file; a booklet scanned page by page

_MAGIC = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG", "image/png"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
)
_IMAGE_MIMES = ("image/jpeg", "image/png", "image/gif", "image/bmp", "image/tiff", "image/webp")


def type_name(number: int) -> str:
    """The name of a picture type; "other" for numbers that nobody defined."""
    return TYPES[number] if 0 <= number < len(TYPES) else TYPES[0]


def mime_of(head: bytes, declared: str = "") -> str:
    """The media type that the first 16 bytes show, else a well-formed declared one, else
    octet-stream."""
    for magic, mime in _MAGIC:
        if head.startswith(magic):
            return mime
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    declared = declared.strip().lower().replace("image/jpg", "image/jpeg")
    return declared if declared in _IMAGE_MIMES else "application/octet-stream"


_U32 = struct.Struct(">I")


def flac_picture(source: Source, offset: int, length: int) -> Optional[Picture]:
    """The picture in a METADATA_BLOCK_PICTURE body (RFC 9639 section 8.8), or None where it does
    not fit.

    u32 type, u32 + media type, u32 + description, u32 width, height, depth, colours, u32 + data.
    """
    end = min(offset + length, source.size)
    body = source.read(offset, min(length, 4096))  # type, names and sizes; the data stays
    if len(body) < 8:
        return None
    number, size = struct.unpack_from(">II", body)
    declared = body[8 : 8 + size].decode("ascii", "replace")
    position = 8 + size
    if position + 4 > len(body):
        return None
    position += 4 + _U32.unpack_from(body, position)[0] + 16
    head = source.read(offset + position, 4 + 16)
    if len(head) < 4:
        return None
    data_length = _U32.unpack_from(head)[0]
    data_offset = offset + position + 4
    if declared == "-->" or not data_length or data_offset + data_length > end:
        return None  # a link to elsewhere, or a picture that is not all there
    return Picture(mime_of(head[4:], declared), type_name(number), data_offset, data_length)
