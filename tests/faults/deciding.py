"""People's decisions, killed in the middle: what was answered is there, once, and no torn line hides the next one."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from killing import REVIEW_APPEND, Aim, Fork, Forks
from trials import BY_THE_CLOCK, Kill, Target

DECISIONS = 200


def decide_all(out: Path, answers: Path) -> None:
    """Decide about every photo that nobody has decided about, and note each answer that a browser would get."""
    from flows.reviews import Decision, Reviews, now

    reviews = Reviews(out)
    with answers.open("a", buffering=1) as answered:
        for number in range(DECISIONS):
            photo = f"{number:03d}.png"
            if reviews.latest(photo, photo) is None:
                decision = Decision(photo, photo, "edited", "tester", now(), "A dog.", f"A cat, {number}.")
                reviews.decide(decision, reviews.seen(photo, photo))
                answered.write(f"{photo}\n")


class Deciding:
    """Kills of a process that appends decisions."""

    name = "decisions"

    def __init__(self, forks: Forks, folder: Path) -> None:
        """Decide undisturbed, once."""
        self.forks, self.folder = forks, folder
        fork = self._start("undisturbed")
        assert fork.end() == 0, fork.said()
        times = [write.time_s for write in fork.writes() if write.kind == REVIEW_APPEND]
        assert len(times) == DECISIONS
        self.span_s = times[-1] - times[0]

    def trial(self, number: int, targets: list[Target]) -> list[Kill]:
        """Kill one process after the other at `targets`, let one finish, and say what came of it."""
        kills = [kill for target in targets if (kill := self._kill(number, target))]
        fork = self._start(str(number))
        assert fork.end() == 0, fork.said()
        assert self._lost(number) == self._doubled(number) == 0
        assert len(self._lines(number)) == DECISIONS
        return kills

    def _start(self, name: str, aim: Aim | None = None) -> Fork:
        out = self.folder / f"decisions-{name}"
        out.mkdir(exist_ok=True)
        answers = out.with_suffix(".answers")
        return self.forks.start(out, out.with_suffix(".trace"), decide_all, out, answers, aim=aim)

    def _kill(self, number: int, target: Target) -> Kill | None:
        left = max(0.0, target.progress - len(self._lines(number)) / DECISIONS)
        if target.aim == BY_THE_CLOCK:
            fork = self._start(str(number))
            fork.kill_after(left * self.span_s)
        else:
            fork = self._start(str(number), Aim(REVIEW_APPEND, max(1, round(left * DECISIONS)), target.after))
        if fork.end() != -9:
            return None
        writes = fork.writes()
        place = "" if target.aim == BY_THE_CLOCK else " made" if target.after else " begun"
        return Kill(
            scenario=self.name,
            trial=number,
            aim=target.aim + place,
            drawn_progress=round(target.progress, 3),
            seconds=round(writes[-1].time_s - writes[0].time_s, 3),
            last_write=writes[-1].kind,
            last_path=writes[-1].path,
            rows_committed=len(self._lines(number)),
            rows_lost=self._lost(number),
            rows_doubled=self._doubled(number),
            clips_torn=0,
        )

    def _lines(self, number: int) -> list[dict[str, Any]]:
        """Return the decisions in the file, a torn last line left aside."""
        path = self.folder / f"decisions-{number}" / "reviews.jsonl"
        lines = path.read_text().split("\n")[:-1] if path.is_file() else []
        return [json.loads(line) for line in lines]

    def _lost(self, number: int) -> int:
        """Return how many answers were given about decisions that are not in the file."""
        path = (self.folder / f"decisions-{number}").with_suffix(".answers")
        answered = set(path.read_text().split()) if path.is_file() else set[str]()
        return len(answered - {line["id"] for line in self._lines(number)})

    def _doubled(self, number: int) -> int:
        return sum(count - 1 for count in Counter(line["id"] for line in self._lines(number)).values())
