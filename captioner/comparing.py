"""Photos and texts as vectors that can be compared: what search by example and by meaning goes by.

Of a captioner that learned to compare (coca, fusion with `itc`) these are its contrastive vectors, and texts have them
too; of any other they are the mean of the encoder's features, and photos alone have them.

Shapes: N photos, E width of the vectors.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from captioner.captioning import Captioner
from captioner.errors import ModelError
from captioner.models import ContrastiveNetwork
from captioner.records import Photo
from captioner.tokenizer import END, START, UNKNOWN


def compares_texts(captioner: Captioner) -> bool:
    """Say whether texts have vectors too."""
    return isinstance(captioner.model, ContrastiveNetwork) and captioner.model.contrastive


def digest_of(captioner: Captioner) -> str:
    """Return what changes when the vectors do: the whole captioner's digest, or its encoder's."""
    return captioner.digest if compares_texts(captioner) else captioner.encoder_digest


@torch.inference_mode()
def photo_vectors(captioner: Captioner, photos: Sequence[Photo]) -> NDArray[np.float32]:
    """Return the photos' unit vectors, (N, E)."""
    features = captioner.encode(photos)
    if not isinstance(captioner.model, ContrastiveNetwork) or not captioner.model.contrastive:
        vectors = np.stack([one.pooled for one in features]).astype(np.float32)  # (N, E)
        unit: NDArray[np.float32] = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
        return unit
    regions = torch.from_numpy(np.stack([one.regions for one in features])).to(captioner.device).float()  # (N, L, D)
    made: NDArray[np.float32] = captioner.model.embed_photos(regions).cpu().numpy()
    return made


def knows(captioner: Captioner, word: str) -> bool:
    """Say whether a word is in a captioner's vocabulary; of others it compares nothing."""
    ids = captioner.tokenizer.encode(word)
    return bool(ids) and UNKNOWN not in ids


@torch.inference_mode()
def text_vector(captioner: Captioner, text: str) -> NDArray[np.float32]:
    """Return a text's unit vector, (E,); raise ModelError where the captioner compares photos alone."""
    if not isinstance(captioner.model, ContrastiveNetwork) or not captioner.model.contrastive:
        mend = "search by words, or name a captioner of the family coca"
        raise ModelError("this captioner does not compare photos with texts", captioner.name, mend)
    ids = captioner.tokenizer.encode(text)[: captioner.model.longest - 2]
    tokens = torch.tensor([[START, *ids, END]], device=captioner.device)
    made: NDArray[np.float32] = captioner.model.embed_texts(tokens)[0].cpu().numpy()
    return made
