"""The records that the captioner's stages hand to each other: frozen, with each field's meaning, unit and range."""

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Photo:
    """One decoded, upright input image."""

    sha256: str
    """SHA-256 of the file's bytes, 64 lower-case hex digits: the photo's identity."""
    pixels: NDArray[np.uint8]
    """(H, W, 3) RGB, upright, alpha laid on white; may be smaller than the file's own size (see `open_photo`)."""
    width_px: int
    """Width of the full photo once upright, in pixels, >= 1."""
    height_px: int
    """Height of the full photo once upright, in pixels, >= 1."""
    format: str
    """Format by content, lower case: `jpeg`, `png`, `webp`, `gif`, `bmp`, `tiff`, `avif`, `heif`."""
    alt_texts: dict[str, str] = field(default_factory=dict)
    """Alt text that the photo carries in its own metadata: BCP 47 tag, or `x-default`, to text."""
    taken_at: datetime | None = None
    """When it was taken by its EXIF, in the camera's own time; None where EXIF does not say."""


@dataclass(frozen=True)
class Refusal:
    """Why a file cannot become a `Photo`: the file is at fault."""

    reason: str
    """One of `captioner.photos.REASONS`, a closed list of short names such as `truncated`."""
    message: str
    """What is wrong and what mends it, in one line for a person."""
    sha256: str | None = None
    """SHA-256 of the file's bytes where they could be read."""


@dataclass(frozen=True, eq=False)
class Features:
    """What the encoder makes of one photo."""

    sha256: str
    """The photo's identity."""
    regions: NDArray[np.float16] | NDArray[np.uint8]
    """(L, D): one vector of D features for each of L image regions, row by row from the top left.

    Of other people's captioners, which hold their own encoders, the photo's pixels, (H, W, 3)."""
    pooled: NDArray[np.float16]
    """(D,): the mean over the regions."""
    encoder_digest: str
    """Digest of the encoder's weights and preprocessing, 16 hex digits."""
    picture: dict[str, float] = field(default_factory=dict)
    """Numbers about the pixels by name (captioner.signals); empty where nobody asked for them."""


@dataclass(frozen=True)
class Alternative:
    """Another caption that the search came upon."""

    text: str
    """The caption's words, as the model gave them."""
    mean_logprob: float
    """Mean natural-log probability of its tokens, <= 0."""


@dataclass(frozen=True)
class Caption:
    """What the model said about one photo."""

    text: str
    """The words as the model gave them, lower case, without a final stop."""
    mean_logprob: float
    """Mean natural-log probability of the tokens, the end token included, <= 0."""
    captioner_digest: str
    """Digest of all weights, settings and the vocabulary that made it, 16 hex digits."""
    alternatives: tuple[Alternative, ...] = ()
    """The next best captions of the search, best first."""
    attention: tuple[bytes, ...] = ()
    """For each word, 0..255 for each of the L regions, row by row: where the model looked; empty if it cannot say."""
    confidence: float | None = None
    """Calibrated probability that the caption is right, 0..1; None where the model is not calibrated."""
    signals: dict[str, float] = field(default_factory=dict)
    """What tells how sure it is, by name (captioner.signals): what the confidence is made of."""
    doubts: tuple[str, ...] = ()
    """What the picture itself makes doubtful: `no-reliable-description`, `contains-text`, `captioners-disagree`."""


@dataclass(frozen=True)
class Openness:
    """What a network thought at each token of a caption, the end token last."""

    logprobs: list[float]
    """Natural-log probability of the token that was said."""
    entropies: list[float]
    """Entropy of the choice in nats: 0 where only one word would do."""
    blind_logprobs: list[float]
    """Natural-log probability of the token without the photo; empty where the network cannot speak without one."""


@dataclass(frozen=True)
class Flag:
    """A rule that changed or doubted an alt text."""

    rule: str
    """Short name of the rule, such as `too-long`."""
    reason: str
    """What it found, in one sentence for a person."""


@dataclass(frozen=True)
class AltText:
    """What is published for one photo, and spoken."""

    text: str
    """The alt text, NFC; sentence case and a final stop unless the policy says otherwise."""
    language: str
    """BCP 47 tag of the text, such as `en`."""
    flags: tuple[Flag, ...] = ()
    """Each rule that changed or doubted the text, in the order applied."""
