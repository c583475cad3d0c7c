from pathlib import Path
from typing import Any

import pytest
from narrating import Runs, make_photo

from speech.errors import SpeechError
from speech.records import Clip, ClipFlag, Spoken
from speech.speaking import Speaker


def test_a_row_says_what_was_doubtful_about_its_clip_and_asks_for_a_listener(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
):
    make_photo(runs.photos / "a.png", 1)
    finish = Speaker.finish

    def doubtful(self: Speaker, spoken: Spoken, *others: Any) -> Clip:
        object.__setattr__(spoken, "flags", (ClipFlag("misread", "heard otherwise"),))
        object.__setattr__(spoken, "attempts", 3)
        object.__setattr__(spoken, "asr_wer", 0.5)
        return finish(self, spoken, *others)

    monkeypatch.setattr(Speaker, "finish", doubtful)
    runs.run()
    row = runs.rows().loc["a.png"]

    assert {"rule": "misread", "reason": "heard otherwise"} in list(row["clip_flags"])
    assert (row["attempts"], row["asr_wer"], row["needs_review"]) == (3, 0.5, True)


def test_other_pauses_or_words_of_ones_own_speak_again_and_the_same_ones_do_not(runs: Runs, tmp_path: Path):
    make_photo(runs.photos / "a.png", 1)
    lexicon = tmp_path / "own.csv"
    lexicon.write_text("grapheme,phoneme,alias\nman,,person\n", encoding="utf-8")
    runs.run()

    assert runs.run().spoken == 0
    assert runs.run(lexicon=lexicon).spoken == 1
    assert runs.run(lexicon=lexicon).spoken == 0
    assert runs.run(lexicon=lexicon, sample_rate=16000).spoken == 1
    assert runs.rows().loc["a.png", "sample_rate_hz"] == 16000


@pytest.mark.parametrize("settings", [{"sample_rate": 1}, {"lexicon": "none.csv"}, {"sign_key": "key.pem"}])
def test_a_choice_that_cannot_be_met_is_refused_before_any_work(runs: Runs, settings: dict[str, object]):
    make_photo(runs.photos / "a.png", 1)

    with pytest.raises(SpeechError) as caught:
        runs.run(**settings)

    assert caught.value.mend
    assert not runs.out.exists()
