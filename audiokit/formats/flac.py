"""FLAC: the length by STREAMINFO and by the last frame, so that a cut or a piped file tells the
truth.

RFC 9639.  Reads the metadata blocks, the first frame's header and the end of the file (flac_end);
never the samples.  Raises NotAudio where STREAMINFO describes no audio, Damaged where no frame is.

    "fLaC"; metadata blocks: 1 bit last, 7 bits type, u24 length, content; frames
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Tuple

from audiokit.formats import tags as tagging
from audiokit.formats import tail as tail_tags
from audiokit.formats import vorbis_comment
from audiokit.formats.flac_end import last_frame
from audiokit.formats.flac_frame import (
    MAX_HEADER_BYTES,
    STREAMINFO_BYTES,
    FlacFrame,
    StreamInfo,
    parse_frame,
    parse_stream_info,
)
from audiokit.formats.info import AudioInfo, Damaged, NotAudio, Picture, Tags
from audiokit.formats.pictures import MAX_PICTURES, flac_picture
from audiokit.formats.source import Source

_STREAMINFO, _VORBIS_COMMENT, _PICTURE = 0, 4, 6  # block types (8.1)
_MAX_BLOCKS = 1024
_MAX_COMMENT_BYTES = 1 << 20


class _Length(NamedTuple):
    samples: int  # a channel
    end: int  # the offset behind them
    is_cut: bool  # the file ends too early
    is_counted: bool  # by a frame; else STREAMINFO is believed


class _Metadata(NamedTuple):
    info: StreamInfo
    tags: Tags
    pictures: Tuple[Picture, ...]
    end: int  # where frames begin


def matches(head: bytes) -> bool:
    """ "fLaC"."""
    return head[:4] == b"fLaC"


def read(source: Source, start: int = 0) -> AudioInfo:
    """The FLAC file at `start`."""
    metadata = _metadata(source, start)
    info = metadata.info
    tail = tail_tags.read(source, metadata.end)
    first = parse_frame(source.read(metadata.end, MAX_HEADER_BYTES), 0, info)
    if first is None:
        promised = f"STREAMINFO promises {info.samples} samples, " if info.samples else ""
        raise Damaged(f"{promised}no FLAC frame is at byte {metadata.end}", metadata.end)
    warnings: List[str] = []
    if first.is_fixed and first.block_size != info.max_block:  # all blocks but the last have its size
        metadata = metadata._replace(info=info._replace(max_block=first.block_size))
        first = parse_frame(source.read(metadata.end, MAX_HEADER_BYTES), 0, metadata.info)
    samples, end, is_cut, is_counted = _length(source, metadata, first, tail.end, warnings)
    declared = info.samples if info.samples and info.samples != samples else None
    tags = dict(metadata.tags)
    tagging.fill(tags, tail.tags)
    seconds = samples / info.sample_rate
    size = end - metadata.end
    return AudioInfo(
        container="flac",
        codec="flac",
        mime="audio/flac",
        sample_rate=info.sample_rate,
        channels=info.channels,
        duration=seconds,
        duration_exact=is_counted,
        duration_source="samples" if is_counted else "header",
        duration_declared=declared / info.sample_rate if declared else None,
        truncated=is_cut,
        bits_per_sample=info.bits,
        sample_format="int",
        bitrate=round(size * 8 / seconds) if seconds else None,
        bitrate_mode="VBR",
        lossless=True,
        tags=tags,
        pictures=metadata.pictures + tail.pictures,
        warnings=tuple(warnings),
        samples=samples,
        audio_offset=metadata.end,
        audio_bytes=size,
    )


def _metadata(source: Source, start: int) -> _Metadata:
    info: Optional[StreamInfo] = None
    tags: Tags = {}
    pictures: List[Picture] = []
    position = start + 4
    for _ in range(_MAX_BLOCKS):
        head = source.read(position, 4)
        if len(head) < 4:
            raise EOFError(position + len(head))
        kind, length = head[0] & 0x7F, int.from_bytes(head[1:], "big")
        content = position + 4
        if info is None and kind != _STREAMINFO:
            raise NotAudio("starts like FLAC, but STREAMINFO does not come first", position)
        if kind == _STREAMINFO and info is None:
            info = parse_stream_info(source.read(content, min(length, STREAMINFO_BYTES)), content)
        elif kind == _VORBIS_COMMENT:
            comment = vorbis_comment.parse(source.read(content, min(length, _MAX_COMMENT_BYTES)))
            tagging.fill(tags, comment)
        elif kind == _PICTURE and len(pictures) < MAX_PICTURES:
            picture = flac_picture(source, content, length)
            pictures += [picture] if picture else []
        position = content + length
        if head[0] & 0x80:
            return _Metadata(info, tags, tuple(pictures), position)
    raise Damaged(f"more than {_MAX_BLOCKS} metadata blocks", position)


def _length(source: Source, metadata: _Metadata, first: FlacFrame, end: int, warnings: List[str]) -> _Length:
    """By the last frame."""
    info = metadata.info
    last = last_frame(source, info, metadata.end, end)
    if last is None:
        warnings.append("no frame was found at the end of the file, its length is as STREAMINFO says")
        if not info.samples:
            raise Damaged("no frame at the end tells the length", end)
        return _Length(info.samples, end, True, False)
    samples = max(last.sample - first.first_sample, 0)
    if last.is_cut and info.samples == 0 and samples == 0:
        raise Damaged("the file ends inside its first frame", end)
    if last.is_cut:
        warnings.append(f"the file ends inside a frame: {samples / info.sample_rate:.3f} s are playable")
    elif last.offset < end:
        warnings.append(f"{end - last.offset} bytes behind the last frame, at byte {last.offset}, are not audio")
    if first.first_sample:
        warnings.append(f"the first frame is of sample {first.first_sample}, what was before it is not there")
    elif info.samples and samples != info.samples and not last.is_cut:
        warnings.append(f"STREAMINFO says {info.samples} samples, the frames hold {samples}")
    return _Length(samples, last.offset, samples < info.samples or last.is_cut, True)
