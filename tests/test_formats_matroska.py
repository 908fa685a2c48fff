"""Matroska and WebM: the codec by its track, the length by the blocks."""

from __future__ import annotations

import struct

import pytest
from format_kinds import (
    check,
    flac,
    flac_frame,
    fmt,
    identify,
    mpeg_frame,
    mutations,
    refusal,
    truncations,
)

from audiokit.formats import matroska as reader
from audiokit.formats import matroska_blocks
from audiokit.formats.info import Damaged, NotAudio
from audiokit.formats.source import Source
from tests import audio_files

UNKNOWN = b"\x01\xff\xff\xff\xff\xff\xff\xff"


def element(name, content, size=None):
    """An EBML element; `name` in hexadecimal with its marker, the size in eight bytes."""
    length = (1 << 56 | len(content)).to_bytes(8, "big") if size is None else size
    return bytes.fromhex(name) + length + content


def number(name, value):
    return element(name, value.to_bytes(8, "big"))


def text(name, value):
    return element(name, value.encode())


def real(name, value):
    return element(name, struct.pack(">d", value))


def head(doc_type="matroska"):
    return element("1a45dfa3", text("4282", doc_type))


def track(codec, rate=48000, channels=2, bits=0, private=b"", kind=2, delay=0, frame=0):
    audio = real("b5", rate) + number("9f", channels) + (number("6264", bits) if bits else b"")
    parts = number("d7", 1) + number("83", kind) + text("86", codec) + element("e1", audio)
    parts += element("63a2", private) if private else b""
    parts += number("56aa", delay) if delay else b""
    parts += number("23e383", frame) if frame else b""
    return element("ae", parts)


def info(duration=None, scale=1_000_000):
    return element(
        "1549a966",
        number("2ad7b1", scale) + (real("4489", duration) if duration is not None else b""),
    )


def block(data, time=0, lacing=0, name="a3", number=1):
    return element(name, bytes([0x80 | number]) + time.to_bytes(2, "big") + bytes([lacing << 1]) + data)


def cluster(*blocks, time=0, size=None):
    return element("1f43b675", number("e7", time) + b"".join(blocks), size)


def movie(*parts, doc_type="matroska", size=None):
    return head(doc_type) + element("18538067", b"".join(parts), size)


OPUS_HEAD = b"OpusHead\1\2" + struct.pack("<HIhB", 312, 48000, 0, 0)
OPUS_20MS = b"\x78" + b"x" * 40  # CELT, 20 ms, one frame
FLAC_PRIVATE = flac(1, 192)[:42]


def opus(count=10, **more):
    return movie(
        info(),
        element("1654ae6b", track("A_OPUS", private=OPUS_HEAD)),
        cluster(*[block(OPUS_20MS, 20 * n) for n in range(count)]),
        **more,
    )


def test_opus_is_counted_by_packets_less_what_warms_the_decoder():
    found = identify(opus(doc_type="webm"))
    assert (found.container, found.codec, found.mime) == ("webm", "opus", "audio/webm; codecs=opus")
    assert (found.sample_rate, found.channels, found.samples) == (48000, 2, 9600 - 312)
    assert (found.duration_source, found.duration_exact, found.truncated, found.warnings) == (
        "frames",
        True,
        False,
        (),
    )


def test_a_live_recording_tells_no_sizes_and_no_duration():
    blocks = [block(OPUS_20MS, 20 * n) for n in range(5)]
    live = movie(
        info(),
        element("1654ae6b", track("A_OPUS", private=OPUS_HEAD)),
        cluster(*blocks, size=UNKNOWN),
        cluster(*blocks, time=100, size=UNKNOWN),
        size=UNKNOWN,
    )
    assert identify(live).samples == 9600 - 312


def test_padding_at_the_end_is_not_presented():
    group = element("a0", block(OPUS_20MS, 20, name="a1") + number("75a2", 10_000_000))
    whole = movie(
        info(),
        element("1654ae6b", track("A_OPUS", private=OPUS_HEAD)),
        cluster(block(OPUS_20MS), group),
    )
    assert identify(whole).samples == 1920 - 312 - 480


@pytest.mark.parametrize("junk", [b"\xff" * 4000, bytes(4000), b"junk" * 999, b"\x12" * 4000])
def test_what_is_behind_the_segment_is_none_of_it(junk):
    info = identify(opus() + junk)
    assert (info.samples, info.truncated) == (9600 - 312, False)


def test_a_segment_that_is_empty_from_some_byte_on_lacks_its_end():
    """As a download leaves it that has room for all and got half; one that tells no size may just be behind its end."""
    whole = opus()
    at = len(whole) - 4 * len(block(OPUS_20MS))
    info = identify(whole[:at] + bytes(len(whole) - at))
    assert (info.samples, info.truncated) == (6 * 960 - 312, True)
    assert info.warnings == (f"what is at byte {at} is no element: 0.114 s are playable",)
    live = opus(size=UNKNOWN)
    assert not identify(live + bytes(400)).truncated


def test_padding_is_that_of_the_block_in_its_group():
    ours = element("a0", number("75a2", 10_000_000) + block(OPUS_20MS, 20, name="a1"))
    others = element("a0", block(OPUS_20MS, 20, name="a1", number=2) + number("75a2", 5_000_000))
    tracks = element("1654ae6b", track("A_OPUS", private=OPUS_HEAD))
    for groups in ([ours, others], [others, ours], [others, block(OPUS_20MS, 20), others, ours, others]):
        whole = movie(info(), tracks, cluster(block(OPUS_20MS), *groups))
        blocks = 2 + (len(groups) > 2)
        assert identify(whole).samples == 960 * blocks - 312 - 480, len(groups)


VORBIS_DELAYS = [
    # nanoseconds of CodecDelay, samples, why
    (0, 1728, "no word of it"),
    (8_000_000, 1728, "128 samples: half of a short block, which the first packet is and which nothing comes of"),
    (64_000_000, 1728, "1024 samples: half of a long one"),
    (10_000_000, 1728 - 160, "another delay is believed"),
]


@pytest.mark.parametrize("delay, samples, why", VORBIS_DELAYS, ids=[row[-1] for row in VORBIS_DELAYS])
def test_the_first_packet_of_vorbis_sounds_nothing(delay, samples, why):
    modes = 1 | 1 << 6 + 41  # a short and a long one, as the end of the setup header has them
    setup = b"\x05vorbis" + bytes(8) + (modes | 1 << 88).to_bytes(12, "little")
    first = b"\x01vorbis" + struct.pack("<IBIiiiBB", 0, 1, 16000, 0, 64000, 0, 8 | 11 << 4, 1)
    comments = b"\x03vorbis" + bytes(8) + b"\1"
    private = bytes([2, len(first), len(comments)]) + first + comments + setup
    packets = [block(head + b"x" * 30, 10 * n) for n, head in enumerate((b"\0", b"\0", b"\2", b"\2"))]
    tracks = element("1654ae6b", track("A_VORBIS", 16000, 1, private=private, delay=delay))
    assert 128 + 576 + 1024 == 1728
    assert identify(movie(info(), tracks, cluster(*packets))).samples == samples, why


ALAC_CONFIG = struct.pack(">IBBBBBBHIII", 4096, 0, 24, 40, 10, 14, 1, 255, 0, 0, 44100)

CODECS = [
    # track, packet, codec, samples a packet, bits, why
    (track("A_PCM/INT/LIT", 8000, 1, 16), bytes(320), "pcm_s16le", 160, 16, "PCM by its bytes"),
    (track("A_PCM/INT/BIG", 8000, 1, 24), bytes(480), "pcm_s24be", 160, 24, "big endian"),
    (track("A_PCM/FLOAT/IEEE", 8000, 2, 32), bytes(1280), "pcm_f32le", 160, 32, "floats"),
    (track("A_MPEG/L3", 44100, 1), mpeg_frame(), "mp3", 1152, None, "MPEG audio by its header"),
    (
        track("A_FLAC", 44100, 1, private=FLAC_PRIVATE),
        flac_frame(0),
        "flac",
        192,
        16,
        "FLAC by its header",
    ),
    (track("A_AAC", 44100, 2, private=bytes.fromhex("1210")), b"aac", "aac", 1024, None, "AAC"),
    (track("A_AC3", 48000, 2), b"\x0b\x77\0\0\0\x40" + bytes(90), "ac3", 1536, None, "AC-3"),
    (
        track("A_EAC3", 48000, 2),
        b"\x0b\x77\0\0\x10\x80" + bytes(90),
        "eac3",
        512,
        None,
        "E-AC-3 of two blocks",
    ),
    (
        track("A_WAVPACK4", 44100, 2, 16),
        struct.pack("<III", 500, 1, 0) + bytes(90),
        "wavpack",
        500,
        16,
        "WavPack, of two bytes by its flags",
    ),
    (
        track("A_ALAC", 8000, 1, private=ALAC_CONFIG),
        bytes.fromhex("0000100000012c") + bytes(90),
        "alac",
        150,
        24,
        "ALAC: 150 samples of 4096, as only a partial packet tells",
    ),
    (
        track("A_ALAC", 8000, 1, private=b"frmaalac" + struct.pack(">I4sI", 36, b"alac", 0) + ALAC_CONFIG),
        bytes.fromhex("0000100000012c") + bytes(90),
        "alac",
        150,
        24,
        "ALAC whose configuration was taken over with what QuickTime wraps it in",
    ),
    (
        track("A_ALAC", 8000, 1, private=ALAC_CONFIG),
        bytes.fromhex("00000000000300") + bytes(90),
        "alac",
        4096,
        24,
        "ALAC: a whole packet",
    ),
    (
        track("A_MS/ACM", 8000, 2, private=fmt(7, 2, 8000, 8)[8:]),
        bytes(320),
        "pcm_mulaw",
        160,
        8,
        "samples of WAV by their bytes",
    ),
    (
        track("A_AAC", 44100, 2, private=bytes.fromhex("1214")),
        b"aac",
        "aac",
        960,
        None,
        "AAC of 960 samples, as digital radio has it",
    ),
    (track("A_AAC/MPEG4/LC/SBR", 44100, 2), b"aac", "aac", 2048, None, "SBR, by the name of the codec alone"),
    (track("A_AAC/MPEG4/LC", 44100, 2), b"aac", "aac", 1024, None, "and none"),
    (track("A_DTS", 48000, 2), audio_files.dts_frame(), "dts", 512, None, "DTS by its header"),
    (
        track("A_MS/ACM", 8000, 2, private=fmt(2, 2, 8000, 4, block=78)[8:]),
        bytes(78 + 20),
        "adpcm_ms",
        74,
        None,
        "a block of ADPCM, and a short one",
    ),
]


@pytest.mark.parametrize("header, packet, codec, samples, bits, why", CODECS)
def test_packets_are_measured_by_their_codec(header, packet, codec, samples, bits, why):
    found = identify(movie(info(), element("1654ae6b", header), cluster(*[block(packet, n) for n in range(7)])))
    assert (found.codec, found.samples, found.bits_per_sample) == (codec, 7 * samples, bits), why
    assert found.duration_exact and found.bitrate == round(7 * len(packet) * 8 / found.duration)


@pytest.mark.parametrize(
    "flags, bits, style, profile, lossless",
    [
        (1, 16, "int", "lossless", True),
        (1 | 4 << 13, 12, "int", "lossless", True),
        (3 | 1 << 7, 32, "float", "lossless", True),
        (1 | 1 << 3, 16, "int", "hybrid", False),
    ],
)
def test_wavpack_is_what_the_flags_of_its_first_packet_say(flags, bits, style, profile, lossless):
    packet = struct.pack("<III", 500, flags, 0) + bytes(90)
    for name in ("a3", "a0"):
        one = block(packet) if name == "a3" else element("a0", block(packet, name="a1"))
        found = identify(movie(info(), element("1654ae6b", track("A_WAVPACK4", bits=16)), cluster(one)))
        assert (found.bits_per_sample, found.sample_format) == (bits, style)
        assert (found.codec_profile, found.lossless) == (profile, lossless)


def test_tags_of_other_kinds_behind_the_segment_are_no_cut_elements():
    for tag in (b"TAG" + b"Title".ljust(125), b"APETAGEX" + b"\x53" * 90):
        found = identify(opus() + tag)
        assert (found.samples, found.truncated) == (9600 - 312, False)


def test_mu_law_is_not_lossless_here_either():
    header = track("A_MS/ACM", 8000, 1, private=fmt(7, 1, 8000, 8)[8:])
    found = identify(movie(info(), element("1654ae6b", header), cluster(block(bytes(80)))))
    assert (found.lossless, found.sample_format, found.bits_per_sample) == (False, "ulaw", 8)


def encoding(*parts):
    return element("6d80", element("6240", b"".join(parts)))


def stored(header, codings, packet, duration=None):
    """A track whose header ends with ContentEncodings."""
    entry = element("ae", header[12 - 3 :] + codings) if codings else header
    tracks = element("1654ae6b", entry)
    blocks = [block(packet, 24 * n) for n in range(5)]
    return identify(movie(info(duration), tracks, cluster(*blocks)))


STRIPPED = encoding(element("5034", number("4254", 3) + element("4255", mpeg_frame()[:3])))
DEFLATED = encoding(element("5034", number("4254", 0)))
OF_PRIVATE = encoding(number("5032", 2), element("5034", number("4254", 0)))
ENCRYPTED = encoding(number("5033", 1), element("5035", b""))


@pytest.mark.parametrize(
    "codings, packet, samples, warnings, why",
    [
        (b"", mpeg_frame(), 5 * 1152, (), "as it is"),
        (STRIPPED, mpeg_frame()[3:], 5 * 1152, (), "what all packets begin with is left out"),
        (DEFLATED, mpeg_frame(), None, (), "compressed bytes are no header, whatever they look like"),
        (OF_PRIVATE, mpeg_frame(), 5 * 1152, (), "only the codec's header is compressed"),
        (ENCRYPTED, mpeg_frame(), None, ("the audio is encrypted",), "encrypted bytes are none"),
    ],
)
def test_packets_are_measured_as_they_are_stored(codings, packet, samples, warnings, why):
    found = stored(track("A_MPEG/L3", 44100, 1), codings, packet, duration=120.0)
    assert (found.samples, found.warnings) == (samples, warnings), why
    assert found.duration_exact == bool(samples) and abs(found.duration - 0.125) < 0.01, why


def test_all_that_blocks_say_is_not_presented_is_not():
    """RFC 9559 section 5.1.3.5.7: of the end of a block, or, negative, of its beginning."""
    cut = [
        element("a0", block(OPUS_20MS, 20 * n, name="a1") + element("75a2", padding))
        for n, padding in enumerate(((5_000_000).to_bytes(8, "big"), (-5_000_000).to_bytes(8, "big", signed=True)))
    ]
    whole = movie(
        info(),
        element("1654ae6b", track("A_OPUS", private=OPUS_HEAD)),
        cluster(*cut, block(OPUS_20MS, 40)),
    )
    assert identify(whole).samples == 3 * 960 - 312 - 480


LACINGS = [
    (0, b"", 1, "no lacing"),
    (1, bytes([2, 41, 41]), 3, "Xiph's"),
    (2, bytes([2]), 3, "equal sizes"),
    (3, bytes([2, 0x80 | 41, 0xBF]), 3, "EBML's: a size, then differences"),
]


@pytest.mark.parametrize("lacing, sizes, count, why", LACINGS)
def test_laced_frames_are_counted_one_by_one(lacing, sizes, count, why):
    one = block(sizes + OPUS_20MS * count, 0, lacing)
    found = identify(movie(info(), element("1654ae6b", track("A_OPUS", private=OPUS_HEAD)), cluster(one)))
    assert found.samples == 960 * count - 312, why


def test_where_packets_tell_nothing_the_times_do():
    def timed(duration, frame=0):
        header = track("A_TTA1", 44100, 2, 16, frame=frame)
        return identify(
            movie(
                info(duration),
                element("1654ae6b", header),
                *[cluster(block(b"tta", 0), time=1000 * n) for n in range(3)],
            )
        )

    assert timed(2500.0).duration == 2.5, "the writer knows how long the last is"
    assert timed(None, 500_000_000).duration == 2.5, "every frame is told to be so long"
    assert timed(None).duration == 3.0, "as long as the one before"
    lying = timed(90_000.0)
    assert (lying.duration, lying.duration_declared) == (
        3.0,
        90.0,
    ) and "Duration says 90.000 s" in lying.warnings[0]


def test_tags_of_the_song_and_of_the_album():
    def simple(name, value):
        return element("67c8", text("45a3", name) + text("4487", value))

    tags = element(
        "1254c367",
        element(
            "7373",
            element("63c0", number("68ca", 50))
            + simple("TITLE", "Album")
            + simple("ARTIST", "Band"),
        )
        + element(
            "7373",
            element("63c0", number("68ca", 30))
            + simple("TITLE", "Söng")
            + simple("ARTIST", "A")
            + simple("PART_NUMBER", "7"),
        ),
    )
    data = movie(
        info(),
        element("1654ae6b", track("A_OPUS", private=OPUS_HEAD)),
        tags,
        cluster(block(OPUS_20MS)),
    )
    assert identify(data).tags == {
        "title": "Söng",
        "artist": "A",
        "track": "7",
        "album": "Album",
        "albumartist": "Band",
    }


def test_an_attached_picture_is_a_place_in_the_file():
    image = b"\x89PNG\r\n\x1a\npixels"
    attached = element("1941a469", element("61a7", text("4660", "image/png") + element("465c", image)))
    data = movie(
        info(),
        element("1654ae6b", track("A_OPUS", private=OPUS_HEAD)),
        attached,
        cluster(block(OPUS_20MS)),
    )
    (picture,) = identify(data).pictures
    assert data[picture.offset : picture.offset + picture.length] == image


def test_video_beside_the_audio_is_told():
    tracks = element(
        "1654ae6b",
        track("V_VP9", kind=1).replace(
            b"\xd7\x01\0\0\0\0\0\0\x08" + bytes(7) + b"\1",
            b"\xd7\x01\0\0\0\0\0\0\x08" + bytes(7) + b"\2",
        )
        + track("A_OPUS", private=OPUS_HEAD),
    )
    found = identify(movie(info(), tracks, cluster(block(b"frame", number=2), block(OPUS_20MS))))
    assert found.samples == 960 - 312 and found.warnings == ("besides the audio there is video",)


def test_tracks_that_stand_twice_are_one():
    """Tracks is identically recurring (RFC 9559 section 5.1.4): a copy is for files that lose the first."""
    tracks = element("1654ae6b", track("A_OPUS", private=OPUS_HEAD))
    found = identify(movie(info(), tracks, tracks, cluster(block(OPUS_20MS))))
    assert (found.samples, found.warnings) == (960 - 312, ())


REFUSED = [
    (head("other") + UNKNOWN, NotAudio, "'other'", "another kind of EBML"),
    (head(), NotAudio, "without a segment", "a head alone"),
    (movie(info()), NotAudio, "no audio track", "nothing"),
    (
        movie(info(), element("1654ae6b", track("V_VP9", kind=1))),
        NotAudio,
        "video without audio",
        "a film",
    ),
    (movie(info(), element("1654ae6b", track("A_NEW"))), NotAudio, "'A_NEW'", "an unknown codec"),
    (movie(info(), element("1654ae6b", track("A_AC3", rate=0))), NotAudio, "0 Hz", "no rate"),
    (movie(info(), element("1654ae6b", track("A_AC3"))), Damaged, "without a cluster", "no audio"),
    (
        movie(info(), element("1654ae6b", track("A_AC3")), cluster()),
        Damaged,
        "no block",
        "empty clusters",
    ),
]


@pytest.mark.parametrize("data, kind, words, why", REFUSED)
def test_what_has_no_audio_is_refused_in_words(data, kind, words, why):
    error = refusal(data)
    assert type(error) is kind and words in error.reason, f"{why}: {error.reason}"


def test_every_truncation_is_marked_or_refused():
    whole = opus(6)
    for data in truncations(whole):
        found = check(data)
        assert found is None or found.truncated or found.samples < 5760 - 312, len(data)


def test_seeded_mutations_are_an_answer_or_a_refusal():
    for data in mutations(opus(6), 500, 8, head=500):
        check(data)


def test_sizes_that_nest_without_end_are_bounded():
    assert (
        check(
            head()
            + bytes.fromhex("18538067")
            + UNKNOWN
            + (bytes.fromhex("1f43b675") + UNKNOWN) * 5000
        )
        is None
    )
    assert check(head() + bytes.fromhex("18538067") + UNKNOWN + (b"\xae\x80" * 50000)) is None


def test_elements_without_any_block_end_the_walk_soon():
    whole = audio_files.matroska()
    source = Source.of_bytes(whole + b"\x1f\x43\xb6\x75\x80" * 200_000)
    found = reader.read(source)
    assert found.truncated and found.samples == reader.read(Source.of_bytes(whole)).samples
    assert source.bytes_read < 1 << 18


def test_blocks_of_any_form_between_plain_ones_are_counted_alike():
    whole = audio_files.matroska(blocks=3)
    plain = b"\xa3\x85\x81\0\x3c\x80\xfc"
    before = identify(whole).samples
    for block, count, why in (
        (plain, 1, "a size of one byte"),
        (b"\xa3\x40\x05\x81\0\x3c\x80\xfc", 1, "a size of two bytes"),
        (b"\xa3\x20\0\x05\x81\0\x3c\x80\xfc", 1, "a size of three bytes"),
        (b"\xa3\x85\x82\0\x3c\x80\xfc", 0, "another track"),
        (b"\xa3\x87\x81\0\x3c\x84\x01\xfc\xfc", 2, "two laced frames"),
        (b"\xa0\x87\xa1\x85\x81\0\x3c\0\xfc", 1, "a group"),
    ):
        after = identify(whole + plain + block + plain * 2000).samples
        assert after - before == (2001 + count) * 960, why


@pytest.mark.parametrize("bound", ["_MAX_PLAIN", "_MAX_ELEMENTS"])
def test_what_is_longer_than_is_walked_is_not_called_exact(monkeypatch, bound):
    whole = audio_files.matroska(blocks=3) + b"\xa3\x85\x81\0\x3c\x80\xfc" * 5000
    assert identify(whole).duration_exact
    monkeypatch.setattr(matroska_blocks, bound, 3)
    found = identify(whole)
    assert not found.duration_exact and found.samples is None
