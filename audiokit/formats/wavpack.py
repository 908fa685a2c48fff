"""WavPack, versions 4 and 5: lossless, hybrid, float, multichannel and DSD.

"WavPack 4 & 5 Binary File / Block Format".  Reads the first blocks and looks for the last whole
one from the end, which tells the length whatever the header says.  Raises NotAudio for what only
begins like a block, Damaged where no whole block of samples is there.

    block: "wvpk", u32 bytes behind this field, u16 version, u8 upper bits of the index, u8 of the
           total, u32 samples of the file (all ones: not known), u32 index of the first sample,
           u32 samples, u32 flags, u32 CRC; then sub-blocks: u8 id, 1 or 3 bytes of words, content
"""

from __future__ import annotations

import struct
from typing import Iterator, List, NamedTuple, Optional, Tuple

from audiokit.formats import tail
from audiokit.formats.info import AudioInfo, Damaged, NotAudio
from audiokit.formats.source import Source

MAX_CHANNELS = 256
MAX_BLOCK_BYTES = 1 << 20  # "blocks … should be limited to 1 MB"
MAX_TAIL_BYTES = 1 << 22  # how far from the end the last block is sought: some whole blocks
_SEARCH_BYTES = 1 << 16
_MAX_CANDIDATES = 4096  # places that look like a block, before the search is given up
_MAX_SUB_BLOCKS = 64  # of one block, which has a dozen
_MAX_FIRST_BLOCKS = 256  # blocks of the first moment: two channels each, and blocks without samples
_HEADER = struct.Struct("<4sIHBBIIIII")
_UNKNOWN = 0xFFFFFFFF
_RATES = (
    6000, 8000, 9600, 11025, 12000, 16000, 22050, 24000,
    32000, 44100, 48000, 64000, 88200, 96000, 192000,
)  # fmt: skip
_OTHER_RATE = 15  # the rate is in a sub-block
_BYTES, _MONO, _HYBRID, _FLOAT, _FINAL, _DSD = 3, 1 << 2, 1 << 3, 1 << 7, 1 << 12, 1 << 31
_ID_CORRECTION, _ID_CHANNEL_INFO, _ID_DSD, _ID_RATE = 0x0B, 0x0D, 0x0E, 0x27
_ID, _IS_ODD, _IS_LARGE = 0x3F, 0x40, 0x80


class _Block(NamedTuple):
    offset: int
    size: int  # bytes, the header included
    total: int  # samples of the file, -1 where not known
    index: int  # of its first sample
    samples: int  # a channel; 0 where it holds none
    flags: int

    @property
    def end(self) -> int:
        """Behind its last byte."""
        return self.offset + self.size


class _First(NamedTuple):
    """What the blocks of the first moment say together."""

    block: _Block
    rate: int  # Hz; of DSD, bytes a second of one channel
    channels: int


def matches(head: bytes) -> bool:
    """The magic; the first block must hold in `read`."""
    return head[:4] == b"wvpk"


def read(source: Source, start: int = 0) -> AudioInfo:
    """The WavPack file at `start`."""
    first = _first(source, start)
    block = first.block
    behind = tail.read(source, start)
    last = _last(source, block, behind.end)
    if last is None:
        raise Damaged("WavPack without one whole block", block.offset)
    present = last.index + last.samples - block.index
    promised = block.total if block.total >= 0 else present
    warnings: List[str] = []
    is_cut = present < promised or last.end < behind.end and _begins_block(source, last.end)
    if present < promised:
        warnings.append(f"the header says {promised} samples, the blocks hold {present}")
    elif is_cut:
        warnings.append(f"the file ends inside a block, at byte {behind.end}")
    elif present > promised:
        warnings.append(f"the header says {promised} samples, the blocks hold {present}")
    is_dsd = bool(block.flags & _DSD)
    rate, samples = (first.rate * 8, present * 8) if is_dsd else (first.rate, present)
    audio_bytes = last.end - block.offset
    return AudioInfo(
        container="wv",
        codec="wavpack",
        codec_profile="DSD" if is_dsd else "hybrid" if is_hybrid(block.flags) else "lossless",
        mime="audio/x-wavpack",
        sample_rate=rate,
        channels=first.channels,
        duration=samples / rate,
        duration_exact=True,
        duration_source="header" if present == block.total else "frames",
        duration_declared=promised / first.rate if promised != present else None,
        truncated=is_cut,
        bits_per_sample=valid_bits(block.flags),
        sample_format="float" if is_float(block.flags) else "int",
        bitrate=round(audio_bytes * 8 * rate / samples),
        bitrate_mode="VBR",
        lossless=not is_hybrid(block.flags),
        tags=behind.tags,
        pictures=behind.pictures,
        warnings=tuple(warnings),
        samples=samples,
        audio_offset=block.offset,
        audio_bytes=audio_bytes,
    )


def is_hybrid(flags: int) -> bool:
    """Whether a block of these flags holds no more than an approximation."""
    return bool(flags & _HYBRID)


def is_float(flags: int) -> bool:
    """Whether the samples of such a block are floats."""
    return bool(flags & _FLOAT)


def valid_bits(flags: int) -> int:
    """Valid bits of a sample of such a block: the bytes of a sample, less the zeros that are shifted out."""
    if flags & _DSD:
        return 1
    if flags & _FLOAT:
        return 32
    return max(8 * ((flags & _BYTES) + 1) - (flags >> 13 & 0x1F), 1)


def _parse(data: bytes, at: int, offset: int) -> Optional[_Block]:
    """The block header at `at` of `data`, which is byte `offset` of the file, if it is one."""
    if len(data) - at < _HEADER.size:
        return None
    fields = _HEADER.unpack_from(data, at)
    magic, size, version, index_high, total_high, total, index, samples, flags, _ = fields
    if magic != b"wvpk" or not 0x402 <= version <= 0x4FF or not 24 <= size <= MAX_BLOCK_BYTES:
        return None
    total = -1 if total == _UNKNOWN else (total_high << 32) + total - total_high
    if not total and samples:
        total = -1  # as who writes to a pipe leaves it
    return _Block(offset, size + 8, total, index_high << 32 | index, samples, flags)


def _begins_block(source: Source, offset: int) -> bool:
    head = source.read(offset, _HEADER.size)
    block = _parse(head, 0, offset)
    return block.samples > 0 if block else head[:4] == b"wvpk"[: len(head)] and len(head) > 0


# The first moment
# ----------------------------------------------------------------------------------


def _first(source: Source, start: int) -> _First:
    position, first, channels, rate, told = start, None, 0, 0, 0
    for _ in range(_MAX_FIRST_BLOCKS):
        block = _parse(source.read(position, _HEADER.size), 0, position)
        if block is None:
            break
        position = block.end
        if not block.samples:
            continue
        first = first or block
        channels += 1 if block.flags & _MONO else 2
        rate, told = _details(source, block, rate, told)
        if block.flags & _FINAL:
            break
    if first is None:
        raise NotAudio("starts like WavPack, but its first block does not hold", start)
    if is_hybrid(first.flags) and _ID_CORRECTION in (name for name, _ in _sub_blocks(source, first)):
        raise NotAudio("a WavPack correction, which sounds only with the file that it corrects", first.offset)
    channels = told or channels
    if not 0 < channels <= MAX_CHANNELS or not rate:
        raise NotAudio(f"WavPack with {channels} channels at {rate} Hz", first.offset)
    return _First(first, rate, channels)


def _details(source: Source, block: _Block, rate: int, told: int) -> Tuple[int, int]:
    """The rate, and the channels that a sub-block tells (0: none), with what was known before."""
    index, is_dsd = block.flags >> 23 & 0xF, bool(block.flags & _DSD)
    found = 0 if index == _OTHER_RATE else _RATES[index]
    if found and not is_dsd and block.flags & _FINAL:
        return rate or found, told  # one block a moment: its flags say all
    multiple = 1
    for name, content in _sub_blocks(source, block):
        if name == _ID_RATE and len(content) >= 3:
            found = int.from_bytes(content[:3], "little")
            found |= (content[3] & 0x7F) << 24 if len(content) > 3 else 0
        elif name == _ID_CHANNEL_INFO and content and not told:
            told = content[0]
            if len(content) >= 6:  # twelve bits, less one
                told = (content[0] | (content[2] & 0x0F) << 8) + 1
        elif name == _ID_DSD and is_dsd and content:
            multiple = 1 << min(content[0], 16)
    return rate or found * multiple, told


def _sub_blocks(source: Source, block: _Block) -> Iterator[Tuple[int, bytes]]:
    """Id and the first 8 bytes of the content of every sub-block."""
    position = block.offset + _HEADER.size
    for _ in range(_MAX_SUB_BLOCKS):
        head = source.read(position, 12)
        if len(head) < 2 or position >= block.end:
            return
        if head[0] & _IS_LARGE:
            size, width = int.from_bytes(head[1:4], "little") * 2, 4
        else:
            size, width = head[1] * 2, 2
        content = size - 1 if head[0] & _IS_ODD and size else size
        yield head[0] & _ID, head[width : width + min(content, 8)]
        position += width + size


# The last block
# ------------------------------------------------------------------------------------


def _last(source: Source, first: _Block, end: int) -> Optional[_Block]:
    """The last whole block of samples that ends a moment (all its channels), or None."""
    stop, candidates = end, 0
    floor = max(first.offset, end - MAX_TAIL_BYTES)
    while stop > floor and candidates < _MAX_CANDIDATES:
        begin = max(stop - _SEARCH_BYTES, floor)
        data = source.read(begin, stop - begin + _HEADER.size)
        at = data.rfind(b"wvpk", 0, stop - begin + 3)
        while at >= 0 and candidates < _MAX_CANDIDATES:
            block = _parse(data, at, begin + at)
            if block and block.samples and block.flags & _FINAL and block.end <= end:
                if block.index >= first.index:
                    return block
            candidates += 1
            at = data.rfind(b"wvpk", 0, at + 3)
        stop = begin
    return None
