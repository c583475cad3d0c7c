"""Training: a small captioner learns a small data set, stopped or not, and its folder loads and scores."""

import csv
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest
import torch
from make_tiny_captioner import tiny_bundle, tiny_captioner
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))
from painted import painted

from captioner import self_critical, train
from captioner.batches import Batches
from captioner.bundle import load_bundle
from captioner.captioning import Captioner
from captioner.dataset import Data, Example, find_data
from captioner.evaluate import evaluate, main
from captioner.feature_cache import FeatureCache, augment
from captioner.language import Texts
from captioner.self_critical import GENTLE, SelfCritical
from captioner.tokenizer import Tokenizer
from captioner.train import Trainer
from captioner.train_settings import Settings, parse


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("painted")
    painted(folder, "train", 48, seed=1)
    return painted(folder, "dev", 12, seed=2)


@pytest.fixture(scope="module")
def data(data_folder: Path) -> Data:
    return find_data(data_folder)


def settings(data_folder: Path, out: Path, steps: int, **more: object) -> Settings:
    out.mkdir(parents=True, exist_ok=True)
    given = Settings(data_folder, out, steps=steps, batch_photos=12, versions=("plain", "flip", "crop1"))
    given = replace(given, warm_up_steps=10, peak_rate=3e-3, encoder_rate=3e-4, tune_share=0.5)
    return replace(given, **more)


@pytest.fixture(scope="module")
def trained(data_folder: Path, data: Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained")
    Trainer(settings(data_folder, out, 160), data, tiny_bundle()).run()
    return out


def test_a_small_captioner_learns_what_it_is_shown(trained: Path, data: Data):
    captioner = Captioner.load(str(trained / "model"))

    found = evaluate(captioner, data.dev)

    said = [caption.split()[1:3] for caption in found["captions"].values()]
    wanted = [one.captions[0].split()[1:3] for one in data.dev]
    assert sum(a == b for a, b in zip(said, wanted, strict=True)) >= 10
    assert found["scores"]["BLEU-1"] > 0.8


def test_the_log_is_a_table_of_steps_and_scores(trained: Path):
    rows = list(csv.DictReader((trained / "log.csv").open(encoding="utf-8")))
    losses = [float(row["loss"]) for row in rows if row["loss"]]

    assert losses[-1] < losses[0] / 2
    assert float(rows[-1]["dev_loss"]) < 1.5
    assert 0 < float(rows[-1]["dev_cider_d"]) <= 10


@pytest.mark.parametrize("stopped_at", [3, 9])  # among the steps on text, among those on photos
def test_stopped_and_started_again_equals_never_stopped(
    whole: Path, data_folder: Path, data: Data, tmp_path: Path, stopped_at: int
):
    chosen = settings(data_folder, tmp_path, 10, language_steps=4, window=0.7)
    begun = Trainer(chosen, data, tiny_bundle())
    for _ in range(stopped_at):
        begun.train_step()
    begun.checkpoint()
    begun.row(begun.train_step())  # lost: after the last checkpoint

    Trainer(chosen, data, tiny_bundle()).run()

    assert same_run(whole, tmp_path)
    steps = [row["step"] for row in csv.DictReader((tmp_path / "log.csv").open(encoding="utf-8"))]
    assert steps == ["10", "14"]


@pytest.fixture(scope="module")
def whole(data_folder: Path, data: Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train four steps on text and ten on photos without a stop."""
    out = tmp_path_factory.mktemp("whole")
    Trainer(settings(data_folder, out, 10, language_steps=4, window=0.7), data, tiny_bundle()).run()
    return out


def same_run(first: Path, second: Path) -> bool:
    """Say whether two runs came to the same weights, averaged weights and optimizer, and wrote the same model."""
    states = [torch.load(run / "state.pt", weights_only=True) for run in (first, second)]
    names = ("parts", "average")
    same = all(torch.equal(states[0][n][key], states[1][n][key]) for n in names for key in states[0][n])
    moments = [one["optimizer"]["state"] for one in states]
    same &= all(torch.equal(moments[0][n][key], moments[1][n][key]) for n in moments[0] for key in moments[0][n])
    files = ("model.safetensors", "config.json", "tokenizer.json")
    return same and all((first / "model" / n).read_bytes() == (second / "model" / n).read_bytes() for n in files)


@pytest.mark.parametrize("phase", [train, self_critical])
def test_killed_in_any_step_and_started_again_equals_never_stopped(data_folder: Path, tmp_path: Path, phase: Any):
    rich = shutil.copytree(data_folder, tmp_path / "data")
    for tsv in rich.glob("*.tsv"):  # rewards want four captions a photo
        header, *rows = tsv.read_text(encoding="utf-8").splitlines()
        tsv.write_text("\n".join([header, *rows, *rows, ""]), encoding="utf-8")
    options = ["--data", rich, "--start", tiny_captioner(tmp_path / "tiny"), "--steps", 28, "--language-steps", 4]
    options += ["--versions", "plain", "--batch-photos", 8, "--checkpoint-s", 0, "--threads", 1]
    command = [str(one) for one in options]
    context = get_context("forkserver")
    context.set_forkserver_preload(["captioner.self_critical"])  # a run begins in moments

    def begin(out: str) -> BaseProcess:
        process = context.Process(target=phase.main, args=([*command, "--out", str(tmp_path / out)],))
        process.start()
        return process

    unstopped, broken = begin("whole"), begin("broken")
    for step in ("10", "20"):  # killed when these are logged: it then writes a checkpoint, or takes the next steps
        wait_for_row(tmp_path / "broken" / "log.csv", step, broken)
        broken.kill()
        broken.join()
        broken = begin("broken")
    for process in (unstopped, broken):
        process.join(300)
        assert process.exitcode == 0

    assert same_run(tmp_path / "whole", tmp_path / "broken")


def wait_for_row(log: Path, step: str, process: BaseProcess) -> None:
    """Wait until a training process has logged a step."""
    while not (log.exists() and any(row.startswith(f"{step},") for row in log.read_text("utf-8").splitlines())):
        process.join(0.01)
        assert process.exitcode is None


def test_a_run_is_not_gone_on_with_under_other_settings(data_folder: Path, data: Data, tmp_path: Path):
    chosen = settings(data_folder, tmp_path, 2)
    Trainer(chosen, data, tiny_bundle()).checkpoint()

    with pytest.raises(train.DataError, match=r"begun with peak_rate 0\.003 and not 0\.1"):
        Trainer(replace(chosen, peak_rate=0.1, checkpoint_s=1.0), data, tiny_bundle())


def test_the_words_learn_from_text_before_they_see_a_photo(data_folder: Path, data: Data, tmp_path: Path):
    trainer = Trainer(settings(data_folder, tmp_path, 1, language_steps=40), data, tiny_bundle())
    before = {name: one.clone() for name, one in trainer.parts.named_parameters()}

    losses = [trainer.train_step() for _ in range(40)]

    assert losses[-1] < losses[0] / 2
    moved = {name for name, one in trainer.parts.named_parameters() if not torch.equal(one, before[name])}
    assert moved
    assert not any(name.startswith("encoder.") or ".cross." in name or "region" in name for name in moved)


def test_text_in_other_words_than_the_training_captions_is_not_learned_from():
    tokenizer = Tokenizer(["a", "red", "dog"])

    texts = Texts(["A red dog.", "zebra crossing", "a dog"], tokenizer, 12)

    assert len(texts.ids) == 2
    assert texts.draw(0, 3, 2).shape == (2, 1, 5)
    with pytest.raises(train.DataError, match="no caption text to learn from"):
        Texts(["zebra crossing"], tokenizer, 12)


def test_a_run_may_leave_more_of_the_encoder_alone_than_the_captioner_says(
    data_folder: Path, data: Data, tmp_path: Path
):
    before = tiny_bundle().encoder
    chosen = settings(data_folder, tmp_path, 3, fixed_blocks=3)
    Trainer(replace(chosen, tune_share=0.0), data, tiny_bundle()).run()

    after = load_bundle(tmp_path / "model").encoder
    assert after.config == before.config
    same = {
        name
        for name, one in after.state_dict().items()
        if torch.equal(one, before.state_dict()[name].half().float())  # as it is stored
    }
    assert all(name in same for name in before.state_dict() if name.startswith("network.blocks.2."))
    assert "network.conv_head.weight" not in same


def test_rewards_reach_every_part_that_is_trained(data_folder: Path, data: Data, tmp_path: Path):
    rich = replace(data, train=[replace(one, captions=one.captions * 2) for one in data.train])
    chosen = replace(settings(data_folder, tmp_path, 8), **{**GENTLE, "encoder_rate": 1e-4})
    trainer = SelfCritical(chosen, rich, tiny_bundle())
    trainer.train_step()  # the encoder joins after the first one

    trainer._set_rates()
    loss, _ = trainer.loss(trainer.train.draw(1, 1, 12))
    loss.backward()

    names = [name for name, one in trainer.parts.named_parameters() if one.requires_grad]
    assert any(name.startswith("encoder.") for name in names)
    without = [name for name, one in trainer.parts.named_parameters() if one.requires_grad and one.grad is None]
    assert not without


def test_bfloat16_stays_close_to_float32(data_folder: Path, data: Data, tmp_path: Path):
    trainer = Trainer(settings(data_folder, tmp_path, 2), data, tiny_bundle())
    batch = trainer.train.draw(1, 0, 12)
    parts = trainer.parts.eval()

    with torch.inference_mode():
        exact = parts(batch.maps, batch.tokens)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = parts(batch.maps, batch.tokens)

    assert rounded == pytest.approx(float(exact), rel=0.02)


def test_a_changed_photo_is_not_taken_from_the_cache(data: Data, tmp_path: Path):
    file = tmp_path / "photo.png"
    Image.fromarray(data.train[0].read()).save(file)
    examples = [Example("photo.png", ("a dog",), file)]
    encoder = tiny_bundle().encoder
    first = FeatureCache(tmp_path / "cache", examples, encoder).version("plain").copy()
    assert np.array_equal(FeatureCache(tmp_path / "cache", examples, encoder).version("plain"), first)

    Image.fromarray(data.train[1].read()).save(file)

    assert not np.array_equal(FeatureCache(tmp_path / "cache", examples, encoder).version("plain"), first)


def test_of_two_trainings_that_begin_at_once_one_computes_the_maps_and_the_other_takes_them(data: Data, tmp_path: Path):
    both, computed, encoders = Barrier(2), set[int](), [tiny_bundle().encoder, tiny_bundle().encoder]

    def maps(who: int) -> NDArray[np.float16]:
        encoder = encoders[who]
        lower = encoder.lower

        def counted(prepared: Tensor) -> Tensor:
            computed.add(who)
            return lower(prepared)

        encoder.lower = counted  # type: ignore[method-assign]
        cache = FeatureCache(tmp_path, data.train, encoder)
        both.wait(60)
        return cache.version("plain")

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(maps, range(2))

    assert np.array_equal(first, second)
    assert len(computed) == 1


def test_a_window_is_a_part_of_the_map_of_one_size_for_the_batch(data: Data, tmp_path: Path):
    bundle = tiny_bundle()
    cache = FeatureCache(tmp_path, data.train, bundle.encoder)
    whole_maps = torch.from_numpy(cache.version("plain").astype(np.float32)).permute(0, 3, 1, 2)
    batches = Batches(cache, ("plain",), bundle.tokenizer, 12, window=0.5)

    drawn = [batches.draw(0, step, 12) for step in range(8)]

    sides = {batch.maps.shape[2:] for batch in drawn}
    assert len(sides) > 2
    assert all(2 * side >= whole_maps.shape[2] for both in sides for side in both)
    for batch in drawn:
        windows = whole_maps.unfold(2, batch.maps.shape[2], 1).unfold(3, batch.maps.shape[3], 1)  # (N, c, ., ., h, w)
        for place, photo in enumerate(batch.photos):
            same = (windows[photo] == batch.maps[place][:, None, None]).all((0, 3, 4))
            assert same.any()


@pytest.mark.parametrize(("module", "usual"), [(train, {}), (self_critical, GENTLE)])
def test_the_command_line_has_the_usual_settings_of_its_phase(module: Any, usual: dict[str, Any]):
    given = parse(["--data", "d", "--out", "o", "--versions", "plain,flip", "--steps", "5"], module.__name__, **usual)

    assert given == replace(Settings(Path("d"), Path("o"), steps=5, versions=("plain", "flip")), **usual)
    assert parse(["--data", "d", "--out", "o", "--peak-rate", "0.5"], "x", **usual).peak_rate == 0.5


def test_other_captions_in_a_started_run_are_refused(data_folder: Path, data: Data, tmp_path: Path):
    Trainer(settings(data_folder, tmp_path, 2), data, tiny_bundle()).checkpoint()
    other = replace(tiny_bundle(), tokenizer=Tokenizer([f"word{number}" for number in range(20)]))

    with pytest.raises(train.DataError, match="the captions changed since the run began"):
        Trainer(settings(data_folder, tmp_path, 2), data, other)


def test_the_lower_encoder_is_left_as_it_is_and_the_upper_is_trained(trained: Path):
    before, after = tiny_bundle().encoder, load_bundle(trained / "model").encoder

    assert before.lower_digest() == after.lower_digest()
    assert before.digest() != after.digest()


def test_rewards_raise_the_score_of_what_is_drawn(trained: Path, data_folder: Path, data: Data, tmp_path: Path):
    rich = replace(data, train=[replace(one, captions=one.captions * 2) for one in data.train])
    start = replace(load_bundle(trained / "model"))
    chosen = replace(settings(data_folder, tmp_path, 40), **{**GENTLE, "peak_rate": 1e-3})
    trainer = SelfCritical(chosen, rich, start)

    rewards = [-trainer.train_step() for _ in range(40)]

    assert np.mean(rewards[-10:]) > np.mean(rewards[:10])


def test_photos_with_few_references_alone_cannot_be_learned_from_by_rewards(
    data_folder: Path, data: Data, tmp_path: Path
):
    with pytest.raises(train.DataError, match="no photo has 4 captions or more"):
        SelfCritical(settings(data_folder, tmp_path, 1), data, tiny_bundle())


def test_a_mirrored_photo_is_never_shown_with_left_or_right(data: Data, tmp_path: Path):
    words = ("a dog on the left", "a red dog")
    examples = [replace(one, captions=words) for one in data.train] + [replace(data.dev[0], captions=words[:1])]
    bundle = tiny_bundle()
    tokenizer = Tokenizer(["a", "dog", "on", "the", "left", "red"])
    cache = FeatureCache(tmp_path, examples, bundle.encoder)
    batches = Batches(cache, ("plain", "flip"), tokenizer, 12)
    plain = cache.version("plain").astype(np.float32)
    left = tokenizer.encode("left")[0]
    seen = 0
    for step in range(6):
        batch = batches.draw(0, step, 12)
        for place, photo in enumerate(batch.photos):
            is_plain = np.array_equal(batch.maps[place].permute(1, 2, 0).numpy(), plain[photo])
            if (batch.tokens[place] == left).any():
                assert is_plain
                seen += 1
    assert seen > 5


def test_augmented_photos_are_the_same_each_time_and_another_version_is_another_photo(data: Data):
    pixels = data.train[0].read()

    assert np.array_equal(augment(pixels, "plain", "x"), pixels)
    assert np.array_equal(augment(pixels, "flip", "x"), pixels[:, ::-1])
    assert np.array_equal(augment(pixels, "crop1", "x"), augment(pixels, "crop1", "x"))
    assert augment(pixels, "crop1", "x").shape != augment(pixels, "crop2", "x").shape


def test_the_evaluation_command_writes_scores_and_the_card(
    trained: Path, data_folder: Path, capsys: pytest.CaptureFixture[str]
):
    folder = trained / "model"
    (folder / "CARD.md").write_text("# Mine\n\n<!-- scores -->\nold\n<!-- end of scores -->\n\nLimits.\n", "utf-8")

    assert main(["--data", str(data_folder), "--model", str(folder)]) == 0

    card = (folder / "CARD.md").read_text(encoding="utf-8")
    assert card.startswith("# Mine")
    assert card.endswith("Limits.\n")
    assert "| BLEU-1 | BLEU-2 | BLEU-3 | BLEU-4 | ROUGE-L | CIDEr-D |" in card
    assert "old" not in card
    assert (folder / "scores.json").exists()
    assert "CIDEr-D" in capsys.readouterr().out


def test_the_training_command_says_what_is_wrong_and_how_to_mend_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert train.main(["--data", str(tmp_path / "nowhere"), "--out", str(tmp_path)]) == 2
    assert "no such folder; give the folder" in capsys.readouterr().out


def test_training_goes_without_dev_photos_and_with_fewer_photos_than_a_batch(
    data_folder: Path, data: Data, tmp_path: Path
):
    few = replace(data, train=data.train[:5], dev=[])

    Trainer(settings(data_folder, tmp_path, 3), few, tiny_bundle()).run()

    assert Captioner.load(str(tmp_path / "model")).name == "tiny"


@pytest.mark.parametrize(
    ("change", "said"),
    [({"train": []}, "no photos to learn from"), ({"min_count": 10**6}, "no word is used 1000000 times or more")],
)
def test_nothing_to_learn_from_is_said(
    data_folder: Path, data: Data, tmp_path: Path, change: dict[str, Any], said: str
):
    chosen = replace(settings(data_folder, tmp_path, 1), min_count=change.pop("min_count", 1))

    with pytest.raises(train.DataError, match=said):
        train.new_bundle(replace(data, **change), chosen)


def test_the_second_phase_wants_a_captioner_to_go_on_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert self_critical.main(["--data", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "give the folder that captioner.train wrote as --start" in capsys.readouterr().out
