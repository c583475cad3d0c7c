"""The captioner's main path: load once, encode photos, decode features to captions.

Batch size, order and neighbours change nothing in the words: photos are encoded one by one or in batches to the same
half-precision features, and decoded in float32.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor

from captioner.bundle import Bundle, load_bundle, make_search, search_settings
from captioner.confidence import load_calibration, with_doubt
from captioner.decoding import Said, search_captions
from captioner.errors import ModelError, OutOfMemoryError
from captioner.public import is_public, prompt_for
from captioner.records import Alternative, Caption, Features, Openness, Photo
from captioner.second_look import look_again
from captioner.signals import caption_signals, picture_signals
from captioner.together import Together, describe_together
from captioner.weights import Description, describe

if TYPE_CHECKING:
    from captioner.hugging_face import PublicCaptioner

AnyCaptioner: TypeAlias = "Captioner | PublicCaptioner | Together"
"""What has a name, a digest, `encode` and `decode`."""

Given = TypeVar("Given")
Made = TypeVar("Made")


class Captioner:
    """A loaded captioner: photos to features, features to captions."""

    def __init__(self, bundle: Bundle, description: Description, device: str = "cpu", batch_photos: int = 16) -> None:
        """Put a bundle onto a device; at most `batch_photos` go through it at a time."""
        self.device, self.batch_photos = torch.device(device), batch_photos
        self.name, self.digest = description.name, description.digest
        self.weights_digest = description.weights_digest
        self.licence, self.language = description.licence, description.language
        self.encoder_digest = bundle.encoder.digest()
        self.input_size_px = bundle.encoder.config.input_size_px
        """Photos should be at least this large on their shorter side where their files are."""
        self.encoder = bundle.encoder.to(self.device)
        self.model = bundle.model.to(self.device)
        self.tokenizer, self.search = bundle.tokenizer, bundle.search
        self.calibration = load_calibration(description.calibration, description.weights_digest)

    @classmethod
    def load(
        cls,
        name_or_folder: str = "narrator-lite",
        device: str = "cpu",
        batch_photos: int = 16,
        search: Mapping[str, Any] | None = None,
    ) -> "Captioner":
        """Load a captioner by its name or folder; raise ModelError where it cannot be found or does not fit.

        `search` changes settings of its own search, by the names of `captioner.decoding.Search`, with forbidden words
        as words: `Captioner.load(search={"beams": 5, "forbidden": ["man", "woman"]})`.
        """
        description = describe(name_or_folder)
        bundle = load_bundle(description.folder)
        if search:
            settings = search_settings(bundle.search, bundle.tokenizer) | dict(search)
            bundle = replace(bundle, search=make_search(settings, bundle.tokenizer))
            description = replace(description, digest=_digest_with(description.digest, settings), weights_digest="")
        try:
            return cls(bundle, description, device, batch_photos)
        except (RuntimeError, AssertionError) as error:
            mend = "choose a device that `narrate doctor` lists, or cpu"
            raise ModelError(f"the device cannot be used ({error})", device, mend) from error

    def encode(self, photos: Sequence[Photo]) -> list[Features]:
        """Turn photos of any sizes into features; raise OutOfMemoryError for one that alone does not fit."""
        return in_batches(self._encode, photos, self.batch_photos, lambda photo: f"photo {photo.sha256[:12]}")

    def assert_captions(self) -> None:
        """Raise ModelError where it never learned to say captions: search and training may still use it."""
        if not self.model.captions:
            mend = "train it with --start and --options objectives=lm (or mlm), or search with it (--by features)"
            raise ModelError("this captioner never learned to say captions", self.name, mend)

    def decode(self, features: Sequence[Features]) -> list[Caption]:
        """Turn features into captions; raise ModelError for another encoder's, OutOfMemoryError as `encode` does."""
        self.assert_captions()
        for one in features:
            if one.encoder_digest != self.encoder_digest:
                where, mend = f"photo {one.sha256[:12]}", "encode the photo with this captioner"
                raise ModelError("features of another encoder", where, mend)
        return in_batches(self._decode, features, self.batch_photos, lambda one: f"photo {one.sha256[:12]}")

    @torch.inference_mode()
    def _encode(self, photos: Sequence[Photo]) -> list[Features]:
        prepared = self.encoder.prepare([photo.pixels for photo in photos])  # (B, 3, S, S)
        if self.device.type == "cuda":
            prepared = prepared.pin_memory().to(self.device, non_blocking=True)
        with torch.autocast(self.device.type, torch.float16, enabled=self.device.type == "cuda"):
            regions = self.encoder(prepared).float()  # (B, L, D)
        halves = regions.to("cpu", torch.float16).numpy()
        pooled = regions.mean(1).to("cpu", torch.float16).numpy()  # (B, D)
        return [
            Features(photo.sha256, halves[number], pooled[number], self.encoder_digest, picture_signals(photo.pixels))
            for number, photo in enumerate(photos)
        ]

    @torch.inference_mode()
    def _decode(self, features: Sequence[Features]) -> list[Caption]:
        regions = torch.from_numpy(np.stack([one.regions for one in features])).to(self.device)  # (B, L, D)
        keys = [int(one.sha256, 16) for one in features]
        captions = search_captions(self.model, regions.float(), self.search, keys)
        looks = [look_again(self.model, regions[at : at + 1].float(), found[0].tokens)  # one by one: see there
                 for at, found in enumerate(captions)]  # fmt: skip
        return [
            self._caption(found, openness, looked, regions[at].float(), features[at])
            for at, (found, (openness, looked)) in enumerate(zip(captions, looks, strict=True))
        ]

    def _caption(
        self, found: Sequence[Said], openness: Openness, looked: Tensor | None, regions: Tensor, features: Features
    ) -> Caption:
        """Put together what was found for a photo, its regions (L, D), and how sure it is."""
        texts = [Alternative(self.tokenizer.decode(said.tokens), said.mean_logprob) for said in found]
        attention = () if looked is None else self._attention(looked, regions)
        caption = Caption(texts[0].text, texts[0].mean_logprob, self.digest, tuple(texts[1:]), attention)
        words = [self.tokenizer.words[token] for token in found[0].tokens]
        return with_doubt(caption, caption_signals(caption, words, openness), features, self.calibration)

    def _attention(self, looked: Tensor, regions: Tensor) -> tuple[bytes, ...]:
        """Return for each word where the model looked, (T, L), as 0..255 a region, the strongest 255."""
        if not len(looked):
            return ()
        seen = self.encoder.look(looked, regions)  # (T, G * G)
        scaled = (seen / seen.amax(-1, keepdim=True) * 255).round().to("cpu", torch.uint8).numpy()  # (T, L)
        return tuple(one.tobytes() for one in scaled)


@dataclass(frozen=True)
class Wanted:
    """Which captioner is wanted, as the command line names it."""

    name: str
    """One of ours by name or folder, or one of other people's (captioner.public)."""
    also: str = ""
    """A second one that says its words too."""
    prompt: str = ""
    """What other people's are asked, where they take it."""
    trust_remote_code: bool = False
    """Whether code that lies beside other people's weights may run."""

    def describe(self) -> Description:
        """Say what it is without loading it; raise ModelError where it is not there."""
        first = describe(self.name, self.prompt)
        if not self.also:
            return first
        return describe_together(first, describe(self.also, prompt_for(self.also, self.prompt)))

    def load(self, device: str = "cpu") -> AnyCaptioner:
        """Load it; raise ModelError where that fails."""
        first = load_captioner(self.name, device, prompt=self.prompt, trust_remote_code=self.trust_remote_code)
        if not self.also:
            return first
        prompt = prompt_for(self.also, self.prompt)
        second = load_captioner(self.also, device, prompt=prompt, trust_remote_code=self.trust_remote_code)
        return Together(first, second, self.describe())


def load_captioner(
    name: str, device: str = "cpu", *, prompt: str = "", trust_remote_code: bool = False
) -> AnyCaptioner:
    """Load any captioner by its name or folder: one of ours, or one of other people's (captioner.public).

    Raises ModelError where it is not there, or a prompt is given to one that takes none.
    """
    if is_public(name):
        from captioner.hugging_face import PublicCaptioner

        return PublicCaptioner.load(name, device, prompt=prompt, trust_remote_code=trust_remote_code)
    if prompt:
        raise ModelError("this captioner takes no prompt", name, "leave --prompt away")
    captioner = Captioner.load(name, device)
    captioner.assert_captions()
    return captioner


def _digest_with(digest: str, settings: Mapping[str, Any]) -> str:
    """Return the digest of a captioner whose search is not its own."""
    return hashlib.sha256(f"{digest} {json.dumps(settings, sort_keys=True)}".encode()).hexdigest()[:16]


def in_batches(
    work: Callable[[Sequence[Given]], list[Made]], things: Sequence[Given], size: int, name: Callable[[Given], str]
) -> list[Made]:
    """Do `work` batch by batch in order; halve a batch that does not fit into memory, down to one thing.

    Raises OutOfMemoryError, naming the one that alone does not fit.
    """
    made: list[Made] = []
    while len(made) < len(things):
        batch = things[len(made) : len(made) + size]
        try:
            made.extend(work(batch))
        except (MemoryError, RuntimeError) as error:
            if not is_memory_fault(error):
                raise
            if len(batch) == 1:
                mend = "close other programs or use a device with more memory"
                raise OutOfMemoryError("does not fit into memory", name(batch[0]), mend) from error
            size = len(batch) // 2
    return made


def is_memory_fault(error: Exception) -> bool:
    """Tell memory faults from others: on a CPU torch raises a plain RuntimeError from its allocator."""
    known = isinstance(error, (MemoryError, torch.OutOfMemoryError))
    return known or "alloc" in str(error).lower() or "out of memory" in str(error).lower()
