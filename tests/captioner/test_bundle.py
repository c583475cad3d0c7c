"""A captioner's folder: written whole or told broken; its search changed by whoever loads it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from make_tiny_captioner import tiny_bundle

from captioner.bundle import load_bundle, make_search, save_bundle
from captioner.captioning import Captioner
from captioner.decoding import Search
from captioner.errors import ModelError
from captioner.tokenizer import Tokenizer
from captioner.weights import FILES


class KilledError(Exception):
    """What stands for a kill."""


def same_weights(folder: Path, seed: int) -> bool:
    """Say whether the captioner in a folder has the weights of the tiny one of a seed."""
    wanted = tiny_bundle(seed).model.words.weight.half().float()
    return torch.equal(load_bundle(folder).model.words.weight, wanted)


@pytest.mark.parametrize("renamed", range(len(FILES) + 1))
def test_a_kill_while_saving_leaves_the_old_captioner_the_new_one_or_one_that_does_not_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renamed: int
):
    save_bundle(tiny_bundle(seed=0), tmp_path)
    new = replace(tiny_bundle(seed=1), tokenizer=Tokenizer(tiny_bundle().tokenizer.words[:3:-1]))
    done, rename = [], Path.replace

    def killed(self: Path, target: Path) -> Path:
        if len(done) == renamed:
            raise KilledError
        done.append(target)
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        if renamed < len(FILES):
            with pytest.raises(KilledError):
                save_bundle(new, tmp_path)
        else:
            save_bundle(new, tmp_path)

    if renamed in (0, len(FILES)):
        assert same_weights(tmp_path, 0 if renamed == 0 else 1)
    else:
        with pytest.raises(ModelError, match=r"not the file that config\.json was written with; go on with"):
            load_bundle(tmp_path)
        save_bundle(new, tmp_path)  # what the training does when it goes on
        assert same_weights(tmp_path, 1)


def test_a_saved_captioner_is_the_same_when_loaded(tmp_path: Path):
    search = Search(beams=4, longest=9, shortest=2, no_repeat=3, forbidden=(5, 7), temperature=0.5, top_p=0.9, seed=3)
    given = replace(tiny_bundle(), search=search, language="en-GB", licence="mine")

    save_bundle(given, tmp_path)
    loaded = load_bundle(tmp_path)

    assert (loaded.name, loaded.search, loaded.language, loaded.licence) == ("tiny", search, "en-GB", "mine")
    assert loaded.tokenizer.words == given.tokenizer.words
    assert loaded.encoder.digest() == given.encoder.digest()


def test_the_search_of_a_captioner_of_ones_own_is_set_in_its_configuration(tmp_path: Path):
    save_bundle(tiny_bundle(), tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["search"] |= {"beams": 1, "forbidden": ["dog", "Cat", "zebra"]}
    path.write_text(json.dumps(config), encoding="utf-8")

    search = load_bundle(tmp_path).search

    assert (search.beams, search.forbidden) == (1, (5, 6))  # "zebra" is never said anyway


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"beam": 3}, "search: a setting that cannot be used .*'beam'.*; there are beams, length_power"),
        ({"beams": 0}, "beams is 0, and must be at least 1"),
        ({"forbidden": ["hot dog"]}, "forbidden: 'hot dog' is not one word; give each word by itself"),
        ({"forbidden": ["man's"]}, 'forbidden: "man\'s" is not one word'),
    ],
)
def test_a_search_that_cannot_be_is_refused_by_its_setting(settings: dict[str, Any], said: str):
    with pytest.raises(ModelError, match=said):
        make_search(settings, tiny_bundle().tokenizer)


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path):
    bundle = tiny_bundle()
    with torch.no_grad():
        next(bundle.model.parameters()).fill_(float("nan"))
    save_bundle(bundle, tmp_path / "broken")

    with pytest.raises(ModelError, match="no numbers"):
        load_bundle(tmp_path / "broken")


def test_a_search_can_be_changed_while_loading_and_changes_the_digest(tiny_captioner: Path):
    own = Captioner.load(str(tiny_captioner))
    chosen = Captioner.load(str(tiny_captioner), search={"beams": 5, "forbidden": ["dog"]})
    again = Captioner.load(str(tiny_captioner), search={"forbidden": ["dog"], "beams": 5})

    assert (chosen.search.beams, chosen.search.forbidden) == (5, (5,))
    assert chosen.search.longest == own.search.longest
    assert chosen.digest == again.digest != own.digest
