"""One row and one clip for each photo; what is done stands, what changed is done again, and nothing else is."""

import hashlib
import json
import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from narrating import BROKEN, Runs, make_photo, make_photos, settled_rows

from captioner.records import Photo
from flows.errors import FlowError
from flows.inputs import looks_like_image, path_uri
from flows.manifest import REASONS
from flows.output import opened
from flows.run import decoders
from flows.stages import open_uri

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


def test_a_photo_that_cannot_be_read_keeps_its_words_and_clip_and_the_run_fails(runs: Runs):
    """A described photo becomes a link to nowhere: we cannot read it, and that is no reason to lose what we know."""
    path = make_photo(runs.photos / "a.png", 1)
    runs.run()
    path.unlink()
    path.symlink_to("nowhere.png")

    summary = runs.run()
    row = runs.rows().loc["a.png"]

    assert summary.counts.failed == 1
    assert (row["status"], row["reason"]) == ("described", "vanished")
    assert (runs.out / row["audio_path"]).is_file()


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


def test_the_page_shows_each_photo_and_escapes_its_name(runs: Runs):
    name = "<img onerror=alert(1)>.png"
    make_photo(runs.photos / name, 1)
    runs.run()
    page = (runs.out / "report" / "index.html").read_text()

    assert "&lt;img onerror=alert(1)&gt;.png" in page
    assert name not in page
    assert "<audio controls" in page


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

    assert isinstance(processes, ProcessPoolExecutor)
    for one, other in zip(apart, here, strict=True):
        assert type(one) is type(other)
        assert one.sha256 == other.sha256
        assert not isinstance(one, Photo) or (one.pixels == other.pixels).all()
