import hashlib
import io
import os
import resource
from pathlib import Path

import mutagen
import numpy as np
import pytest
import soundfile
from mutagen.ogg import OggPage

from speech.encoding import FORMATS, SAMPLE_RATES_HZ, SYNTHETIC, Delivery, write_atomically
from speech.errors import SpeechError
from speech.mastering import loudness_lufs, noise_floor_db, rms_db, true_peak_dbtp
from speech.records import Spoken, Waveform
from speech.speaking import Speaker

TEXT = "A dog runs over the green grass, and two girls in red coats look at it from the bench beside the old tree."


@pytest.fixture(scope="module")
def spoken(speaker: Speaker) -> Spoken:
    result = speaker.speak([TEXT])[0]
    assert isinstance(result, Spoken)
    assert result.waveform.duration_s > 3
    return result


@pytest.mark.parametrize("codec", FORMATS)
def test_the_same_text_and_voice_give_the_same_bytes(speaker: Speaker, spoken: Spoken, tmp_path: Path, codec: str):
    first = speaker.finish(spoken, tmp_path / f"first.{codec}", TEXT, Delivery(codec))
    second = speaker.finish(spoken, tmp_path / "elsewhere" / f"second.{codec}", TEXT, Delivery(codec))
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.sha256 == second.sha256 == hashlib.sha256(first.path.read_bytes()).hexdigest()


@pytest.mark.parametrize("codec", FORMATS)
@pytest.mark.parametrize(("profile", "target"), [("streaming", -16.0), ("ebu-r128", -23.0)])
def test_the_encoded_file_has_the_profiles_loudness(
    speaker: Speaker, spoken: Spoken, tmp_path: Path, codec: str, profile: str, target: float
):
    clip = speaker.finish(spoken, tmp_path / f"clip.{codec}", TEXT, Delivery(codec, profile))
    assert clip.loudness_lufs == pytest.approx(target, abs=0.5)
    assert clip.loudness_reliable
    assert clip.true_peak_dbtp <= -1.0


@pytest.mark.parametrize("codec", FORMATS)
def test_a_clip_says_what_lies_in_its_file(speaker: Speaker, spoken: Spoken, tmp_path: Path, codec: str):
    clip = speaker.finish(spoken, tmp_path / f"clip.{codec}", TEXT, Delivery(codec))
    info = soundfile.info(clip.path)
    assert (info.channels, info.samplerate) == (1, clip.sample_rate_hz)
    assert info.frames / info.samplerate == pytest.approx(clip.duration_s, abs=1e-6)
    assert clip.sample_rate_hz == (24000 if codec == "opus" else 22050)


@pytest.mark.parametrize("codec", FORMATS)
def test_the_tags_are_read_back(speaker: Speaker, spoken: Spoken, tmp_path: Path, codec: str):
    clip = speaker.finish(spoken, tmp_path / f"clip.{codec}", TEXT, Delivery(codec))
    tags = mutagen.File(clip.path).tags
    if codec in {"wav", "mp3"}:
        found = {
            "title": tags["TIT2"].text[0],
            "language": tags["TXXX:LANGUAGE"].text[0],
            "comment": tags["COMM::eng"].text[0],
            "software": tags["TSSE"].text[0],
            "voice": tags["TXXX:VOICE"].text[0],
            "licence": tags["TXXX:LICENSE"].text[0],
            "source": tags["TXXX:DIGITALSOURCETYPE"].text[0],
        }
    else:
        names = {"title": "title", "language": "language", "comment": "comment", "software": "encoder"}
        names |= {"voice": "voice", "licence": "license", "source": "digitalsourcetype"}
        found = {name: tags[key][0] for name, key in names.items()}
    assert TEXT.startswith(found["title"].rstrip("\u2026"))
    assert found["comment"] == TEXT
    assert (found["language"], found["voice"], found["licence"]) == ("en-US", "tiny", "CC0-1.0")
    assert (found["software"], found["source"]) == ("image-narrator", SYNTHETIC)


def test_mp3_has_at_least_64_kbit_a_second(speaker: Speaker, spoken: Spoken, tmp_path: Path):
    clip = speaker.finish(spoken, tmp_path / "clip.mp3", TEXT, Delivery())
    info = mutagen.File(clip.path).info
    assert info.bitrate >= 64000
    assert info.channels == 1


@pytest.mark.parametrize("codec", ["ogg", "opus"])
def test_the_ogg_serial_comes_from_the_text(speaker: Speaker, spoken: Spoken, tmp_path: Path, codec: str):
    def serials(text: str) -> set[int]:
        stream = io.BytesIO(speaker.finish(spoken, tmp_path / f"clip.{codec}", text, Delivery(codec)).path.read_bytes())
        found = set()
        while stream.tell() < len(stream.getvalue()):
            found.add(OggPage(stream).serial)
        return found

    one, other = serials(TEXT), serials("Another text")
    assert len(one) == len(other) == 1
    assert one != other
    assert serials(TEXT) == one


@pytest.mark.parametrize("codec", FORMATS)
def test_a_short_clip_has_no_reliable_loudness(speaker: Speaker, tmp_path: Path, codec: str):
    result = speaker.speak(["a"])[0]
    assert isinstance(result, Spoken)
    clip = speaker.finish(result, tmp_path / f"a.{codec}", "a", Delivery(codec))
    assert not clip.loudness_reliable
    assert clip.true_peak_dbtp <= -1.0


def test_a_disk_that_is_full_leaves_neither_a_clip_nor_a_temporary_file(
    speaker: Speaker, spoken: Spoken, tmp_path: Path
):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OSError, match="large"):
            speaker.finish(spoken, tmp_path / "clip.wav", TEXT, Delivery("wav"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_older_clip_as_it_was(speaker: Speaker, spoken: Spoken, tmp_path: Path):
    clip = speaker.finish(spoken, tmp_path / "clip.wav", TEXT, Delivery("wav"))
    before = clip.path.read_bytes()
    silent = Spoken(Waveform(np.zeros(22050, np.float32), 22050))
    with pytest.raises(SpeechError, match="silence"):
        speaker.finish(silent, tmp_path / "clip.wav", TEXT, Delivery("wav"))
    assert clip.path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["clip.wav"]


def test_a_folder_that_is_a_file_is_an_os_error(speaker: Speaker, spoken: Spoken, tmp_path: Path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(OSError, match="taken"):
        speaker.finish(spoken, tmp_path / "taken" / "clip.mp3", TEXT, Delivery())


def test_an_unknown_format_is_refused_with_the_known_ones(speaker: Speaker, spoken: Spoken, tmp_path: Path):
    with pytest.raises(SpeechError, match="opus"):
        speaker.finish(spoken, tmp_path / "clip.aac", TEXT, Delivery("aac"))


def peaks_and_quiet(seconds: float = 4.0) -> Spoken:
    """Speech-like noise with a few peaks 26 dB above its loudness."""
    sound = (0.02 * np.random.default_rng(3).standard_normal(round(seconds * 22050))).astype(np.float32)
    sound[::20000] = 0.9
    return Spoken(Waveform(sound, 22050))


@pytest.mark.parametrize("codec", FORMATS)
def test_a_clip_whose_gain_the_ceiling_holds_back_says_so_and_by_how_much(speaker: Speaker, tmp_path: Path, codec: str):
    clip = speaker.finish(peaks_and_quiet(), tmp_path / f"clip.{codec}", TEXT, Delivery(codec))
    assert [flag.rule for flag in clip.flags] == ["loudness-limited"]
    assert clip.loudness_lufs is not None
    assert f"{-16 - clip.loudness_lufs:.1f} dB under" in clip.flags[0].reason
    assert -1.5 < clip.true_peak_dbtp <= -1.0


@pytest.mark.parametrize("codec", FORMATS)
def test_the_figures_of_a_clip_are_those_of_its_file(speaker: Speaker, spoken: Spoken, tmp_path: Path, codec: str):
    clip = speaker.finish(spoken, tmp_path / f"clip.{codec}", TEXT, Delivery(codec))
    samples, rate = soundfile.read(clip.path, dtype="float32")
    assert true_peak_dbtp(Waveform(samples, rate)) == clip.true_peak_dbtp <= -1.0
    assert loudness_lufs(Waveform(samples, rate)) == clip.loudness_lufs


@pytest.mark.parametrize("rate", SAMPLE_RATES_HZ)
@pytest.mark.parametrize("codec", FORMATS)
def test_the_sample_rate_is_as_chosen(speaker: Speaker, spoken: Spoken, tmp_path: Path, codec: str, rate: int):
    clip = speaker.finish(spoken, tmp_path / f"clip.{codec}", TEXT, Delivery(codec, sample_rate_hz=rate))
    expected = rate if codec != "opus" else {22050: 24000, 44100: 48000}.get(rate, rate)
    assert soundfile.info(clip.path).samplerate == clip.sample_rate_hz == expected
    assert clip.true_peak_dbtp <= -1.0


def test_a_sample_rate_that_no_format_has_is_refused(speaker: Speaker, spoken: Spoken, tmp_path: Path):
    with pytest.raises(SpeechError, match="44100"):
        speaker.finish(spoken, tmp_path / "clip.wav", TEXT, Delivery("wav", sample_rate_hz=12345))


def test_acx_files_follow_its_rules(speaker: Speaker, spoken: Spoken, tmp_path: Path):
    clip = speaker.finish(spoken, tmp_path / "clip.mp3", TEXT, Delivery(profile="acx"))
    samples, rate = soundfile.read(clip.path, dtype="float32")
    assert -23 <= rms_db(samples) <= -18
    assert 20 * np.log10(np.abs(samples).max()) <= -3
    assert noise_floor_db(Waveform(samples, rate)) <= -60
    assert (rate, clip.flags) == (44100, ())
    assert mutagen.File(clip.path).info.bitrate >= 191_000  # 192 kbit/s, as mutagen counts it over the file's length
    loud = np.flatnonzero(np.abs(samples) > 0.01)
    assert 0.4 < loud[0] / rate < 1.0
    assert 0.9 < (len(samples) - loud[-1]) / rate < 5.0


def test_a_noisy_clip_is_flagged_where_the_profile_asks_for_a_floor(speaker: Speaker, tmp_path: Path):
    random = np.random.default_rng(4)
    envelope = np.concatenate([np.full(n, level) for n, level in ((44100, 0.05), (6615, 0.25), (22050, 0.0014))])
    noise = envelope * random.standard_normal(len(envelope))
    spoken = Spoken(Waveform(np.concatenate([noise, noise[:50000]]).astype(np.float32), 22050))
    acx = speaker.finish(spoken, tmp_path / "acx.wav", TEXT, Delivery("wav", "acx"))
    assert "noise-floor" in [flag.rule for flag in acx.flags]
    assert not speaker.finish(spoken, tmp_path / "none.wav", TEXT, Delivery("wav", "none")).flags


def test_a_new_clip_has_the_rights_that_any_new_file_gets(speaker: Speaker, spoken: Spoken, tmp_path: Path):
    before = os.umask(0o027)
    try:
        clip = speaker.finish(spoken, tmp_path / "clip.wav", TEXT, Delivery("wav"))
        other = tmp_path / "other"
        other.write_bytes(b"")
    finally:
        os.umask(before)
    assert clip.path.stat().st_mode == other.stat().st_mode


def test_writing_never_touches_the_mask_of_the_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def touched(_mask: int) -> int:
        raise AssertionError("the mask belongs to all threads")

    monkeypatch.setattr(os, "umask", touched)
    write_atomically(b"sound", tmp_path / "clip.wav")
    assert (tmp_path / "clip.wav").read_bytes() == b"sound"
