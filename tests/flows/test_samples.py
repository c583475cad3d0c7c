"""The sample photos: written out whole, never over a file of the user's, each a photo of stated origin."""

from pathlib import Path

import pytest

from captioner.photos import open_photo
from captioner.records import Photo
from flows.errors import FlowError
from flows.samples import write_samples

SAMPLES = Path(__file__).parents[2] / "data" / "samples"


def test_the_samples_are_written_out_as_photos_that_can_be_read(tmp_path: Path):
    folder = tmp_path / "new" / "samples"
    paths = write_samples(folder)

    assert 10 <= len(paths) <= 14
    assert all(isinstance(open_photo(path), Photo) for path in paths)
    assert sorted(path.name for path in folder.iterdir()) == sorted([*(path.name for path in paths), "SOURCES.md"])
    assert all((path.stat().st_mode & 0o777) == 0o644 for path in folder.iterdir())


def test_every_sample_is_in_the_list_of_sources_with_a_licence():
    rows = [line.split("|") for line in (SAMPLES / "SOURCES.md").read_text(encoding="utf-8").splitlines()]
    listed = {row[1].strip(" `"): row[4].strip() for row in rows if len(row) == 7 and "`" in row[1]}

    assert listed.keys() == {path.name for path in SAMPLES.iterdir()} - {"SOURCES.md"}
    assert all(listed.values())
    assert sum(path.stat().st_size for path in SAMPLES.iterdir()) < 2_000_000


def test_writing_the_samples_again_changes_nothing(tmp_path: Path):
    first = {path: path.stat().st_mtime_ns for path in write_samples(tmp_path)}

    assert {path: path.stat().st_mtime_ns for path in write_samples(tmp_path)} == first


def test_a_file_of_the_users_is_never_overwritten_and_nothing_is_written_beside_it(tmp_path: Path):
    own = tmp_path / "coffee.jpg"
    own.write_bytes(b"mine")
    with pytest.raises(FlowError, match=r"coffee\.jpg: another file.*; name an empty folder"):
        write_samples(tmp_path)

    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"mine"]


def test_a_folder_that_cannot_be_made_is_an_error_with_a_mend(tmp_path: Path):
    (tmp_path / "file").touch()

    with pytest.raises(FlowError, match=r"cannot be written.*; name another folder"):
        write_samples(tmp_path / "file" / "samples")
