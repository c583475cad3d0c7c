"""Photos as they come: every file becomes upright, right-coloured pixels, or a refusal that says why."""

import hashlib
import io
import os
import random
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageFile

from captioner import photos
from captioner.photos import IMAGE_EXTENSIONS, REASONS, decode_photo, open_photo
from captioner.records import Photo, Refusal

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, at damaged files; a test below checks stderr

FOLDER = Path(__file__).parents[1] / "photos"
WHITE = (255, 255, 255)
RED, GREEN, BLUE, YELLOW = (220, 30, 30), (30, 200, 30), (30, 30, 220), (230, 220, 30)
QUARTERS = (RED, GREEN, BLUE, YELLOW)
GREYS = ((64,) * 3, (193,) * 3) * 2
ORIENTATION_TAG = 0x0112
STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How an upright picture lies in a file of each EXIF orientation."""

MUST_READ = {
    # File: its format, and the colours of its quarters: upper left, upper right, lower left, lower right.
    "quarters.jpg": ("jpeg", QUARTERS),
    "rotated.jpg": ("jpeg", QUARTERS),
    "cmyk.jpg": ("jpeg", QUARTERS),
    "profile.jpg": ("jpeg", (BLUE, GREEN, RED, (30, 220, 230))),
    "palette.png": ("png", (RED, WHITE, BLUE, WHITE)),
    "one-bit.png": ("png", ((0, 0, 0), WHITE, (0, 0, 0), WHITE)),
    "sixteen-bit.png": ("png", GREYS),
    "sixteen-bit.tif": ("tiff", GREYS),
    "lab.tif": ("tiff", QUARTERS),
    "two-pages.tif": ("tiff", QUARTERS),
    "transparent.webp": ("webp", (RED, WHITE, BLUE, WHITE)),
    "animated.gif": ("gif", QUARTERS),
    "animated.png": ("png", QUARTERS),
    "quarters.bmp": ("bmp", QUARTERS),
    "quarters.avif": ("avif", QUARTERS),
    "quarters.heic": ("heif", QUARTERS),
    "png-inside.jpg": ("png", QUARTERS),
}

MUST_REFUSE = {
    # File: the reason, and words that the message must have.
    "empty.jpg": ("empty", "copy it again"),
    "truncated.jpg": ("truncated", "copy it again"),
    "broken-off.jpg": ("truncated", "zeros"),
    "zeros.jpg": ("corrupt", "zeros"),
    "web-page.jpg": ("not-an-image", "web page"),
    "bomb.png": ("decompression-bomb", "200,000,000 pixels"),
    "camera.nef": ("unsupported-format", "export it as JPEG or PNG"),
    "paper.pdf": ("unsupported-format", "PDF"),
    "layers.psd": ("unsupported-format", "Photoshop"),
    "drawing.svg": ("unsupported-format", "SVG"),
}

HEADS = (
    b"",
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF89a",
    b"BM",
    b"II*\x00",
    b"MM\x00+",
    b"RIFF\xff\xff\x00\x00WEBPVP8X",
    b"\x00\x00\x00\x1cftypavif",
    b"\x00\x00\x00\x18ftypheic",
)
"""How files of each format begin."""


def quarters_of(pixels: np.ndarray) -> list[tuple[int, ...]]:
    """Return the colours in the middle of the four quarters."""
    height, width = pixels.shape[:2]
    return [tuple(pixels[height * y // 4, width * x // 4].tolist()) for y in (1, 3) for x in (1, 3)]


def assert_colours(photo: Photo | Refusal, expected: tuple[tuple[int, ...], ...], tolerance: int = 12) -> None:
    """Check the pixels' type and the colours of the four quarters."""
    assert isinstance(photo, Photo), photo
    assert photo.pixels.dtype == np.uint8
    assert photo.pixels.shape[2] == 3
    assert np.abs(np.subtract(quarters_of(photo.pixels), expected)).max() <= tolerance, quarters_of(photo.pixels)


def encoded(image: Image.Image, file_format: str, **options: object) -> bytes:
    """Return the bytes of `image` in one of Pillow's formats."""
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def picture(width_px: int = 384, height_px: int = 256) -> Image.Image:
    """Return the picture of four colours, of any size."""
    small = np.array(QUARTERS, dtype=np.uint8).reshape(2, 2, 3)
    return Image.fromarray(small).resize((width_px, height_px), Image.Resampling.NEAREST)


def noise() -> Image.Image:
    """Return a picture that does not compress, so that a cut anywhere hits pixels."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8))


@pytest.mark.parametrize("name", MUST_READ)
def test_a_real_file_of_each_kind_shows_its_real_colours(name: str):
    kind, colours = MUST_READ[name]
    photo = open_photo(FOLDER / name)

    assert_colours(photo, colours)
    assert (photo.format, photo.width_px, photo.height_px) == (kind, 96, 64)
    assert photo.pixels.shape == (64, 96, 3)
    assert photo.sha256 == hashlib.sha256((FOLDER / name).read_bytes()).hexdigest()


@pytest.mark.parametrize("name", MUST_REFUSE)
def test_a_broken_or_foreign_file_is_refused_with_its_reason_and_mend(name: str):
    reason, words = MUST_REFUSE[name]
    refusal = open_photo(FOLDER / name)

    assert isinstance(refusal, Refusal)
    assert (refusal.reason, words in refusal.message) == (reason, True), refusal
    assert refusal.reason in REASONS
    assert "; " in refusal.message
    assert "\n" not in refusal.message
    assert refusal.sha256 == hashlib.sha256((FOLDER / name).read_bytes()).hexdigest()


def test_every_stored_photo_is_in_one_of_the_two_tables_and_looks_like_an_image():
    files = {path.name for path in FOLDER.iterdir() if path.suffix not in (".py", "") and path.is_file()}

    assert files == MUST_READ.keys() | MUST_REFUSE.keys()
    assert all(Path(name).suffix in IMAGE_EXTENSIONS for name in files)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_each_exif_orientation_is_turned_upright_once(file_format: str, orientation: int):
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    upright = picture()
    stored = upright.transpose(STORED[orientation]) if orientation in STORED else upright
    photo = decode_photo(encoded(stored, file_format, exif=exif), "photo", minimum_side_px=64)

    assert_colours(photo, QUARTERS)
    assert (photo.width_px, photo.height_px) == upright.size
    assert photo.pixels.shape == (64, 96, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_heic_is_upright(orientation: int):
    pillow_heif = pytest.importorskip("pillow_heif")
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    upright = picture()
    stored = upright.transpose(STORED[orientation]) if orientation in STORED else upright
    stored.info["exif"] = exif.tobytes()
    pillow_heif.register_heif_opener()
    photo = decode_photo(encoded(stored, "HEIF"), "photo.heic")

    assert_colours(photo, QUARTERS)
    assert (photo.width_px, photo.height_px) == upright.size


def test_heic_without_its_plug_in_is_refused_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pillow_heif.as_plugin", None)
    refusal = open_photo(FOLDER / "quarters.heic")

    assert refusal.reason == "missing-plugin"
    assert "pip install 'image-narrator[heic]'" in refusal.message


def test_a_large_jpeg_is_decoded_small_and_keeps_its_full_size_and_shorter_side():
    photo = decode_photo(encoded(picture(4000, 3000), "JPEG"), "photo.jpg", minimum_side_px=288)

    assert (photo.width_px, photo.height_px) == (4000, 3000)
    assert photo.pixels.shape == (375, 500, 3)
    assert_colours(photo, QUARTERS)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
@given(width_px=st.integers(1, 1500), height_px=st.integers(1, 1500), minimum_side_px=st.integers(1, 400))
@settings(max_examples=25, deadline=None)
def test_the_shorter_side_is_kept_where_the_photo_has_it(
    file_format: str, width_px: int, height_px: int, minimum_side_px: int
):
    data = encoded(Image.new("RGB", (width_px, height_px), RED), file_format)
    photo = decode_photo(data, "photo", minimum_side_px)
    shorter_px, longer_px = sorted(photo.pixels.shape[:2])

    assert (photo.width_px, photo.height_px) == (width_px, height_px)
    if max(width_px, height_px) < 100 * min(width_px, height_px):
        assert shorter_px >= min(minimum_side_px, width_px, height_px)
        assert shorter_px < 2 * minimum_side_px
        assert longer_px * min(width_px, height_px) >= shorter_px * max(width_px, height_px) * 0.4


@pytest.mark.parametrize(("width_px", "height_px"), [(1, 1), (20_000, 1), (1, 20_000)])
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "TIFF"])
def test_a_single_pixel_and_a_long_strip_are_photos(file_format: str, width_px: int, height_px: int):
    photo = decode_photo(encoded(Image.new("RGB", (width_px, height_px), RED), file_format), "strip")

    assert (photo.width_px, photo.height_px) == (width_px, height_px)
    assert np.abs(photo.pixels.astype(int) - RED).max() <= 3


@pytest.mark.parametrize(
    ("mode", "colour", "seen"),
    [("LA", (10, 0), WHITE), ("LA", (10, 128), (132, 132, 132)), ("RGBA", (200, 0, 0, 128), (227, 127, 127))],
)
@pytest.mark.parametrize("side_px", [10, 900])
def test_alpha_is_laid_on_white_at_any_size(mode: str, colour: object, seen: tuple[int, ...], side_px: int):
    photo = decode_photo(encoded(Image.new(mode, (side_px, side_px), colour), "PNG"), "glass.png")

    assert np.abs(photo.pixels.astype(int) - seen).max() <= 2


@pytest.mark.parametrize(("mode", "colour"), [("RGB", RED), ("L", 77), ("1", 0)])
def test_a_colour_that_png_calls_transparent_is_white(mode: str, colour: object):
    photo = decode_photo(encoded(Image.new(mode, (8, 8), colour), "PNG", transparency=colour), "key.png")

    assert (photo.pixels == 255).all()


@pytest.mark.parametrize(("scale", "kind"), [(1 / 65535, "f4"), (255 / 65535, "f4"), (1, "f4"), (1, "i4"), (9e6, "f4")])
def test_deep_greys_fill_the_range_and_are_not_clipped(scale: float, kind: str):
    ramp = (np.tile(np.linspace(0, 65535, 96), (64, 1)) * scale).astype(kind)
    photo = decode_photo(encoded(Image.fromarray(ramp), "TIFF"), "deep.tif")

    assert photo.pixels[0, [0, 95], 0].tolist() == [0, 255]
    assert abs(int(photo.pixels[0, 47, 0]) - 126) <= 1
    assert (np.diff(photo.pixels[0, :, 0].astype(int)) > 0).all()


def test_a_floating_photo_with_holes_is_read():
    values = np.full((8, 8), 0.5, dtype=np.float32)
    values[0, 0], values[1, 1] = np.nan, np.inf
    photo = decode_photo(encoded(Image.fromarray(values), "TIFF"), "holes.tif")

    assert photo.pixels[4, 4, 0] == 128
    assert photo.pixels[0, 0, 0] == 0


def test_a_sixteen_bit_tiff_whose_zero_is_white_is_turned_round():
    full = np.full((8, 8), 65535, dtype=np.uint16)
    data = encoded(Image.fromarray(full), "TIFF", tiffinfo={262: 0})

    assert Image.open(io.BytesIO(data)).tag_v2[262] == 0
    assert decode_photo(data, "scan.tif").pixels.max() == 0


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_a_cmyk_tiff_is_read_as_ink(compression: str | None):
    photo = decode_photo(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF", compression=compression), "x")

    assert photo.pixels[0, 0].tolist() == [255, 0, 0]


def test_an_srgb_profile_changes_no_pixel_and_one_for_another_mode_is_left_out():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    bare = decode_photo(encoded(picture(), "PNG"), "photo.png")
    tagged = decode_photo(encoded(picture(), "PNG", icc_profile=srgb), "photo.png")
    grey = decode_photo(encoded(Image.new("L", (8, 8), 99), "PNG", icc_profile=srgb), "grey.png")

    assert np.array_equal(tagged.pixels, bare.pixels)
    assert (grey.pixels == 99).all()


def test_a_broken_colour_profile_or_exif_refuses_no_photo():
    data = encoded(picture(), "JPEG", icc_profile=b"no profile" * 20, exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")

    assert_colours(decode_photo(data, "photo.jpg"), QUARTERS)


@pytest.mark.parametrize("tags", [{50706: b"\x01\x04\x00\x00"}, {254: 1, 330: 8}])
def test_a_raw_file_under_the_name_of_a_tiff_is_refused(tags: dict[int, object]):
    refusal = decode_photo(encoded(picture(), "TIFF", tiffinfo=tags), "photo.tif")

    assert refusal.reason == "unsupported-format"
    assert "RAW" in refusal.message


def test_a_film_is_refused_by_its_content():
    refusal = decode_photo(b"\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00qt  " + bytes(99), "clip.jpg")

    assert (refusal.reason, "video" in refusal.message) == ("unsupported-format", True)


@pytest.mark.parametrize(
    ("file_format", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("GIF", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "tiff_adobe_deflate"}),
        ("AVIF", {}),
        ("HEIF", {}),
    ],
)
def test_a_file_cut_anywhere_is_refused_as_truncated_or_has_all_its_pixels(
    file_format: str, options: dict[str, object]
):
    if file_format == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    data = encoded(noise(), file_format, **options)
    whole = decode_photo(data, "photo")
    for cut in [*random.Random(0).sample(range(16, len(data)), 60), len(data) - 1]:
        photo = decode_photo(data[:cut], "photo")
        if isinstance(photo, Photo):
            assert np.array_equal(photo.pixels, whole.pixels)
            assert cut > len(data) - 20
        else:
            assert photo.reason == "truncated", (cut, photo)


def test_a_tiled_heic_that_is_cut_never_shows_the_tiles_that_are_left(monkeypatch: pytest.MonkeyPatch):
    """Telephones store tiles; libheif would fill those that miss with black and say nothing."""
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    monkeypatch.setattr(pillow_heif.options, "GRID_TILE_SIZE", 256)
    data = encoded(noise().resize((800, 600)), "HEIF")

    assert isinstance(decode_photo(data, "photo.heic"), Photo)
    for tenths in range(1, 10):
        assert decode_photo(data[: len(data) * tenths // 10], "photo.heic").reason == "truncated"


@pytest.mark.parametrize("name", MUST_READ)
@given(st.data())
@settings(max_examples=40, deadline=None)
def test_no_damage_to_a_file_raises(name: str, data: st.DataObject):
    content = bytearray((FOLDER / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(min_size=1, max_size=4))
    outcome = decode_photo(bytes(content), name)

    assert isinstance(outcome, Photo) or outcome.reason in REASONS


@given(head=st.sampled_from(HEADS), tail=st.binary(max_size=300), name=st.text(max_size=12))
@settings(max_examples=300, deadline=None)
def test_random_bytes_are_refused_and_never_raise(head: bytes, tail: bytes, name: str):
    outcome = decode_photo(head + tail, name)

    assert isinstance(outcome, Photo) or outcome.reason in REASONS


def test_a_file_of_too_many_bytes_is_not_read(tmp_path: Path):
    path = tmp_path / "huge.tif"
    with path.open("wb") as file:
        file.truncate(photos.MAXIMUM_BYTES + 1)  # a sparse file: it takes no room
    refusal = open_photo(path)

    assert (refusal.reason, refusal.sha256) == ("too-large", None)


def test_a_pipe_named_like_a_photo_is_refused_and_does_not_block(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.jpg")

    assert open_photo(tmp_path / "pipe.jpg").reason == "not-an-image"


def test_a_file_that_has_vanished_is_not_the_files_fault(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        open_photo(tmp_path / "gone.jpg")


def test_threads_see_the_same_pixels_and_pillows_settings_stay_as_they_were():
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, sorted(Image.OPEN))
    names = [*MUST_READ, *MUST_REFUSE] * 4
    alone = [open_photo(FOLDER / name) for name in names]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda name: open_photo(FOLDER / name), names))

    assert (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, sorted(Image.OPEN)) == before
    for one, other in zip(alone, together, strict=True):
        assert one == other or np.array_equal(one.pixels, other.pixels)


def test_nothing_reaches_the_terminal_whatever_the_file(tmp_path: Path):
    """Pillow warns in Python, and libtiff writes to stderr from C: both must stay quiet."""
    tiff = bytearray(encoded(noise(), "TIFF", compression="tiff_adobe_deflate"))
    tiff[2000:2100] = bytes(100)
    (tmp_path / "broken.tif").write_bytes(tiff)
    count = b"\x15\x01\x03\x00\x01\x00\x00\x00"  # the tag that counts the samples of a pixel
    (tmp_path / "samples.tif").write_bytes(encoded(noise(), "TIFF").replace(count + b"\3", count + b"\x7a"))
    (tmp_path / "wide.png").write_bytes(encoded(Image.new("1", (10_000, 9_000)), "PNG"))
    (tmp_path / "exif.jpg").write_bytes(encoded(picture(), "JPEG", exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x09"))
    code = """
import pathlib, sys
from captioner.photos import open_photo
for folder in sys.argv[1:]:
    for path in sorted(pathlib.Path(folder).glob("*.*")):
        open_photo(path)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path), str(FOLDER)], capture_output=True, check=True)

    assert (done.stdout, done.stderr) == (b"", b"")


def test_a_warning_of_pillow_is_an_error_nowhere_in_decoding():
    """A host program that turns warnings into errors must get the same photos."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        outcomes = [open_photo(FOLDER / name) for name in MUST_READ]

    assert all(isinstance(outcome, Photo) for outcome in outcomes)
