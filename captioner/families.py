"""What each family of captioners is, costs and gives: known without loading one. The networks are in captioner.models.

The figures are rows of benchmarks/families.csv, which `python -m captioner.compare` writes: all learned for the same
time by the same recipe, on one core; scores are of 1,000 dev photos of Flickr8k.
"""

from dataclasses import dataclass

COMPARED_MINUTES = 14.0
"""Processor time that each learned for."""


@dataclass(frozen=True)
class Family:
    """One family."""

    what: str
    """What it is, and whose."""
    row: str
    """Its usual way in the table."""
    parameters: int
    """Of its network, without the encoder."""
    cider_d: float
    """CIDEr-D."""


FAMILIES = {
    "cnn_transformer": Family(
        "CNN regions, a Transformer over regions and words (Vaswani 2017): the default",
        "cnn_transformer", 5052521, 0.4350,
    ),
    "show_tell": Family("one CNN vector, an LSTM, no attention (Vinyals 2015)", "show_tell", 2355305, 0.3861),
    "show_attend_tell": Family(
        "CNN regions, an LSTM that looks before each word, soft or hard (Xu 2015)",
        "show_attend_tell soft", 2946153, 0.5181,
    ),
    "vit_transformer": Family(
        "image patches straight into a Transformer, no CNN (Dosovitskiy 2021)", "vit_transformer", 7206505, 0.1939
    ),
    "coca": Family("captions and compares photos with texts (Yu 2022)", "coca", 5978474, 0.2470),
    "bottom_up": Family(
        "boxes of a detector or of a grid, two LSTMs (Anderson 2018)", "bottom_up (grid boxes)", 3734897, 0.5162
    ),
    "fusion": Family(
        "merged attention, co-attention or the Flamingo way (Li 2021, Alayrac 2022)", "fusion merged", 3537514, 0.3688
    ),
}  # fmt: skip
"""By name."""
