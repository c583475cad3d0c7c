"""kill -9 of a run's process group at any moment: nothing committed is lost, doubled or done again.

Ten kills in the ordinary run of the tests; `make faults` makes a hundred and writes each moment to
`benchmarks/faults.csv`.
"""

import csv
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pytest
from deciding import Deciding
from killing import AUDIO_RENAME, PART_RENAME, REVIEW_APPEND, Forks
from narrating import make_photos
from trials import BY_THE_CLOCK, PHOTOS, SHARD_SIZE, Kill, Scenario, Target, draw, in_fours

TABLE = Path(__file__).parents[2] / "benchmarks" / "faults.csv"
KILLS = 100


@pytest.fixture
def fresh(workplace: Path, forks: Forks, curt_captioner: Path, tiny_voice: Path) -> Scenario:
    """Return runs over 200 photos that begin with nothing."""
    make_photos(workplace / "photos", PHOTOS)
    settings = {"photos": str(workplace / "photos"), "captioner": str(curt_captioner), "voice": str(tiny_voice)}
    settings |= {"engine": "none", "format": "wav", "shard_size": SHARD_SIZE}
    return Scenario("fresh", forks, workplace, settings, None)


def test_ten_kills_one_after_another_lose_and_double_nothing(fresh: Scenario):
    kills = fresh.trial(1, draw(10, seed=12))

    assert len(kills) == 10
    assert [kill for kill in kills if kill.faults] == []


def test_kills_while_people_decide_lose_no_answer(workplace: Path, forks: Forks):
    targets = [Target(REVIEW_APPEND, 0.3), Target(REVIEW_APPEND, 0.5, after=True), Target(BY_THE_CLOCK, 0.7)]
    kills = Deciding(forks, workplace).trial(1, targets)

    assert len(kills) >= 2
    assert [kill for kill in kills if kill.faults] == []


@pytest.mark.faults
def test_a_hundred_kills_lose_and_double_nothing(fresh: Scenario):
    """Most hit runs that begin with nothing; a third hit runs that master every clip anew, where files are replaced."""
    louder = fresh.settings | {"profile": "none"}
    anew = Scenario("mastered anew", fresh.forks, fresh.folder, louder, fresh.undisturbed)
    kills = killed_decisions(fresh)
    for number, four in enumerate(in_fours(draw(2 * KILLS, seed=20261121)), start=1):
        kills += (anew if number % 3 == 0 else fresh).trial(number, four)
        write_table(kills)
        if len(kills) >= KILLS:
            break

    assert len(kills) >= KILLS
    assert [kill for kill in kills if kill.faults] == []
    hit = Counter(kill.last_write for kill in kills)
    assert min(hit[AUDIO_RENAME], hit[PART_RENAME], hit[REVIEW_APPEND]) >= 10


def killed_decisions(fresh: Scenario) -> list[Kill]:
    """Return twelve kills of a process that appends people's decisions."""
    deciding, kills = Deciding(fresh.forks, fresh.folder), list[Kill]()
    for number in range(6):
        begun, made = (number + 1) / 16, (number + 8) / 16
        kills += deciding.trial(number, [Target(REVIEW_APPEND, begun), Target(REVIEW_APPEND, made, after=True)])
    return kills


def write_table(kills: list[Kill]) -> None:
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, asdict(kills[0]).keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(kill) for kill in kills)
