"""Data in the layouts people have it in; what is broken is named, with its mend."""

import gzip
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from make_tiny_captioner import tiny_bundle
from PIL import Image

from captioner import beginnings
from captioner.dataset import assert_apart, find_data, read_coco, read_kaggle, read_karpathy, read_token_file
from captioner.errors import DataError
from captioner.tokenizer import SPECIAL
from captioner.train_settings import Settings


def photo_bytes(value: int = 90) -> bytes:
    """Return a small JPEG of one grey."""
    stream = io.BytesIO()
    Image.fromarray(np.full((8, 12, 3), value, dtype=np.uint8)).save(stream, "JPEG")
    return stream.getvalue()


def put_photos(folder: Path, *names: str) -> Path:
    """Write photos into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        (folder / name).write_bytes(photo_bytes(20 * number))
    return folder


def put_shard(folder: Path, split: str, names: list[str], rows: list[str]) -> Path:
    """Write `captions-SPLIT.tsv` and a tar of photos."""
    folder.mkdir(parents=True, exist_ok=True)
    text = "\n".join(["image\tcaption", *rows]) + "\n"
    (folder / f"captions-{split}.tsv").write_text(text, encoding="utf-8")
    with tarfile.open(folder / f"images-{split}-00.tar", "w") as tar:
        for number, name in enumerate(names):
            member = tarfile.TarInfo(name)
            data = photo_bytes(20 * number)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return folder


def test_tables_with_tars_are_found_with_their_splits(tmp_path: Path):
    put_shard(tmp_path / "set", "train", ["a.jpg", "b.jpg"], ["a.jpg\tA dog .", "b.jpg\tA cat .", "a.jpg\tTwo, dogs"])
    put_shard(tmp_path / "set", "dev", ["c.jpg"], ["c.jpg\tA man ."])
    (tmp_path / "set" / "captions-text.txt.gz").write_bytes(gzip.compress(b"a bird\n\na fish\n"))

    data = find_data(tmp_path)

    assert [(one.name, one.captions) for one in data.train] == [("a.jpg", ("A dog .", "Two, dogs")),
                                                               ("b.jpg", ("A cat .",))]  # fmt: skip
    assert [one.name for one in data.dev] == ["c.jpg"]
    assert data.texts == ["a bird", "a fish"]
    assert abs(int(data.train[1].read()[0, 0, 0]) - 20) <= 2
    assert data.train[0].read().shape == (8, 12, 3)


def test_a_photo_in_train_and_dev_is_refused(tmp_path: Path):
    put_shard(tmp_path, "train", ["a.jpg"], ["a.jpg\tA dog ."])
    put_shard(tmp_path, "dev", ["a.webp"], ["a.webp\tA dog ."])

    with pytest.raises(DataError, match="1 photos are in train and dev"):
        find_data(tmp_path)


def test_train_and_dev_apart_are_fine(tmp_path: Path):
    put_shard(tmp_path, "train", ["a.jpg"], ["a.jpg\tA dog ."])
    put_shard(tmp_path, "dev", ["b.jpg"], ["b.jpg\tA dog ."])
    data = find_data(tmp_path)

    assert_apart(data.train, data.dev)

    assert {one.name for one in data.train} & {one.name for one in data.dev} == set()


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["a.jpg A dog ."], r"captions-train.tsv, line 2: 1 columns instead of 2; write image<TAB>caption"),
        (["a.jpg\tA dog .", "b.jpg\tA cat ."], r"b.jpg: a captioned photo is missing; add the photo to a tar"),
    ],
)
def test_a_broken_line_or_a_missing_photo_in_a_table_is_named(tmp_path: Path, rows: list[str], said: str):
    put_shard(tmp_path, "train", ["a.jpg"], rows)

    with pytest.raises(DataError, match=said):
        find_data(tmp_path)


def test_a_compressed_or_broken_tar_is_named(tmp_path: Path):
    put_shard(tmp_path, "train", ["a.jpg"], ["a.jpg\tA dog ."])
    tar = tmp_path / "images-train-00.tar"
    tar.write_bytes(gzip.compress(tar.read_bytes()))

    with pytest.raises(DataError, match=r"images-train-00.tar: not a plain tar file"):
        find_data(tmp_path)


def test_captions_that_are_not_utf8_are_named(tmp_path: Path):
    put_shard(tmp_path, "train", ["a.jpg"], [])
    (tmp_path / "captions-train.tsv").write_bytes(b"image\tcaption\na.jpg\tcaf\xe9\n")

    with pytest.raises(DataError, match=r"captions-train.tsv: not UTF-8 text"):
        find_data(tmp_path)


def test_flickr8ks_token_file_is_read_and_split_by_its_lists(tmp_path: Path):
    put_photos(tmp_path / "Flicker8k_Dataset", "a.jpg", "b.jpg", "c.jpg")
    lines = ["a.jpg#0\tA dog .", "a.jpg#1\tA hound .", "b.jpg#0\tA cat .", "c.jpg#0\tA man ."]
    (tmp_path / "Flickr8k.token.txt").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "Flickr_8k.trainImages.txt").write_text("a.jpg\n", encoding="utf-8")
    (tmp_path / "Flickr_8k.devImages.txt").write_text("b.jpg\n", encoding="utf-8")

    data = find_data(tmp_path)

    assert [(one.name, one.captions) for one in data.train] == [("a.jpg", ("A dog .", "A hound ."))]
    assert [one.name for one in data.dev] == ["b.jpg"]


def test_a_broken_token_line_is_named(tmp_path: Path):
    path = tmp_path / "token.txt"
    path.write_text("a.jpg#0\tA dog .\na.jpg A hound .\n", encoding="utf-8")

    with pytest.raises(DataError, match=r"token.txt, line 2: a broken line; write NAME.jpg#0<TAB>caption"):
        read_token_file(path, put_photos(tmp_path, "a.jpg"))


def test_kaggles_captions_keep_their_commas(tmp_path: Path):
    path = tmp_path / "captions.txt"
    path.write_text('image,caption\na.jpg,"A dog , running ."\na.jpg,A hound .\n', encoding="utf-8")

    examples = read_kaggle(path, put_photos(tmp_path / "Images", "a.jpg"))

    assert examples[0].captions == ("A dog , running .", "A hound .")
    assert [one.captions for one in find_data(tmp_path).train] == [("A dog , running .", "A hound .")]


def test_a_missing_photo_of_kaggles_is_named_with_the_folder_to_put_it(tmp_path: Path):
    path = tmp_path / "captions.txt"
    path.write_text("image,caption\nlost.jpg,A dog .\n", encoding="utf-8")

    with pytest.raises(DataError, match=r"lost.jpg: a captioned photo is missing; put it into .*Images"):
        read_kaggle(path, put_photos(tmp_path / "Images", "a.jpg"))


def coco(*names: str) -> str:
    """Return COCO's JSON with one caption a photo."""
    images = [{"id": number, "file_name": name} for number, name in enumerate(names)]
    return json.dumps({"images": images, "annotations": [
        {"image_id": number, "caption": f"photo {name}"} for number, name in enumerate(names)]})  # fmt: skip


def test_cocos_files_are_found_with_their_folders(tmp_path: Path):
    put_photos(tmp_path / "train2017", "1.jpg", "2.jpg")
    put_photos(tmp_path / "val2017", "3.jpg")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "captions_train2017.json").write_text(coco("1.jpg", "2.jpg"), encoding="utf-8")
    (tmp_path / "annotations" / "captions_val2017.json").write_text(coco("3.jpg"), encoding="utf-8")

    data = find_data(tmp_path)

    assert [one.captions for one in data.train] == [("photo 1.jpg",), ("photo 2.jpg",)]
    assert [one.name for one in data.dev] == ["3.jpg"]


@pytest.mark.parametrize("content", ["{", "{}", '{"images": [{}], "annotations": []}', "[]"])
def test_a_broken_coco_file_is_named(tmp_path: Path, content: str):
    path = tmp_path / "captions_train2017.json"
    path.write_text(content, encoding="utf-8")

    with pytest.raises(DataError, match=r"captions_train2017.json: not "):
        read_coco(path, tmp_path)


def test_karpathys_splits_leave_the_test_photos_alone(tmp_path: Path):
    put_photos(tmp_path / "images", "1.jpg", "2.jpg", "3.jpg")
    splits = zip(["1.jpg", "2.jpg", "3.jpg", "4.jpg"], ["train", "restval", "val", "test"], strict=True)
    images = [{"filename": name, "split": split, "sentences": [{"raw": f"photo {name}"}]} for name, split in splits]
    path = tmp_path / "dataset_flickr8k.json"
    path.write_text(json.dumps({"images": images}), encoding="utf-8")

    data = read_karpathy(path, tmp_path / "images")

    assert [one.name for one in data.train] == ["1.jpg", "2.jpg"]
    assert [one.name for one in data.dev] == ["3.jpg"]


def karpathy(folder: Path, *photos: dict[str, str]) -> Path:
    """Write Karpathy's file with one caption a photo."""
    images = [{**photo, "sentences": [{"raw": f"photo {photo['filename']}"}]} for photo in photos]
    (folder / "dataset_coco.json").write_text(json.dumps({"images": images}), encoding="utf-8")
    return folder


def test_karpathys_coco_photos_are_found_in_the_folders_its_file_names(tmp_path: Path):
    put_photos(tmp_path / "train2014", "1.jpg")
    put_photos(tmp_path / "val2014", "2.jpg", "3.jpg")
    karpathy(
        tmp_path,
        {"filepath": "train2014", "filename": "1.jpg", "split": "train"},
        {"filepath": "val2014", "filename": "2.jpg", "split": "restval"},
        {"filepath": "val2014", "filename": "3.jpg", "split": "val"},
    )

    data = find_data(tmp_path)

    assert [(one.name, one.file) for one in data.train] == [
        ("train2014/1.jpg", tmp_path / "train2014" / "1.jpg"),
        ("val2014/2.jpg", tmp_path / "val2014" / "2.jpg"),
    ]
    assert [one.name for one in data.dev] == ["val2014/3.jpg"]
    assert data.dev[0].read().shape == (8, 12, 3)


def test_karpathys_coco_photos_are_found_in_one_folder_too(tmp_path: Path):
    put_photos(tmp_path / "images", "1.jpg")
    karpathy(tmp_path, {"filepath": "train2014", "filename": "1.jpg", "split": "train"})

    assert [one.file for one in find_data(tmp_path).train] == [tmp_path / "images" / "1.jpg"]


def test_a_missing_photo_of_karpathys_is_named_with_its_folder(tmp_path: Path):
    karpathy(tmp_path, {"filepath": "train2014", "filename": "1.jpg", "split": "train"})

    with pytest.raises(DataError, match=r"dataset_coco.json, train2014/1.jpg: a captioned photo is missing; put it"):
        find_data(tmp_path)


@pytest.mark.parametrize("content", ["{", "{}", "[]", '{"images": [{"filename": "1.jpg", "split": "train"}]}'])
def test_a_broken_file_of_karpathys_is_named(tmp_path: Path, content: str):
    path = tmp_path / "dataset.json"
    path.write_text(content, encoding="utf-8")

    with pytest.raises(DataError, match=r"dataset.json: not "):
        read_karpathy(path, tmp_path)


def test_a_photo_of_coco_under_its_two_names_is_one_photo(tmp_path: Path):
    put_shard(tmp_path, "train", ["000000000042.jpg"], ["000000000042.jpg\tA dog ."])
    put_shard(tmp_path, "dev", ["COCO_val2014_000000000042.jpg"], ["COCO_val2014_000000000042.jpg\tA dog ."])

    with pytest.raises(DataError, match="000000000042: 1 photos are in train and dev; take it out"):
        find_data(tmp_path)


def test_a_photo_of_two_data_sets_in_train_and_dev_is_refused(tmp_path: Path):
    put_shard(tmp_path / "mine", "train", ["a.jpg"], ["a.jpg\tA dog ."])
    put_photos(tmp_path / "flickr8k" / "Images", "a.jpg", "b.jpg")
    (tmp_path / "flickr8k" / "captions.txt").write_text("image,caption\na.jpg,A dog .\nb.jpg,A cat .\n", "utf-8")
    (tmp_path / "flickr8k" / "Flickr_8k.devImages.txt").write_text("a.jpg\n", encoding="utf-8")

    with pytest.raises(DataError, match="1 photos are in train and dev"):
        find_data(tmp_path)


def test_photos_of_the_dev_and_test_lists_are_not_learned_from_where_there_is_no_train_list(tmp_path: Path):
    put_photos(tmp_path / "Images", "a.jpg", "b.jpg", "c.jpg")
    lines = "\n".join(f"{name}.jpg,A dog ." for name in "abc")
    (tmp_path / "captions.txt").write_text(f"image,caption\n{lines}\n", encoding="utf-8")
    (tmp_path / "Flickr_8k.devImages.txt").write_text("b.jpg \n", encoding="utf-8")
    (tmp_path / "Flickr_8k.testImages.txt").write_text("c.jpg\n", encoding="utf-8")

    data = find_data(tmp_path)

    assert ([one.name for one in data.train], [one.name for one in data.dev]) == (["a.jpg"], ["b.jpg"])


def test_a_table_without_its_header_is_named_and_loses_no_caption(tmp_path: Path):
    put_shard(tmp_path, "train", ["a.jpg"], [])
    (tmp_path / "captions-train.tsv").write_text("a.jpg\tA dog .\n", encoding="utf-8")

    with pytest.raises(DataError, match=r"captions-train.tsv, line 1: no header; write image<TAB>caption above"):
        find_data(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "where"),
    [
        ("captions.txt", "image,caption\na.jpg,A dog .\na.jpg, .\n", "captions.txt, line 3"),
        ("token.txt", "a.jpg#0\tA dog .\na.jpg#1\t\n", "token.txt, line 2"),
        ("captions-train.tsv", "image\tcaption\na.jpg\t \n", "captions-train.tsv, line 2"),
        ("dataset.json", '{"images": [{"filename": "a.jpg", "split": "val", "sentences": [{"raw": ""}]}]}',
         "dataset.json, a.jpg"),
    ],
)  # fmt: skip
def test_a_caption_without_a_word_is_named(tmp_path: Path, name: str, content: str, where: str):
    put_photos(tmp_path, "a.jpg")
    (tmp_path / name).write_text(content, encoding="utf-8")

    with pytest.raises(DataError, match=f"{where}: a caption without a word; write the caption or take the line out"):
        find_data(tmp_path)


def test_a_captioner_learns_no_word_of_a_dev_caption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    put_shard(tmp_path, "train", ["a.jpg"], ["a.jpg\tA dog runs ."])
    put_shard(tmp_path, "dev", ["b.jpg"], ["b.jpg\tA zebra runs ."])
    # The usual encoder's weights are a package of its own.
    monkeypatch.setattr(beginnings, "load_imagenet", lambda _: tiny_bundle().encoder)

    bundle = beginnings.new_bundle(find_data(tmp_path), Settings(tmp_path, tmp_path / "out", min_count=1))

    assert bundle.tokenizer.words == (*SPECIAL, "a", "dog", "runs")
    assert bundle.model.config.vocabulary == len(bundle.tokenizer)


def test_a_folder_without_captions_says_what_is_looked_for(tmp_path: Path):
    with pytest.raises(DataError, match="no captions of a known layout; it needs"):
        find_data(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        find_data(tmp_path / "nowhere")


def test_a_photo_that_cannot_be_decoded_is_named(tmp_path: Path):
    folder = put_photos(tmp_path / "Images", "a.jpg")
    (folder / "a.jpg").write_bytes(photo_bytes()[:40])
    path = tmp_path / "captions.txt"
    path.write_text("image,caption\na.jpg,A dog .\n", encoding="utf-8")

    with pytest.raises(DataError, match=r"a.jpg, a.jpg: the photo cannot be read"):
        read_kaggle(path, folder)[0].read()
