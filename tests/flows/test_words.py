"""A person's words win, from the review or the photo's own metadata; the run after a review does what is new."""

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from make_tiny_captioner import tiny_bundle
from narrating import Runs, make_photos
from PIL import Image

from captioner.bundle import save_bundle
from flows.reviews import Decision, Reviews, now
from flows.words import same_language


def decide(runs: Runs, photo: str, action: str, text: str = "", reason: str = "") -> None:
    row = runs.rows().loc[photo]
    reviews = Reviews(runs.out)
    decision = Decision(photo, row["sha256"], action, "Ann", now(), row["alt_text"], text or row["alt_text"], reason)  # type: ignore[arg-type]
    reviews.decide(decision, reviews.seen(photo, row["sha256"]))


def with_alt_text(path: Path, text: str) -> None:
    packet = f"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
    <rdf:Description rdf:about="" xmlns:Iptc4xmpCore="http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/">
    <Iptc4xmpCore:AltTextAccessibility><rdf:Alt><rdf:li xml:lang="x-default">{text}</rdf:li></rdf:Alt>
    </Iptc4xmpCore:AltTextAccessibility></rdf:Description></rdf:RDF></x:xmpmeta>"""
    Image.new("RGB", (80, 60), "red").save(path, xmp=packet.encode())


@pytest.fixture
def other_captioner(tmp_path: Path) -> Path:
    save_bundle(tiny_bundle(seed=1), tmp_path / "other-captioner")
    return tmp_path / "other-captioner"


@pytest.fixture
def other_voice(tmp_path: Path, tiny_voice: Path) -> Path:
    other = shutil.copytree(tiny_voice, tmp_path / "other-voice")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"name": "other"}))
    return other


@pytest.fixture
def narrated(runs: Runs) -> Runs:
    make_photos(runs.photos, 4)
    runs.run()
    return runs


def test_an_edited_row_is_spoken_again_and_no_other(narrated: Runs):
    before = narrated.clips()
    decide(narrated, "001.png", "edited", "The red door.")
    summary = narrated.run()
    row, after = narrated.rows().loc["001.png"], narrated.clips()

    assert (summary.captioned, summary.spoken) == (0, 1)
    assert (row["alt_text"], row["words_by"], row["review"], row["reviewed_by"]) == (
        "The red door.",
        "person",
        "edited",
        "Ann",
    )
    assert row["caption"] == narrated.rows().loc["001.png", "caption"]
    assert [path for path in before if before[path] != after[path]] == ["audio/001.png.mp3"]
    assert narrated.run().counts.taken_over == 4


def test_an_approval_or_a_rejection_is_noted_without_a_clip(narrated: Runs):
    before = narrated.clips()
    decide(narrated, "000.png", "approved")
    decide(narrated, "002.png", "rejected", reason="wrong animal")
    summary, rows = narrated.run(), narrated.rows()

    assert (summary.spoken, summary.captioned, narrated.clips() == before) == (0, 0, True)
    assert rows.loc["000.png", ["review", "needs_review"]].tolist() == ["approved", False]
    assert rows.loc["002.png", ["review", "needs_review"]].tolist() == ["rejected", True]
    assert pd.isna(rows.loc["001.png", "review"])


def test_no_captioner_and_no_policy_writes_over_what_a_person_wrote_or_approved(narrated: Runs, other_captioner: Path):
    decide(narrated, "000.png", "approved")
    decide(narrated, "001.png", "edited", "The red door.")
    narrated.run()
    approved = narrated.rows().loc["000.png", "alt_text"]
    narrated.run(captioner=str(other_captioner), policy="plain")
    rows = narrated.rows()

    assert rows.loc["000.png", "alt_text"] == approved
    assert rows.loc["001.png", "alt_text"] == "The red door."
    assert rows.loc["002.png", "alt_text"][:1].islower()


def test_another_voice_speaks_a_persons_words(narrated: Runs, other_voice: Path):
    decide(narrated, "001.png", "edited", "The red door.")
    narrated.run()
    summary = narrated.run(voice=str(other_voice))

    assert (summary.captioned, summary.spoken) == (0, 4)
    assert narrated.rows().loc["001.png", "alt_text"] == "The red door."


def test_words_follow_the_photo_to_its_new_name_and_leave_a_photo_that_was_replaced(narrated: Runs):
    decide(narrated, "001.png", "edited", "The red door.")
    narrated.run()
    (narrated.photos / "001.png").rename(narrated.photos / "moved.png")
    Image.new("RGB", (80, 60), "blue").save(narrated.photos / "001.png")
    summary, rows = narrated.run(), narrated.rows()

    assert rows.loc["moved.png", "alt_text"] == "The red door."
    assert rows.loc["001.png", "alt_text"] != "The red door."
    assert summary.captioned == 1


def test_words_that_were_taken_back_are_the_captioners_again(narrated: Runs):
    original = narrated.rows().loc["001.png", "alt_text"]
    decide(narrated, "001.png", "edited", "The red door.")
    narrated.run()
    decide(narrated, "001.png", "reopened")
    summary = narrated.run()
    row = narrated.rows().loc["001.png"]

    assert (row["alt_text"], row["words_by"], summary.captioned) == (original, "captioner", 0)
    assert pd.isna(row["review"])


def test_a_lost_file_of_decisions_loses_no_words(narrated: Runs):
    decide(narrated, "001.png", "edited", "The red door.")
    narrated.run()
    (narrated.out / "reviews.jsonl").unlink()
    narrated.run(policy="plain")

    assert narrated.rows().loc["001.png", "alt_text"] == "The red door."


def test_alt_text_in_the_photos_own_metadata_is_kept_and_spoken_and_not_captioned_over(runs: Runs):
    with_alt_text(runs.photos / "a.jpg", "A red door, half open.")
    first = runs.run()
    (runs.photos / "a.jpg").rename(runs.photos / "b.jpg")
    second = runs.run()
    row = runs.rows().loc["b.jpg"]

    assert (row["alt_text"], row["words_by"]) == ("A red door, half open.", "photo")
    assert pd.isna(row["caption"])
    assert (first.captioned, first.spoken, second.spoken) == (0, 1, 0)


def test_people_are_named_without_gender_where_the_job_says_so(narrated: Runs):
    summary = narrated.run(neutral_people=True)

    assert summary.captioned == 0
    assert not narrated.rows()["alt_text"].str.contains(r"\b(?:man|woman|boy|girl)\b", case=False).any()


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("edit"), st.integers(0, 2), st.integers(0, 99)),
            st.tuples(st.just("run"), st.sampled_from(["wcag", "plain", "short-125"]), st.none()),
        ),
        min_size=2,
        max_size=7,
    )
)
def test_any_interleaving_of_edits_and_runs_loses_no_edit(
    tmp_path_factory: pytest.TempPathFactory, tiny_captioner: Path, tiny_voice: Path, steps: list[Any]
):
    runs = Runs(tmp_path_factory.mktemp("edits"), tiny_captioner, tiny_voice)
    make_photos(runs.photos, 3)
    runs.run()
    expected: dict[str, str] = {}
    for kind, first, second in steps:
        if kind == "run":
            runs.run(policy=first)
        else:
            photo = f"{first:03d}.png"
            expected[photo] = f"Text number {second}."
            decide(runs, photo, "edited", expected[photo])
    runs.run()
    rows = runs.rows()

    assert {photo: rows.loc[photo, "alt_text"] for photo in expected} == expected


def test_a_persons_words_in_a_language_that_the_voice_does_not_speak_fail_with_the_mend_and_are_kept(
    runs: Runs, tmp_path: Path
):
    make_photos(runs.photos, 3)
    table = tmp_path / "own.csv"
    table.write_text("id,alt_text,language\n000.png,Eine Brücke.,de-AT\n001.png,A boat.,en_GB\n002.png,A bird.,\n")

    runs.run(table=str(table))
    rows = runs.rows()
    again = runs.run(table=str(table))
    table.write_text("id,alt_text,language\n000.png,A bridge.,en\n001.png,A boat.,en_GB\n002.png,A bird.,\n")
    mended = runs.run(table=str(table))

    assert list(rows["status"]) == ["failed", "described", "described"]
    told = rows.loc["000.png"]
    assert (told["reason"], told["alt_text"], told["language"]) == ("unspeakable", "Eine Brücke.", "de-AT")
    assert "in de-AT" in told["message"]
    assert "a voice of that language" in told["message"]
    assert pd.isna(told["audio_path"])
    assert again.counts.taken_over == 3
    assert (mended.spoken, runs.rows().loc["000.png", "status"]) == (1, "described")


@pytest.mark.parametrize(
    ("tag", "other", "same"),
    [("en-US", "en", True), ("EN_gb", "eng", True), ("cmn-Hans", "zh", True), ("de", "en", False), ("?", "en", False)],
)
def test_a_language_is_the_same_wherever_it_is_spoken(tag: str, other: str, same: bool):
    assert same_language(tag, other) is same


def test_two_photos_side_by_side_with_the_same_words_are_flagged_however_they_are_cut_into_shards(runs: Runs):
    make_photos(runs.photos, 6)
    runs.run(shard_size=2)
    whole = runs.out.with_name("whole")
    runs.run(out=whole)
    one, other = (pd.read_parquet(out / "manifest").set_index("id").sort_index() for out in (runs.out, whole))
    texts = one["alt_text"].tolist()
    rules = [[flag["rule"] for flag in flags] for flags in one["alt_flags"]]

    assert [f["rule"] for flags in one["alt_flags"] for f in flags] == [
        f["rule"] for flags in other["alt_flags"] for f in flags
    ]
    assert ["same-as-neighbour" in found for found in rules] == [
        at > 0 and texts[at] == texts[at - 1] for at in range(6)
    ]


def test_a_photo_that_comes_later_is_compared_with_the_committed_one_before_it(runs: Runs):
    for name, colour in (("a.png", (200, 0, 0)), ("b.png", (201, 0, 0))):
        Image.new("RGB", (80, 60), colour).save(runs.photos / name)
        runs.run()
    rows = runs.rows()

    assert rows.loc["a.png", "alt_text"] == rows.loc["b.png", "alt_text"]
    assert [flag["reason"] for flag in rows.loc["b.png", "alt_flags"]] == [
        "a.png, the photo before it, has the same words"
    ]
    assert list(rows.loc["a.png", "alt_flags"]) == []
