"""Make the small photos that the tests read: run `python tests/photos/make_photos.py`, which rewrites this folder.

Unless said otherwise each shows four quarters of 48 x 32 pixels: red and green above, blue and yellow below.
"""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image, ImageCms

FOLDER = Path(__file__).parent
WIDTH_PX, HEIGHT_PX = 96, 64
RED, GREEN, BLUE, YELLOW = (220, 30, 30), (30, 200, 30), (30, 30, 220), (230, 220, 30)
QUARTERS = (RED, GREEN, BLUE, YELLOW)
ORIENTATION_TAG = 0x0112


def quarters(scale: int = 1) -> Image.Image:
    """Return the picture of four colours, `scale` times 96 x 64 pixels."""
    image = Image.new("RGB", (WIDTH_PX * scale, HEIGHT_PX * scale))
    half_width, half_height = image.width // 2, image.height // 2
    for index, colour in enumerate(QUARTERS):
        left, top = (index % 2) * half_width, (index // 2) * half_height
        image.paste(colour, (left, top, left + half_width, top + half_height))
    return image


def cut_out() -> Image.Image:
    """Return the picture with its right half transparent."""
    image = quarters().convert("RGBA")
    image.paste((0, 0, 0, 0), (WIDTH_PX // 2, 0, WIDTH_PX, HEIGHT_PX))
    return image


def ramp() -> np.ndarray:
    """Return (64, 96) 16-bit greys that rise from 0 at the left to 65535 at the right."""
    return np.tile(np.linspace(0, 65535, WIDTH_PX).astype(np.uint16), (HEIGHT_PX, 1))


def encoded(image: Image.Image, file_format: str, **options: object) -> bytes:
    """Return the bytes of `image` in one of Pillow's formats."""
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def exif(orientation: int) -> Image.Exif:
    """Return EXIF data that holds nothing but an orientation."""
    data = Image.Exif()
    data[ORIENTATION_TAG] = orientation
    return data


def swapped_profile() -> bytes:
    """Return an ICC profile of a screen whose red and blue lamps have changed places."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"?XYZ").replace(b"bXYZ", b"rXYZ").replace(b"?XYZ", b"bXYZ")


def png_chunk(name: bytes, data: bytes) -> bytes:
    """Return one chunk of a PNG file."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_bomb(width_px: int = 40_000, height_px: int = 5_000) -> bytes:
    """Return a small PNG of one bit a pixel that unpacks to 200 megapixels."""
    packer = zlib.compressobj(9)
    row = bytes(1 + width_px // 8)
    data = b"".join(packer.compress(row) for _ in range(height_px)) + packer.flush()
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width_px, height_px, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")


def sound_photos() -> dict[str, bytes]:
    """Return the photos that must be read, by file name."""
    picture = quarters()
    rotated = picture.transpose(Image.Transpose.ROTATE_90)
    palette = cut_out().quantize(16, method=Image.Quantize.FASTOCTREE)
    cmyk = Image.merge(
        "CMYK", [*(band.point(lambda value: 255 - value) for band in picture.split()), Image.new("L", picture.size)]
    )
    lab = ImageCms.profileToProfile(
        picture, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    later = [picture.rotate(180)]
    heic = pillow_heif.from_pillow(picture)
    heic_buffer = io.BytesIO()
    heic.save(heic_buffer, quality=90)
    return {
        "quarters.jpg": encoded(picture, "JPEG", quality=92, subsampling=0),
        "rotated.jpg": encoded(rotated, "JPEG", quality=92, subsampling=0, exif=exif(6)),
        "cmyk.jpg": encoded(cmyk, "JPEG", quality=92),
        "profile.jpg": encoded(picture, "JPEG", quality=92, icc_profile=swapped_profile()),
        "palette.png": encoded(palette, "PNG"),
        "one-bit.png": encoded(Image.fromarray(ramp() >= 32768), "PNG"),
        "sixteen-bit.png": encoded(Image.fromarray(ramp()), "PNG"),
        "sixteen-bit.tif": encoded(Image.fromarray(ramp()), "TIFF"),
        "lab.tif": encoded(lab, "TIFF", compression="tiff_lzw"),
        "two-pages.tif": encoded(picture, "TIFF", save_all=True, append_images=later, compression="tiff_lzw"),
        "transparent.webp": encoded(cut_out(), "WEBP", lossless=True),
        "animated.gif": encoded(picture, "GIF", save_all=True, append_images=later, duration=100),
        "animated.png": encoded(picture, "PNG", save_all=True, append_images=later, duration=100),
        "quarters.bmp": encoded(picture, "BMP"),
        "quarters.avif": encoded(picture, "AVIF", quality=90),
        "quarters.heic": heic_buffer.getvalue(),
        "png-inside.jpg": encoded(picture, "PNG"),
    }


def broken_photos() -> dict[str, bytes]:
    """Return the files that must be refused, by file name."""
    jpeg = encoded(quarters(4), "JPEG", quality=92)
    tiff = encoded(quarters(), "TIFF", compression="tiff_lzw")
    return {
        "empty.jpg": b"",
        "truncated.jpg": jpeg[: len(jpeg) * 2 // 3],
        "broken-off.jpg": jpeg[: len(jpeg) * 2 // 3] + bytes(4096),
        "zeros.jpg": bytes(4096),
        "web-page.jpg": b"<!DOCTYPE html>\n<html><head><title>404</title></head><body>Not found</body></html>\n",
        "bomb.png": png_bomb(),
        "camera.nef": tiff,
        "paper.pdf": b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n",
        "layers.psd": b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 1, 1, 8, 3) + bytes(12) + bytes(5),
        "drawing.svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9"/></svg>\n',
    }


def main() -> None:
    """Write all files beside this script."""
    for name, data in (sound_photos() | broken_photos()).items():
        (FOLDER / name).write_bytes(data)


if __name__ == "__main__":
    main()
