"""One row and one clip for each photo; what is done stands, what changed is done again, and nothing else is."""

import hashlib
import json
import os
import shutil
import threading
from pathlib import Path

import pandas as pd
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from narrating import BROKEN, Runs, make_photo, make_photos, settled_rows

from captioner.captioning import Captioner
from captioner.errors import OutOfMemoryError
from captioner.records import Photo
from flows import clips, opening, storage
from flows.addresses import path_uri
from flows.errors import FlowError
from flows.inputs import looks_like_image
from flows.manifest import Manifest
from flows.opening import open_uri
from flows.output import opened
from flows.plan import Plan
from flows.records import Row, Shard
from flows.run import decoders
from flows.schema import REASONS
from flows.stages import Stages
from flows.workers import Workers
from speech.errors import BadAudioError
from speech.speaking import Speaker

SOME = (
    "rotated.jpg",
    "cmyk.jpg",
    "palette.png",
    "truncated.jpg",
    "empty.jpg",
    "web-page.jpg",
    "paper.pdf",
    "camera.nef",
)


def made(summary: object) -> tuple[int, int]:
    return summary.captioned, summary.spoken


def test_every_photo_gets_a_row_words_and_a_clip_that_the_row_describes(runs: Runs):
    make_photo(runs.photos / "a.png", 1)
    make_photo(runs.photos / "deep" / "er" / "b.jpg", 2)

    summary = runs.run()
    rows = runs.rows()

    assert summary.counts.described == 2
    assert sorted(rows.index) == ["a.png", "deep/er/b.jpg"]
    assert sorted(rows["audio_path"]) == ["audio/a.png.mp3", "audio/deep/er/b.jpg.mp3"]
    assert (rows["status"] == "described").all()
    assert rows["alt_text"].str.endswith(".").all()
    for path, row in rows.set_index("audio_path").iterrows():
        sound = soundfile.info(runs.out / str(path))
        assert hashlib.sha256((runs.out / str(path)).read_bytes()).hexdigest() == row["audio_sha256"]
        assert (sound.samplerate, sound.channels) == (row["sample_rate_hz"], 1)
        assert sound.duration == pytest.approx(row["duration_s"], abs=0.01)


def test_the_row_says_where_the_photo_is_and_what_it_measures(runs: Runs):
    path = make_photo(runs.photos / "a.png", 1)
    runs.run()
    row = runs.rows().loc["a.png"]

    assert row["uri"] == path.as_uri()
    assert row["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (row["width_px"], row["height_px"], row["format"]) == (80, 60, "png")
    assert (row["size_bytes"], row["mtime"].timestamp()) == (
        path.stat().st_size,
        pytest.approx(path.stat().st_mtime, abs=1e-5),
    )
    assert row["captioner_licence"]
    assert row["voice_licence"]
    assert pd.isna(row["confidence"])


def test_broken_and_foreign_files_get_a_row_with_a_reason_and_stop_nothing(runs: Runs):
    for name in SOME:
        shutil.copy(BROKEN / name, runs.photos)

    summary = runs.run()
    rows = runs.rows()

    assert list(rows[rows["status"] == "described"].index) == ["cmyk.jpg", "palette.png", "rotated.jpg"]
    assert set(rows["reason"].dropna()) <= set(REASONS)
    assert rows.loc["paper.pdf", "reason"] == "unsupported-format"
    assert summary.counts.refused == 5
    assert summary.counts.failed == 0
    assert rows[rows["status"] == "refused"]["audio_path"].isna().all()


def test_a_second_run_computes_nothing_and_leaves_every_byte(runs: Runs):
    make_photos(runs.photos, 3)
    shutil.copy(BROKEN / "truncated.jpg", runs.photos)
    runs.run()
    before = {path: path.stat().st_mtime_ns for path in runs.out.glob("[am]*/*")}

    summary = runs.run()

    assert made(summary) == (0, 0)
    assert (summary.counts.taken_over, summary.counts.committed) == (4, 0)
    assert {path: path.stat().st_mtime_ns for path in runs.out.glob("[am]*/*")} == before


def test_no_photo_is_opened_by_a_second_run(runs: Runs, monkeypatch: pytest.MonkeyPatch):
    make_photos(runs.photos, 2)
    runs.run()
    opened_files: list[str] = []
    real = Path.open
    monkeypatch.setattr(
        Path, "open", lambda path, *rest, **named: opened_files.append(str(path)) or real(path, *rest, **named)
    )

    runs.run()

    assert [name for name in opened_files if name.startswith(str(runs.photos))] == []


def test_two_paths_with_the_same_bytes_are_two_rows_one_synthesis_and_two_clips(runs: Runs):
    make_photo(runs.photos / "a.png", 1)
    shutil.copy(runs.photos / "a.png", runs.photos / "b.png")

    summary = runs.run()
    first, second = (runs.out / "audio" / name for name in ("a.png.mp3", "b.png.mp3"))

    assert made(summary) == (1, 1)
    assert summary.counts.described == 2
    assert first.samefile(second)


def test_a_copy_found_later_computes_nothing(runs: Runs):
    make_photo(runs.photos / "a.png", 1)
    runs.run()
    shutil.copy(runs.photos / "a.png", runs.photos / "z.png")

    summary = runs.run()

    assert made(summary) == (0, 0)
    assert runs.rows().loc["z.png", "alt_text"] == runs.rows().loc["a.png", "alt_text"]
    assert (runs.out / "audio" / "z.png.mp3").is_file()


def test_a_renamed_photo_computes_nothing_and_its_old_row_is_kept_as_missing(runs: Runs):
    make_photo(runs.photos / "a.png", 1)
    runs.run()
    (runs.photos / "a.png").rename(runs.photos / "b.png")

    summary = runs.run()
    rows = runs.rows()

    assert made(summary) == (0, 0)
    assert summary.missing == 1
    assert pd.notna(rows.loc["a.png", "missing_since"])
    assert pd.isna(rows.loc["b.png", "missing_since"])
    assert (runs.out / "audio" / "a.png.mp3").is_file()


def test_a_photo_that_comes_back_is_restored_and_computes_nothing(runs: Runs):
    path = make_photo(runs.photos / "a.png", 1)
    make_photo(runs.photos / "b.png", 2)
    runs.run()
    path.rename(runs.photos.parent / "aside.png")
    runs.run()
    (runs.photos.parent / "aside.png").rename(path)

    summary = runs.run()

    assert made(summary) == (0, 0)
    assert runs.rows()["missing_since"].isna().all()


def test_a_touched_photo_is_read_again_and_computes_nothing(runs: Runs):
    path = make_photo(runs.photos / "a.png", 1)
    runs.run()
    os.utime(path, (1_000_000_000, 1_000_000_000))

    summary = runs.run()

    assert made(summary) == (0, 0)
    assert runs.rows().loc["a.png", "mtime"].timestamp() == 1_000_000_000
    assert runs.run().counts.taken_over == 1


def test_a_replaced_photo_is_described_anew_and_its_neighbour_is_not(runs: Runs):
    make_photos(runs.photos, 2)
    runs.run()
    make_photo(runs.photos / "000.png", 99)

    summary = runs.run()

    assert made(summary) == (1, 1)
    assert summary.counts.taken_over == 1
    assert len(runs.rows()) == 2


def test_a_photo_that_breaks_loses_its_clip_and_says_why(runs: Runs):
    make_photos(runs.photos, 1)
    runs.run()
    shutil.copy(BROKEN / "truncated.jpg", runs.photos / "000.png")

    runs.run()

    assert runs.rows().loc["000.png", "status"] == "refused"
    assert runs.clips() == {}


def test_a_photo_that_cannot_be_read_keeps_its_words_and_clip_and_the_run_fails(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
):
    """The disk fails at a photo that changed: we cannot read it, and that is no reason to lose what we know."""
    path = make_photo(runs.photos / "a.png", 1)
    runs.run()
    os.utime(path, (1_000_000_000, 1_000_000_000))

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(opening, "open_photo", fail)
        summary = runs.run()
    row = runs.rows().loc["a.png"]

    assert summary.counts.failed == 1
    assert (row["status"], row["reason"]) == ("described", "unreadable")
    assert rows_name_their_clips(runs)
    assert runs.run().counts.described == 1
    assert pd.isna(runs.rows().loc["a.png", "reason"])


def test_a_photo_that_vanishes_before_it_is_read_keeps_its_row_and_stops_nothing(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
):
    paths = make_photos(runs.photos, 2)
    runs.run()
    os.utime(paths[0], (1_000_000_000, 1_000_000_000))
    real = opening.open_photo

    def vanish(path: Path, side_px: int) -> object:
        path.unlink()
        return real(path, side_px)

    monkeypatch.setattr(opening, "open_photo", vanish)
    runs.run()

    assert runs.rows().loc["000.png", "status"] == "described"
    assert pd.notna(runs.rows().loc["000.png", "missing_since"])
    assert rows_name_their_clips(runs)


def test_a_link_to_nowhere_is_refused_and_described_once_it_leads_somewhere(runs: Runs, tmp_path: Path):
    (runs.photos / "a.png").symlink_to(tmp_path / "target.png")
    assert runs.run().counts.refused == 1
    assert runs.rows().loc["a.png", "reason"] == "dead-link"
    assert runs.run().counts.taken_over == 1
    make_photo(tmp_path / "target.png", 1)

    assert runs.run().counts.described == 1


def test_a_clip_that_was_emptied_is_spoken_again_and_never_shared(runs: Runs):
    make_photo(runs.photos / "a.png", 1)
    runs.run()
    before = runs.clips()
    (runs.out / "audio" / "a.png.mp3").write_bytes(b"")
    shutil.copy(runs.photos / "a.png", runs.photos / "b.png")

    assert made(runs.run()) == (0, 1)
    assert set(runs.clips().values()) == set(before.values())
    assert rows_name_their_clips(runs)


def test_another_policy_words_again_and_speaks_only_what_changed(runs: Runs):
    make_photos(runs.photos, 2)
    runs.run()
    before = runs.rows()["alt_text"]

    same, other = runs.run(policy="short-125"), runs.run(policy="plain")

    assert made(same) == (0, 0)
    assert made(other) == (0, 2)
    assert (runs.rows()["alt_text"] != before).all()
    assert rows_name_their_clips(runs)


def test_a_clip_that_was_deleted_is_spoken_again_and_nothing_is_captioned(runs: Runs):
    make_photos(runs.photos, 2)
    runs.run()
    before = runs.clips()
    (runs.out / "audio" / "000.png.mp3").unlink()

    assert made(runs.run()) == (0, 1)
    assert runs.clips() == before


def test_another_format_speaks_again_captions_nothing_and_leaves_no_old_clip(runs: Runs):
    make_photos(runs.photos, 2)
    runs.run()

    assert made(runs.run(format="ogg")) == (0, 2)
    assert sorted(runs.clips()) == ["audio/000.png.ogg", "audio/001.png.ogg"]


def test_another_voice_speaks_again_and_captions_nothing(runs: Runs, tmp_path: Path, tiny_voice: Path):
    make_photos(runs.photos, 2)
    runs.run()
    shutil.copytree(tiny_voice, tmp_path / "other")
    config = json.loads((tmp_path / "other" / "config.json").read_text())
    (tmp_path / "other" / "config.json").write_text(json.dumps(config | {"name": "other"}))

    assert made(runs.run(voice=str(tmp_path / "other"))) == (0, 2)
    assert set(runs.rows()["voice"]) == {"other"}


def test_a_limit_does_that_many_and_says_how_many_are_left(runs: Runs):
    make_photos(runs.photos, 5)

    first, second = runs.run(limit=2), runs.run()

    assert (first.counts.described, first.counts.left, first.counts.found) == (2, 3, 5)
    assert (second.counts.described, second.counts.taken_over) == (3, 2)


def test_the_cut_into_shards_changes_no_row_and_no_clip(runs: Runs):
    make_photos(runs.photos, 5)
    runs.run()
    small = runs.out.with_name("small")

    runs.run(out=small, shard_size=2)

    assert settled_rows(small) == settled_rows(runs.out)
    for path, sound in runs.clips().items():
        assert (small / path).read_bytes() == sound


def test_no_input_is_changed(runs: Runs):
    make_photos(runs.photos, 2)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in runs.photos.iterdir()}
    runs.run()

    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in runs.photos.iterdir()} == before


def test_an_output_folder_inside_the_photos_is_never_narrated(runs: Runs):
    make_photos(runs.photos, 1)
    out = runs.photos / "out"
    runs.run(out=out)
    make_photo(out / "report" / "thumbnail.png", 5)

    assert runs.run(out=out).counts.found == 1


def test_a_long_name_is_narrated(runs: Runs):
    make_photo(runs.photos / ("n" * 251 + ".png"), 1)

    assert runs.run().counts.described == 1


def test_a_run_leaves_its_settings_and_its_numbers(runs: Runs):
    make_photos(runs.photos, 1)
    summary = runs.run()
    account = json.loads((runs.out / "runs" / f"{summary.run_id}.json").read_text())

    assert account["job"]["photos"] == str(runs.photos)
    assert account["counts"]["described"] == 1
    assert account["spoken"] == 1


def test_an_output_folder_at_work_is_refused_with_its_holder(runs: Runs):
    make_photos(runs.photos, 1)
    with opened(runs.out), pytest.raises(FlowError, match=rf"process {os.getpid()} on .* is at work"):
        runs.run()


def test_what_a_killed_run_left_half_done_is_cleared(runs: Runs):
    make_photos(runs.photos, 1)
    scratch = runs.out / ".narrate"
    scratch.mkdir(parents=True)
    (scratch / "part-000000.tmp").write_bytes(b"half")
    (scratch / "clip-1-abc.mp3").write_bytes(b"half")
    (scratch / ".clip-1-abc.mp3-x.part").write_bytes(b"half")
    runs.run()

    assert [path.name for path in scratch.iterdir() if path.name != "lock"] == []


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    chosen=st.lists(
        st.sampled_from(sorted(path.name for path in BROKEN.iterdir() if looks_like_image(path.name))), max_size=8
    )
)
def test_any_mix_of_good_and_bad_files_yields_one_row_each(
    runs: Runs, tmp_path_factory: pytest.TempPathFactory, chosen: list[str]
):
    photos, out = tmp_path_factory.mktemp("mix"), tmp_path_factory.mktemp("out")
    for number, name in enumerate(chosen):
        shutil.copy(BROKEN / name, photos / f"{number}-{name}")
    if not chosen:
        return
    summary = runs.run(photos=str(photos), out=out)

    assert summary.counts.committed == len(chosen)
    assert sorted(pd.read_parquet(out / "manifest")["id"]) == sorted(
        f"{number}-{name}" for number, name in enumerate(chosen)
    )


def test_worker_processes_open_photos_as_threads_do():
    """A GPU is fed by processes; what they hand over is the same."""
    uris = [path_uri(BROKEN / name) for name in SOME[:5]]
    with decoders("cuda") as processes, decoders("cpu") as threads:
        apart, here = (list(pool.map(open_uri, uris, [64] * len(uris))) for pool in (processes, threads))

    assert isinstance(processes, Workers)
    for one, other in zip(apart, here, strict=True):
        assert type(one) is type(other)
        assert one.sha256 == other.sha256
        assert not isinstance(one, Photo) or (one.pixels == other.pixels).all()


def rows_name_their_clips(runs: Runs) -> bool:
    """Return whether every clip is the one that its row has the hash of, and no clip is without a row."""
    rows = runs.rows()
    expected = {row["audio_path"]: row["audio_sha256"] for _, row in rows.iterrows() if pd.notna(row["audio_path"])}
    return {path: hashlib.sha256(sound).hexdigest() for path, sound in runs.clips().items()} == expected


def test_photos_that_swap_names_keep_their_own_words_and_sound(runs: Runs):
    first, second = make_photos(runs.photos, 2)
    runs.run()
    before = runs.clips()
    first.rename(runs.photos / "x.png")
    second.rename(first)
    (runs.photos / "x.png").rename(second)

    assert made(runs.run()) == (0, 0)
    assert runs.clips() == {
        "audio/000.png.mp3": before["audio/001.png.mp3"],
        "audio/001.png.mp3": before["audio/000.png.mp3"],
    }
    assert rows_name_their_clips(runs)


@pytest.mark.parametrize("shard_size", [2, 64])
def test_a_photo_put_in_front_of_numbered_ones_is_the_only_one_described(runs: Runs, shard_size: int):
    paths = make_photos(runs.photos, 6)
    runs.run()
    for number, path in reversed(list(enumerate(paths))):
        path.rename(runs.photos / f"{number + 1:03d}.png")
    make_photo(runs.photos / "000.png", 77)

    assert made(runs.run(shard_size=shard_size)) == (1, 1)
    assert rows_name_their_clips(runs)


class Killed(BaseException):
    """Ends a run where it stands."""


def test_a_run_that_dies_between_its_clips_and_its_rows_is_healed(runs: Runs, monkeypatch: pytest.MonkeyPatch):
    """The clips of the new loudness are in place, the rows still speak of the old: the old job comes back."""
    make_photos(runs.photos, 2)
    runs.run()
    before = runs.clips()

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Manifest, "commit", die)
        with pytest.raises(Killed):
            runs.run(profile="none")
    assert runs.clips() != before

    runs.run()

    assert runs.clips() == before
    assert rows_name_their_clips(runs)


def test_old_rows_have_their_old_clips_again_however_early_the_healing_run_dies(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
):
    """Killed with new clips beside old rows; the next runs are killed in the midst of healing, then right after it."""
    make_photos(runs.photos, 3)
    runs.run(limit=2)
    before = runs.clips()
    renames = []

    def die(*_: object) -> None:
        raise Killed

    def rename_once(staged: Path, final: Path) -> None:
        if renames:
            raise Killed
        renames.append(final)
        storage.rename(staged, final)

    for where, name, deed in [(Manifest, "commit", die), (clips, "rename", rename_once), (Plan, "add", die)]:
        with monkeypatch.context() as patch:
            patch.setattr(where, name, deed)
            with pytest.raises(Killed):
                runs.run(profile="none")
    assert len(renames) == 1
    assert runs.clips() == before
    assert rows_name_their_clips(runs)

    runs.run(profile="none")

    assert rows_name_their_clips(runs)
    assert [path.name for path in (runs.out / ".narrate").iterdir()] == ["lock"]


def test_a_text_that_cannot_be_spoken_any_more_keeps_its_clip_and_its_twins(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
):
    make_photo(runs.photos / "a.png", 1)
    shutil.copy(runs.photos / "a.png", runs.photos / "b.png")
    runs.run()

    def refuse(*_: object, **__: object) -> None:
        raise BadAudioError("noise")

    with monkeypatch.context() as patch:
        patch.setattr(Speaker, "finish", refuse)
        summary = runs.run(profile="none")

    assert summary.counts.failed == 2
    assert rows_name_their_clips(runs)
    assert set(runs.rows()["reason"]) == {"bad-audio"}
    assert runs.run(profile="none").counts.described == 2
    assert runs.rows()["reason"].isna().all()


@pytest.mark.parametrize("method", ["encode", "decode"])
def test_a_photo_that_does_not_fit_into_memory_fails_alone(runs: Runs, monkeypatch: pytest.MonkeyPatch, method: str):
    make_photos(runs.photos, 3)
    poison = hashlib.sha256((runs.photos / "001.png").read_bytes()).hexdigest()
    real = getattr(Captioner, method)

    def work(captioner: Captioner, batch: list[object]) -> object:
        if any(one.sha256 == poison for one in batch):
            raise OutOfMemoryError("does not fit")
        return real(captioner, batch)

    monkeypatch.setattr(Captioner, method, work)
    summary = runs.run()

    assert (summary.counts.described, summary.counts.failed) == (2, 1)
    assert runs.rows().loc["001.png", "reason"] == "out-of-memory"
    assert rows_name_their_clips(runs)


def test_photos_of_another_folder_never_take_the_rows_of_those_that_are_still_there(runs: Runs, tmp_path: Path):
    make_photo(runs.photos / "a.png", 1)
    runs.run()
    make_photo(tmp_path / "other" / "a.png", 2)

    with pytest.raises(FlowError, match="choose an output folder for each folder of photos"):
        runs.run(photos=str(tmp_path / "other"))
    assert rows_name_their_clips(runs)


def test_a_folder_that_moved_keeps_its_rows_and_they_say_where_it_is(runs: Runs, tmp_path: Path):
    make_photo(runs.photos / "a.png", 1)
    runs.run()
    moved = runs.photos.rename(tmp_path / "moved")

    assert made(runs.run(photos=str(moved))) == (0, 0)
    assert runs.rows().loc["a.png", "uri"] == (moved / "a.png").as_uri()


def test_a_folder_that_is_suddenly_empty_is_no_nights_work_done(runs: Runs):
    path = make_photo(runs.photos / "a.png", 1)
    runs.run()
    path.unlink()

    with pytest.raises(FlowError, match="no photo is here, and 1 were at the last run"):
        runs.run()


def test_a_list_that_names_a_photo_twice_has_one_row(runs: Runs, tmp_path: Path):
    path = make_photo(runs.photos / "a.png", 1)
    (tmp_path / "list.txt").write_text(f"photos/a.png\n{path}\nphotos/../photos/a.png\n")

    assert runs.run(photos=str(tmp_path / "list.txt")).counts.found == 1


def test_overlapping_shards_give_the_same_rows_and_clips_as_one_after_the_other(runs: Runs):
    make_photos(runs.photos, 7)
    shutil.copy(runs.photos / "000.png", runs.photos / "005.png")
    shutil.copy(BROKEN / "truncated.jpg", runs.photos / "003.jpg")
    plain = runs.out.with_name("plain")

    one, other = runs.run(shard_size=2), runs.run(out=plain, shard_size=2, overlap=False)

    assert made(one) == made(other) == (6, 6)
    assert settled_rows(runs.out) == settled_rows(plain)
    assert all((plain / path).read_bytes() == clip for path, clip in runs.clips().items())


def test_copies_in_shards_that_overlap_are_described_once(runs: Runs):
    """The copies come to the captioner before the first one's row is committed."""
    make_photo(runs.photos / "a.png", 1)
    for name in "bcdefgh":
        shutil.copy(runs.photos / "a.png", runs.photos / f"{name}.png")

    summary = runs.run(shard_size=1)

    assert made(summary) == (1, 1)
    assert summary.counts.described == 8
    assert rows_name_their_clips(runs)


def test_copies_of_a_photo_that_fails_in_a_shard_ahead_fail_as_it_does(runs: Runs, monkeypatch: pytest.MonkeyPatch):
    make_photo(runs.photos / "a.png", 1)
    for name in "bcd":
        shutil.copy(runs.photos / "a.png", runs.photos / f"{name}.png")

    def refuse(*_: object, **__: object) -> None:
        raise BadAudioError("noise")

    monkeypatch.setattr(Speaker, "finish", refuse)
    summary = runs.run(shard_size=1)

    assert summary.counts.failed == 4
    assert set(runs.rows()["reason"]) == {"bad-audio"}


def test_a_photo_that_is_looked_up_between_a_clip_and_its_row_is_not_spoken_again(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
):
    """The last shard is looked up once the first one's clips are in their place and its rows are not."""
    paths = make_photos(runs.photos, 6)
    runs.run(shard_size=2)
    aside = [path.rename(path.with_suffix(".aside")) for path in paths]
    for path, number in zip(aside, (4, 5, 2, 3, 0, 1), strict=True):
        path.rename(paths[number])
    published, looked_up = threading.Event(), threading.Event()
    ingest, commit = Stages.ingest, Plan.commit

    def late_ingest(stages: Stages, shard: Shard) -> None:
        assert shard.number < 2 or published.wait(30)
        ingest(stages, shard)
        if shard.number == 2:
            looked_up.set()

    def slow_commit(plan: Plan, rows: list[Row]) -> None:
        published.set()
        looked_up.wait(1)  # the look-up's chance; it must wait for these rows instead
        commit(plan, rows)

    monkeypatch.setattr(Stages, "ingest", late_ingest)
    monkeypatch.setattr(Plan, "commit", slow_commit)

    assert made(runs.run(shard_size=2)) == (0, 0)
    assert rows_name_their_clips(runs)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(6)))
def test_photos_that_change_names_across_overlapping_shards_compute_nothing_and_keep_their_own(
    runs: Runs, tmp_path_factory: pytest.TempPathFactory, order: list[int]
):
    """Each clip is shared from where another shard is just about to put another one."""
    runs.photos, runs.out = tmp_path_factory.mktemp("photos"), tmp_path_factory.mktemp("out")
    runs.settings |= {"photos": str(runs.photos), "out": runs.out}
    paths = make_photos(runs.photos, 6)
    runs.run(shard_size=2)
    before = {path.name: path.read_bytes() for path in (runs.out / "audio").iterdir()}
    aside = [path.rename(path.with_suffix(".aside")) for path in paths]
    for path, number in zip(aside, order, strict=True):
        path.rename(paths[number])

    assert made(runs.run(shard_size=2)) == (0, 0)
    after = {path.name: path.read_bytes() for path in (runs.out / "audio").iterdir()}
    assert after == {f"{paths[new].name}.mp3": before[f"{paths[old].name}.mp3"] for old, new in enumerate(order)}
    assert rows_name_their_clips(runs)
