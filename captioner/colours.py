"""Any picture that Pillow can decode, as eight-bit RGB on white: the colours that a viewer would show."""

import functools
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps
from PIL.TiffImagePlugin import PHOTOMETRIC_INTERPRETATION, TiffImageFile

_SIXTEEN_BIT_MODES = frozenset(("I;16", "I;16L", "I;16B", "I;16N"))
_DEEP_MODES = frozenset(("I", "F"))
_ALPHA_MODES = {"LA": "LA", "La": "LA", "PA": "RGBA", "RGBA": "RGBA", "RGBa": "RGBA"}
_PLAIN_MODES = _DEEP_MODES | {"L", "RGB", "CMYK"}
_PROFILE_MODES = {"GRAY": "L", "RGB ": "RGB", "CMYK": "CMYK"}
_PROBE = np.array(np.meshgrid(*[range(0, 256, 51)] * 3), dtype=np.uint8).T.copy().reshape(6, 36, 3)
_SAME = 2  # sRGB profiles of different makers differ by a level or two
_CEILINGS = (1.0, 255.0, 65535.0)
_SIXTEEN_TO_EIGHT = np.rint(np.arange(65536) / 257).astype(np.uint8)  # 65535 = 255 * 257


def to_plain_mode(image: Image.Image) -> Image.Image:
    """Return the loaded `image` in `L`, `LA`, `RGB`, `RGBA`, `CMYK`, `I` or `F`: they can be averaged.

    Palettes, one-bit, 16-bit and unusual colour spaces are resolved; transparency of any kind becomes an alpha band.
    """
    if image.mode in _SIXTEEN_BIT_MODES:
        grey = Image.fromarray(_SIXTEEN_TO_EIGHT[np.asarray(image)])
        return ImageOps.invert(grey) if _white_is_zero(image) else grey
    if "transparency" in image.info and image.mode in ("1", "L", "P", "RGB"):
        return image.convert("RGBA")
    if image.mode in _ALPHA_MODES:
        return _as(image, _ALPHA_MODES[image.mode])
    if image.mode == "1":
        return image.convert("L")
    return image if image.mode in _PLAIN_MODES else image.convert("RGB")


def _white_is_zero(image: Image.Image) -> bool:
    """Tell whether a TIFF's greys run from white to black; Pillow turns them round for eight bits, not for sixteen."""
    return isinstance(image, TiffImageFile) and image.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == 0


def to_rgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return a picture of a plain mode as sRGB on white, by its ICC `profile` where that fits and can be read."""
    if image.mode in _DEEP_MODES:
        image = _eight_bit(image)
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    opaque = _as(image, {"LA": "L", "RGBA": "RGB"}.get(image.mode, image.mode))
    colours = _by_profile(opaque, profile) if profile else None
    colours = colours or _as(opaque, "RGB")
    if alpha is None:
        return colours
    white = Image.new("RGB", image.size, (255, 255, 255))
    white.paste(colours, mask=alpha)
    return white


def _as(image: Image.Image, mode: str) -> Image.Image:
    """Convert to `mode`, without a copy where the image has it."""
    return image if image.mode == mode else image.convert(mode)


def _by_profile(image: Image.Image, data: bytes) -> Image.Image | None:
    """Convert to sRGB by the ICC profile in `data`; None where there is nothing to do or the profile does not fit."""
    try:
        transform = _transform(data, image.mode)
        return ImageCms.applyTransform(image, transform) if transform else None
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None  # a broken profile is no reason to refuse a photo: viewers show it without


@functools.lru_cache(maxsize=8)  # the photos of a folder share few profiles; a transform may serve many threads
def _transform(data: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the way from a profile's colours to sRGB; None where it is made for another mode, or is sRGB itself.

    Most profiles are sRGB under one of many names, and going through them would be half of a small photo's time.
    """
    profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
    if _PROFILE_MODES.get(profile.profile.xcolor_space) != mode:
        return None
    transform = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB")
    probe = Image.fromarray(_PROBE.copy()).convert(mode)
    shift = np.asarray(ImageCms.applyTransform(probe, transform)).astype(int) - np.asarray(probe.convert("RGB"))
    return transform if np.abs(shift).max() > _SAME else None


def _eight_bit(image: Image.Image) -> Image.Image:
    """Scale a one-band image of 32 bits, whole or floating, to eight bits: nothing is clipped."""
    values = np.asarray(image).astype(np.float64)  # (H, W)
    values[~np.isfinite(values)] = 0.0
    low, high = _range_of(values)
    scaled = (values - low) / ((high - low) or 1.0) * 255.0
    return Image.fromarray(np.rint(scaled).clip(0, 255).astype(np.uint8))


def _range_of(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the values of black and white, which such files do not say.

    0 to 1, 0 to 255 and 0 to 65535 are usual: the smallest that holds all; else what the image spans.
    """
    low, high = float(values.min()), float(values.max())
    fitting = [ceiling for ceiling in _CEILINGS if high <= ceiling]
    return (0.0, fitting[0]) if low >= 0.0 and fitting else (low, high)
