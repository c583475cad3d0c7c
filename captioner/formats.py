"""What a file is, told from its first bytes; its name is asked only where the bytes leave it open."""

import struct
from pathlib import PurePath


def _suffixes(words: str) -> frozenset[str]:
    """Return the suffixes that stand in `words`, parted by spaces."""
    return frozenset(words.split())


RAW_EXTENSIONS = _suffixes(
    ".3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .fff .gpr .iiq .kdc .mef .mos .mrw .nef .nrw .orf .pef .raf .raw .rw2 "
    ".rwl .sr2 .srf .srw .x3f"
)
"""Suffixes of camera RAW files: a sensor's data, to be developed before there is a picture."""

SUPPORTED_EXTENSIONS = _suffixes(
    ".jpg .jpeg .jpe .jfif .png .apng .webp .gif .bmp .dib .tif .tiff .avif .heic .heif .hif"
)
"""Suffixes of the formats that are decoded."""

UNSUPPORTED_EXTENSIONS = RAW_EXTENSIONS | _suffixes(
    ".ai .dds .djvu .eps .exr .hdr .ico .j2k .jp2 .jpx .jxl .pbm .pcx .pdf .pgm .ppm .pnm .psb .psd .svg .svgz .tga "
    ".xcf"
)
"""Suffixes of pictures that are known and not decoded: each gets a row that says so."""

IMAGE_EXTENSIONS = SUPPORTED_EXTENSIONS | UNSUPPORTED_EXTENSIONS
"""Lower-case suffixes of the files that look like an image, supported or not."""

SUPPORTED_FORMATS = ("jpeg", "png", "webp", "gif", "bmp", "tiff", "avif", "heif")
"""The values of `Photo.format`."""

CAMERA_RAW = "camera RAW"
"""What `content_of` says of a camera's RAW file."""

_MAGIC = (
    # Where, which bytes, what it is; the first that fits counts.
    (0, b"\xff\xd8\xff", "jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"GIF87a", "gif"),
    (0, b"GIF89a", "gif"),
    (8, b"WEBP", "webp"),
    (8, b"CR\x02\x00", CAMERA_RAW),
    (0, b"II*\x00", "tiff"),
    (0, b"MM\x00*", "tiff"),
    (0, b"II+\x00", "tiff"),
    (0, b"MM\x00+", "tiff"),
    (0, b"FUJIFILMCCD-RAW", CAMERA_RAW),
    (0, b"IIRO", CAMERA_RAW),
    (0, b"IIRS", CAMERA_RAW),
    (0, b"MMOR", CAMERA_RAW),
    (0, b"IIU\x00", CAMERA_RAW),
    (0, b"FOVb", CAMERA_RAW),
    (0, b"\x00MRM", CAMERA_RAW),
    (0, b"II\x1a\x00\x00\x00HEAPCCDR", CAMERA_RAW),
    (0, b"8BPS", "Photoshop"),
    (0, b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"%!PS", "PostScript"),
    (0, b"\xc5\xd0\xd3\xc6", "PostScript"),
    (0, b"\x76\x2f\x31\x01", "OpenEXR"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    (0, b"gimp xcf", "GIMP"),
    (0, b"AT&TFORM", "DjVu"),
    (0, b"DDS ", "DirectDraw"),
    (0, b"\x00\x00\x01\x00", "icon"),
    (0, b"\x1a\x45\xdf\xa3", "video"),
    (8, b"AVI ", "video"),
    (0, b"\x00\x00\x01\xba", "video"),
    (0, b"FLV\x01", "video"),
    (4, b"moov", "video"),
    (0, b"BM", "bmp"),
)

_HEIF_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"))
_AVIF_BRANDS = frozenset((b"avif", b"avis"))
_HEAD_BYTES = 1024
_BOX_HEADER_BYTES = 8
_CFA, _LINEAR_RAW = 32803, 34892  # TIFF/EP and DNG photometric interpretations of sensor data


def content_of(data: bytes) -> str | None:
    """Return what `data` holds: one of `SUPPORTED_FORMATS`, a known other kind such as `PDF`, or None."""
    if data[4:8] == b"ftyp":
        return _content_of_boxes(data)
    for offset, magic, kind in _MAGIC:
        if data.startswith(magic, offset):
            return kind
    head = data[:_HEAD_BYTES]
    if b"%PDF-" in head:
        return "PDF"
    return "SVG" if b"<svg" in head.lower() else None


def _content_of_boxes(data: bytes) -> str:
    """Tell AVIF, HEIF, Canon's CR3 and films apart by their brands (ISO/IEC 14496-12, section 4.3)."""
    size = min(int.from_bytes(data[:4], "big"), _HEAD_BYTES)
    brands = {data[8:12]} | {data[start : start + 4] for start in range(16, size, 4)}
    if brands & _AVIF_BRANDS:
        return "avif"
    if brands & _HEIF_BRANDS:
        return "heif"
    return CAMERA_RAW if data[8:12] == b"crx " else "video"


def kind_by_name(name: str) -> str | None:
    """Return what the suffix of `name` says where it says something that content may hide: RAW, or None.

    Several cameras write RAW as a TIFF whose first picture is a thumbnail: the suffix is the plainest sign of it.
    """
    return CAMERA_RAW if PurePath(name).suffix.lower() in RAW_EXTENSIONS else None


def is_raw_tiff(tags: dict[int, object]) -> bool:
    """Tell from the first directory's `tags` (number to value) whether a TIFF is a camera's RAW file.

    It is where it has a DNG version, holds sensor data, or its first picture is a reduced copy of one below it.
    """
    dng_version, subfile_type, photometric, sub_directories = 50706, 254, 262, 330
    reduced = bool(_number(tags.get(subfile_type)) & 1)
    return (
        dng_version in tags
        or _number(tags.get(photometric)) in (_CFA, _LINEAR_RAW)
        or (reduced and sub_directories in tags)
    )


def _number(value: object) -> int:
    """Return a tag's value as a number, 0 where it is none."""
    if isinstance(value, tuple) and value:
        value = value[0]
    return value if isinstance(value, int) else 0


def is_cut(data: bytes, kind: str) -> bool:
    """Tell whether `data`, of one of `SUPPORTED_FORMATS`, ends before its format's own end."""
    return _IS_CUT[kind](data)


def has_zero_tail(data: bytes) -> bool:
    """Tell whether a JPEG's scan runs into a long tail of zeros: a copy that was set up whole and broke off.

    The JPEG decoder takes zeros for picture data and would return a grey lower half.
    """
    if not data.endswith(bytes(512)):
        return False
    return _jpeg_is_cut(data.rstrip(b"\0"))


def _jpeg_is_cut(data: bytes) -> bool:
    """Tell whether no end marker follows the last start of a scan."""
    return data.rfind(b"\xff\xd9") < max(data.rfind(b"\xff\xda"), 2)


def _png_is_cut(data: bytes) -> bool:
    """Tell whether a chunk reaches beyond the end, or the end chunk misses (PNG specification, section 5)."""
    start = 8
    while start + 12 <= len(data):
        if data[start + 4 : start + 8] == b"IEND":
            return False
        start += 12 + int.from_bytes(data[start : start + 4], "big")
    return True


def _gif_is_cut(data: bytes) -> bool:
    """Tell whether the trailer misses."""
    return not data.rstrip(b"\0").endswith(b";")


def _webp_is_cut(data: bytes) -> bool:
    """Tell whether the outer chunk reaches beyond the end."""
    return int.from_bytes(data[4:8], "little") + 8 > len(data)


def _bmp_is_cut(data: bytes) -> bool:
    """Tell whether the file is shorter than its header says."""
    return int.from_bytes(data[2:6], "little") > len(data)


def _boxes_are_cut(data: bytes) -> bool:
    """Tell whether an outer box of an AVIF or HEIF file reaches beyond the end (ISO/IEC 14496-12, section 4.2)."""
    start = 0
    while start + _BOX_HEADER_BYTES <= len(data):
        size = int.from_bytes(data[start : start + 4], "big")
        if size == 1:
            size = int.from_bytes(data[start + 8 : start + 16], "big")
        if size < _BOX_HEADER_BYTES:  # 0: the box runs to the end of the file; else broken rather than cut
            return False
        start += size
    return start > len(data) or start == 0


def _tiff_is_cut(data: bytes) -> bool:
    """Tell whether the first directory, or a strip or tile of it, lies beyond the end (TIFF 6.0, section 2)."""
    try:
        return _tiff_end(data) > len(data)
    except struct.error:  # the directory itself is cut
        return True


def _tiff_end(data: bytes) -> int:
    """Return the first byte beyond the first directory's strips or tiles; BigTIFF: beyond the directory's start."""
    order = "<" if data[:2] == b"II" else ">"
    if data[2:4] in (b"+\x00", b"\x00+"):
        return int(struct.unpack_from(order + "Q", data, 8)[0])
    (start,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, start)
    tags = {}
    for at in range(start + 2, start + 2 + 12 * count, 12):
        tag, *rest = struct.unpack_from(order + "HHII", data, at)
        tags[tag] = _tiff_numbers(data, order, at, rest)
    offsets = tags.get(273) or tags.get(324) or [0]
    lengths = tags.get(279) or tags.get(325) or [0]
    return max(offset + length for offset, length in zip(offsets, lengths, strict=False))


def _tiff_numbers(data: bytes, order: str, at: int, entry: list[int]) -> list[int]:
    """Return a directory entry's numbers where they are short or long integers, else none."""
    kind, count, value_at = entry
    letter, width = {3: ("H", 2), 4: ("I", 4)}.get(kind, ("", 0))
    if not letter or count * width > len(data):
        return []
    return list(struct.unpack_from(f"{order}{count}{letter}", data, at + 8 if count * width <= 4 else value_at))  # noqa: PLR2004 - four bytes fit into the entry itself


_IS_CUT = {
    "jpeg": _jpeg_is_cut,
    "png": _png_is_cut,
    "gif": _gif_is_cut,
    "webp": _webp_is_cut,
    "bmp": _bmp_is_cut,
    "tiff": _tiff_is_cut,
    "avif": _boxes_are_cut,
    "heif": _boxes_are_cut,
}
