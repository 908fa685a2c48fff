"""MP4: the length by tables, fragments and edit lists, the codec by its own configuration, and what
lies."""

from __future__ import annotations

import re
import struct
import tracemalloc

import pytest

from audiokit.formats import mp4, mp4_tables
from audiokit.formats.aac_config import parse_aac_config
from audiokit.formats.info import Damaged, NotAudio
from audiokit.formats.mp4_codec import _NAMES, _PCM
from tests import audio_files, format_kinds
from tests.format_kinds import identify, refusal

FTYP = b"\0\0\0\x10ftypM4A \0\0\0\0"
LC_44100 = bytes.fromhex("1210")


def box(name: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), name) + body


def full(name: bytes, *content: bytes, version: int = 0, flags: int = 0) -> bytes:
    return box(name, struct.pack(">I", version << 24 | flags), *content)


def u32(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}I", *numbers)


def esds(config: bytes = LC_44100, kind: int = 0x40) -> bytes:
    decoder = (bytes([4, 15 + len(config), kind, 0x15]) + bytes(11) + bytes([5, len(config)]) + config)
    return full(b"esds", b"\x03", bytes([3 + len(decoder)]), b"\0\1\0", decoder)


def entry(name: bytes, *inside: bytes, channels: int = 2, bits: int = 16, rate: int = 44100) -> bytes:
    fields = (bytes(6) + b"\0\1" + bytes(8) + struct.pack(">HHIHH", channels, bits, 0, rate & 0xFFFF, 0))
    return box(name, fields, *inside)


def trak(
    sample, samples=40, ticks=1024, size=200, chunk=10, at=0, timescale=44100, declared=None,
    edits=(), number=1, handler=b"soun", stsz=None,
) -> bytes:  # fmt: skip
    """A track whose chunks of `chunk` samples lie one behind the other from `at` on."""
    chunks = [at + first * size for first in range(0, samples, chunk)]
    table = box(
        b"stbl",
        full(b"stsd", u32(1), sample),
        full(b"stts", u32(1, samples, ticks) if samples else u32(0)),
        full(b"stsc", u32(1, 1, chunk, 1)),
        full(b"stsz", u32(0, samples), u32(*[size] * samples))
        if stsz is None
        else stsz
        if stsz[4:8] == b"stz2"
        else full(b"stsz", stsz),
        full(b"stco", u32(len(chunks), *chunks)),
    )
    declared = samples * ticks if declared is None else declared
    media = box(
        b"mdia",
        full(b"mdhd", u32(0, 0, timescale, declared, 0)),
        full(b"hdlr", bytes(4), handler, bytes(13)),
        box(b"minf", table),
    )
    elst = full(
        b"elst",
        u32(len(edits)),
        *[struct.pack(">IiI", length, time, 1 << 16) for length, time in edits],
    )
    return box(
        b"trak",
        full(b"tkhd", u32(0, 0, number), bytes(68)),
        box(b"edts", elst) if edits else b"",
        media,
    )


def film(*inside: bytes, timescale: int = 1000, declared: int = 0) -> bytes:
    return box(b"moov", full(b"mvhd", u32(0, 0, timescale, declared), bytes(80)), *inside)


def plain(sample=None, samples=40, size=200, tags=b"", **more) -> bytes:
    """moov in front, the samples behind."""
    sample = entry(b"mp4a", esds()) if sample is None else sample
    length = len(FTYP) + len(film(trak(sample, samples, size=size, **more), tags)) + 8
    moov = film(trak(sample, samples, size=size, at=length, **more), tags)
    return FTYP + moov + box(b"mdat", bytes(samples * size))


def moof(samples, ticks=1024, size=200, per_sample=True, track=1) -> bytes:
    """A fragment with its mdat, as recorders write them."""

    def with_offset(offset: int) -> bytes:
        if per_sample:
            run = full(b"trun", u32(samples, offset), u32(*[ticks, size] * samples), flags=0x301)
            header = full(b"tfhd", u32(track), flags=0x20000)
        else:
            run = full(b"trun", u32(samples, offset), flags=0x1)
            header = full(b"tfhd", u32(track, ticks, size), flags=0x20018)
        return box(b"moof", full(b"mfhd", u32(1)), box(b"traf", header, run))

    return with_offset(len(with_offset(0)) + 8) + box(b"mdat", bytes(samples * size))


def fragmented(*fragments: bytes, samples=0, edits=(), trex=(0, 0)) -> bytes:
    mvex = box(b"mvex", full(b"trex", u32(1, 1, *trex, 0)))
    head = len(FTYP + film(trak(entry(b"mp4a", esds()), samples, edits=edits), mvex)) + 8
    moov = film(trak(entry(b"mp4a", esds()), samples, edits=edits, at=head), mvex)
    return FTYP + moov + box(b"mdat", bytes(samples * 200)) + b"".join(fragments)


LENGTHS = (
    (plain(), 40960, "the sum of stts"),
    (
        plain(edits=((905, 1024),)),
        39936,
        "an edit list leaves out the priming; its end is the media's",
    ),
    (plain(edits=((500, 1024),)), 22050, "an edit that ends early ends the sound"),
    (plain(edits=((200, -1), (905, 1024))), 39936, "silence before the sound is none of it"),
    (plain(edits=((0, 2112),)), 38848, "an edit of length 0 goes on to the end"),
    (plain(declared=0), 40960, "mdhd does not know"),
    (plain(stsz=u32(200, 30)), 30720, "stts has times for more samples than there are"),
    (fragmented(moof(20), moof(20)), 40960, "fragments with a duration for each sample"),
    (fragmented(moof(20, per_sample=False), moof(5, per_sample=False)), 25600, "with one for all"),
    (fragmented(moof(20), moof(20, track=2)), 20480, "another track's fragments are not ours"),
    (fragmented(moof(20), samples=40), 61440, "samples in moov and in fragments"),
    (fragmented(moof(20), edits=((0, 1024),)), 19456, "fragments behind an edit list"),
    (
        fragmented(moof(20), samples=40, edits=((929, 0),)),
        61440,
        "an edit list that was written before the fragments ends where they do",
    ),
)


@pytest.mark.parametrize("data, samples, why", LENGTHS, ids=[row[2] for row in LENGTHS])
def test_the_length_is_what_is_presented(data, samples, why):
    info = identify(data)
    assert (info.samples, info.container, info.codec, info.truncated) == (
        samples,
        "mp4",
        "aac",
        False,
    ), why
    assert info.duration == pytest.approx(samples / 44100) and info.warnings == ()


def test_itunes_note_of_gapless_playback_is_kept():
    words = f" 00000000 {2112:08X} {848:08X} {38000:016X}" + " 00000000" * 8
    item = box(
        b"----",
        full(b"mean", b"com.apple.iTunes"),
        full(b"name", b"iTunSMPB"),
        box(b"data", u32(1, 0), words.encode()),
    )
    udta = box(b"udta", full(b"meta", full(b"hdlr", bytes(4), b"mdirappl", bytes(9)), box(b"ilst", item)))
    info = identify(plain(tags=udta))
    assert info.samples == 38000 and not info.tags


@pytest.mark.parametrize(
    "edits, samples, why",
    [
        ((), 40 * 960 - 312, "the box of Opus says what is discarded in front"),
        (((790, 312),), 790 * 48, "an edit list says so itself"),
        (((800, 0),), 40 * 960, "and may say otherwise"),
    ],
)
def test_the_pre_skip_of_opus_counts_where_no_edit_list_is(edits, samples, why):
    info = identify(plain(opus_entry(), ticks=960, timescale=48000, edits=edits))
    assert (info.samples, info.truncated, info.duration_declared) == (samples, False, None), why


@pytest.mark.parametrize(
    "edits, ticks, samples, why",
    [
        (((1275, 256),), 1536, 40 * 1536, "frames are presented whole, with the decoder's delay"),
        (((500, 256),), 1536, 500 * 48, "an edit that ends early ends the sound"),
        (((1245, 256),), 1500, 40 * 1500 - 256, "who tells where the last block ends knows of the delay, too"),
    ],
)
def test_the_delay_of_ac3_is_left_out_where_the_end_is_told(edits, ticks, samples, why):
    ac3 = entry(b"ac-3", box(b"dac3", b"\x10\x3d\x40"), rate=48000)
    info = identify(plain(ac3, ticks=ticks, timescale=48000, edits=edits))
    assert (info.codec, info.samples, info.truncated, info.duration_declared) == ("ac3", samples, False, None), why


def test_the_box_of_opus_may_have_its_bytes_the_other_way_round():
    """GStreamer 1.22 copies OpusHead, whose fields are little endian, into dOps, whose fields are big endian."""
    for rate in (8000, 44100, 48000, 96000, 192000):
        copied = entry(b"Opus", box(b"dOps", b"\0\2" + struct.pack("<HIHB", 312, rate, 0, 0)), rate=48000)
        assert identify(plain(copied, ticks=960, timescale=48000)).samples == 40 * 960 - 312, rate


def test_a_header_that_lies_is_told_and_not_believed():
    info = identify(plain(declared=409600))
    assert (
        info.samples == 40960
        and info.duration_declared == pytest.approx(409600 / 44100)
        and info.warnings
    )


DOUBTED = [
    (plain(ticks=(1 << 31) - 1, declared=0), "cannot be", "times of samples that no codec has"),
    (plain().replace(b"mdhd", b"junk"), "no mdhd", "a clock that nothing tells"),
]


@pytest.mark.parametrize("data, words, why", DOUBTED, ids=[row[-1] for row in DOUBTED])
def test_times_that_cannot_be_trusted_are_an_estimate(data, words, why):
    info = identify(data)
    assert (info.duration_exact, info.duration_source) == (False, "estimate") and words in info.warnings[-1], why


def test_a_cut_file_is_as_long_as_what_is_there():
    whole = plain()
    info = identify(whole[: -15 * 200 - 1])
    assert (info.truncated and info.samples == 24 * 1024 and "before its samples do" in info.warnings[0])
    assert info.duration_declared == pytest.approx(40960 / 44100)


@pytest.mark.parametrize("bits, size", [(4, 13), (8, 200), (16, 200)])
def test_sizes_may_be_written_short(bits, size):
    values = "".join(format(size, f"0{bits}b") for _ in range(39))
    packed = int("1" + values + "0" * (-len(values) % 8), 2)
    table = full(b"stz2", u32(bits, 39), packed.to_bytes((packed.bit_length() + 7) // 8, "big")[1:])
    whole = plain(size=size, stsz=table)
    assert identify(whole[:-size]).samples == 39 * 1024, "stts has times for more samples than there are"
    info = identify(whole[: -7 * size - 1])
    assert (info.samples, info.truncated) == (32 * 1024, True)


@pytest.mark.parametrize("bits", (4, 8, 16))
def test_no_more_sizes_are_read_than_their_table_has(bits):
    table = full(b"stz2", u32(bits, 3000), b"\x11" * 5 * bits)
    info = identify(plain(samples=3000, chunk=3000, size=200, stsz=table)[:-1])
    assert info.samples == 40 * 1024 and info.truncated


def test_a_cut_fragment_counts_the_samples_that_are_there():
    data = fragmented(moof(20), moof(20))
    info = identify(data[: -7 * 200 - 1])
    assert info.truncated and info.samples == 32 * 1024 and info.duration_exact
    assert info.duration_declared == pytest.approx(40960 / 44100)


def opus_entry() -> bytes:
    return entry(b"Opus", box(b"dOps", b"\0\1" + struct.pack(">HIHB", 312, 48000, 0, 0)), rate=48000)


def stream_info() -> bytes:
    packed = (44100 << 44 | 1 << 41 | 23 << 36 | 40960).to_bytes(8, "big")
    return full(b"dfLa", b"\x80\0\0\x22", b"\x10\0\x10\0" + bytes(6) + packed + bytes(16))


def ddts(speakers: int, rate: int, bits: int, made_of: int = 0) -> bytes:
    """DTSSpecificBox (TS 102 114 annex E.2.2.3)."""
    head = struct.pack(">IIIBB", rate, 1509000, 1509000, bits, made_of << 1)
    return box(b"ddts", head + struct.pack(">3xHB", speakers, 0))


def alac_cookie() -> bytes:
    return full(b"alac", struct.pack(">IBBBBBBHIII", 4096, 0, 24, 40, 10, 14, 6, 255, 0, 0, 96000))


CODECS = (
    (entry(b"mp4a", esds()), "aac", "LC", 44100, 2, None, "mp4a.40.2", "AAC"),
    (
        entry(b"mp4a", esds(bytes.fromhex("1230"))),
        "aac",
        "LC",
        44100,
        6,
        None,
        "mp4a.40.2",
        "six channels, not the entry's two",
    ),
    (
        entry(b"mp4a", esds(bytes.fromhex("1010")), rate=0),
        "aac",
        "LC",
        96000,
        2,
        None,
        "mp4a.40.2",
        "96 kHz fit no entry",
    ),
    (
        entry(b"mp4a", esds(bytes.fromhex("2b920800"))),
        "aac",
        "HE-AAC",
        44100,
        2,
        None,
        "mp4a.40.5",
        "SBR, said at once",
    ),
    (entry(b"mp4a", esds(b"", 0x6B)), "mp3", None, 44100, 2, None, "mp4a.6B", "MP3"),
    (opus_entry(), "opus", None, 48000, 1, None, "opus", "Opus"),
    (entry(b"fLaC", stream_info()), "flac", None, 44100, 2, 24, "flac", "FLAC"),
    (entry(b"alac", alac_cookie(), rate=0), "alac", None, 96000, 6, 24, "alac", "ALAC"),
    (entry(b"dtsc", ddts(0x000F, 48000, 24)), "dts", "DTS", 48000, 6, None, "dtsc", "DTS"),
    (entry(b"dtsl", ddts(0x084B, 96000, 24)), "dts", "DTS-HD Master Audio", 96000, 8, 24, "dtsl", "lossless DTS"),
    (entry(b"dtsh", ddts(0x084B, 48000, 24)), "dts", "DTS-HD", 48000, 8, None, "dtsh", "a core with extensions"),
    (entry(b"dtsh", ddts(0x084B, 48000, 24, 14)), "dts", "DTS-HD Master Audio", 48000, 8, 24, "dtsh", "one of them lossless"),
    (entry(b"dtse", ddts(0x0002, 48000, 24)), "dts", "DTS Express", 48000, 2, None, "dtse", "DTS Express"),
    (entry(b"ac-3", box(b"dac3", b"\x10\x3d\x40")), "ac3", None, 48000, 6, None, "ac-3", "AC-3"),
    (
        entry(b"samr", box(b"damr", bytes(9)), rate=8000),
        "amr_nb",
        None,
        8000,
        1,
        None,
        "samr",
        "AMR",
    ),
    (entry(b"sowt"), "pcm_s16le", None, 44100, 2, 16, "sowt", "little-endian PCM"),
    (entry(b"twos"), "pcm_s16be", None, 44100, 2, 16, "twos", "big-endian PCM"),
    (
        entry(b"ipcm", full(b"pcmC", b"\1\x18")),
        "pcm_s24le",
        None,
        44100,
        2,
        24,
        "ipcm",
        "PCM of ISO/IEC 23003-5",
    ),
    (
        entry(b"fpcm", full(b"pcmC", b"\0\x20")),
        "pcm_f32be",
        None,
        44100,
        2,
        32,
        "fpcm",
        "floats of the same",
    ),
    (entry(b"ulaw"), "pcm_mulaw", None, 44100, 2, 8, "ulaw", "mu-law"),
)


@pytest.mark.parametrize(
    "sample, codec, profile, rate, channels, bits, word, why",
    CODECS,
    ids=[row[7] for row in CODECS],
)
def test_the_codec_is_what_its_own_configuration_says(sample, codec, profile, rate, channels, bits, word, why):
    info = identify(plain(sample))
    found = (info.codec, info.codec_profile, info.sample_rate, info.channels, info.bits_per_sample)
    assert found == (codec, profile, rate, channels, bits), why
    kind = "audio/3gpp" if codec.startswith("amr") else "audio/mp4"
    assert info.mime == f'{kind}; codecs="{word}"'


def test_layers_one_and_two_have_names_in_quicktime():
    assert [identify(plain(entry(name))).codec for name in (b".mp1", b".mp2")] == ["mp1", "mp2"]


@pytest.mark.parametrize("name", [*_NAMES, *_PCM], ids=repr)
def test_whatever_a_codec_is_called_its_media_type_can_be_sent(name):
    """QuickTime has names with control characters in them; a header field has none."""
    try:
        mime = identify(plain(entry(name, bits=16))).mime
    except NotAudio:  # it needs a box of its own
        return
    assert re.fullmatch(r'audio/[a-z0-9-]+(?:; codecs="[0-9A-Za-z.-]+")?', mime)


def bits(*fields):
    """Bytes in hexadecimal of (value, bits) one behind the other; None aligns to a byte."""
    word = ""
    for field in fields:
        word += "0" * (-len(word) % 8) if field is None else f"{field[0]:0{field[1]}b}"
    return int(word + "0" * (-len(word) % 8), 2).to_bytes((len(word) + 7) // 8, "big").hex()


# A program config element of a pair, a single and an LFE in front, behind its instance tag
PCE = [(0, 4), (1, 2), (7, 4), (2, 4), (0, 4), (0, 4), (1, 2), (0, 3), (0, 4), (0, 3)]
PCE += [(1, 1), (0, 4), (0, 1), (0, 4), (0, 4), None]
COMMENT = [(200, 8)] + [(65, 8)] * 200
GA = [(0, 3)]  # GASpecificConfig: 1024 samples, no core coder, no extension
SYNC_SBR = [(0x2B7, 11), (5, 5), (1, 1), (4, 4)]

CONFIGURATIONS = (
    (bits((2, 5), (7, 4), (0, 4), *GA, *PCE, (0, 8)), 22050, 4, "LC"),
    (bits((2, 5), (7, 4), (0, 4), *GA, *PCE, *COMMENT, *SYNC_SBR), 44100, 4, "HE-AAC"),
    (bits((5, 5), (7, 4), (0, 4), (4, 4), (2, 5), *GA, *PCE, (0, 8)), 44100, 4, "HE-AAC"),
    (bits((31, 5), (7, 6), (4, 4), (2, 4), (1, 1), (0, 4)), 44100, 2, "ELD"),
    (bits((31, 5), (7, 6), (7, 4), (1, 4), (0, 4), (1, 1), (1, 1), (0, 1)), 44100, 1, "ELD"),
    (bits((31, 5), (10, 6), (15, 4), (44100, 24), (2, 4), (4, 5), (3, 3), (2, 5)), 44100, 2, "xHE-AAC"),
    (bits((31, 5), (10, 6), (4, 4), (0, 4), (17, 5), (1, 3), (9, 5)), 40000, 3, "xHE-AAC"),
    (bits((23, 5), (6, 4), (1, 4), (1, 1), (0, 2)), 24000, 1, "LD"),
    ("1210", 44100, 2, "LC"),
    ("1190", 48000, 2, "LC"),
    ("0fffff", None, None, "all ones"),
    ("12", None, None, "cut"),
    ("eb8a0800", 44100, 2, "HE-AACv2"),
    ("2b920800", 44100, 2, "HE-AAC"),
    ("", None, None, "nothing"),
)


@pytest.mark.parametrize("config, rate, channels, why", CONFIGURATIONS)
def test_an_audio_specific_config_says_rate_and_channels(config, rate, channels, why):
    found = parse_aac_config(bytes.fromhex(config))
    if rate is None:
        assert found is None or 0 < found.sample_rate < 1 << 24, why
    else:
        assert (found.sample_rate, found.channels, found.profile) == (rate, channels, why)


FRAMES = (
    (bits((2, 5), (4, 4), (2, 4), (0, 3)), 1024, "LC"),
    (bits((2, 5), (4, 4), (2, 4), (4, 3)), 960, "frameLengthFlag: 960, as digital radio has it"),
    (bits((23, 5), (4, 4), (2, 4), (0, 3)), 512, "low delay"),
    (bits((23, 5), (4, 4), (2, 4), (4, 3)), 480, "low delay, short"),
    (bits((31, 5), (7, 6), (4, 4), (2, 4), (1, 1), (0, 4)), 480, "enhanced low delay"),
    (bits((31, 5), (10, 6), (4, 4), (2, 4), (4, 5), (3, 3), (2, 5)), 2048, "USAC with SBR"),
)


@pytest.mark.parametrize("config, samples, why", FRAMES)
def test_an_audio_specific_config_says_how_long_a_frame_is(config, samples, why):
    assert parse_aac_config(bytes.fromhex(config)).frame_samples == samples, why


def test_tags_and_covers_are_found():
    def item(name: bytes, kind: int, value: bytes) -> bytes:
        return box(name, box(b"data", u32(kind, 0), value))

    items = (
        item(b"\xa9nam", 1, "Tïtel".encode()),
        item(b"trkn", 0, b"\0\0\0\7\0\x0c\0\0"),
        item(b"gnre", 0, b"\0\x09"),
        item(b"covr", 13, b"\xff\xd8\xff" + bytes(50)),
    )
    udta = box(b"udta", full(b"meta", full(b"hdlr", bytes(4), b"mdirappl", bytes(9)), box(b"ilst", *items)))
    data = plain(tags=udta)
    info = identify(data)
    assert info.tags == {"title": "Tïtel", "track": "7", "tracktotal": "12", "genre": "Jazz"}
    (picture,) = info.pictures
    assert (
        picture[:2] == ("image/jpeg", "front cover")
        and data[picture.offset :][: picture.length][:3] == b"\xff\xd8\xff"
    )


def test_video_beside_the_sound_is_told():
    sample = entry(b"mp4a", esds())
    video = trak(entry(b"avc1"), number=2, handler=b"vide")
    info = identify(FTYP + film(trak(sample), video) + box(b"mdat", bytes(8000)))
    assert info.codec == "aac" and info.warnings == ("besides the audio there is video",)


def test_a_file_that_ends_inside_a_box_behind_the_audio_is_marked():
    sample = entry(b"mp4a", esds())
    whole = plain(sample)
    late = FTYP + box(b"mdat", bytes(8000)) + whole[whole.index(b"moov") - 4 : whole.index(b"mdat") - 4]
    late += box(b"free", bytes(50))
    assert not identify(late).truncated
    cut = identify(late[:-20])
    assert cut.truncated and "inside its last box" in cut.warnings[0]
    assert cut.samples == identify(late).samples
    with pytest.raises(Damaged, match="before its movie box"):
        identify(FTYP + box(b"mdat", bytes(8000))[:-20])


def test_tags_of_other_kinds_behind_the_boxes_are_no_boxes():
    whole = plain(entry(b"mp4a", esds()))
    for tag in (b"TAG" + b"Title".ljust(125), b"APETAGEX" + bytes(24)):
        info = identify(whole + tag)
        assert not info.truncated and "behind the last box" in info.warnings[0]


BAD = (
    (FTYP, "movie box", "nothing behind ftyp"),
    (FTYP + b"plain text, and more of it", "movie box", "text behind ftyp"),
    (FTYP + film(trak(entry(b"avc1"), handler=b"vide")), "video", "video only"),
    (FTYP + film(), "without an audio track", "no track"),
    (plain(samples=0), "no samples", "no samples"),
    (plain(entry(b"zzzz")), "zzzz", "an unknown codec"),
    (plain(entry(b"mp4a", channels=0)), "0 channels", "no channels"),
    (b"\0\0\0\x10ftypheic\0\0\0\0", "HEIC", "a picture"),
    (FTYP + u32(1) + b"moov" + bytes(8), "movie box", "a size below its header's"),
    (FTYP + b"\0\0\0\0moov", "without an audio track", "size 0 at the end"),
)


@pytest.mark.parametrize("data, words, why", BAD, ids=[row[2] for row in BAD])
def test_what_is_no_sound_is_refused_by_name(data, words, why):
    assert words in refusal(data).reason


def test_boxes_in_boxes_without_end_are_refused():
    data = b""
    for _ in range(5000):
        data = box(b"moov", data)
    refusal(FTYP + data)
    refusal(FTYP + film(box(b"trak", *[box(b"mdia")] * 5000)))


def test_a_crowd_of_empty_fragments_is_given_up_and_what_was_counted_marked():
    whole = fragmented(moof(20), moof(20))
    few, many = identify(whole + box(b"moof") * 100), identify(whole + box(b"moof") * 20_000)
    assert (few.samples, few.duration_source, few.duration_exact) == (40960, "samples", True)
    assert (many.samples, many.duration_source, many.duration_exact) == (None, "estimate", False)
    assert "more fragments than are counted" in many.warnings[0]


def test_fragments_as_short_as_a_frame_are_counted_whole():
    hours = fragmented(*[moof(1)] * 60_000)  # 100,000 boxes were the limit once
    assert identify(hours).samples == 60_000 * 1024


def test_every_truncation_is_refused_or_shorter_and_marked():
    audio_files.check_every_truncation(plain())


def test_every_truncation_of_fragments_is_refused_or_marked_but_between_them():
    whole = fragmented(moof(20), moof(20))
    between = {whole.index(b"moof") - 4, whole.rindex(b"moof") - 4}
    for length, beginning in audio_files.cuts(whole, 7):
        _, info = audio_files.outcome(beginning)
        assert (
            info is None
            or info.truncated
            and info.warnings
            and info.samples <= 40960
            or length in between
        ), length


def test_mutations_are_audio_or_not_and_nothing_else():
    for data in (plain(), fragmented(moof(20), moof(20)), plain(alac_entry()), audio_files.mp4()):
        for broken in format_kinds.mutations(data, 150, 11, head=900):
            format_kinds.check(broken)


def alac_entry() -> bytes:
    return entry(b"alac", alac_cookie())


def test_of_a_long_file_only_the_headers_are_read():
    size = 1 << 32
    head = (
        FTYP
        + film(trak(entry(b"mp4a", esds()), 40, at=400))
        + u32(1)
        + b"mdat"
        + struct.pack(">Q", 1 << 31)
    )
    with pytest.raises(format_kinds.NotAudio):
        audio_files.check_reads_little(FTYP + u32(1) + b"free" + struct.pack(">Q", size - 16), size)
    assert audio_files.check_reads_little(head, size).samples == 40960


def test_counts_without_bytes_behind_them_cost_no_memory():
    run = full(b"trun", u32(0xFFFFFFFF))
    header = full(b"tfhd", u32(1, 1024, 0), flags=0x20018)
    huge = box(b"moof", full(b"mfhd", u32(1)), box(b"traf", header, run * 1000))
    tracemalloc.start()
    try:
        for data in (fragmented(huge), fragmented(huge + u32(100) + b"mdat")):
            assert "s" in refusal(data).reason
        assert tracemalloc.get_traced_memory()[1] < 1 << 21
    finally:
        tracemalloc.stop()


def test_a_table_of_millions_of_rows_is_summed_in_steps():
    rows = 300_000
    stts = full(b"stts", u32(rows), u32(1, 2) * rows)
    source = format_kinds.Source.of_bytes(stts)
    assert mp4_tables.times(source, mp4.Box(b"stts", 8, len(stts))) == (rows, 2 * rows)
    assert mp4_tables.ticks_of(source, mp4.Box(b"stts", 8, len(stts)), 200_001) == 400_002


def with_co64(data: bytes, place: int) -> bytes:
    """That file with its one chunk at `place` before, named in eight bytes."""
    table = data.index(b"stco") - 4
    out = bytearray(data[:table])
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
        at = out.index(name) - 4
        out[at : at + 4] = u32(int.from_bytes(out[at : at + 4], "big") + 4)
    return bytes(out) + full(b"co64", u32(1), struct.pack(">Q", place + 4)) + data[table + 20 :]


@pytest.mark.parametrize(
    "word, codec, channels, why",
    [
        (0xFFFB90C4, "mp3", 1, "one channel"),
        (0xFFFB9004, "mp3", 2, "two channels"),
        (0xFFFD90C4, "mp2", 1, "layer II has the same object type"),
        (0xFFFB94C4, "mp3", 2, "a frame at 48 kHz is not of this track"),
        (0, "mp3", 2, "no frame there"),
    ],
)
def test_mpeg_audio_is_what_its_first_frame_says(word, codec, channels, why):
    data = bytearray(plain(entry(b"mp4a", esds(b"", 0x6B)), samples=10, ticks=1152, size=417))
    place = data.index(b"mdat") + 4
    data[place : place + 4] = word.to_bytes(4, "big")
    for whole in (bytes(data), with_co64(bytes(data), place)):
        info = identify(whole)
        assert (info.codec, info.channels, info.truncated) == (codec, channels, False), why
