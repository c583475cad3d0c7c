"""`narrate review`: the page with decisions, on a real server on loopback, in a real browser."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from narrating import Runs, make_photo, make_photos

from flows.review import Desk, _listen, make_app

TOKEN = "a-token-of-this-session"  # noqa: S105 - the test's own


@dataclass
class Served:
    """A review at work."""

    out: Path
    address: str
    client: httpx.Client

    def decide(self, number: int, action: str, text: str = "", **more: Any) -> httpx.Response:
        body = {"number": number, "action": action, "text": text, "seen": 0} | more
        headers = {"Origin": self.address, "X-Narrate-Token": TOKEN}
        return self.client.post("/report/data/decide", json=body, headers=headers)

    def card(self, number: int) -> dict[str, Any]:
        card: dict[str, Any] = self.client.get(f"/report/data/rows.json?n={number}").json()[0]
        return card


@contextmanager
def serving(out: Path, *, is_open: bool = False) -> Iterator[Served]:
    listener = _listen("127.0.0.1", 0)
    host = f"127.0.0.1:{listener.getsockname()[1]}"
    server = uvicorn.Server(
        uvicorn.Config(make_app(Desk(out, "Ann"), TOKEN, [host], is_open=is_open), log_level="error")
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        with httpx.Client(base_url=f"http://{host}", timeout=60, follow_redirects=True) as client:
            yield Served(out, f"http://{host}", client)
    finally:
        server.should_exit = True
        thread.join(20)


@pytest.fixture
def narrated(runs: Runs) -> Runs:
    make_photos(runs.photos, 3)
    make_photo(runs.photos / "<img src=x onerror=alert(1)>.png", 9)
    runs.run()
    return runs


@pytest.fixture
def served(narrated: Runs) -> Iterator[Served]:
    with serving(narrated.out) as served:
        yield served


def test_an_edit_is_on_the_disk_before_it_is_answered(served: Served):
    answer = served.decide(0, "edited", "A red door.")
    (line,) = (served.out / "reviews.jsonl").read_text(encoding="utf-8").splitlines()
    written = json.loads(line)

    assert answer.json()["alt_text"] == "A red door."
    assert answer.json()["pending"]
    assert (written["who"], written["action"], written["new"]) == ("Ann", "edited", "A red door.")


def test_whoever_writes_second_is_told_what_the_first_one_wrote(served: Served):
    served.decide(0, "edited", "First.")
    second = served.decide(0, "edited", "Second.")

    assert second.status_code == 409
    assert second.json()["alt_text"] == "First."
    assert served.decide(0, "edited", "Second.", seen=1).status_code == 200


def test_an_empty_text_is_refused_with_the_mend(served: Served):
    answer = served.decide(0, "edited", " ... ")

    assert answer.status_code == 400
    assert "write one, or reject" in answer.json()["detail"]


def test_sounds_in_no_words_place_are_refused_with_the_mend(served: Served):
    old = served.card(0)["alt_text"]
    rest = old.partition(" ")[2]
    refused = served.decide(0, "edited", f"{old} [[moʊmə]]")
    taken = served.decide(0, "edited", f"[[moʊmə]] {rest}")

    assert refused.status_code == 400
    assert "[[moʊmə]] stands in no one word's place; write the word itself" in refused.json()["detail"]
    assert taken.status_code == 200
    assert served.decide(0, "edited", f"[[moʊmə]] {rest} Now.", seen=1).status_code == 200


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"Origin": "http://evil.example", "X-Narrate-Token": TOKEN}, "review page itself"),
        ({"X-Narrate-Token": TOKEN}, "review page itself"),
        ({"Origin": "{address}"}, "token"),
        ({"Origin": "{address}", "X-Narrate-Token": "guess"}, "token"),
        ({"Origin": "{address}", "X-Narrate-Token": TOKEN, "Host": "evil.example"}, "open the page at"),
    ],
)
def test_a_change_from_elsewhere_is_refused(served: Served, headers: dict[str, str], why: str):
    given = {name: value.format(address=served.address) for name, value in headers.items()}
    answer = served.client.post("/report/data/decide", json={"number": 0, "action": "approved"}, headers=given)

    assert (answer.status_code, why in answer.text) == (403, True)
    assert not (served.out / "reviews.jsonl").exists()


@pytest.mark.parametrize(
    "path",
    ["/audio/../../secret.txt", "/audio/%2e%2e/%2e%2e/secret.txt", "/audio//etc/passwd", "/audio/link.txt",
     "/report/thumbnails/../../../secret.txt", "/report/..%2f..%2fsecret.txt", "/manifest/part-000000.parquet"],
)  # fmt: skip
def test_no_path_outside_the_pages_own_is_served(served: Served, path: str):
    secret = served.out.parent / "secret.txt"
    secret.write_text("secret")
    (served.out / "audio" / "link.txt").symlink_to(secret)
    request = served.client.build_request("GET", served.address + "/")
    request.url = httpx.URL(served.address).copy_with(raw_path=path.encode())
    answer = served.client.send(request)

    assert answer.status_code in (403, 404)
    assert "secret" not in answer.text.replace("secret.txt", "")


def test_clips_and_thumbnails_are_served_under_a_strict_policy(served: Served):
    card = served.card(0)
    clip = served.client.get(f"/audio/{card['audio_path'].removeprefix('audio/')}")

    assert clip.content == (served.out / card["audio_path"]).read_bytes()
    assert served.client.get(f"/report/{card['thumbnail']}").headers["content-type"] == "image/webp"
    assert "default-src 'none'" in clip.headers["content-security-policy"]


def test_a_server_that_others_can_reach_asks_for_its_token_on_every_address(narrated: Runs):
    with serving(narrated.out, is_open=True) as served:
        without = served.client.get("/report/data/index.json").status_code
        first = served.client.get(f"/report/?token={TOKEN}").status_code
        then = served.client.get("/report/data/index.json").status_code

    assert (without, first, then) == (403, 200, 200)


def test_an_edited_text_can_be_heard_at_once(served: Served):
    headers = {"Origin": served.address, "X-Narrate-Token": TOKEN}
    before = {path: path.read_bytes() for path in served.out.rglob("*.mp3")}
    answer = served.client.post("/report/data/speak", json={"number": 0, "text": "A red dog."}, headers=headers)

    assert answer.headers["content-type"] == "audio/mpeg"
    assert len(answer.content) > 1000
    assert {path: path.read_bytes() for path in served.out.rglob("*.mp3")} == before


def test_the_command_says_where_the_page_is_and_ends_on_ctrl_c_without_a_word(narrated: Runs):
    command = [sys.executable, "-m", "flows", "review", str(narrated.out), "--port", "0", "--who", "Bob"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            page = httpx.get(line.split()[2], follow_redirects=True, timeout=60)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()

    assert "as Bob" in line
    assert "narrate-token" in page.text
    assert (process.returncode, errors) == (130, "")


def test_a_folder_without_a_manifest_is_an_error_in_one_line(tmp_path: Path):
    command = [sys.executable, "-m", "flows", "review", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=os.environ)

    assert done.returncode == 2
    assert done.stderr == f"narrate: {tmp_path}: there is no manifest here; give the output folder of narrate run\n"


def opened(tab: Any, served: Served) -> Any:
    tab.goto(served.address)
    tab.wait_for_selector("#desk-title")
    tab.wait_for_function("() => document.querySelector('#text').value !== ''")
    return tab


def test_twenty_rows_are_reviewed_by_keyboard_alone(runs: Runs, tab: Any):
    make_photos(runs.photos, 20)
    runs.run()
    with serving(runs.out) as served:
        opened(tab, served)
        for number in range(20):
            name = tab.inner_text("#desk-title")
            if number % 5 == 1:
                tab.keyboard.press("e")
                tab.keyboard.type("Corrected: ")
                tab.keyboard.press("Control+Enter")
            elif number % 5 == 3:
                tab.keyboard.press("r")
                tab.keyboard.type("wrong animal")
                tab.keyboard.press("Enter")
            else:
                tab.keyboard.press("a")
            tab.wait_for_function(
                "before => said.textContent.includes(`: ${before}.`)",
                arg=name,
            )
        left = tab.inner_text("#left")
    lines = [json.loads(line) for line in (runs.out / "reviews.jsonl").read_text(encoding="utf-8").splitlines()]

    assert left == "All photos are reviewed."
    assert len({line["id"] for line in lines}) == 20
    assert sorted({line["action"] for line in lines}) == ["approved", "edited", "rejected"]
    assert all(line["reason"] == "wrong animal" for line in lines if line["action"] == "rejected")


def test_letters_typed_into_the_text_are_text_and_the_keys_can_be_switched_off(served: Served, tab: Any):
    opened(tab, served)
    tab.keyboard.press("e")
    tab.keyboard.type("area ")
    tab.keyboard.press("Escape")
    tab.click("summary:text('Keys')")
    tab.uncheck("#single")
    tab.locator("#desk-title").focus()
    tab.keyboard.press("a")

    assert tab.input_value("#text").count("area ") == 1
    assert not (served.out / "reviews.jsonl").exists()


def test_what_another_person_wrote_meanwhile_is_shown_and_mine_stays_in_the_box(served: Served, tab: Any):
    opened(tab, served)
    number = tab.evaluate("review.number")
    served.decide(number, "edited", "By the other one.")
    tab.fill("#text", "By me.")
    tab.keyboard.press("Control+Enter")
    tab.wait_for_selector("#said.bad")

    assert "By the other one." in tab.inner_text("#said")
    assert tab.input_value("#text") == "By me."


def test_a_name_that_is_markup_does_nothing_on_the_review_page(served: Served, tab: Any):
    opened(tab, served)

    assert "<img src=x onerror=alert(1)>.png" in tab.locator("h3").all_text_contents()
    assert tab.locator("img[src=x]").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation_on_the_review_page(served: Served, chromium: Any, scheme: str):
    served.decide(1, "edited", "A red door.")
    served.decide(2, "rejected", "", reason="wrong")
    context = chromium.new_context(color_scheme=scheme, bypass_csp=True)  # axe itself is put in as a script
    page = opened(context.new_page(), served)
    page.keyboard.press("r")
    violations = Axe().run(page).response["violations"]
    context.close()

    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in violations] == []
