"""Photos with captions for training and scoring, in the layouts that people have them in.

`find_data` looks at a folder and takes what it knows: `captions-train.tsv` + tar shards (and folders of such), the
Flickr8k token file, Kaggle's `captions.txt`, COCO's `captions_*.json`, Karpathy's `dataset*.json`. A broken line or
a missing photo is a DataError that names it and the mend.
"""

import gzip
import json
import re
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from captioner.errors import DataError
from captioner.photos import decode_photo
from captioner.records import Photo, Refusal


@dataclass(frozen=True)
class Example:
    """One photo and what people wrote about it."""

    name: str
    """The photo's file name; unique within a data set."""
    captions: tuple[str, ...]
    """One or more captions, as published."""
    file: Path
    """The photo's file, or the tar that holds it."""
    offset_bytes: int | None = None
    """Where the photo begins in the tar; None for a file of its own."""
    size_bytes: int = 0
    """The photo's size in the tar."""

    def read(self) -> NDArray[np.uint8]:
        """Decode the photo as (H, W, 3) RGB; raise DataError where that fails."""
        return self.photo().pixels

    def photo(self) -> Photo:
        """Decode the photo upright and on white, as a run sees it; raise DataError where that fails."""
        try:
            with self.file.open("rb") as stream:
                stream.seek(self.offset_bytes or 0)
                data = stream.read(self.size_bytes) if self.offset_bytes is not None else stream.read()
        except OSError as error:
            mend = "mend the file or take its captions out"
            raise DataError(f"the photo cannot be read ({error})", f"{self.file}, {self.name}", mend) from error
        photo = decode_photo(data, self.name)
        if isinstance(photo, Refusal):
            mend = "mend the file or take its captions out"
            raise DataError(f"the photo cannot be read ({photo.message})", f"{self.file}, {self.name}", mend)
        return photo


@dataclass(frozen=True)
class Data:
    """What there is to train on and to choose by."""

    train: list[Example] = field(default_factory=list)
    """Photos to learn from; the vocabulary comes from their captions alone."""
    dev: list[Example] = field(default_factory=list)
    """Photos that are scored and never learned from."""
    texts: list[str] = field(default_factory=list)
    """Captions without photos, for the decoder as a language model."""


def find_data(folder: Path) -> Data:
    """Read every layout that is known in `folder` and the folders directly in it; raise DataError where none is."""
    if not folder.is_dir():
        raise DataError("no such folder", str(folder), "give the folder that holds the photos and captions")
    found = Data()
    for place in [folder, *sorted(child for child in folder.iterdir() if child.is_dir())]:
        for part in _read_place(place):
            found.train.extend(part.train)
            found.dev.extend(part.dev)
            found.texts.extend(part.texts)
    if not found.train and not found.dev:
        mend = "it needs captions*.tsv with tar files, captions.txt, *token.txt, captions_*.json or dataset*.json"
        raise DataError("no captions of a known layout", str(folder), mend)
    assert_apart(found.train, found.dev)
    return found


def assert_apart(train: Iterable[Example], dev: Iterable[Example]) -> None:
    """Raise DataError where a photo is both learned from and scored.

    Photos are compared by name, without folder and extension, or by their whole path where they are named by that;
    COCO's of 2014 and 2017 by their number, since they are the same photos under two names.
    """
    both = {_identity(one) for one in train} & {_identity(one) for one in dev}
    if both:
        mend = "take it out of one of the two"
        raise DataError(f"{len(both)} photos are in train and dev", min(both), mend)


def _identity(example: Example) -> str:
    if Path(example.name).is_absolute():
        return example.name
    return re.sub(r"^COCO_(train|val|test)\d{4}_", "", Path(example.name).stem)


def _read_place(place: Path) -> list[Data]:
    parts = [_read_tsv(tsv) for tsv in sorted(place.glob("captions*.tsv"))]
    parts += [Data(texts=read_texts(path)) for path in sorted(place.glob("captions-text.txt.gz"))]
    parts += [_split_by_lists(read_kaggle(path, _photo_folder(place)), place) for path in place.glob("captions.txt")]
    parts += [_split_by_lists(read_token_file(p, _photo_folder(place)), place) for p in place.glob("*token.txt")]
    parts += [_read_coco_place(path) for path in sorted(place.glob("captions_*.json"))]
    parts += [read_karpathy(path, _photo_folder(place)) for path in sorted(place.glob("dataset*.json"))]
    return parts


def _read_tsv(tsv: Path) -> Data:
    """Read `captions-SPLIT.tsv` with `images-SPLIT-*.tar`, or `captions.tsv` with `images-*.tar`, all to learn."""
    split = tsv.stem.removeprefix("captions").removeprefix("-")
    pattern = f"images-{split}-*.tar" if split else "images-*.tar"
    examples = read_tsv_and_tars(tsv, sorted(tsv.parent.glob(pattern)))
    return Data(dev=examples) if split == "dev" else Data(train=examples) if split in ("", "train") else Data()


def read_tsv_and_tars(tsv: Path, tars: list[Path]) -> list[Example]:
    """Read a TSV with the header `image<TAB>caption` and the photos it names from plain tar files."""
    pairs = []
    for number, line in _lines(tsv):
        columns = line.split("\t")
        if len(columns) != 2:  # noqa: PLR2004  two columns are the format
            mend = "write image<TAB>caption"
            raise DataError(f"{len(columns)} columns instead of 2", f"{tsv}, line {number}", mend)
        if number > 1:
            pairs.append((columns[0], _caption(columns[1], f"{tsv}, line {number}")))
        elif columns != ["image", "caption"]:
            raise DataError("no header", f"{tsv}, line 1", "write image<TAB>caption above the captions")
    members = {name: place for path in tars for name, place in _members(path).items()}
    examples = []
    for name, captions in _grouped(pairs).items():
        if name not in members:
            mend = "add the photo to a tar beside the TSV or take the line out"
            raise DataError("a captioned photo is missing", f"{tsv}, {name}", mend)
        path, offset, size = members[name]
        examples.append(Example(name, captions, path, offset, size))
    return examples


def _members(path: Path) -> dict[str, tuple[Path, int, int]]:
    """Return for each file in a plain tar where its bytes begin and how many they are."""
    try:
        with tarfile.open(path, "r:") as tar:
            return {one.name: (path, one.offset_data, one.size) for one in tar.getmembers() if one.isfile()}
    except tarfile.TarError as error:
        raise DataError(f"not a plain tar file ({error})", str(path), "make it again, without compression") from error


def read_token_file(path: Path, photos: Path) -> list[Example]:
    """Read Flickr8k's own layout: lines `NAME.jpg#0<TAB>caption`, photos in a folder."""
    pairs = []
    for number, line in _lines(path):
        key, tab, caption = line.partition("\t")
        name, mark, index = key.partition("#")
        if not tab or not mark or not index.isdigit():
            raise DataError("a broken line", f"{path}, line {number}", "write NAME.jpg#0<TAB>caption")
        pairs.append((name, _caption(caption, f"{path}, line {number}")))
    return _from_folder(pairs, photos, path)


def read_kaggle(path: Path, photos: Path) -> list[Example]:
    """Read Kaggle's `captions.txt`: a header, then lines `NAME.jpg,caption`, where a caption may hold commas."""
    pairs = []
    for number, line in _lines(path):
        name, comma, caption = line.partition(",")
        if not comma or not name:
            raise DataError("a broken line", f"{path}, line {number}", "write NAME.jpg,caption")
        if number > 1 or Path(name).suffix:
            pairs.append((name, _caption(caption.strip().strip('"'), f"{path}, line {number}")))
    return _from_folder(pairs, photos, path)


def read_coco(path: Path, photos: Path) -> list[Example]:
    """Read COCO's `captions_train2017.json` and the photos it names in a folder."""
    content = _json(path)
    try:
        names = {one["id"]: one["file_name"] for one in content["images"]}
        pairs = [
            (names[one["image_id"]], _caption(one["caption"], f"{path}, annotation of photo {one['image_id']}"))
            for one in content["annotations"]
        ]
    except (KeyError, TypeError, AttributeError) as error:
        mend = "it needs images (id, file_name) and annotations (image_id, caption)"
        raise DataError(f"not COCO's layout ({error!r})", str(path), mend) from error
    return _from_folder(pairs, photos, path)


def read_karpathy(path: Path, photos: Path) -> Data:
    """Read Karpathy's split file: `train` and `restval` to learn from, `val` to score; `test` is left alone.

    COCO's says in which folder a photo is (`filepath`); photos that lie in `photos` itself are found too.
    """
    content = _json(path)
    pairs: dict[str, list[tuple[str, str]]] = {"train": [], "restval": [], "val": [], "test": []}
    try:
        for one in content["images"]:
            name = _karpathy_name(one, photos)
            texts = [_caption(sentence["raw"], f"{path}, {name}") for sentence in one["sentences"]]
            pairs[one["split"]] += [(name, text) for text in texts]
    except (KeyError, TypeError, AttributeError) as error:
        mend = "it needs images with filename, split and sentences"
        raise DataError(f"not Karpathy's layout ({error!r})", str(path), mend) from error
    learned = pairs["train"] + pairs["restval"]
    return Data(train=_from_folder(learned, photos, path), dev=_from_folder(pairs["val"], photos, path))


def _karpathy_name(image: dict[str, str], photos: Path) -> str:
    """Return where a photo of Karpathy's file is below `photos`."""
    name = f"{image['filepath']}/{image['filename']}" if image.get("filepath") else image["filename"]
    flat = not (photos / name).is_file() and (photos / image["filename"]).is_file()
    return image["filename"] if flat else name


def _caption(text: str, where: str) -> str:
    """Return a caption without the spaces around it; raise DataError where it holds no word."""
    if not re.search(r"\w", text):
        raise DataError("a caption without a word", where, "write the caption or take the line out")
    return text.strip()


def read_texts(path: Path) -> list[str]:
    """Read one caption a line from a gzip file."""
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        return [line.strip() for line in stream if line.strip()]


def _read_coco_place(path: Path) -> Data:
    """Take `captions_valYYYY.json` to score and any other year's file to learn from; photos in the folder so named."""
    part = path.stem.removeprefix("captions_")
    for photos in (path.parent / part, path.parent.parent / part, _photo_folder(path.parent)):
        if photos.is_dir():
            examples = read_coco(path, photos)
            return Data(dev=examples) if part.startswith("val") else Data(train=examples)
    raise DataError("the photos' folder is missing", str(path), f"put the photos into {path.parent / part}")


def _split_by_lists(examples: list[Example], place: Path) -> Data:
    """Part examples by Flickr8k's lists `*trainImages.txt` and `*devImages.txt`.

    Without a list of photos to learn from, all are that stand in no other list (`*testImages.txt` included).
    """
    train, dev, test = (_names(place, f"*{split}Images.txt") for split in ("train", "dev", "test"))
    others = (dev or set()) | (test or set())
    learned = [one for one in examples if (one.name not in others if train is None else one.name in train)]
    return Data(train=learned, dev=[one for one in examples if one.name in (dev or set())])


def _names(place: Path, pattern: str) -> set[str] | None:
    for path in sorted(place.glob(pattern)):
        return {line.strip() for _, line in _lines(path)}
    return None


def _photo_folder(place: Path) -> Path:
    """Return the usual folder of photos in `place`, whatever its capitals; `place` itself where there is none."""
    for name in ("Images", "images", "Flicker8k_Dataset", "Flickr8k_Dataset", "photos"):
        if (place / name).is_dir():
            return place / name
    return place


def _from_folder(pairs: list[tuple[str, str]], photos: Path, source: Path) -> list[Example]:
    examples = []
    for name, captions in _grouped(pairs).items():
        file = photos / name
        if not file.is_file():
            mend = f"put it into {photos} or take its captions out"
            raise DataError("a captioned photo is missing", f"{source}, {name}", mend)
        examples.append(Example(name, captions, file))
    return examples


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    grouped: dict[str, list[str]] = {}
    for name, caption in pairs:
        grouped.setdefault(name, []).append(caption)
    return {name: tuple(captions) for name, captions in grouped.items()}


def _lines(path: Path) -> list[tuple[int, str]]:
    """Return the lines that are not blank, numbered from 1."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8 text ({error})", str(path), "save the file as UTF-8") from error
    return [(number, line.rstrip("\r")) for number, line in enumerate(lines, start=1) if line.strip()]


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"not JSON ({error})", str(path), "fetch or export the file again") from error
