"""Tags: one set of names for what every tagging scheme calls differently, and text from any
encoding.

The names are those of the record (title, artist, album, albumartist, date, track, …).  Schemes
whose keys are free text (Vorbis comments, APEv2, ID3v2's TXXX, Matroska, iTunes' "----") keep a key
that is not known here, in lower case.  What a file says is bounded in count and length; nothing
here raises on any content.
"""

from __future__ import annotations

import re
from typing import Dict, List, Optional, Union

from audiokit.formats.info import Tags

MAX_NAMES = 100  # different names of one file; a well-kept MusicBrainz file has about 40
MAX_VALUES = 64  # values of one name; performers of an opera
MAX_CHARACTERS = 16384  # of one value: lyrics fit, a hidden file does not

# What a free-text key (spaces, dashes and underscores left out, lower case) means, where not itself
# a name.
_FREE = {
    "albumartist": "albumartist",
    "albumartists": "albumartist",
    "ensemble": "albumartist",
    "tracknumber": "track",
    "trackno": "track",
    "partnumber": "track",
    "totaltracks": "tracktotal",
    "trackcount": "tracktotal",
    "totalparts": "tracktotal",
    "discnumber": "disc",
    "disk": "disc",
    "disknumber": "disc",
    "partofset": "disc",
    "totaldiscs": "disctotal",
    "disccount": "disctotal",
    "year": "date",
    "recordingdate": "date",
    "recordeddate": "date",
    "daterecorded": "date",
    "datereleased": "date",
    "creationdate": "date",
    "originalyear": "originaldate",
    "author": "artist",
    "albumtitle": "album",
    "comments": "comment",
    "writer": "lyricist",
    "label": "publisher",
    "organization": "publisher",
    "beatsperminute": "bpm",
    "tempo": "bpm",
    "initialkey": "key",
    "keysignature": "key",
    "unsyncedlyrics": "lyrics",
    "encoding": "encoder",
    "encodingapplication": "encoder",
    "encodedby": "encodedby",
    "ean/upn": "barcode",
    "upc": "barcode",
    "contentgroup": "grouping",
    "contentgroupdescription": "grouping",
    "catalognumber": "catalognumber",
}
_NAMES = (
    "title subtitle artist album albumartist date originaldate releasedate track tracktotal "
    "disc disctotal genre comment composer lyricist conductor remixer performer copyright "
    "license publisher isrc barcode catalognumber encoder encodedby language lyrics bpm key "
    "mood grouping compilation description synopsis media titlesort artistsort albumsort "
    "albumartistsort composersort"
).split()
_FREE.update((name, name) for name in _NAMES)

# Keys that carry machinery or pictures, never words for people.
_NEVER = re.compile(
    r"metadata_block_picture|coverart.*|cover art.*|itunsmpb|itunnorm|itun.*|cuesheet"
    r"|waveformatextensible.*"
    r"|mediaclass.*|picture|wmfsdk.*|deviceconformancetemplate|isvbr|asfleakybucketpairs|_statistics.*"
    r"|number_of_(?:bytes|frames)|major_brand|minor_version|compatible_brands|vendor",
)
_FREE_KEY = re.compile(r"[a-z0-9][ -<>-~]{0,63}")  # printable ASCII without "="

_CODED: Dict[str, Dict[str, str]] = {
    # ID3v2.4.0 frames section 4; the three-letter ones are ID3v2.2's
    "id3": {
        "TIT2": "title",
        "TT2": "title",
        "TIT3": "subtitle",
        "TT3": "subtitle",
        "TPE1": "artist",
        "TP1": "artist",
        "TALB": "album",
        "TAL": "album",
        "TPE2": "albumartist",
        "TP2": "albumartist",
        "TDRC": "date",
        "TYER": "date",
        "TYE": "date",
        "TDOR": "originaldate",
        "TORY": "originaldate",
        "TOR": "originaldate",
        "TDRL": "releasedate",
        "TRCK": "track",
        "TRK": "track",
        "TPOS": "disc",
        "TPA": "disc",
        "TCON": "genre",
        "TCO": "genre",
        "COMM": "comment",
        "COM": "comment",
        "TCOM": "composer",
        "TCM": "composer",
        "TEXT": "lyricist",
        "TXT": "lyricist",
        "TPE3": "conductor",
        "TP3": "conductor",
        "TPE4": "remixer",
        "TP4": "remixer",
        "TCOP": "copyright",
        "TCR": "copyright",
        "TPUB": "publisher",
        "TPB": "publisher",
        "TSRC": "isrc",
        "TRC": "isrc",
        "TSSE": "encoder",
        "TSS": "encoder",
        "TENC": "encodedby",
        "TEN": "encodedby",
        "TLAN": "language",
        "TLA": "language",
        "USLT": "lyrics",
        "ULT": "lyrics",
        "TBPM": "bpm",
        "TBP": "bpm",
        "TKEY": "key",
        "TKE": "key",
        "TMOO": "mood",
        "TIT1": "grouping",
        "TT1": "grouping",
        "GRP1": "grouping",
        "TCMP": "compilation",
        "TCP": "compilation",
        "TMED": "media",
        "TMT": "media",
        "TSOT": "titlesort",
        "TSOP": "artistsort",
        "TSOA": "albumsort",
        "TSO2": "albumartistsort",
        "TSOC": "composersort",
    },
    # iTunes' metadata atoms; \xa9 is the copyright sign they begin with
    "mp4": {
        "\xa9nam": "title",
        "\xa9ART": "artist",
        "\xa9art": "artist",
        "\xa9alb": "album",
        "aART": "albumartist",
        "\xa9day": "date",
        "trkn": "track",
        "\xa9trk": "track",
        "disk": "disc",
        "\xa9gen": "genre",
        "gnre": "genre",
        "\xa9cmt": "comment",
        "\xa9wrt": "composer",
        "\xa9com": "composer",
        "cprt": "copyright",
        "\xa9cpy": "copyright",
        "\xa9too": "encoder",
        "\xa9enc": "encodedby",
        "\xa9lyr": "lyrics",
        "tmpo": "bpm",
        "\xa9grp": "grouping",
        "cpil": "compilation",
        "desc": "description",
        "ldes": "synopsis",
        "\xa9des": "description",
        "\xa9pub": "publisher",
        "\xa9lab": "publisher",
        "\xa9con": "conductor",
        "sonm": "titlesort",
        "soar": "artistsort",
        "soal": "albumsort",
        "soaa": "albumartistsort",
        "soco": "composersort",
        # 3GPP TS 26.244 section 8
        "titl": "title",
        "perf": "artist",
        "albm": "album",
        "auth": "lyricist",
        "dscp": "description",
        "yrrc": "date",
    },
    # Multimedia Programming Interface and Data Specifications 1.0, "INFO list"; ISRC there is the
    # source
    "riff": {
        "INAM": "title",
        "IART": "artist",
        "IPRD": "album",
        "IALB": "album",
        "IAAR": "albumartist",
        "ICRD": "date",
        "IYER": "date",
        "YEAR": "date",
        "ITRK": "track",
        "IPRT": "track",
        "IFRM": "tracktotal",
        "TRCK": "track",
        "IGNR": "genre",
        "GENR": "genre",
        "ICMT": "comment",
        "CMNT": "comment",
        "IMUS": "composer",
        "IWRI": "lyricist",
        "ICOP": "copyright",
        "IPUB": "publisher",
        "ISFT": "encoder",
        "ITCH": "encodedby",
        "IENC": "encodedby",
        "ILNG": "language",
        "ISBJ": "description",
        "IMED": "media",
    },
    # Audio Interchange File Format 1.3, "Text Chunks"
    "aiff": {"NAME": "title", "AUTH": "artist", "(c) ": "copyright", "ANNO": "comment"},
    # the attributes of ASF that are not plain words behind "WM/"
    "asf": {
        "Description": "comment",
        "WM/Year": "date",
        "WM/Track": "",
        "WM/ToolName": "encoder",
        "WM/SubTitle": "subtitle",
        "WM/SubTitleDescription": "description",
        "WM/AuthorURL": "",
    },
}
_FREE_TEXT_SCHEMES = ("vorbis", "ape", "mp4", "asf", "matroska", "caf", "id3")


def canonical(scheme: str, key: str) -> Optional[str]:
    """The record's name of `key` in `scheme`, or None where it is nothing for the record.

    Schemes: id3 (frames of all versions, and TXXX descriptions), mp4 (atoms, and names of "----"),
    riff, aiff, asf, vorbis, ape, matroska, caf.
    """
    known = _CODED.get(scheme, {}).get(key)
    if known is not None or scheme not in _FREE_TEXT_SCHEMES:
        return known or None
    if scheme in ("id3", "mp4") and len(key) in (3, 4):
        if key.isupper() or not key.isascii() or scheme == "mp4":
            # a coded key that is not in the table (stik, rtng: a player's), or a short word as BPM
            return _FREE.get(key.lower())
    word = key.strip().lower()
    if scheme == "asf" and word.startswith("wm/"):
        word = word[3:]
    if not _FREE_KEY.fullmatch(word) or _NEVER.fullmatch(word):
        return None
    return _FREE.get(re.sub(r"[ _-]", "", word), word)


_NUMBER_OF_TOTAL = re.compile(r"\s*(\d{1,9})\s*(?:/|\bof\b)\s*(\d{1,9})?\s*$")
_CONTROLS = {code: None for code in (*range(32), *range(127, 160)) if code not in (9, 10)}
_HAS_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def add(tags: Tags, name: Optional[str], value: str) -> None:
    """Put `value` under `name`; a further, different value makes it a list.

    "7/12" as track or disc is split into number and total.  Control characters are left out, as are
    empty values, names that are None, and what is beyond the bounds.
    """
    if not name or not value:
        return
    value = value[:MAX_CHARACTERS]
    if _HAS_CONTROLS.search(value):
        value = value.replace("\r\n", "\n").replace("\r", "\n").translate(_CONTROLS)
    value = value.strip()
    if name in ("track", "disc"):
        numbers = _NUMBER_OF_TOTAL.match(value)
        if numbers:
            value = numbers.group(1)
            if numbers.group(2) and int(numbers.group(2)):
                _append(tags, name + "total", numbers.group(2).lstrip("0"))
        if value.isdigit():
            value = value.lstrip("0")  # "07" is 7, and "0" is no track
    _append(tags, name, value)


def _append(tags: Tags, name: str, value: str) -> None:
    if not value:
        return
    there: Union[None, str, List[str]] = tags.get(name)
    if there is None:
        if len(tags) < MAX_NAMES:
            tags[name] = value
    elif isinstance(there, str):
        if there != value:
            tags[name] = [there, value]
    elif value not in there and len(there) < MAX_VALUES:
        there.append(value)


def fill(tags: Tags, other: Tags) -> None:
    """Take from `other` the names that `tags` lacks: the first scheme that has a name wins."""
    for name, value in other.items():
        if name not in tags and len(tags) < MAX_NAMES:
            tags[name] = value


def utf8_or_cp1252(data: bytes) -> str:
    """Text whose encoding nothing tells: UTF-8 if it is valid, else Windows-1252; ends at a NUL."""
    data = data.split(b"\0", 1)[0]
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return latin1(data)


def latin1(data: bytes) -> str:
    """ISO 8859-1 as it is written: the codes 80 to 9F, controls there, are Windows-1252's
    letters."""
    return data.decode("cp1252", "replace").replace("\ufffd", "")


def utf16(data: bytes, default: str = "") -> str:
    """UTF-16 by its byte order mark, else by `default`, else by where its zeros are.

    Half a code unit at the end is dropped.
    """
    data = data[: len(data) & ~1]
    if data[:2] == b"\xff\xfe":
        return data[2:].decode("utf-16-le", "replace")
    if data[:2] == b"\xfe\xff":
        return data[2:].decode("utf-16-be", "replace")
    if not default:  # the upper half of most code units is zero: first in big endian
        default = "utf-16-be" if data[::2].count(0) > data[1::2].count(0) else "utf-16-le"
    return data.decode(default, "replace")


def genre(number: int) -> Optional[str]:
    """The genre with this number in ID3v1 (0 to 79) and its extension by Winamp (to 191), or
    None."""
    return GENRES[number] if 0 <= number < len(GENRES) else None


# ID3v1's list (ID3v2.3.0 appendix A.3), from 80 on Winamp's, which ends with the additions of its
# version 5.6
GENRES = (
    "Blues|Classic Rock|Country|Dance|Disco|Funk|Grunge|Hip-Hop|Jazz|Metal|New Age|Oldies|Other|"
    "Pop|R&B|Rap|Reggae|Rock|Techno|Industrial|Alternative|Ska|Death Metal|Pranks|Soundtrack|"
    "Euro-Techno|Ambient|Trip-Hop|Vocal|Jazz+Funk|Fusion|Trance|Classical|Instrumental|Acid|"
    "House|Game|Sound Clip|Gospel|Noise|AlternRock|Bass|Soul|Punk|Space|Meditative|"
    "Instrumental Pop|Instrumental Rock|Ethnic|Gothic|Darkwave|Techno-Industrial|Electronic|"
    "Pop-Folk|Eurodance|Dream|Southern Rock|Comedy|Cult|Gangsta|Top 40|Christian Rap|Pop/Funk|"
    "Jungle|Native American|Cabaret|New Wave|Psychadelic|Rave|Showtunes|Trailer|Lo-Fi|Tribal|"
    "Acid Punk|Acid Jazz|Polka|Retro|Musical|Rock & Roll|Hard Rock|Folk|Folk-Rock|National Folk|"
    "Swing|Fast Fusion|Bebop|Latin|Revival|Celtic|Bluegrass|Avantgarde|Gothic Rock|"
    "Progressive Rock|Psychedelic Rock|Symphonic Rock|Slow Rock|Big Band|Chorus|Easy Listening|"
    "Acoustic|Humour|Speech|Chanson|Opera|Chamber Music|Sonata|Symphony|Booty Bass|Primus|"
    "Porn Groove|Satire|Slow Jam|Club|Tango|Samba|Folklore|Ballad|Power Ballad|Rhythmic Soul|"
    "Freestyle|Duet|Punk Rock|Drum Solo|A Cappella|Euro-House|Dance Hall|Goa|Drum & Bass|"
    "Club-House|Hardcore|Terror|Indie|BritPop|Afro-Punk|Polsk Punk|Beat|Christian Gangsta Rap|"
    "Heavy Metal|Black Metal|Crossover|Contemporary Christian|Christian Rock|Merengue|Salsa|"
    "Thrash Metal|Anime|JPop|Synthpop|Abstract|Art Rock|Baroque|Bhangra|Big Beat|Breakbeat|"
    "Chillout|Downtempo|Dub|EBM|Eclectic|Electro|Electroclash|Emo|Experimental|Garage|Global|IDM|"
    "Illbient|Industro-Goth|Jam Band|Krautrock|Leftfield|Lounge|Math Rock|New Romantic|Nu-Breakz|"
    "Post-Punk|Post-Rock|Psytrance|Shoegaze|Space Rock|Trop Rock|World Music|Neoclassical|"
    "Audiobook|Audio Theatre|Neue Deutsche Welle|Podcast|Indie Rock|G-Funk|Dubstep|Garage Rock|"
    "Psybient"
).split("|")
