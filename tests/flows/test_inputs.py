"""What the listing finds, skips and survives."""

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.addresses import path_uri, uri_path
from flows.errors import FlowError
from flows.inputs import list_photos
from flows.paths import LONGEST_NAME_BYTES, clip_path


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def ids(photos: Path | str, out: Path = Path("nowhere")) -> list[str]:
    return [source.id for source in list_photos(str(photos)).sources(out)]


def test_a_folder_is_listed_recursively_in_order_and_only_images_are_taken(tmp_path: Path):
    touch(tmp_path / "b.JPG", tmp_path / "a" / "z.png", tmp_path / "notes.txt", tmp_path / "c.webp")

    assert ids(tmp_path) == ["a/z.png", "b.JPG", "c.webp"]


def test_hidden_files_resource_forks_and_thumbnail_folders_are_skipped(tmp_path: Path):
    touch(tmp_path / ".hidden.jpg", tmp_path / "._fork.jpg", tmp_path / ".git" / "a.jpg")
    touch(tmp_path / "@eaDir" / "a.jpg", tmp_path / "seen.jpg")

    assert ids(tmp_path) == ["seen.jpg"]


def test_the_output_folder_inside_the_photos_is_skipped(tmp_path: Path):
    touch(tmp_path / "out" / "thumb.jpg", tmp_path / "a.jpg")

    assert ids(tmp_path, tmp_path / "out") == ["a.jpg"]


def test_a_symlink_loop_ends_and_each_photo_is_found_once(tmp_path: Path):
    touch(tmp_path / "a" / "x.jpg")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to("self")

    assert ids(tmp_path) == ["a/x.jpg"]


def test_a_dangling_link_is_still_a_source_so_that_it_gets_a_row(tmp_path: Path):
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nothing")

    assert ids(tmp_path) == ["gone.jpg"]


def test_a_folder_that_cannot_be_read_is_named_and_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Root may read every folder, so the refusal is made at the system call."""
    touch(tmp_path / "closed" / "a.jpg", tmp_path / "open" / "b.jpg")
    real = os.scandir

    def scandir(folder: Path) -> object:
        if Path(folder).name == "closed":
            raise PermissionError(13, "Permission denied", str(folder))
        return real(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    listing = list_photos(str(tmp_path))

    assert [source.id for source in listing.sources(Path("nowhere"))] == ["open/b.jpg"]
    assert listing.unreadable == ["closed"]


def test_ids_are_nfc_whatever_the_file_system_stores(tmp_path: Path):
    name = unicodedata.normalize("NFD", "Café.jpg")
    touch(tmp_path / name)

    assert ids(tmp_path) == [unicodedata.normalize("NFC", name)]


def test_a_name_that_is_no_utf_8_is_listed_and_can_be_opened_again(tmp_path: Path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg"))
    path.write_bytes(b"latin")
    (source,) = list_photos(str(tmp_path)).sources(Path("nowhere"))

    assert source.id == r"caf\xe9.jpg"
    assert uri_path(source.uri).read_bytes() == b"latin"


def test_a_glob_takes_what_it_matches_below_the_common_parent(tmp_path: Path):
    touch(tmp_path / "2024" / "a.jpg", tmp_path / "2025" / "b.jpg", tmp_path / "2025" / "c.png")

    assert ids(tmp_path / "**" / "*.jpg") == ["2024/a.jpg", "2025/b.jpg"]


def test_a_list_takes_its_lines_relative_to_itself(tmp_path: Path):
    touch(tmp_path / "x" / "a.jpg", tmp_path / "x" / "b.jpg")
    (tmp_path / "list.txt").write_text(f"# chosen\nx/b.jpg\n\n{tmp_path}/x/a.jpg\nx/b.jpg\n")

    assert set(ids(tmp_path / "list.txt")) == {"a.jpg", "b.jpg"}  # a name twice is one photo to the plan


def test_a_folder_that_is_not_there_is_refused_with_its_name():
    with pytest.raises(FlowError, match=r"^no/such: there is no such folder"):
        list_photos("no/such")


def test_a_list_without_a_photo_is_refused(tmp_path: Path):
    (tmp_path / "list.txt").write_text("# nothing\n")
    with pytest.raises(FlowError, match="the list names no photo"):
        list_photos(str(tmp_path / "list.txt"))


def test_a_list_that_names_a_folder_is_refused_with_its_name(tmp_path: Path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "list.txt").write_text("folder\n")

    with pytest.raises(FlowError, match=r"the list names a folder \(.*folder\)"):
        list_photos(str(tmp_path / "list.txt"))


def test_a_glob_skips_what_a_folder_skips_and_ends_at_loops(tmp_path: Path):
    touch(tmp_path / "@eaDir" / "a.jpg", tmp_path / "out" / "b.jpg", tmp_path / "x" / "c.jpg")
    (tmp_path / "x" / "loop").symlink_to(tmp_path)
    (tmp_path / "x" / "other").symlink_to(tmp_path)

    assert ids(tmp_path / "**" / "*.jpg", tmp_path / "out") == ["x/c.jpg"]


def test_the_ids_of_a_glob_stay_when_more_comes_to_match(tmp_path: Path):
    touch(tmp_path / "2024" / "a.jpg")
    before = ids(tmp_path / "*" / "*.jpg")
    touch(tmp_path / "2025" / "b.jpg")

    assert ids(tmp_path / "*" / "*.jpg") == [*before, "2025/b.jpg"]


@given(
    name=st.binary(min_size=1, max_size=60).filter(
        lambda raw: b"/" not in raw and b"\0" not in raw and raw not in {b".", b".."}
    )
)
def test_an_address_gives_back_every_file_name(name: bytes):
    path = Path(os.fsdecode(b"/photos/" + name))

    assert uri_path(path_uri(path)) == path


def test_the_clip_keeps_the_photos_extension_so_that_two_kinds_of_one_name_do_not_collide():
    assert clip_path("x/a.jpg", "mp3") == "audio/x/a.jpg.mp3"
    assert clip_path("x/a.png", "mp3") == "audio/x/a.png.mp3"


@given(name=st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=300))
def test_no_clip_has_a_name_longer_than_file_systems_take(name: str):
    parts = clip_path(f"{name}/{name}.jpg", "flac").split("/")

    assert all(len(part.encode()) <= LONGEST_NAME_BYTES for part in parts)
    assert parts[-1].endswith(".flac")


def test_two_long_names_that_differ_only_at_the_end_get_two_clips():
    assert clip_path("é" * 200 + "1.jpg", "mp3") != clip_path("é" * 200 + "2.jpg", "mp3")
