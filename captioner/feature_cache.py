"""What the encoder's fixed lower part makes of each training photo, computed once and kept on disk.

Each photo is kept in several versions: `plain`, `flip`, and random crops of another aspect (the Flickr8k photos
were squashed by their publisher, so the true aspect is unknown), half of them mirrored. A file a version, complete
or absent.

Shapes: N photos, C channels, h x w cells of the lower part's map.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from captioner.dataset import Example
from captioner.encoders import PhotoEncoder

AUGMENTATION = 1
"""Rises when `augment` makes other versions than before."""
BATCH_PHOTOS = 8
"""Photos at a time: larger batches fall out of the processor's caches and are slower."""
GPU_BATCH_PHOTOS = 128
"""Photos at a time on a GPU."""


class FeatureCache:
    """Maps of the lower encoder for a list of photos, one memory-mapped file for each version."""

    def __init__(self, folder: Path, examples: Sequence[Example], encoder: PhotoEncoder) -> None:
        """Name the cache after what it depends on: the photos' files, the encoder's digest, how versions are made."""
        key = f"{AUGMENTATION} {encoder.lower_digest()}" + "".join(_state_of_files(examples))
        self.folder = folder / hashlib.sha256(key.encode()).hexdigest()[:16]
        self.examples = examples
        self.encoder = encoder

    def version(self, name: str) -> NDArray[np.float16]:
        """Return the map of all photos, (N, h, w, C) float16, computing it first where it is not there yet."""
        if not self.examples:
            return np.empty((0, 1, 1, 1), dtype=np.float16)
        path = self.folder / f"{name}.npy"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_suffix(".lock")):  # another training on these photos may be at it: wait for it
                if not path.exists():
                    self._compute(name, path)
        maps: NDArray[np.float16] = np.load(path, mmap_mode="r")
        return maps

    def flipped(self, name: str) -> NDArray[np.bool_]:
        """Say which photos are mirrored in a version, (N,): their captions must not speak of left or right."""
        return np.array([_flips(name, one.name) for one in self.examples])

    def _compute(self, name: str, path: Path) -> None:
        (self.folder / "photos.json").write_text(json.dumps([one.name for one in self.examples]), encoding="utf-8")
        temporary = path.with_suffix(".part")
        maps, done, began = None, 0, time.monotonic()
        for batch in self._batches(name):
            if maps is None:
                shape = (len(self.examples), *batch.shape[1:])
                maps = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float16, shape=shape)
            maps[done : done + len(batch)] = batch
            done += len(batch)
            if done % 800 < len(batch):
                rate = done / (time.monotonic() - began)
                print(f"features {name}: {done} of {len(self.examples)} photos, {rate:.0f} a second", flush=True)  # noqa: T201  progress lines
        if maps is not None:
            maps.flush()
            temporary.replace(path)

    def _batches(self, name: str) -> Iterator[NDArray[np.float16]]:
        device = next(self.encoder.parameters()).device
        size = BATCH_PHOTOS if device.type == "cpu" else GPU_BATCH_PHOTOS
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # Pillow decodes several photos at once
            for start in range(0, len(self.examples), size):
                pixels = pool.map(lambda one: augment(one.read(), name, one.name), self.examples[start : start + size])
                prepared = self.encoder.prepare(list(pixels))
                with torch.inference_mode():
                    maps = self.encoder.lower(prepared.to(device))  # (B, C, h, w)
                yield maps.permute(0, 2, 3, 1).to("cpu", torch.float16).numpy()  # (B, h, w, C)


def _state_of_files(examples: Sequence[Example]) -> Iterator[str]:
    """Say of each photo what changes when its file, or the tar that it lies in, is written anew."""
    files = {one.file for one in examples}
    states = {file: (stat.st_size, stat.st_mtime_ns) for file in files for stat in [file.stat()]}
    for one in examples:
        yield f"\n{one.name} {one.offset_bytes} {one.size_bytes} {states[one.file]}"


def augment(pixels: NDArray[np.uint8], version: str, photo: str) -> NDArray[np.uint8]:
    """Return a version of (H, W, 3): `plain`, `flip`, or a random crop drawn from the version's and photo's names."""
    image = Image.fromarray(pixels)
    if _flips(version, photo):
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if version.startswith("crop"):
        image = _crop(image, np.random.default_rng(_seed(version, photo)))
    return np.asarray(image)


def _crop(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """Keep 65 % to 100 % of the area in an aspect of 3:4 to 4:3 of the photo's own, and shift light and colour."""
    area, aspect = random.uniform(0.65, 1.0), np.exp(random.uniform(-0.28, 0.28))
    width = image.width * min(1.0, np.sqrt(area * aspect))
    height = image.height * min(1.0, np.sqrt(area / aspect))
    left, top = random.uniform(0, image.width - width), random.uniform(0, image.height - height)
    image = image.crop((round(left), round(top), round(left + width), round(top + height)))
    for change in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = change(image).enhance(random.uniform(0.8, 1.2))
    return image


def _flips(version: str, photo: str) -> bool:
    return version == "flip" or (version.startswith("crop") and _seed("flip" + version, photo) % 2 == 1)


def _seed(version: str, photo: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{version} {photo}".encode()).digest()[:8], "big")
