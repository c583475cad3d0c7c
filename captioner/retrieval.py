"""How well photos and texts find each other: recall at k, both ways.

Shapes: N photos, M texts, E width of the vectors they are compared by.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RANKS = (1, 5, 10)


def recalls(scores: NDArray[np.float32], owners: Sequence[int]) -> dict[str, float]:
    """Return recall at 1, 5 and 10 from scores (N, M); `owners` says for each text which photo it is of.

    `text to photo R@k`: share of texts whose photo is among its k best. `photo to text R@k`: share of photos one of
    whose texts is among its k best. Of photos that score alike all others come first.
    """
    own = np.asarray(owners)
    mine = scores[own, np.arange(len(own))]  # (M,)
    rank_of_photo = (scores >= mine).sum(0) - 1  # (M,)
    best_text = np.array([scores[photo, own == photo].max() for photo in range(len(scores))])  # (N,)
    others = np.where(own == np.arange(len(scores))[:, None], -np.inf, scores)  # (N, M)
    rank_of_text = (others >= best_text[:, None]).sum(1)  # (N,)
    found = {f"text to photo R@{k}": float((rank_of_photo < k).mean()) for k in RANKS}
    return found | {f"photo to text R@{k}": float((rank_of_text < k).mean()) for k in RANKS}
