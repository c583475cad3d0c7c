"""What is tried again, when, and how much of it: failures are remembered with their kind."""

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from narrating import BROKEN, Runs, make_photo, make_photos, settled_rows
from safetensors.torch import load_file, save_file

from captioner.captioning import Captioner
from captioner.errors import OutOfMemoryError
from captioner.records import Features, Photo
from flows import paths
from flows.errors import FlowError
from flows.raw import RawClips, rounded
from flows.records import Summary
from speech.records import ClipFlag, Spoken, Waveform


def made(summary: Summary) -> tuple[int, int]:
    return summary.captioned, summary.spoken


@pytest.fixture
def mute_voice(tmp_path: Path, tiny_voice: Path) -> Path:
    """Return a real voice that makes nothing but silence."""
    folder = Path(shutil.copytree(tiny_voice, tmp_path / "mute"))
    weights = load_file(folder / "vocoder.safetensors")
    silent = {name: torch.zeros_like(w) if name.startswith("conv_post") else w for name, w in weights.items()}
    save_file(silent, folder / "vocoder.safetensors")
    return folder


def test_a_text_that_the_voice_cannot_say_is_tried_again_only_with_another_voice(runs: Runs, mute_voice: Path):
    make_photos(runs.photos, 2)

    first, second = runs.run(voice=str(mute_voice)), runs.run(voice=str(mute_voice))
    rows = runs.rows()
    third = runs.run()

    assert (first.counts.failed, first.captioned) == (2, 2)
    assert set(rows["reason"]) == {"bad-audio"}
    assert rows["alt_text"].str.endswith(".").all()
    assert (second.counts.failed, second.counts.taken_over) == (0, 2)
    assert made(third) == (0, 2)
    assert third.counts.described == 2


def test_a_reason_to_retry_forces_what_is_remembered_and_nothing_else(runs: Runs, mute_voice: Path):
    make_photo(runs.photos / "a.png", 1)
    shutil.copy(BROKEN / "truncated.jpg", runs.photos)
    runs.run(voice=str(mute_voice))

    one, other = (runs.run(voice=str(mute_voice), retry=reason) for reason in ("truncated", "bad-audio"))
    both = runs.run(voice=str(mute_voice), retry="all")

    assert (one.counts.refused, one.counts.failed, one.counts.taken_over) == (1, 0, 1)
    assert (other.counts.refused, other.counts.failed, other.counts.taken_over) == (0, 1, 1)
    assert both.counts.taken_over == 0
    assert (one.captioned, other.captioned, both.captioned) == (0, 0, 0)


def test_a_reason_that_does_not_exist_is_refused_with_those_that_do(runs: Runs):
    make_photo(runs.photos / "a.png", 1)

    with pytest.raises(FlowError, match="there is no reason bad-mood; choose one of all, empty, truncated"):
        runs.run(retry="bad-mood")


def test_a_corrupt_photo_is_read_again_once_its_bytes_change(runs: Runs):
    shutil.copy(BROKEN / "truncated.jpg", runs.photos / "a.jpg")
    runs.run()
    assert runs.run().counts.taken_over == 1

    shutil.copy(BROKEN / "rotated.jpg", runs.photos / "a.jpg")

    assert runs.run().counts.described == 1


def test_a_photo_that_was_not_there_is_looked_for_again_at_every_run(runs: Runs):
    there = make_photo(runs.photos / "a.png", 1)
    listed = runs.photos.parent / "list.txt"
    listed.write_text("photos/a.png\nphotos/late.png\n")

    first, second = runs.run(photos=str(listed)), runs.run(photos=str(listed))
    shutil.copy(there, runs.photos / "late.png")
    third = runs.run(photos=str(listed))

    assert first.reasons == second.reasons == {"vanished": 1}
    assert (third.counts.described, made(third)) == (1, (0, 0))


def test_a_heic_photo_under_a_jpeg_name_is_described_once_the_plug_in_is_there(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("pillow_heif")
    shutil.copy(BROKEN / "quarters.heic", runs.photos / "a.jpg")
    with monkeypatch.context() as patch:
        for name in ("pillow_heif", "pillow_heif.as_plugin"):
            patch.setitem(sys.modules, name, None)
        assert runs.run().reasons == {"missing-plugin": 1}
        assert runs.run().counts.taken_over == 1

    assert runs.run().counts.described == 1


def test_a_row_that_failed_after_its_caption_shares_its_words_and_no_clip(runs: Runs, mute_voice: Path):
    make_photo(runs.photos / "a.png", 1)
    runs.run(voice=str(mute_voice))
    shutil.copy(runs.photos / "a.png", runs.photos / "b.png")

    summary = runs.run(voice=str(mute_voice))

    assert made(summary) == (0, 0)
    assert summary.reasons == {"bad-audio": 1}


def test_a_batch_that_does_not_fit_is_halved_until_the_photo_that_does_not_fit_is_alone(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
):
    make_photos(runs.photos, 16)
    real, sizes = Captioner.encode, []
    poison = hashlib.sha256((runs.photos / "005.png").read_bytes()).hexdigest()

    def encode(captioner: Captioner, photos: list[Photo]) -> list[Features]:
        sizes.append(len(photos))
        if any(photo.sha256 == poison for photo in photos):
            raise OutOfMemoryError("does not fit")
        return real(captioner, photos)

    monkeypatch.setattr(Captioner, "encode", encode)
    summary = runs.run()

    assert summary.reasons == {"out-of-memory": 1}
    assert summary.counts.described == 15
    assert sizes == [16, 8, 4, 4, 2, 1, 1, 2, 8]
    assert runs.run().counts.failed == 1


def test_photos_are_known_again_though_their_times_of_change_are_lost(runs: Runs):
    """A folder restored from an archive: every time of change is new, and nothing is computed."""
    for path in make_photos(runs.photos, 3):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    runs.run()
    for path in runs.photos.iterdir():
        os.utime(path, (1_100_000_000, 1_100_000_000))

    assert made(runs.run()) == (0, 0)
    assert runs.run().counts.taken_over == 3


def test_rehash_reads_every_photo_and_finds_bytes_that_changed_under_the_same_size_and_time(runs: Runs):
    path = make_photo(runs.photos / "a.bmp", 1)
    before = path.stat()
    runs.run()
    make_photo(path, 2)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size

    unseen, seen = runs.run(), runs.run(rehash=True)

    assert unseen.counts.taken_over == 1
    assert made(seen) == (1, 1)


def test_the_account_of_a_run_says_how_long_calling_the_stages_took_beside_the_stages(runs: Runs):
    make_photos(runs.photos, 2)
    runs.run()
    (account,) = (json.loads(path.read_text()) for path in (runs.out / "runs").iterdir())

    assert 0 <= account["orchestration_s"] < 0.1 * sum(account["stage_seconds"].values())


def test_another_loudness_masters_kept_sound_and_gives_the_bytes_of_a_new_one(runs: Runs):
    make_photos(runs.photos, 2)
    other = runs.out.with_name("other")
    runs.run(keep_raw=True)

    again = runs.run(keep_raw=True, profile="ebu-r128", format="wav")
    runs.run(out=other, profile="ebu-r128", format="wav")

    assert (made(again), again.remastered) == ((0, 0), 2)
    assert runs.clips() == {path: (other / path).read_bytes() for path in runs.clips()}
    assert len(runs.clips()) == 2
    assert settled_rows(runs.out) == settled_rows(other)


def test_without_kept_sound_another_loudness_speaks_again_and_a_broken_one_is_spoken_again(runs: Runs):
    make_photos(runs.photos, 2)
    runs.run(keep_raw=True)
    kept = sorted(paths.raw_folder(runs.out).glob("*/*.flac"))
    kept[0].write_bytes(b"half")
    kept[1].unlink()

    assert made(runs.run(keep_raw=True, profile="none")) == (0, 2)
    assert made(runs.run(profile="ebu-r128")) == (0, 2)


@given(
    samples=st.lists(st.floats(-1.0, 1.0, width=32), min_size=1, max_size=300),
    attempts=st.integers(1, 9),
    asr_wer=st.none() | st.floats(0, 2),
)
def test_kept_sound_comes_back_bit_for_bit(
    samples: list[float], attempts: int, asr_wer: float | None, tmp_path_factory: pytest.TempPathFactory
):
    sound = Waveform(np.asarray(samples, np.float32), 22050)
    spoken = rounded(Spoken(sound, attempts, asr_wer, (ClipFlag("rule", "said once more"),)))
    kept = RawClips(tmp_path_factory.mktemp("raw"), "voice")
    kept.save("A dog.", spoken)

    found = kept.load("A dog.")

    assert found is not None
    assert (found.waveform.samples == spoken.waveform.samples).all()
    assert np.abs(spoken.waveform.samples - sound.samples).max() <= 2.0**-23
    assert (found.attempts, found.asr_wer, found.flags) == (attempts, asr_wer, spoken.flags)
    assert RawClips(tmp_path_factory.mktemp("raw"), "voice").load("A dog.") is None
