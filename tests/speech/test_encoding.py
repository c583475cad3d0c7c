import hashlib
import io
import resource
from pathlib import Path

import mutagen
import numpy as np
import pytest
import soundfile
from mutagen.ogg import OggPage

from speech.encoding import FORMATS, SYNTHETIC
from speech.errors import SpeechError
from speech.records import Waveform
from speech.speaking import Speaker

TEXT = "A dog runs over the green grass, and two girls in red coats look at it from the bench beside the old tree."


@pytest.fixture(scope="module")
def spoken(speaker: Speaker) -> Waveform:
    result = speaker.speak([TEXT])[0]
    assert isinstance(result, Waveform)
    assert result.duration_s > 3
    return result


@pytest.mark.parametrize("codec", FORMATS)
def test_the_same_text_and_voice_give_the_same_bytes(speaker: Speaker, spoken: Waveform, tmp_path: Path, codec: str):
    first = speaker.finish(spoken, tmp_path / f"first.{codec}", TEXT, codec)
    second = speaker.finish(spoken, tmp_path / "elsewhere" / f"second.{codec}", TEXT, codec)
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.sha256 == second.sha256 == hashlib.sha256(first.path.read_bytes()).hexdigest()


@pytest.mark.parametrize("codec", FORMATS)
@pytest.mark.parametrize(("profile", "target"), [("streaming", -16.0), ("ebu-r128", -23.0)])
def test_the_encoded_file_has_the_profiles_loudness(
    speaker: Speaker, spoken: Waveform, tmp_path: Path, codec: str, profile: str, target: float
):
    clip = speaker.finish(spoken, tmp_path / f"clip.{codec}", TEXT, codec, profile)
    assert clip.loudness_lufs == pytest.approx(target, abs=0.5)
    assert clip.loudness_reliable
    assert clip.true_peak_dbtp <= -1.0


@pytest.mark.parametrize("codec", FORMATS)
def test_a_clip_says_what_lies_in_its_file(speaker: Speaker, spoken: Waveform, tmp_path: Path, codec: str):
    clip = speaker.finish(spoken, tmp_path / f"clip.{codec}", TEXT, codec)
    info = soundfile.info(clip.path)
    assert (info.channels, info.samplerate) == (1, clip.sample_rate_hz)
    assert info.frames / info.samplerate == pytest.approx(clip.duration_s, abs=1e-6)
    assert clip.sample_rate_hz == (24000 if codec == "opus" else 22050)


@pytest.mark.parametrize("codec", FORMATS)
def test_the_tags_are_read_back(speaker: Speaker, spoken: Waveform, tmp_path: Path, codec: str):
    clip = speaker.finish(spoken, tmp_path / f"clip.{codec}", TEXT, codec)
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


def test_mp3_has_at_least_64_kbit_a_second(speaker: Speaker, spoken: Waveform, tmp_path: Path):
    clip = speaker.finish(spoken, tmp_path / "clip.mp3", TEXT)
    info = mutagen.File(clip.path).info
    assert info.bitrate >= 64000
    assert info.channels == 1


@pytest.mark.parametrize("codec", ["ogg", "opus"])
def test_the_ogg_serial_comes_from_the_text(speaker: Speaker, spoken: Waveform, tmp_path: Path, codec: str):
    def serials(text: str) -> set[int]:
        stream = io.BytesIO(speaker.finish(spoken, tmp_path / f"clip.{codec}", text, codec).path.read_bytes())
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
    assert isinstance(result, Waveform)
    clip = speaker.finish(result, tmp_path / f"a.{codec}", "a", codec)
    assert not clip.loudness_reliable
    assert clip.true_peak_dbtp <= -1.0


def test_a_disk_that_is_full_leaves_neither_a_clip_nor_a_temporary_file(
    speaker: Speaker, spoken: Waveform, tmp_path: Path
):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OSError, match="large"):
            speaker.finish(spoken, tmp_path / "clip.wav", TEXT, "wav")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_older_clip_as_it_was(speaker: Speaker, spoken: Waveform, tmp_path: Path):
    clip = speaker.finish(spoken, tmp_path / "clip.wav", TEXT, "wav")
    before = clip.path.read_bytes()
    silent = Waveform(np.zeros(22050, np.float32), 22050)
    with pytest.raises(SpeechError, match="silence"):
        speaker.finish(silent, tmp_path / "clip.wav", TEXT, "wav")
    assert clip.path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["clip.wav"]


def test_a_folder_that_is_a_file_is_an_os_error(speaker: Speaker, spoken: Waveform, tmp_path: Path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(OSError, match="taken"):
        speaker.finish(spoken, tmp_path / "taken" / "clip.mp3", TEXT)


def test_an_unknown_format_is_refused_with_the_known_ones(speaker: Speaker, spoken: Waveform, tmp_path: Path):
    with pytest.raises(SpeechError, match="opus"):
        speaker.finish(spoken, tmp_path / "clip.aac", TEXT, "aac")
