"""One file's bytes in, a decoded upright `Photo` or a `Refusal` out: the file's fault is a row, never an exception.

Nothing global in Pillow is changed by a call, so threads may decode side by side. An `OSError` while the file is read
(it vanished, the disk failed, permission is missing) is not the file's fault and reaches the caller as it is, and so
does a `MemoryError` while the pixels of a photo under the limits are decoded.
"""

import ctypes
import functools
import hashlib
import io
import logging
import math
import os
import stat
import warnings
from datetime import datetime, timedelta
from pathlib import Path
from typing import NoReturn

import numpy as np
import PIL
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from captioner.colours import to_plain_mode, to_rgb
from captioner.embedded import alt_texts
from captioner.formats import (
    CAMERA_RAW,
    IMAGE_EXTENSIONS,
    SUPPORTED_FORMATS,
    UNSUPPORTED_EXTENSIONS,
    content_of,
    has_zero_tail,
    is_cut,
    is_raw_tiff,
    kind_by_name,
)
from captioner.records import Photo, Refusal

__all__ = [
    "IMAGE_EXTENSIONS",
    "MAXIMUM_BYTES",
    "MAXIMUM_JPEG_PIXELS",
    "MAXIMUM_PIXELS",
    "REASONS",
    "decode_photo",
    "open_photo",
]

MINIMUM_SIDE_PX = 288
"""The shorter side that decoding keeps unless told otherwise: a little more than the encoders look at."""

MAXIMUM_BYTES = 1 << 30
"""Largest file that is read: an uncompressed 16-bit scan of 150 megapixels is 0.9 of it."""

MAXIMUM_PIXELS = 178_956_970
"""Most pixels that are decoded at full size: Pillow's own limit, 0.5 GB as RGB."""

MAXIMUM_JPEG_PIXELS = 250_000_000
"""Most pixels of a JPEG, which is decoded at a reduced scale: telephones take 200 megapixels, camera backs 150."""

_LONGEST_ASPECT = 200  # a strip longer than this gives up some of its shorter side, so that memory stays bounded

_COPY_AGAIN = "copy it again from where it came from"
_EXPORT = "export it as JPEG or PNG"
_MENDS = {
    "empty": _COPY_AGAIN,
    "truncated": _COPY_AGAIN,
    "corrupt": _COPY_AGAIN,
    "not-an-image": "remove it, or replace it with the image",
    "unsupported-format": _EXPORT,
    "missing-plugin": _EXPORT,
    "decompression-bomb": "scale it down if it can be trusted",
    "too-large": "export a smaller JPEG of it",
}
REASONS = tuple(_MENDS)
"""Why a file is refused: a closed list."""

_PLUGINS: dict[str, type[ImageFile.ImageFile]] = {
    "jpeg": JpegImagePlugin.JpegImageFile,
    "png": PngImagePlugin.PngImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
    "gif": GifImagePlugin.GifImageFile,
    "bmp": BmpImagePlugin.BmpImageFile,
    "tiff": TiffImagePlugin.TiffImageFile,
    "avif": AvifImagePlugin.AvifImageFile,
}

# Pillow warns about odd EXIF, palettes and sizes; what matters of it is in the refusal. Said once, at import, since
# `warnings.catch_warnings` around each call is not safe between threads.
warnings.filterwarnings("ignore", module=r"(PIL|pillow_heif)\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())  # else its errors reach stderr where no logging is set up


class _RefusedError(Exception):
    """A refusal on its way out of the decoding; it never leaves this module."""

    def __init__(self, reason: str, what: str, mend: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.message = f"{what}; {mend or _MENDS[reason]}"


def open_photo(path: Path, minimum_side_px: int = MINIMUM_SIDE_PX) -> Photo | Refusal:
    """Read the file at `path` once and decode it as `decode_photo` does.

    Raises `OSError` where the file cannot be read.
    """
    try:
        data = _read(path)
    except _RefusedError as refused:
        return Refusal(refused.reason, refused.message)
    return decode_photo(data, path.name, minimum_side_px)


def decode_photo(data: bytes, name: str, minimum_side_px: int = MINIMUM_SIDE_PX) -> Photo | Refusal:
    """Decode a file's bytes by what they are, whatever `name` says; the name only tells RAW files from TIFF.

    The shorter side of the pixels is at least `minimum_side_px` where the photo has as many, and may be as small as
    that: large photos are decoded at a reduced scale. Strips longer than 200 times their width may lose more.
    """
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        kind = _kind_of(data, name)
        pixels, (width_px, height_px), own_words, taken_at = _decode(data, kind, minimum_side_px)
    except _RefusedError as refused:
        return Refusal(refused.reason, refused.message, sha256)
    return Photo(sha256, np.array(pixels), width_px, height_px, kind, own_words, taken_at)


def _read(path: Path) -> bytes:
    """Return the bytes of a regular file that is not too large."""
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - one call beside the open below; a pipe would block it
        raise _RefusedError("not-an-image", "this is no regular file")
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > MAXIMUM_BYTES:
            raise _RefusedError("too-large", f"the file has {size:,} bytes, more than {MAXIMUM_BYTES:,}")
        return file.read(size)  # a bound instead would be set aside whole, for every photo


def _kind_of(data: bytes, name: str) -> str:
    """Return the supported format of `data`, or say why there is none."""
    if not data:
        raise _RefusedError("empty", "the file is empty")
    kind = content_of(data)
    if kind in (None, "tiff"):
        kind = kind_by_name(name) or kind
    if kind is None:
        _refuse_unknown(data, name)
    if kind not in SUPPORTED_FORMATS:
        mend = "export a still picture of it" if kind == "video" else ""
        raise _RefusedError("unsupported-format", f"{kind} files are not supported", mend)
    return kind


def _refuse_unknown(data: bytes, name: str) -> NoReturn:
    """Say why bytes that are no known image are refused."""
    if not data.strip(b"\0"):
        raise _RefusedError("corrupt", "the file holds nothing but zeros")
    suffix = Path(name).suffix.lower()
    if suffix in UNSUPPORTED_EXTENSIONS:
        raise _RefusedError("unsupported-format", f"{suffix} files are not supported")
    raise _RefusedError("not-an-image", f"the content is {_guess(data)}, not an image")


def _guess(data: bytes) -> str:
    """Name what is no image, for a person."""
    head = data[:256].lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").lower()
    if head.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "a web page"
    return "text" if data[:256].isascii() and b"\0" not in data[:256] else "unknown"


def _decode(
    data: bytes, kind: str, minimum_side_px: int
) -> tuple[Image.Image, tuple[int, int], dict[str, str], datetime | None]:
    """Return upright RGB pixels, the full photo's upright width and height, its own alt text, and its EXIF time."""
    try:
        image = _open(data, kind)
        size = _load(image, data, kind, minimum_side_px)
        small = _reduce(to_plain_mode(image), minimum_side_px)
        upright = _upright(to_rgb(small, image.info.get("icc_profile")), size, _orientation(image))
        return *upright, alt_texts(image.info), _taken_at(image)
    except (_RefusedError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - Pillow's plugins throw most kinds there are on hostile bytes
        _refuse_undecodable(error, data, kind)


def _refuse_undecodable(error: Exception, data: bytes, kind: str) -> NoReturn:
    """Say why decoding failed: the file is cut, or damaged."""
    if isinstance(error, EOFError) or "truncated" in str(error).lower() or is_cut(data, kind):
        raise _RefusedError("truncated", "the file ends before the picture does") from error
    words = " ".join(str(error).split())[:120] or type(error).__name__
    raise _RefusedError("corrupt", f"the {kind.upper()} data is damaged ({words})") from error


def _open(data: bytes, kind: str) -> ImageFile.ImageFile:
    """Read the header only; the plugin is chosen by us, so Pillow tries nothing else and its registry stays alone."""
    plugin = _heif_plugin() if kind == "heif" else _PLUGINS[kind]
    if kind == "heif" and is_cut(data, kind):  # libheif would fill in what is missing
        raise _RefusedError("truncated", "the file ends before the picture does")
    if kind == "tiff":
        _quieten_libtiff()
    try:
        image = plugin(io.BytesIO(data))
    except MemoryError as error:  # no pixel is decoded yet: a size in the header is a lie
        raise _RefusedError("corrupt", f"the {kind.upper()} header asks for more memory than there is") from error
    if isinstance(image, TiffImagePlugin.TiffImageFile) and is_raw_tiff(dict(image.tag_v2)):
        raise _RefusedError("unsupported-format", f"{CAMERA_RAW} files are not supported")
    return image


@functools.cache
def _quieten_libtiff() -> None:
    """Stop libtiff, as Pillow's wheels carry it, from writing its complaints to the terminal.

    They come from C and pass by Python's stderr; what matters of them is in the refusal. Where Pillow was built
    otherwise, nothing is done and a damaged TIFF costs a line on stderr.
    """
    package = Path(PIL.__file__).parent
    for library in (*package.parent.glob("pillow.libs/libtiff*"), *package.glob(".dylibs/libtiff*")):
        try:
            ctypes.CDLL(str(library)).TIFFSetErrorHandler(None)
        except (OSError, AttributeError):
            continue


def _heif_plugin() -> type[ImageFile.ImageFile]:
    """Return the HEIF reader of pillow-heif, which is an extra."""
    try:
        from pillow_heif.as_plugin import HeifImageFile
    except ImportError:
        mend = "pip install 'image-narrator[heic]', or export it as JPEG"
        raise _RefusedError("missing-plugin", "HEIC files need a plug-in that is not installed", mend) from None
    plugin: type[ImageFile.ImageFile] = HeifImageFile
    return plugin


def _load(image: ImageFile.ImageFile, data: bytes, kind: str, minimum_side_px: int) -> tuple[int, int]:
    """Decode the pixels, a JPEG at a reduced scale; return the full width and height as stored."""
    width, height = size = image.size
    _check_pixels(width * height, MAXIMUM_JPEG_PIXELS if kind == "jpeg" else MAXIMUM_PIXELS)
    if kind == "jpeg":
        if has_zero_tail(data):
            raise _RefusedError("truncated", "the file ends in zeros before the picture does")
        image.draft(image.mode, (minimum_side_px, minimum_side_px))
        _check_pixels(math.prod(image.size), MAXIMUM_PIXELS)
    image.load()
    return size if kind == "jpeg" else image.size


def _check_pixels(count: int, limit: int) -> None:
    """Refuse a picture that has no pixel, or too many."""
    if count < 1:
        raise _RefusedError("corrupt", "the picture has no pixels")
    if count > limit:
        raise _RefusedError("decompression-bomb", f"the picture has {count:,} pixels, more than {limit:,}")


def _reduce(image: Image.Image, minimum_side_px: int) -> Image.Image:
    """Shrink by a whole factor, averaging, as far as the shorter side allows."""
    least = max(minimum_side_px, 1)
    by_side = min(image.size) // least
    by_area = math.ceil(math.sqrt(math.prod(image.size) / (_LONGEST_ASPECT * least * least)))
    factor = max(by_side, by_area, 1)
    return image if factor == 1 else image.reduce(factor)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 where there is none or EXIF is broken."""
    try:
        value = image.getexif().get(0x0112, 1)
    except Exception:  # noqa: BLE001 - broken EXIF is no reason to refuse whole pixels
        return 1
    return value if value in _TURNS else 1


def _taken_at(image: Image.Image) -> datetime | None:
    """Return EXIF's DateTimeOriginal with its fraction of a second; None where there is none or EXIF is broken."""
    try:
        tags = image.getexif().get_ifd(ExifTags.IFD.Exif)
        time = datetime.strptime(str(tags[ExifTags.Base.DateTimeOriginal]), "%Y:%m:%d %H:%M:%S")  # noqa: DTZ007 - EXIF says no zone
        fraction = str(tags.get(ExifTags.Base.SubsecTimeOriginal, "0")).strip()
        return time + timedelta(seconds=float(f"0.{fraction}") if fraction.isdecimal() else 0.0)
    except Exception:  # noqa: BLE001 - broken EXIF is no reason to refuse whole pixels
        return None


_TURNS: dict[int, Image.Transpose | None] = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation to the turn that makes the picture upright."""


def _upright(image: Image.Image, size: tuple[int, int], orientation: int) -> tuple[Image.Image, tuple[int, int]]:
    """Turn the picture, and its full width and height, upright."""
    turn = _TURNS[orientation]
    sides_swap = orientation >= 5  # noqa: PLR2004 - EXIF's own numbers: 5 to 8 lie on their side
    return image if turn is None else image.transpose(turn), (size[1], size[0]) if sides_swap else size
