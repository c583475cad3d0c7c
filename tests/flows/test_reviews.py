"""The file of people's decisions: appended to, never lost, the latest holds."""

import json
import multiprocessing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.reviews import Decision, MovedOnError, Reviews, now, parse

SHA = "a" * 64


def decision(
    new: str = "New.", *, action: str = "edited", who: str = "Ann", photo: str = "a.jpg", sha: str = SHA
) -> Decision:
    return Decision(photo, sha, action, who, now(), "Old.", new)  # type: ignore[arg-type]


def test_a_decision_is_there_for_the_next_reader(tmp_path: Path):
    Reviews(tmp_path).decide(decision("A red door."), seen=0)
    words = Reviews(tmp_path).words("a.jpg", SHA)

    assert words is not None
    assert (words.new, words.who) == ("A red door.", "Ann")


def test_a_photo_under_another_name_keeps_the_words_and_another_photo_under_this_name_does_not_get_them(tmp_path: Path):
    reviews = Reviews(tmp_path)
    reviews.decide(decision(), seen=0)

    assert reviews.words("moved/b.jpg", SHA) is not None
    assert reviews.words("a.jpg", "b" * 64) is None


def test_the_later_writer_hears_that_the_row_moved_on_and_nothing_is_lost(tmp_path: Path):
    first, second = Reviews(tmp_path), Reviews(tmp_path)
    first.decide(decision("By Ann."), seen=0)
    with pytest.raises(MovedOnError) as moved:
        second.decide(decision("By Bob.", who="Bob"), seen=0)
    second.decide(decision("By Bob, who knows.", who="Bob"), seen=1)

    assert moved.value.latest is not None
    assert moved.value.latest.new == "By Ann."
    assert len((tmp_path / "reviews.jsonl").read_text().splitlines()) == 2
    first.refresh()
    assert first.words("a.jpg", SHA).new == "By Bob, who knows."  # type: ignore[union-attr]


def test_a_decision_that_was_taken_back_leaves_the_row_to_the_model(tmp_path: Path):
    reviews = Reviews(tmp_path)
    reviews.decide(decision(), seen=0)
    reviews.decide(decision(action="reopened"), seen=1)

    assert reviews.latest("a.jpg", SHA) is None


def test_a_line_torn_by_a_crash_costs_itself_alone(tmp_path: Path):
    reviews = Reviews(tmp_path)
    reviews.decide(decision("One."), seen=0)
    with (tmp_path / "reviews.jsonl").open("ab") as file:
        file.write(b'{"id": "a.jpg", "sha2')
    after = Reviews(tmp_path)
    after.decide(decision("Two."), seen=1)

    assert Reviews(tmp_path).words("a.jpg", SHA).new == "Two."  # type: ignore[union-attr]
    assert Reviews(tmp_path).unreadable == 1
    assert b'"sha2\n' in (tmp_path / "reviews.jsonl").read_bytes()


def _decide_many(out: Path, who: str, count: int) -> None:
    reviews = Reviews(out)
    for number in range(count):
        reviews.decide(decision(f"{who} {number}.", who=who, photo=f"{who}-{number}.jpg"), seen=0)


def test_two_people_who_write_at_once_lose_no_line(tmp_path: Path):
    context = multiprocessing.get_context("fork")
    people = [context.Process(target=_decide_many, args=(tmp_path, who, 40)) for who in ("Ann", "Bob")]
    for one in people:
        one.start()
    for one in people:
        one.join(60)
    lines = [json.loads(line) for line in (tmp_path / "reviews.jsonl").read_text().splitlines()]

    assert len(lines) == 80
    assert {line["who"] for line in lines} == {"Ann", "Bob"}


@given(st.binary(max_size=120))
def test_any_line_is_a_decision_or_none(line: bytes):
    found = parse(line)

    assert found is None or isinstance(found, Decision)


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from("abc"), st.sampled_from(["approved", "rejected", "edited", "reopened"]), st.integers(0, 9)
        ),
        max_size=12,
    )
)
def test_the_latest_decision_of_each_row_holds_whatever_the_order(
    steps: list[tuple[str, str, int]], tmp_path_factory: pytest.TempPathFactory
):
    out = tmp_path_factory.mktemp("reviews")
    writers, expected = [Reviews(out), Reviews(out)], dict[str, Decision]()
    for number, (photo, action, text) in enumerate(steps):
        made = decision(f"Text {text}.", action=action, photo=photo, sha=photo * 64)
        writer = writers[number % 2]
        writer.refresh()
        writer.decide(made, writer.seen(photo, photo * 64))
        expected[photo] = made
    reader = Reviews(out)

    for photo, made in expected.items():
        assert reader.latest(photo, photo * 64) == (None if made.action == "reopened" else made)
