"""Every family learns drawn shapes by the one recipe, and says of drawings that it has not seen what is on them."""

import copy
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from drawn import DEV, drawn, recipe, seeing_encoder

from captioner.answering import choose_answers, say_answers
from captioner.beginnings import make_network, with_options
from captioner.bundle import Bundle
from captioner.compare import retrieval_scores
from captioner.dataset import Data
from captioner.decoding import Search
from captioner.drawings import COLOURS, GROUNDS, KINDS, SIZES_PX, drawings
from captioner.encoders import PhotoEncoder
from captioner.models import FAMILIES
from captioner.models.objectives import match
from captioner.patches import PatchConfig, PatchEncoder
from captioner.scoring import captions_of_maps
from captioner.tokenizer import END, START, Tokenizer
from captioner.train import Trainer
from captioner.unmasking import unmask

TRANSFORMER = ("width=64", "heads=4", "feed_forward=128", "dropout=0.0", "longest=16")
RECURRENT = ("width=64", "dropout=0.0", "longest=16")
LEARNED: dict[str, tuple[tuple[str, ...], int, float]] = {
    "cnn_transformer": ((*TRANSFORMER, "decoder_layers=1"), 140, 4e-3),
    "show_tell": (("width=128", "dropout=0.0", "longest=16"), 600, 4e-3),
    "show_attend_tell": ((*RECURRENT, "attention_width=32"), 140, 5e-3),
    "show_attend_tell, hard": ((*RECURRENT, "attention_width=32", "attention=hard"), 340, 5e-3),
    "vit_transformer": ((*TRANSFORMER, "encoder_layers=2", "decoder_layers=1"), 560, 2e-3),
    "coca": ((*TRANSFORMER, "text_layers=1", "decoder_layers=1", "queries=4", "embedding=32"), 140, 4e-3),
    "bottom_up": ((*RECURRENT, "attention_width=32"), 200, 5e-3),
    "fusion, merged": ((*TRANSFORMER, "decoder_layers=2", "objectives=lm+mlm"), 180, 4e-3),
    "fusion, co_attention": (
        (*TRANSFORMER, "decoder_layers=2", "way=co_attention", "objectives=lm+itc+itm"),
        120,
        4e-3,
    ),
    "fusion, flamingo": ((*TRANSFORMER, "decoder_layers=2", "way=flamingo", "latents=8"), 200, 4e-3),
}
"""Options, steps and learning rate of each."""
LANGUAGE_STEPS = {"fusion, flamingo": 40}
WANTED = 0.85
"""Share of drawings whose whole caption must be one of the two right ones."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return drawn(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return drawn(tmp_path_factory.mktemp("questions"), questions=True)


@pytest.fixture(scope="module")
def tokenizer(data: Data, questions: Data) -> Tokenizer:
    return Tokenizer.count((text for one in [*data.train, *questions.train] for text in one.captions), 1)


@pytest.fixture(scope="module")
def encoder() -> PhotoEncoder:
    return seeing_encoder()


@pytest.fixture(scope="module")
def learned(
    data: Data, tokenizer: Tokenizer, encoder: PhotoEncoder, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Trainer]:
    """Return what was trained by its name; each is trained when it is first asked for."""
    shared = tmp_path_factory.mktemp("cache")

    class Learned(dict[str, Trainer]):
        def __missing__(self, name: str) -> Trainer:
            seeing = PatchEncoder(PatchConfig(32, 8)) if name == "vit_transformer" else copy.deepcopy(encoder)
            options, steps, rate = LEARNED[name]
            torch.manual_seed(1)
            model = make_network(name.split(",", maxsplit=1)[0], seeing, tokenizer, options)
            out = tmp_path_factory.mktemp("run")
            language = LANGUAGE_STEPS.get(name, 0)
            settings = recipe(data, out, shared, steps, rate)
            bundle = Bundle(name, seeing, model, tokenizer)
            self[name] = run(Trainer(replace(settings, language_steps=language), data, bundle))
            return self[name]

    return Learned()


def run(trainer: Trainer) -> Trainer:
    while trainer.step < trainer.total:
        trainer.train_step()
    return trainer


def regions_of(trainer: Trainer) -> torch.Tensor:
    """Encode the dev drawings: (48, L, D)."""
    return trainer.average.encoder.upper(trainer.dev.plain(range(DEV)))


@pytest.mark.parametrize("name", LEARNED)
def test_a_family_learns_to_say_what_is_drawn(name: str, learned: dict[str, Trainer], data: Data):
    trainer = learned[name]

    said = captions_of_maps(trainer.average, trainer.dev, trainer.tokenizer, Search(beams=1, longest=12))

    right = [text in one.captions for text, one in zip(said, data.dev, strict=True)]
    assert sum(right) >= WANTED * DEV, said


def test_all_families_are_among_them():
    assert {name.split(",")[0] for name in LEARNED} == set(FAMILIES)


@pytest.mark.parametrize("name", ["coca", "fusion, co_attention"])
def test_photos_and_texts_find_each_other(name: str, learned: dict[str, Trainer]):
    trainer = learned[name]

    found = retrieval_scores(trainer.average, trainer.dev, trainer.tokenizer)

    assert found["text to photo R@10"] > 0.9
    assert found["photo to text R@10"] > 0.9


def test_similarity_prefers_the_caption_of_a_drawing_to_one_of_another_colour(
    learned: dict[str, Trainer], tokenizer: Tokenizer
):
    network, made = learned["coca"].average.model, drawings(DEV, seed=2)
    other = {one: list(COLOURS)[(number + 1) % 4] for number, one in enumerate(COLOURS)}
    texts = [[one.captions[0], one.captions[0].replace(one.colour, other[one.colour])] for one in made]
    vectors = network.embed_photos(regions_of(learned["coca"]))

    ids = [[[START, *tokenizer.encode(text), END] for text in pair] for pair in texts]
    alike = [network.similarity(vectors[at : at + 1], torch.tensor(pair))[0] for at, pair in enumerate(ids)]

    assert sum(float(one[0]) > float(one[1]) for one in alike) >= WANTED * DEV


def test_a_match_is_surer_than_no_match(learned: dict[str, Trainer], tokenizer: Tokenizer):
    trainer, made = learned["fusion, co_attention"], drawings(DEV, seed=2)
    texts = [f"a {one.size} {one.colour} {one.kind} on {one.ground}" for one in made]
    differ = [texts[at] != texts[(at + 1) % DEV] for at in range(DEV)]
    tokens = torch.tensor([[[START, *tokenizer.encode(text), END]] for text in texts])
    regions = regions_of(trainer)

    with torch.inference_mode():
        own, others = (match(trainer.average.model, regions, one) for one in (tokens, tokens.roll(-1, 0)))  # (B, 2)

    surer = (own[:, 1] - own[:, 0] > others[:, 1] - others[:, 0])[torch.tensor(differ)]
    assert float(surer.float().mean()) >= WANTED


def test_captions_can_be_said_by_unmasking(learned: dict[str, Trainer], data: Data, tokenizer: Tokenizer):
    trainer = learned["fusion, merged"]

    found = unmask(trainer.average.model, regions_of(trainer), Search(shortest=6, longest=9))

    said = [tokenizer.decode(one[0].tokens) for one in found]
    right = [text in one.captions for text, one in zip(said, data.dev, strict=True)]
    assert sum(right) >= 0.75 * DEV, said


def test_a_pre_trained_network_is_fine_tuned_to_answer_questions_by_choice_and_in_words(
    learned: dict[str, Trainer], questions: Data, tokenizer: Tokenizer, tmp_path: Path
):
    before = learned["fusion, merged"]
    answers = "+".join([*KINDS, *COLOURS, *SIZES_PX, *GROUNDS])
    options = ("objectives=answer+classify", "separator=answer", f"answers={answers}")
    model = with_options(before.average.model, options, tokenizer, seed=1).requires_grad_(requires_grad=True)
    settings = recipe(questions, tmp_path, before.cache_folder, 120, 3e-3)

    trainer = run(Trainer(settings, questions, Bundle("answers", before.encoder, model, tokenizer)))

    regions, right = regions_of(trainer), {"chosen": 0, "said": 0}
    for place in range(4):
        asked, wanted = zip(*(one.questions[place] for one in drawings(DEV, seed=2)), strict=True)
        chosen = choose_answers(trainer.average.model, regions, asked, tokenizer)
        said = say_answers(trainer.average.model, regions, asked, tokenizer)
        right["chosen"] += sum(a == b for a, b in zip(chosen, wanted, strict=True))
        right["said"] += sum(a == b for a, b in zip(said, wanted, strict=True))
    assert min(right.values()) >= WANTED * 4 * DEV, right


def test_the_flamingo_way_learns_from_photos_without_changing_its_language(
    learned: dict[str, Trainer], data: Data, tmp_path: Path
):
    trained = learned["fusion, flamingo"]
    bundle = Bundle("again", trained.encoder, copy.deepcopy(trained.parts.model), trained.tokenizer)
    again = Trainer(recipe(data, tmp_path, trained.cache_folder, 2, 1e-2), data, bundle)
    before = {name: one.clone() for name, one in bundle.model.named_parameters()}

    run(again)

    moved = {name for name, one in bundle.model.named_parameters() if not torch.equal(one, before[name])}
    held = {id(one) for one in bundle.model.frozen()}
    names = {name for name, one in bundle.model.named_parameters() if id(one) in held}
    assert names
    assert not moved & names
    assert any("gate" in name for name in moved)
