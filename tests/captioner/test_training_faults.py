"""What a user meets when training goes wrong: one line that says what, where and what to do, and nothing lost."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from make_tiny_captioner import tiny_captioner

sys.path.insert(0, str(Path(__file__).parent))
from painted import painted

from captioner import train
from captioner.beginnings import ENCODER_NAMES
from captioner.train_settings import HELP

Command = Callable[..., tuple[int, list[str]]]
TINY = "width=8,heads=2,feed_forward=8,decoder_layers=1"
QUESTIONS = f"{TINY},objectives=answer"
CHOICES = f"{TINY},objectives=classify,separator=dog"


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return painted(tmp_path_factory.mktemp("painted"), "train", 12, seed=1)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_captioner(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def command(data_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the training command on a few photos; get its exit status and what it said, a line each."""

    def run(*more: object) -> tuple[int, list[str]]:
        usual = ["--data", data_folder, "--out", tmp_path / "out", "--steps", 3, "--batch-photos", 4]
        status = train.main([str(one) for one in [*usual, "--versions", "plain", *more]])
        return status, capsys.readouterr().out.splitlines()

    return run


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--family", "show_tell", "--options", "vocabulary=5"], "no such option 'vocabulary'; there are width,"),
        (["--options", "regions=3"], "--options: no such option 'regions'; there are width,"),
        (["--options", "colour"], "--options: no such option 'colour'"),
        (["--options", "width=abc"], "--options width: 'abc' is no whole number; it is usually 256"),
        (["--options", "dropout=much"], "--options dropout: 'much' is no number"),
        (["--options", "dropout=1.0"], "option dropout: 1.0 cannot be"),
        (["--options", "width=0"], "option width: 0 cannot be; it must be 1 or more"),
        (["--options", "longest=1"], "option longest: 1 cannot be; it must be 2 or more"),
        (["--family", "coca", "--options", "caption_weight=-1"], "it must be 0 or more"),
        (["--options", "heads=7"], "option heads: 7 heads do not divide the width; choose a divisor"),
        (["--family", "coca", "--options", "queries=0"], "option queries: 0 cannot be"),
        (["--options", "places=foo"], "option places: no choice 'foo'; there are learned, sinusoidal"),
        (["--family", "show_attend_tell", "--options", "attention=foo"], "no choice 'foo'; there are soft, hard"),
        (["--family", "fusion", "--options", "way=foo"], "there are merged, co_attention, flamingo"),
        (["--family", "fusion", "--options", "objectives=lm+foo"], "option objectives: no choice 'foo'; there are lm"),
        (["--family", "fusion", "--options", QUESTIONS], "add separator=WORD"),
        (["--family", "fusion", "--options", f"{QUESTIONS},separator=zebra"], "'zebra' is no word of its vocabulary"),
        (["--family", "fusion", "--options", CHOICES], "there are no answers to choose from; add answers=WORD+WORD"),
        (["--family", "bottom_up", "--encoder", "detector"], "a detector learns from boxes, never from captions"),
        (["--batch-photos", "0"], "--batch-photos 0: cannot be trained with; give 1 or more"),
        (["--seed", "-1"], "--seed -1: cannot be trained with; give 0 or more"),
        (["--steps", "0"], "--steps 0: cannot be trained with; give 1 or more"),
        (["--window", "5"], "--window 5.0: cannot be trained with; give more than 0, 1 at most"),
        (["--peak-rate", "nan"], "--peak-rate nan: cannot be trained with"),
        (["--versions", "foo"], "--versions foo: cannot be trained with; there are plain, flip, crop1"),
        (["--versions", "flip"], "--versions flip: cannot be trained with; begin with plain"),
        (["--device", "foo"], "--device foo: no such device"),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)
def test_a_wrong_setting_is_said_in_one_line(command: Command, given: list[str], said: str):
    encoder = ["--encoder", "small"] if "--encoder" not in given else []

    status, lines = command(*encoder, *given)

    assert status == 2
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert said in lines[0]


def test_questions_that_no_caption_asks_are_not_learned_in_silence(data_folder: Path, command: Command, tmp_path: Path):
    asked = ["--encoder", "small", "--family", "fusion", "--options", f"{QUESTIONS},separator=dog"]
    assert command(*asked)[0] == 0
    silent = shutil.copytree(data_folder, tmp_path / "data")
    (tsv,) = silent.glob("*.tsv")
    tsv.write_text(tsv.read_text(encoding="utf-8").replace(" dog", " cat"), encoding="utf-8")

    status, lines = command("--start", tmp_path / "out" / "model", "--data", silent, "--out", tmp_path / "other")

    assert status == 2
    assert "no caption is a question with 'dog' before its answer; write captions as QUESTION dog ANSWER" in lines[0]


@pytest.mark.parametrize("longest", [4, 5])
@pytest.mark.parametrize("family", ["cnn_transformer", "fusion"])
def test_captions_longer_than_the_network_says_are_cut(command: Command, family: str, longest: int):
    objectives = ",objectives=lm+mlm+itc" if family == "fusion" else ""
    options = f"{TINY},longest={longest}{objectives}"

    assert command("--encoder", "small", "--family", family, "--options", options)[0] == 0


@pytest.mark.parametrize("option", [["--family", "coca"], ["--encoder", "resnet18"]])
def test_what_a_captioner_to_go_on_from_is_cannot_be_named_otherwise(command: Command, tiny: Path, option: list[str]):
    status, lines = command("--start", tiny, *option)

    assert status == 2
    assert f"{option[0]} {option[1]}: {tiny} has " in lines[0]


def test_a_captioner_may_be_gone_on_from_by_the_name_of_its_family(command: Command, tiny: Path):
    assert command("--start", tiny, "--family", "cnn_transformer")[0] == 0


def test_the_last_step_is_told_and_logged_where_there_are_fewer_than_ten(command: Command, tiny: Path, tmp_path: Path):
    status, lines = command("--start", tiny)

    assert status == 0
    assert any(line.startswith("step 3 of 3, loss ") for line in lines)
    assert [row.split(",")[0] for row in (tmp_path / "out" / "log.csv").read_text("utf-8").splitlines()] == [
        "step",
        "3",
    ]


def test_training_stops_where_the_loss_is_no_number_and_keeps_the_last_good_checkpoint(
    command: Command, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    learned = train.Trainer.loss

    def from_the_third_step(self: Any, batch: Any) -> Any:
        loss, logged = learned(self, batch)
        return (loss * torch.nan, float("nan")) if self.step == 2 else (loss, logged)

    monkeypatch.setattr(train.Trainer, "loss", from_the_third_step)

    status, lines = command("--start", tiny, "--checkpoint-s", 0)

    assert status == 2
    assert lines[-1].startswith("error: after step 2: the loss is no longer a number; begin again with a lower --peak-")
    assert torch.load(tmp_path / "out" / "state.pt", weights_only=True)["step"] == 2


def test_weights_that_no_file_can_hold_are_not_written_over_the_last_good_ones(
    command: Command, tiny: Path, tmp_path: Path
):
    status, lines = command("--start", tiny, "--peak-rate", 1e9)

    assert status == 2
    assert "no longer a number" in lines[-1]
    assert not (tmp_path / "out" / "model").exists()


def test_what_does_not_fit_into_memory_is_said_with_its_mend(
    command: Command, tiny: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(train.Trainer, "loss", lambda *_: torch.empty(2**58))

    status, lines = command("--start", tiny)

    assert status == 2
    assert lines[-1] == "error: --device cpu: does not fit into memory; lower --batch-photos, or the family's width"


@pytest.mark.parametrize("kept", [0, 1000])
def test_a_checkpoint_that_is_not_whole_is_named(command: Command, tiny: Path, tmp_path: Path, kept: int):
    assert command("--start", tiny)[0] == 0
    state = tmp_path / "out" / "state.pt"
    state.write_bytes(state.read_bytes()[:kept])

    status, lines = command("--start", tiny)

    assert status == 2
    assert len(lines) == 1
    assert lines[0].startswith(f"error: {state}: not a whole checkpoint (")
    assert lines[0].endswith("; put a whole copy of it back, or move it away to begin from the first step")


def test_a_checkpoint_of_another_version_is_named(command: Command, tiny: Path, tmp_path: Path):
    assert command("--start", tiny)[0] == 0
    state = tmp_path / "out" / "state.pt"
    held = torch.load(state, weights_only=True)
    del held["optimizer"]["param_groups"][1]
    torch.save(held, state)

    status, lines = command("--start", tiny)

    assert status == 2
    assert lines[0].startswith(f"error: {state}: a checkpoint of another version")


def test_a_file_is_no_folder_for_a_run(command: Command, tmp_path: Path):
    (tmp_path / "out").write_text("mine", encoding="utf-8")

    status, lines = command()

    assert (status, lines[0].split(": ")[2].split(";")[0]) == (2, "a file, and no folder")


@pytest.fixture
def ctrl_c() -> Iterator[Callable[[], None]]:
    """Press Ctrl-C in this process, whatever began it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: signal.raise_signal(signal.SIGINT)
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_keeps_the_step_in_hand_and_the_same_command_goes_on_as_if_never_stopped(
    command: Command, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ctrl_c: Callable[[], None]
):
    usual = ("--start", tiny, "--steps", 8)
    assert command(*usual, "--out", tmp_path / "whole")[0] == 0
    learned = train.Trainer.loss

    def stopped(self: Any, batch: Any) -> Any:
        if self.step == 4:
            ctrl_c()
        return learned(self, batch)

    with monkeypatch.context() as patched:
        patched.setattr(train.Trainer, "loss", stopped)
        status, lines = command(*usual)
    assert status == 130
    assert lines[-1] == "stopped; what was learned is kept, and the same command goes on from there"
    assert torch.load(tmp_path / "out" / "state.pt", weights_only=True)["step"] == 5

    assert command(*usual)[0] == 0

    states = [torch.load(tmp_path / run / "state.pt", weights_only=True) for run in ("whole", "out")]
    assert all(torch.equal(states[0]["parts"][name], states[1]["parts"][name]) for name in states[0]["parts"])
    weights = [(tmp_path / run / "model" / "model.safetensors").read_bytes() for run in ("whole", "out")]
    assert weights[0] == weights[1]


def test_ctrl_c_before_the_first_step_says_that_nothing_is_kept(
    command: Command, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ctrl_c: Callable[[], None]
):
    monkeypatch.setattr(train, "find_data", lambda _: ctrl_c())

    assert command("--start", tiny) == (130, ["stopped before anything was learned"])
    assert not (tmp_path / "out" / "state.pt").exists()


@pytest.mark.parametrize("module", ["captioner.train", "captioner.self_critical"])
def test_ctrl_c_while_libraries_are_imported_ends_without_a_traceback(module: str):
    pressed = (
        "import runpy, signal, sys, types\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "class Torch:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'torch': signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Torch())\n"
        f"runpy.run_module({module!r}, run_name='__main__', alter_sys=True)\n"
    )

    done = subprocess.run([sys.executable, "-c", pressed], capture_output=True, text=True, timeout=120, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_every_encoder_is_named_in_the_help():
    words = {name for word in HELP["encoder"].replace(",", " ").split() for name in _spelled_out(word)}

    assert set(ENCODER_NAMES) <= words


def _spelled_out(word: str) -> list[str]:
    """Return the names that `resnet18/50` stands for."""
    first, *others = word.split("/")
    stem = first.removesuffix("small").rstrip("0123456789")
    return [first, *(stem + other for other in others)]
