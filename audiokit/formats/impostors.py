"""Impostors: the name of what a file is that is no audio, in words for whoever sent it.

`looks_like(head)` is asked when no reader knows the beginning of a file, and before MPEG frames
are searched in it: archives, programs and pictures hold bytes that look like frames, some hold
real ones. Every entry is a magic that its format prescribes, checked where it prescribes it, so
that no beginning of real audio has a name here.  Looks at the first `HEAD_BYTES` only.  Raises
nothing.

The words complete "starts like …".
"""

from __future__ import annotations

import re
import struct
from typing import Callable, Optional, Tuple

from audiokit.formats import multiplexes

HEAD_BYTES = 2048  # bytes; the farthest magic is ProTracker's, at 1080

_NOT_READ = " (audio, but of a kind that is not read here)"
_NOTES = ": notes, not sampled audio"

# (offset, magic, what it is), in the order of asking.
_MAGIC: Tuple[Tuple[int, bytes, str], ...] = (
    # archives and packed data
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"PK\x05\x06", "an empty ZIP archive"),
    (0, b"PK\x07\x08", "a ZIP archive in several parts"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"\x1f\x8b\x08", "gzip data"),
    (0, b"\x1f\x9d", "compress data"),
    (0, b"\xfd7zXZ\0", "xz data"),
    (0, b"\x28\xb5\x2f\xfd", "Zstandard data"),
    (0, b"\x04\x22\x4d\x18", "LZ4 data"),
    (0, b"LZIP\x01", "lzip data"),
    (0, b"MSCF\0\0\0\0", "a Windows cabinet"),
    (257, b"ustar", "a tar archive"),
    (0, b"!<arch>\n", "a Unix archive or Debian package"),
    (0, b"070701", "a cpio archive"),
    (0, b"\xed\xab\xee\xdb", "an RPM package"),
    (2, b"-lh5-", "an LHA archive"),
    (2, b"-lh0-", "an LHA archive"),
    (7, b"**ACE**", "an ACE archive"),
    (0, b"hsqs", "a SquashFS image"),
    (0, b"xar!\0\x1c", "a xar archive"),
    (0, b"QFI\xfb", "a QEMU disk image"),
    (0, b"LUKS\xba\xbe", "an encrypted disk"),
    # documents and data
    (0, b"%PDF-", "a PDF document"),
    (0, b"%!PS", "a PostScript document"),
    (0, b"{\\rtf", "an RTF document"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a document of an older Microsoft Office"),
    (0, b"SQLite format 3\0", "an SQLite database"),
    (0, b"\x89HDF\r\n\x1a\n", "HDF5 data"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"PAR1", "Parquet data"),
    (0, b"ARROW1\0\0", "Arrow data"),
    (0, b"bplist00", "an Apple property list"),
    (0, b"\0\0\0\x01Bud1", "a .DS_Store of the macOS Finder"),
    (0, b"\0\x05\x16\x07", "an AppleDouble file: what macOS keeps beside the real one"),
    (0, b"\0\x05\x16\0", "an AppleSingle file"),
    (0, b"regf", "a Windows registry"),
    (0, b"L\0\0\0\x01\x14\x02\0", "a Windows shortcut: the file itself is elsewhere"),
    (0, b"PACK\0\0\0", "a git pack"),
    (128, b"DICM", "a DICOM image"),
    (0, b"d8:announce", "a torrent: the file itself is elsewhere"),
    (0, b"\xd4\xc3\xb2\xa1", "a network capture"),
    (0, b"\xa1\xb2\xc3\xd4", "a network capture"),
    (0, b"\x0a\x0d\x0d\x0a", "a network capture"),
    (0, b"glTF\x02\0\0\0", "a 3D model"),
    (0, b"BLENDER", "a Blender scene"),
    # programs
    (0, b"\x7fELF", "an ELF program"),
    (0, b"\xfe\xed\xfa\xce", "a Mach-O program"),
    (0, b"\xfe\xed\xfa\xcf", "a Mach-O program"),
    (0, b"\xce\xfa\xed\xfe", "a Mach-O program"),
    (0, b"\xcf\xfa\xed\xfe", "a Mach-O program"),
    (0, b"\0asm", "a WebAssembly module"),
    (0, b"dex\n03", "an Android program"),
    (0, b"\x1bLua", "a Lua program"),
    (0, b"!\x0d\x0a\x1a", "a compiled script"),
    # pictures
    (0, b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"GIF87a", "a GIF picture"),
    (0, b"GIF89a", "a GIF picture"),
    (0, b"II*\0", "a TIFF picture"),
    (0, b"MM\0*", "a TIFF picture"),
    (0, b"II+\0\x08\0", "a TIFF picture"),
    (0, b"8BPS\0", "a Photoshop picture"),
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL picture"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 picture"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (0, b"\x76\x2f\x31\x01", "an OpenEXR picture"),
    (0, b"gimp xcf ", "a GIMP picture"),
    (0, b"AT&TFORM", "a DjVu document"),
    (0, b"qoif", "a QOI picture"),
    # fonts
    (0, b"OTTO\0", "a font"),
    (0, b"ttcf\0", "a collection of fonts"),
    (0, b"wOFF", "a web font"),
    (0, b"wOF2", "a web font"),
    (0, b"true\0", "a font"),
    # video
    (0, b"FLV\x01", "a Flash video"),
    (0, b"FWS", "a Flash film"),
    (0, b"CWS", "a Flash film"),
    (0, b"ZWS", "a Flash film"),
    (0, b"\0\0\x01\xb3", "an MPEG video stream"),
    (0, b".RMF\0", "a RealMedia file"),
    (0, b"DKIF\0\0", "an IVF video"),
    (0, b"\0\0\0\1\x67", "an H.264 video stream"),
    (0, b"\0\0\0\1\x40\1", "an HEVC video stream"),
    (0, b"nut/multimedia container\0", "a NUT file (a container that is not read here)"),
    (0, b"\x06\x0e\x2b\x34\2\5\1\1\x0d\1\2", "an MXF file (a container that is not read here)"),
    (0, b"\x8aMNG\r\n\x1a\n", "an MNG animation"),
    (0, b"YUV4MPEG2 ", "raw video (Y4M)"),
    # notes for synthesizers and sound chips
    (0, b"MThd", "a MIDI file" + _NOTES),
    (0, b"XMF_", "an XMF file" + _NOTES),
    (0, b"Extended Module: ", "module music (XM)" + _NOTES),
    (44, b"SCRM", "module music (S3M)" + _NOTES),
    (0, b"IMPM", "module music (IT)" + _NOTES),
    (20, b"!Scream!", "module music (STM)" + _NOTES),
    (0, b"MTM\x10", "module music (MTM)" + _NOTES),
    (0, b"MAS_UTrack_V00", "module music (ULT)" + _NOTES),
    (0, b"OKTASONG", "module music (OKT)" + _NOTES),
    (0, b"MMD", "module music (OctaMED)" + _NOTES),
    (0, b"MO3", "module music (MO3)" + _NOTES),
    (0, b"PSID\0", "a tune for the SID chip" + _NOTES),
    (0, b"RSID\0", "a tune for the SID chip" + _NOTES),
    (0, b"NESM\x1a", "a tune for the NES" + _NOTES),
    (0, b"NSFE", "a tune for the NES" + _NOTES),
    (0, b"Vgm ", "a VGM log of sound chips" + _NOTES),
    (0, b"SNES-SPC700 Sound File", "a tune for the SNES" + _NOTES),
    (0, b"GBS\x01", "a tune for the Game Boy" + _NOTES),
    (0, b"ZXAYEMUL", "a tune for the AY chip" + _NOTES),
    (0, b"GYMX", "a log of sound chips" + _NOTES),
    # audio of kinds that we only name
    (0, b"ADIF", "AAC in ADIF" + _NOT_READ),
    (0, b"tBaK", "TAK" + _NOT_READ),
    (0, b"OFR ", "OptimFROG" + _NOT_READ),
    (0, b"Creative Voice File\x1a", "a Creative VOC file" + _NOT_READ),
    (0, b"ajkg", "Shorten" + _NOT_READ),
    (0, b".ra\xfd", "RealAudio" + _NOT_READ),
    (0, b"LA02", "Lossless Audio" + _NOT_READ),
    (0, b"LA03", "Lossless Audio" + _NOT_READ),
    (0, b"LA04", "Lossless Audio" + _NOT_READ),
    (0, b"NIST_1A\n", "a NIST SPHERE file" + _NOT_READ),
    (0, b"TWIN97", "TwinVQ" + _NOT_READ),
    (0, b"#!iLBC", "iLBC" + _NOT_READ),
    (0, b"#!EVS", "EVS" + _NOT_READ),
    (0, b"#!SILK_V3", "SILK" + _NOT_READ),
    (0, b"\x02#!SILK_V3", "SILK" + _NOT_READ),
    (0, b"qoaf", "QOA" + _NOT_READ),
    (0, b"\x64\xa3\x01\0", "IRCAM" + _NOT_READ),
    (0, b"\x64\xa3\x02\0", "IRCAM" + _NOT_READ),
    (0, b"PVF1\n", "PVF" + _NOT_READ),
    (0, b"2BIT", "an AVR sound" + _NOT_READ),
    (0, b"\x7f\xfe\x80\x01", "DTS, but its first frame header does not hold"),
    (0, b"\xfe\x7f\x01\x80", "DTS, but its first frame header does not hold"),
    (0, b"\x1f\xff\xe8\x00", "DTS, but its first frame header does not hold"),
    (0, b"\xff\x1f\x00\xe8", "DTS, but its first frame header does not hold"),
    (0, b"DTSHDHDR", "DTS-HD" + _NOT_READ),
    (0, b"\x64\x58\x20\x25", "DTS-HD without a core" + _NOT_READ),
    (4, b"\xf8\x72\x6f\xba", "Dolby TrueHD" + _NOT_READ),
    (4, b"\xf8\x72\x6f\xbb", "Meridian Lossless Packing" + _NOT_READ),
)

# The form of a RIFF (at byte 8), and of an IFF "FORM"; WAVE, AIFF and AIFC have readers.
_RIFF_FORMS = {
    b"AVI ": "an AVI video",
    b"WEBP": "a WebP picture",
    b"ACON": "an animated cursor",
    b"RMID": "a MIDI file" + _NOTES,
    b"sfbk": "a SoundFont",
    b"DLS ": "a collection of instruments (DLS)",
    b"CDXA": "a Video CD",
    b"PAL ": "a palette",
    b"QLCM": "QCP" + _NOT_READ,
    b"CDDA": "a CD track's place, not its sound",
    b"WAVE": "a WAV file",
}
_IFF_FORMS = {
    b"8SVX": "an Amiga 8SVX sound" + _NOT_READ,
    b"16SV": "an Amiga 16SV sound" + _NOT_READ,
    b"MAUD": "MAUD" + _NOT_READ,
    b"ILBM": "an Amiga picture",
    b"PBM ": "an Amiga picture",
    b"ANIM": "an Amiga animation",
    b"SMUS": "an Amiga score" + _NOTES,
    b"XDIR": "a MIDI file" + _NOTES,
    b"AIFF": "an AIFF file",
    b"AIFC": "an AIFF-C file",
}
# ISO/IEC 14496-12's brands (at byte 8, behind "ftyp") of what is no film: pictures
_IMAGE_BRANDS = {
    b"heic": "a HEIC picture",
    b"heix": "a HEIC picture",
    b"heim": "a HEIC picture",
    b"heis": "a HEIC picture",
    b"mif1": "a HEIF picture",
    b"msf1": "a HEIF picture",
    b"hevc": "a HEIC animation",
    b"avif": "an AVIF picture",
    b"avis": "an AVIF animation",
    b"jxl ": "a JPEG XL picture",
    b"jp2 ": "a JPEG 2000 picture",
    b"crx ": "a Canon raw picture",
}
_MOD_AT = 1080  # where ProTracker and its kin say how many channels there are
_MOD = re.compile(rb"M\.K\.|M!K!|FLT[48]|[1-9]CHN|[1-3][0-9]CH|OCTA|CD81")
_TEXT_CONTROLS = frozenset(b"\t\n\r\f\x1b")


def looks_like(head: bytes) -> Optional[str]:
    """What begins so, in words that complete "starts like …"; None when nothing is known of it.

    `head` is what the file begins with, `HEAD_BYTES` of it or the whole of a smaller file.
    """
    for offset, magic, words in _MAGIC:
        if head.startswith(magic, offset):
            return words
    for structure in _STRUCTURES:
        words = structure(head)
        if words:
            return words
    return _text(head)


def image_brand(head: bytes) -> Optional[str]:
    """The picture that an ISO base media file says it is ("a HEIC picture"), or None."""
    return _IMAGE_BRANDS.get(head[8:12]) if head[4:8] == b"ftyp" else None


def looks_like_text(head: bytes) -> bool:
    """Whether these are characters and nothing else: ASCII, UTF-8, or an eighth of some older code.

    A character that is cut at the end is forgiven.
    """
    controls = (byte for byte in set(head) if byte < 32 or byte == 127)
    if not head or not _TEXT_CONTROLS.issuperset(controls):
        return False
    try:
        head.decode("utf-8")
        return True
    except UnicodeDecodeError as error:
        if error.start >= max(len(head) - 3, 1) and "unexpected end" in error.reason:
            return True
    high = sum(1 for byte in head if byte >= 0x80)
    return len(head) >= 32 and high * 8 <= len(head)


def _forms(head: bytes) -> Optional[str]:
    """What both families of chunks hold: RIFF's little-endian, and the Amiga's big-endian."""
    if head[:4] in (b"RIFF", b"RIFX"):
        form = head[8:12]
        return _RIFF_FORMS.get(form, "a RIFF file that is no WAVE" if len(form) == 4 else None)
    if head[:4] == b"FORM":
        form = head[8:12]
        return _IFF_FORMS.get(form, "an IFF file that is no AIFF" if len(form) == 4 else None)
    return image_brand(head)


def _module_music(head: bytes) -> Optional[str]:
    return "module music (MOD)" + _NOTES if _MOD.match(head, _MOD_AT) else None


def _windows_program(head: bytes) -> Optional[str]:
    """ "MZ", and the fields behind it as every linker sets them: a last page below 512."""
    if head[:2] == b"MZ" and len(head) >= 64 and struct.unpack_from("<H", head, 2)[0] < 512:
        return "a Windows or DOS program"
    return None


def _class_or_universal(head: bytes) -> Optional[str]:
    """CAFEBABE begins Java's classes (then a version, from 45) and macOS's programs (a count)."""
    if head[:4] != b"\xca\xfe\xba\xbe" or len(head) < 8:
        return None
    number = struct.unpack_from(">I", head, 4)[0] & 0xFFFF
    return "a Java class" if number >= 45 else "a Mach-O program"


def _bitmap(head: bytes) -> Optional[str]:
    """ "BM", a size, four zeros, an offset, and the size of one of the seven headers there are."""
    if head[:2] == b"BM" and head[6:10] == bytes(4) and len(head) >= 18:
        if struct.unpack_from("<I", head, 14)[0] in (12, 40, 52, 56, 64, 108, 124):
            return "a BMP picture"
    return None


def _icon(head: bytes) -> Optional[str]:
    """Zeros, the kind (1 or 2), how many; then the first entry, whose byte 3 is zero."""
    if head[:4] not in (b"\0\0\1\0", b"\0\0\2\0") or len(head) < 22:
        return None
    if not head[4] or head[5] or head[9]:
        return None
    return "an icon" if head[2] == 1 else "a cursor"


def _font(head: bytes) -> Optional[str]:
    """TrueType: version 1.0, then a count of tables whose search fields follow from it."""
    if head[:4] != b"\0\1\0\0" or len(head) < 12:
        return None
    tables, search_range, selector, shift = struct.unpack_from(">4H", head, 4)
    if tables and search_range == 16 << selector and shift == 16 * tables - search_range:
        return "a font"
    return None


def _bzip2(head: bytes) -> Optional[str]:
    return "bzip2 data" if re.match(rb"BZh[1-9](1AY&SY|\x17\x72\x45\x38\x50\x90)", head) else None


def _wide_text(head: bytes) -> Optional[str]:
    """UTF-16 and UTF-32, by the byte order mark or by where their zeros are."""
    if head[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        return "UTF-32 text"
    little = head[:2] == b"\xff\xfe"
    if little or head[:2] == b"\xfe\xff":
        text = head[2 : len(head) & ~1].decode("utf-16-le" if little else "utf-16-be", "replace")
        return "UTF-16 text" if not text or _is_readable(text) else None
    if len(head) >= 16:
        for order in ("utf-16-le", "utf-16-be"):
            high = 1 if order == "utf-16-le" else 0
            zeros, others = head[high::2], head[1 - high :: 2]
            if zeros.count(0) * 10 >= len(zeros) * 9 and not others.count(0):
                if _is_readable(head[: len(head) & ~1].decode(order, "replace")):
                    return "UTF-16 text"
    return None


def _is_readable(text: str) -> bool:
    """Whether nearly all of it are characters that a person could read."""
    odd = sum(1 for c in text if not (c.isprintable() or c in "\t\n\r\f") or c == "\ufffd")
    return odd * 20 <= len(text)


_STRUCTURES: Tuple[Callable[[bytes], Optional[str]], ...] = (
    _forms,
    _module_music,
    multiplexes.looks_like,
    _windows_program,
    _class_or_universal,
    _bitmap,
    _icon,
    _font,
    _bzip2,
    _wide_text,
)

# What kind of text begins so, in lower case, behind a byte order mark and white space.
_TEXTS: Tuple[Tuple[bytes, str], ...] = (
    (rb"<!doctype html|<html|<head|<body|<script|<meta|<!--.*<html", "HTML text"),
    (rb"(<\?xml.*|<!doctype svg.*)?<svg", "an SVG picture"),
    (rb"<\?php", "a PHP script"),
    (rb"<\?xml.*<plist", "an Apple property list"),
    (rb"<\?xml|<[a-z!][^>]*>", "XML text"),
    (rb"#extm3u", "an M3U playlist: a list of files, not a file"),
    (rb"\[playlist\]", "a PLS playlist: a list of files, not a file"),
    (rb"version https://git-lfs", "a Git LFS pointer: the file itself is elsewhere"),
    (rb"#!", "a script"),
    (rb"\{\s*(\"|\}|$)|\[\s*([\"\[\{\]\d-]|true|false|null|$)", "JSON text"),
    (rb"-----begin ", "PEM text"),
    (rb"file \".*\btrack \d", "a cue sheet: a list of tracks, not a file"),
    (rb"x:\s{0,9}\d{1,9}\s.*\bk:", "ABC notation" + _NOTES),
)
_TEXT_KINDS = tuple((re.compile(pattern, re.DOTALL), words) for pattern, words in _TEXTS)


def _text(head: bytes) -> Optional[str]:
    # No audio begins with markup, so there its first bytes are enough, whatever is appended to it.
    if not looks_like_text(head[:16] if head.lstrip()[:1] == b"<" else head):
        return None
    text = (head[3:] if head[:3] == b"\xef\xbb\xbf" else head).lstrip().lower()
    for pattern, words in _TEXT_KINDS:
        if pattern.match(text):
            return words
    return "plain text"
