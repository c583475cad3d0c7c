"""Make a small real captioner: timm's smallest EfficientNet, two layers, a vocabulary of twenty words.

`python make_tiny_captioner.py FOLDER` writes it; tests call `tiny_captioner(folder)`. The weights are random and the
same each time, so its captions mean nothing, differ from photo to photo, and load in moments.
"""

import sys
from pathlib import Path

import torch

from captioner.bundle import Bundle, save_bundle
from captioner.decoding import Search
from captioner.encoders import Encoder, EncoderConfig
from captioner.models import TransformerCaptioner, TransformerConfig
from captioner.tokenizer import Tokenizer

TEXT = "a dog cat man woman child red blue green big small runs sits jumps plays in on with the snow"
WORDS = TEXT.split(" ")


def tiny_bundle(seed: int = 0) -> Bundle:
    """Return the small captioner in memory."""
    torch.manual_seed(seed)
    encoder = Encoder(EncoderConfig("test_efficientnet", input_size_px=64, grid=2, lower_blocks=2)).eval()
    tokenizer = Tokenizer(WORDS)
    sizes = {"width": 32, "heads": 4, "feed_forward": 64, "encoder_layers": 1, "decoder_layers": 2, "longest": 12}
    model = TransformerCaptioner(TransformerConfig(len(tokenizer), 4, encoder.width, **sizes, dropout=0.1)).eval()
    with torch.no_grad():
        model.words.weight.mul_(3.0)
        model.bias_out[2] = 0.5
    search = Search(beams=2, longest=10, shortest=3)
    return Bundle("tiny", encoder, model, tokenizer, "MIT", "en", search)


def tiny_captioner(folder: Path) -> Path:
    """Write the small captioner into a folder and return it."""
    save_bundle(tiny_bundle(), folder)
    return folder


if __name__ == "__main__":
    tiny_captioner(Path(sys.argv[1]))
