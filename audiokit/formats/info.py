"""What a reader says of a file: `AudioInfo`, or one of the two exceptions.

The fields are those of the record in docs/api.md, in its words and units.  A field that does not apply is
None (or empty); a value that is not certain says so in `duration_exact`, `duration_source` and `warnings`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, List, NamedTuple, Optional, Tuple, Union

Tags = Dict[str, Union[str, List[str]]]


class NotAudio(Exception):
    """The bytes are not audio that we read; `reason` is for a person at a terminal.

    `offset` is the byte where it showed, or None when the whole file is meant.
    """

    def __init__(self, reason: str, offset: Optional[int] = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.offset = offset

    @property
    def words(self) -> str:
        """The reason, and the byte where it showed."""
        return self.reason if self.offset is None else f"{self.reason} (byte {self.offset})"


class Damaged(NotAudio):
    """The bytes are of an audio format, but too broken to describe truthfully."""


class Picture(NamedTuple):
    """An embedded picture, by its place in the file: the bytes stay where they are."""

    mime: str
    type: str  # "front cover", … (the names of ID3v2.4 section 4.14, in lower case)
    offset: int  # bytes from the start of the file
    length: int  # bytes


@dataclass(frozen=True)
class AudioInfo:
    """One audio file, as its bytes say."""

    container: str  # wav rf64 w64 aiff aifc mp3 flac ogg mp4 adts matroska webm asf …
    codec: str  # pcm_s16le mp3 aac opus vorbis …
    sample_rate: int  # Hz, as presented
    channels: int
    duration: float  # seconds as presented, of what is really there
    duration_exact: bool  # samples or frames were counted, or the format states them exactly
    duration_source: str  # "samples" | "frames" | "header" | "estimate"
    mime: str  # from content, with codecs= where browsers need it
    codec_profile: Optional[str] = None  # "LC", "HE-AAC", "layer III", …
    duration_declared: Optional[float] = None  # seconds a header claims, where it disagrees
    truncated: bool = False  # content ends before its headers say
    bits_per_sample: Optional[int] = None  # valid bits; None for lossy codecs and ADPCM
    sample_format: Optional[str] = None  # "int" | "float" | "ulaw" | "alaw" | None
    bitrate: Optional[int] = None  # bit/s of the audio bytes
    bitrate_mode: Optional[str] = None  # "CBR" | "VBR" | "ABR"
    lossless: bool = False
    tags: Tags = field(default_factory=dict)  # title artist album albumartist date track disc genre …
    pictures: Tuple[Picture, ...] = ()
    warnings: Tuple[str, ...] = ()
    samples: Optional[int] = None  # per channel, presented; None where only time is known
    audio_offset: Optional[int] = None  # bytes; where the coded audio starts
    audio_bytes: Optional[int] = None  # bytes of coded audio
    speakers: Tuple[str, ...] = ()  # of PCM, which loudspeaker each channel is meant for; see `speakers`
