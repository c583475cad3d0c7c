"""`narrate learn`: corrections become words that are said right, terms, and a captioner that passes a gate."""

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from exporting import ODD, Exported
from narrating import Runs, make_photos

from captioner import learning
from captioner.dataset import Data, Example, find_data
from captioner.learning import Course, Marks, distance, learn, part, passes
from flows import learn as learning_flow
from flows.errors import FlowError
from flows.learned import captioner_of, undo
from flows.manifest import Manifest
from speech.lexicon import load_lexicon

COURSE = Course(steps=60, batch_photos=8, rate=3e-3, versions=("plain",))
TAUGHT = "a small red dog jumps in the snow"


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_word_heard_wrong_goes_into_a_lexicon_that_a_run_takes(exported: Exported, tiny_captioner: Path):
    exported.change("a.png", alt_text="A view of MoMA at night.")
    exported.change("town/c.png", alt_text="A boat on the Maas.")
    exported.decide("a.png", "edited", "A view of [[moʊmə]] at night.")
    exported.decide("town/c.png", "rejected", reason="say Maas as mahs")
    said = exported.command("learn", str(exported.out), "--captioner", str(tiny_captioner))
    lexicon = exported.out / "learned/lexicon.csv"

    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("2 words heard wrong")
    assert "too few to teach" in said.stdout
    assert load_lexicon(lexicon).apply("The MoMA is near the Maas.") == ("The [[moʊmə]] is near the mahs.", [])
    assert table(lexicon) == [
        {"grapheme": "Maas", "phoneme": "", "alias": "mahs"},
        {"grapheme": "MoMA", "phoneme": "moʊmə", "alias": ""},
    ]


def test_sounds_in_no_words_place_teach_nothing(exported: Exported):
    exported.change("a.png", alt_text="A panda.")
    exported.decide("a.png", "edited", "Panda at [[moʊmə]]")
    found = learning_flow.corrections(exported.out, "en")

    assert not found.lexicon
    assert not found.reviewed


def test_words_that_reviewers_put_in_anothers_place_twice_are_preferred_terms(exported: Exported, tiny_captioner: Path):
    for name, caption in (("a.png", "a young kid runs"), ("town/c.png", "a young kid sits")):
        exported.change(name, caption=caption, alt_text=f"{caption.capitalize()}.")
        corrected = caption.replace("kid", "child").replace("a ", "the ")
        exported.decide(name, "edited", f"{corrected.capitalize()}.")
    for name in ("b.png", ODD):
        exported.change(name, caption="boat here", alt_text="Boat here.")
        exported.decide(name, "edited", "Snow there.")  # written anew: these are no two words for one thing
    learning_flow.teach(exported.out, str(tiny_captioner), None, lambda _: None)

    assert table(exported.out / "learned/terms.csv") == [{"said": "kid", "preferred": "child", "photos": "2"}]


@pytest.fixture(autouse=True)
def small_course(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a few photos and moments be enough."""
    monkeypatch.setattr(learning, "LEAST_LEARNED", 4)
    monkeypatch.setattr(learning, "LEAST_HELD_OUT", 1)
    monkeypatch.setattr(learning, "HELD_OUT", 3)
    monkeypatch.setattr(learning_flow, "COURSE", COURSE)


@pytest.fixture
def reviewed(exported: Exported) -> Exported:
    """Return a folder in which a reviewer wrote the same words about twelve photos."""
    row, rows = exported.rows()["a.png"], []
    for path in make_photos(exported.photos / "more", 12):
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        rows.append(row | {"id": f"more/{path.name}", "uri": path.as_uri(), "sha256": sha256})
    Manifest(exported.out).commit({}, rows)
    for one in rows:
        exported.decide(one["id"], "edited", f"{TAUGHT.capitalize()}.")
    return exported


def test_the_next_run_uses_the_captioner_that_learned_and_undo_takes_it_back(runs: Runs, tiny_captioner: Path):
    make_photos(runs.photos, 9)
    runs.run(profile="none")
    before, reviewed = runs.rows(), Exported(runs.out, runs.photos)
    for number in range(8):
        reviewed.decide(f"{number:03d}.png", "edited", f"{TAUGHT.capitalize()}.")
    found, lesson = learning_flow.teach(reviewed.out, str(tiny_captioner), None, lambda _: None)
    lines = list(learning_flow.told(reviewed.out, found, lesson))
    runs.run(profile="none")
    after = runs.rows()
    undo(reviewed.out)
    runs.run(profile="none")

    assert lesson is not None
    assert lesson.share is not None, lesson
    assert lesson.tried[lesson.share].edits < lesson.before.edits
    assert any(str(reviewed.out / "learned/captioner-0001") in line for line in lines)
    assert after.loc["008.png", "alt_text"] == f"{TAUGHT.capitalize()}."
    assert after.loc["008.png", "captioner"].startswith("tiny, taught by")
    assert after.loc["008.png", "captioner_digest"] != before.loc["008.png", "captioner_digest"]
    assert runs.rows().loc["008.png", "caption"] == before.loc["008.png", "caption"]


def test_what_is_learned_from_is_a_data_set_that_training_reads(reviewed: Exported, tiny_captioner: Path):
    (reviewed.photos / "more/005.png").write_bytes(b"another photo")
    found, lesson = learning_flow.teach(reviewed.out, str(tiny_captioner), None, lambda _: None)
    data = find_data(reviewed.out / "learned")

    assert lesson is not None
    assert found.unread == 1
    assert (len(data.train), len(data.dev)) == (lesson.learned, lesson.held_out)
    assert {one.captions for one in [*data.train, *data.dev]} == {(f"{TAUGHT.capitalize()}.",)}
    assert data.train[0].read().shape[2] == 3


def test_a_captioner_that_the_user_names_is_not_replaced_by_what_another_one_learned(
    reviewed: Exported, tiny_captioner: Path, tmp_path: Path
):
    from make_tiny_captioner import tiny_bundle

    from captioner.bundle import save_bundle

    learning_flow.teach(reviewed.out, str(tiny_captioner), None, lambda _: None)
    save_bundle(tiny_bundle(seed=5), tmp_path / "other")

    assert captioner_of(reviewed.out, str(tiny_captioner)).endswith("captioner-0001")
    assert captioner_of(reviewed.out, str(tmp_path / "other")) == str(tmp_path / "other")


def test_a_captioner_that_forgot_what_it_knew_does_not_pass(
    reviewed: Exported, tiny_captioner: Path, monkeypatch: pytest.MonkeyPatch
):
    scores = iter([0.56, 0.50, 0.51, 0.52])
    monkeypatch.setattr(learning, "_dev_score", lambda *_: next(scores))
    found, lesson = learning_flow.teach(reviewed.out, str(tiny_captioner), None, lambda _: None)

    assert lesson is not None
    assert lesson.share is None
    assert "stays as it is" in list(learning_flow.told(reviewed.out, found, lesson))[-1]
    assert captioner_of(reviewed.out, "tiny") == "tiny"


@pytest.mark.parametrize(
    ("edits", "dev", "is_used"),
    [(40.0, 0.556, True), (40.0, 0.554, False), (50.0, 0.60, False), (49.9, None, True), (60.0, None, False)],
)
def test_the_gate_asks_for_fewer_edits_and_for_dev_to_stand(edits: float, dev: float | None, is_used: bool):
    assert passes(Marks(50.0, 0.56 if dev is not None else None), Marks(edits, dev)) is is_used


def test_words_that_only_reviewers_use_join_the_vocabulary(tmp_path: Path, tiny_captioner: Path):
    photos = make_photos(tmp_path, 12)
    shown = [Example(f"photo {n}", ("a wombat in the snow",), path) for n, path in enumerate(photos)]
    lesson = learn(tiny_captioner, shown, Data(), COURSE, lambda _: None)

    assert lesson.new_words == ("wombat",)
    assert lesson.bundle is not None
    assert "wombat" in lesson.bundle.tokenizer.words
    assert lesson.tried[lesson.share or 0].edits < lesson.before.edits


def test_the_same_photos_are_held_out_whatever_else_there_is():
    photos = [Example(str(n), ("a",), Path("x")) for n in range(200)]
    learned, held_out = part(photos)

    assert part(photos[:100])[1] == [one for one in held_out if int(one.name) < 100]
    assert 20 <= len(held_out) <= 60
    assert len(learned) + len(held_out) == 200


def test_undo_where_nothing_was_learned_says_so(tmp_path: Path, exported: Exported):
    with pytest.raises(FlowError, match="nothing was learned here"):
        undo(tmp_path)
    said = exported.command("learn", str(exported.out), "--undo")

    assert (said.returncode, said.stderr.count("\n")) == (2, 1)


def test_a_learned_captioner_that_is_gone_is_named_with_the_way_out(exported: Exported, tiny_captioner: Path):
    from captioner.weights import describe

    folder = exported.out / "learned"
    folder.mkdir()
    told: dict[str, Any] = {"current": "captioner-0007", "base": describe(tiny_captioner).weights_digest}
    (folder / "current.json").write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(FlowError, match="--undo"):
        captioner_of(exported.out, str(tiny_captioner))


def test_distance_counts_words_changed_added_and_taken_out():
    assert distance(["a", "dog", "runs"], ["a", "red", "dog", "sits"]) == 2
    assert distance([], ["a"]) == 1
