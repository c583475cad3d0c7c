"""Regions that are boxes: the fixed grid, and a detector that learned from random weights to find drawn shapes."""

import sys
from pathlib import Path

import pytest
import torch
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import box_iou

sys.path.insert(0, str(Path(__file__).parent))
from detecting import CLASSES, boxes_of, finding_detector
from drawn import drawn, recipe

from captioner.beginnings import make_network
from captioner.boxes import DetectorEncoder, grid_boxes, show
from captioner.bundle import Bundle
from captioner.decoding import Search
from captioner.drawings import drawings
from captioner.scoring import captions_of_maps
from captioner.tokenizer import Tokenizer
from captioner.train import Trainer

COUNT = 48


@pytest.fixture(scope="module")
def detector() -> DetectorEncoder:
    return finding_detector()


@pytest.fixture(scope="module")
def prepared(detector: DetectorEncoder) -> torch.Tensor:
    """Return drawings that it has not seen, (48, 3, S, S)."""
    return detector.prepare([one.pixels for one in drawings(COUNT, seed=2)])


def test_the_fixed_boxes_lie_inside_the_photo_and_the_first_is_all_of_it():
    boxes = grid_boxes()

    assert boxes[0].tolist() == [0, 0, 1, 1]
    assert float(boxes.min()) >= 0
    assert float(boxes.max()) <= 1
    assert bool((boxes[:, 2:] > boxes[:, :2]).all())
    assert len(boxes.unique(dim=0)) == len(boxes)


def test_attention_on_a_box_is_shown_where_the_box_is():
    places = torch.tensor([[0.0, 0.0, 1 / 7, 1 / 7], [0.0, 0.0, 1.0, 1.0]])

    shown = show(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), places)

    assert shown[0].tolist() == pytest.approx([1.0] + [0.0] * 48, abs=1e-5)
    assert shown[1].tolist() == pytest.approx([1 / 49] * 49, abs=1e-5)


@torch.inference_mode()
def test_the_best_box_lies_on_the_shape(detector: DetectorEncoder, prepared: torch.Tensor):
    regions = detector(prepared)  # (48, L, D)

    places = torch.cat(boxes_of(drawings(COUNT, seed=2), 1))  # (48, 4)
    shared = box_iou(regions[:, 0, -4:], places).diagonal()
    assert float((shared > 0.5).float().mean()) >= 0.9, shared


@torch.inference_mode()
def test_the_proposals_hold_the_shape_before_they_are_told_apart(detector: DetectorEncoder, prepared: torch.Tensor):
    network, images = detector.network, detector.normalise(prepared)
    sides = [tuple(images.shape[2:])] * COUNT

    proposals, _ = network.rpn(ImageList(images, sides), {"0": network.backbone(images)})

    places = boxes_of(drawings(COUNT, seed=2), images.shape[2])
    held = [float(box_iou(place, found).max()) > 0.5 for place, found in zip(places, proposals, strict=True)]
    assert sum(held) >= 0.9 * COUNT


@torch.inference_mode()
def test_what_is_found_is_of_the_right_kind_and_colour(detector: DetectorEncoder, prepared: torch.Tensor):
    found = detector.network(list(prepared.float() / 255))

    wanted = [1 + CLASSES.index((one.kind, one.colour)) for one in drawings(COUNT, seed=2)]
    right = [one["labels"][:1].tolist() == [kind] for one, kind in zip(found, wanted, strict=True)]
    assert sum(right) >= 0.85 * COUNT


@torch.inference_mode()
def test_a_photo_has_the_same_boxes_beside_others_and_alone(detector: DetectorEncoder, prepared: torch.Tensor):
    together = detector(prepared[:3])

    for number in range(3):
        assert torch.allclose(detector(prepared[number : number + 1])[0], together[number], atol=1e-4)


def test_bottom_up_says_of_the_boxes_what_the_detector_has_learned_to_see(detector: DetectorEncoder, tmp_path: Path):
    data = drawn(tmp_path / "data", count=400)
    tokenizer = Tokenizer.count((text for one in data.train for text in one.captions), 1)
    torch.manual_seed(1)
    options = ("width=64", "dropout=0.0", "longest=16", "attention_width=32")
    network = make_network("bottom_up", detector, tokenizer, options)
    trainer = Trainer(recipe(data, tmp_path, tmp_path, 120, 8e-3), data, Bundle("b", detector, network, tokenizer))
    while trainer.step < trainer.total:
        trainer.train_step()

    said = captions_of_maps(trainer.average, trainer.dev, tokenizer, Search(beams=1, longest=12))

    shown = drawings(COUNT, seed=2)
    right = [f"{one.colour} {one.kind}" in text for one, text in zip(shown, said, strict=True)]
    assert sum(right) >= 0.85 * COUNT, said
