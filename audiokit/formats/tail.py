"""The tags behind the audio: ID3v1, APEv2, Lyrics3 and appended ID3v2.4, in any order, none of it
audio.

Lyrics3 v1 and v2 by id3.org's descriptions, the appended ID3v2 by "ID3 tag version 2.4.0" section
3.4.  Reads only the last bytes and the tags themselves.  Raises nothing on any content.
"""

from __future__ import annotations

from typing import List, NamedTuple, Tuple

from audiokit.formats import ape_tag, id3
from audiokit.formats import tags as tagging
from audiokit.formats.info import Picture, Tags
from audiokit.formats.source import Source

_MAX_TAGS = 8  # one of each kind, and a few that were appended twice
_LYRICS3_V1_BYTES = 5100  # a Lyrics3 v1 block is at most so long
_TAG_PLUS_BYTES = 227  # the "enhanced" ID3v1 block before the ordinary one
_LOOK_BYTES = 32


class Tail(NamedTuple):
    """Where the audio ends, and what the tags behind it say."""

    end: int
    tags: Tags
    pictures: Tuple[Picture, ...]


def read(source: Source, start: int = 0) -> Tail:
    """The tags at the end of `source`; the audio lies from `start` to the tail's `end`."""
    end = source.size
    found: List[Tags] = []  # the strongest first: APEv2 and ID3v2 know more than ID3v1
    pictures: List[Picture] = []
    for _ in range(_MAX_TAGS):
        last = source.read(end - _LOOK_BYTES, _LOOK_BYTES) if end - start >= _LOOK_BYTES else b""
        before = end
        if last[:8] == b"APETAGEX":
            ape = ape_tag.read_at_end(source, end)
            if ape and ape.start >= start:
                end = ape.start
                found.insert(0, ape.tags)
                pictures += ape.pictures
        elif last[-9:] == b"LYRICS200" and last[-15:-9].isdigit():
            end -= int(last[-15:-9]) + 15
        elif last[-9:] == b"LYRICSEND":
            end = _before_lyrics3_v1(source, end)
        elif last[-10:-7] == b"3DI":
            end, tags, images = _appended_id3(source, end)
            found.insert(0, tags)
            pictures += images
        else:
            old = id3.read_v1(source, end)
            if old is not None:
                end -= id3.V1_BYTES
                found.append(old)
                if source.read(end - _TAG_PLUS_BYTES, 4) == b"TAG+":
                    end -= _TAG_PLUS_BYTES
        if end == before:
            break
        if end < start:
            end = before  # a size that reaches into what is before the audio is a lie
            break
    tags: Tags = {}
    for one in found:
        tagging.fill(tags, one)
    return Tail(end, tags, tuple(pictures))


def _before_lyrics3_v1(source: Source, end: int) -> int:
    start = max(end - _LYRICS3_V1_BYTES, 0)
    found = source.read(start, end - start).rfind(b"LYRICSBEGIN")
    return start + found if found >= 0 else end


def _appended_id3(source: Source, end: int) -> Tuple[int, Tags, Tuple[Picture, ...]]:
    footer = source.read(end - id3.HEADER_BYTES, id3.HEADER_BYTES)
    start = end - id3.syncsafe(footer[6:10]) - 2 * id3.HEADER_BYTES
    tag = id3.read_tag(source, start) if start >= 0 else None
    if tag is None or not tag.found:
        return end, {}, ()
    return start, tag.tags, tag.pictures
