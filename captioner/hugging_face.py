"""Captioners of transformers' own classes behind our two calls: BLIP, GIT, ViT-GPT2, Florence-2, SmolVLM and their kin.

Each photo is prepared by itself, and photos whose inputs have the same shapes go through the model together: nothing
is padded, so that no neighbour changes a word.

Shapes: B photos, K captions a photo, T tokens that were said, V words.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from captioner.captioning import in_batches
from captioner.confidence import load_calibration, load_pixels, with_doubt
from captioner.decoding import Search
from captioner.errors import ModelError
from captioner.public import common_calibration, describe_public
from captioner.records import Alternative, Caption, Features, Openness, Photo
from captioner.signals import caption_signals, picture_signals

SEARCH = Search(beams=3, length_power=1.0, longest=50, shortest=3, no_repeat=3)
"""Of such a captioner, whose tokens are parts of words."""
BEGINS_WITH = ("blip", "git")
"""Model types whose prompt is the beginning of the caption; that of the others is a question to it."""
PROMPTS = {"florence2": "<CAPTION>"}
"""Model type to its prompt for a short caption."""
QUESTION = "Describe this photo in one short sentence."
"""What a model that talks is asked."""
BATCH_PHOTOS = 8
"""Photos at a time: what these models are given of one may take 50 MB."""
_UNSAYABLE = -1e4
_LEAST_SIDE_PX, _MOST_SIDE_PX = 224, 1024


class PublicCaptioner:
    """A loaded captioner of somebody else's, with the calls of `captioner.captioning.Captioner`."""

    def __init__(self, model: Any, parts: "Parts", description: Any, device: str, search: Mapping[str, Any]) -> None:
        """Put a model onto a device; `parts` prepare its inputs and read its outputs."""
        self.device, self.parts = torch.device(device), parts
        self.model = model.to(self.device).eval().requires_grad_(requires_grad=False)
        self.name, self.digest = description.name, description.digest
        self.weights_digest = "" if search else description.weights_digest
        self.licence, self.language = description.licence, description.language
        self.encoder_digest = description.weights_digest
        self.input_size_px = parts.side_px
        self.words, self.search = _search(search)
        self.calibration = load_calibration(description.calibration, self.weights_digest)
        self.pixels = load_pixels(common_calibration())
        self.batch_photos = 1 if self.search.temperature > 0 else BATCH_PHOTOS

    @classmethod
    def load(
        cls,
        name: str,
        device: str = "cpu",
        *,
        prompt: str = "",
        trust_remote_code: bool = False,
        search: Mapping[str, Any] | None = None,
    ) -> "PublicCaptioner":
        """Load `hf:ORG/NAME` or a folder; raise ModelError where it is not there, or is none that transformers knows.

        Nothing is fetched. Code that came with the weights runs only where it is trusted.
        """
        description = describe_public(name, prompt)
        with _quietly(description.name):
            parts = Parts(str(description.folder), prompt, trust_remote_code=trust_remote_code)
            model = parts.model()
        return cls(model, parts, description, device, search or {})

    def encode(self, photos: Sequence[Photo]) -> list[Features]:
        """Keep the pixels, (H, W, 3), as features: these models hold their own encoders."""
        nothing = np.empty(0, dtype=np.float16)
        return [
            Features(one.sha256, one.pixels, nothing, self.encoder_digest, picture_signals(one.pixels))
            for one in photos
        ]

    def decode(self, features: Sequence[Features]) -> list[Caption]:
        """Turn features into captions, in order; raise ModelError for another captioner's, OutOfMemoryError."""
        if any(one.encoder_digest != self.encoder_digest for one in features):
            raise ModelError("features of another encoder", self.name, "encode the photo with this captioner")
        starts = range(0, len(features), BATCH_PHOTOS)
        return [one for start in starts for one in self._captions(features[start : start + BATCH_PHOTOS])]

    def _captions(self, features: Sequence[Features]) -> list[Caption]:
        """Prepare photos, and let those of the same shapes go through the model together."""
        prepared = [self.parts.prepare(one.regions) for one in features]
        alike: dict[tuple[Any, ...], list[int]] = {}
        for place, inputs in enumerate(prepared):
            alike.setdefault(tuple((name, tuple(one.shape)) for name, one in sorted(inputs.items())), []).append(place)
        made: dict[int, Caption] = {}
        for places in alike.values():
            pairs = [(prepared[place], features[place]) for place in places]
            captions = in_batches(self._decode, pairs, self.batch_photos, lambda pair: f"photo {pair[1].sha256[:12]}")
            made |= dict(zip(places, captions, strict=True))
        return [made[place] for place in range(len(features))]

    @torch.inference_mode()
    def _decode(self, pairs: Sequence[tuple[dict[str, Tensor], Features]]) -> list[Caption]:
        names = pairs[0][0].keys()
        inputs = {name: torch.cat([one[name] for one, _ in pairs]).to(self.device) for name in names}
        with (
            self._drawing(pairs[0][1]),
            torch.autocast(self.device.type, torch.float16, enabled=self.device.type == "cuda"),
        ):
            found = self.model.generate(**inputs, **self._options())
        said = _said(found, self.parts.ends)
        count = len(said) // len(pairs)
        return [self._caption(said[at * count :][:count], one) for at, (_, one) in enumerate(pairs)]

    def _options(self) -> dict[str, Any]:
        """Return the search as transformers names it."""
        search, drawn = self.search, self.search.temperature > 0
        options: dict[str, Any] = {
            "max_new_tokens": search.longest,
            "min_new_tokens": search.shortest,
            "no_repeat_ngram_size": search.no_repeat,
            "num_return_sequences": search.beams,
            "num_beams": 1 if drawn else search.beams,
            "do_sample": drawn,
            "return_dict_in_generate": True,
            "output_scores": True,
        }
        options |= {"temperature": search.temperature, "top_p": search.top_p, "top_k": 0} if drawn else {}
        options |= {"length_penalty": search.length_power} if search.beams > 1 and not drawn else {}
        return options | self.parts.extras(self.words)

    @contextmanager
    def _drawing(self, features: Features) -> Iterator[None]:
        """Let what is drawn by chance follow from the seed and the photo, whatever came before."""
        if self.search.temperature == 0:
            yield
            return
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            key = hashlib.sha256(f"{self.search.seed} {features.sha256}".encode()).digest()
            torch.manual_seed(int.from_bytes(key[:7], "big"))
            yield

    def _caption(self, said: Sequence[tuple[list[int], Openness]], features: Features) -> Caption:
        texts = [Alternative(self.parts.read(tokens), _mean(openness.logprobs)) for tokens, openness in said]
        others = tuple(one for place, one in enumerate(texts[1:], 1) if one not in texts[:place])
        caption = Caption(texts[0].text, texts[0].mean_logprob, self.digest, others)
        openness = said[0][1]
        signals = caption_signals(caption, [""] * max(0, len(openness.logprobs) - 1), openness)
        return with_doubt(caption, signals, features, self.calibration, self.pixels)


class Parts:
    """What stands before and behind a model: processor, tokenizer, prompt."""

    def __init__(self, folder: str, prompt: str, *, trust_remote_code: bool) -> None:
        """Load them; raise ModelError where a prompt is given and the model takes none."""
        from transformers import AutoConfig, AutoImageProcessor, AutoProcessor, AutoTokenizer

        picture_parts: Any = AutoImageProcessor
        all_parts: Any = AutoProcessor

        self.folder = folder
        self.options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": trust_remote_code}
        self.config = AutoConfig.from_pretrained(folder, **self.options)
        self.kind = self.config.model_type
        if self.kind == "vision-encoder-decoder":
            if prompt:
                raise ModelError("this captioner takes no prompt", folder, "leave --prompt away")
            self.processor = picture_parts.from_pretrained(folder, **self.options)
            self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, **self.options)
        else:
            self.processor = all_parts.from_pretrained(folder, **self.options)
            self.tokenizer = self.processor.tokenizer
        self.prompt = prompt or PROMPTS.get(self.kind, "")
        self.side_px = _side(getattr(self.processor, "image_processor", self.processor))
        self.ends: set[int] = set()

    def model(self) -> Any:
        """Load the model's weights in single precision: safetensors, or a pickle read as data alone."""
        from transformers import AutoModelForImageTextToText, VisionEncoderDecoderModel

        kind = VisionEncoderDecoderModel if self.kind == "vision-encoder-decoder" else AutoModelForImageTextToText
        model = kind.from_pretrained(self.folder, dtype=torch.float32, **self.options)
        ends = [model.generation_config.eos_token_id, self.tokenizer.eos_token_id, self.tokenizer.sep_token_id]
        for one in ends:
            self.ends |= set(one) if isinstance(one, list) else {one} - {None}
        return model

    def prepare(self, pixels: Any) -> dict[str, Tensor]:
        """Return the model's inputs for one photo, (H, W, 3), a batch of one."""
        from PIL import Image

        image = Image.fromarray(pixels)
        if self.kind == "vision-encoder-decoder":
            return dict(self.processor(images=image, return_tensors="pt"))
        if getattr(self.processor, "chat_template", None):
            asked = [{"type": "image"}, {"type": "text", "text": self.prompt or QUESTION}]
            text = self.processor.apply_chat_template([{"role": "user", "content": asked}], add_generation_prompt=True)
            return dict(self.processor(images=[image], text=text, return_tensors="pt"))
        given = {"text": self.prompt} if self.prompt else {}
        inputs = dict(self.processor(images=image, return_tensors="pt", **given))
        if self.prompt and self.kind == "git":  # its tokenizer ends the prompt as if it were the whole caption
            inputs |= {name: inputs[name][:, :-1] for name in ("input_ids", "attention_mask")}
        return {name: one for name, one in inputs.items() if self.prompt or name == "pixel_values"}

    def extras(self, forbidden: Sequence[str]) -> dict[str, Any]:
        """Return the options that follow from the tokenizer."""
        pad = self.tokenizer.pad_token_id
        options: dict[str, Any] = {"pad_token_id": self.tokenizer.eos_token_id if pad is None else pad}
        if self.kind == "blip":
            del options["pad_token_id"]  # it gives its own
        spelled = [
            self.tokenizer(form, add_special_tokens=False).input_ids for one in forbidden for form in (one, f" {one}")
        ]
        return options | ({"bad_words_ids": [ids for ids in spelled if ids]} if spelled else {})

    def read(self, tokens: Sequence[int]) -> str:
        """Return the caption in tokens, in one line."""
        text = " ".join(self.tokenizer.decode(tokens, skip_special_tokens=True).split())
        return f"{self.prompt} {text}" if self.prompt and self.kind in BEGINS_WITH else text


def _search(settings: Mapping[str, Any]) -> tuple[list[str], Search]:
    """Return the forbidden words and the search; raise ModelError for a setting that there is not."""
    given = dict(settings)
    words = list(given.pop("forbidden", ()))
    try:
        return words, Search(**(asdict(SEARCH) | given))
    except (TypeError, ValueError) as error:
        known = ", ".join(one.name for one in fields(Search))
        raise ModelError(f"a setting that cannot be used ({error})", "search", f"there are {known}") from error


def _said(found: Any, ends: set[int]) -> list[tuple[list[int], Openness]]:
    """Return the tokens of each caption, B * K of them, with what the model thought at each."""
    chances = torch.log_softmax(torch.stack(found.scores, 1).float(), -1)  # (rows, T, V)
    beams = getattr(found, "beam_indices", None)
    begin = found.sequences.shape[1] - (len(found.scores) if beams is None else beams.shape[1])  # behind the prompt
    said = []
    for number, row in enumerate(found.sequences[:, begin:].tolist()):
        end = next((place + 1 for place, token in enumerate(row) if token in ends), len(row))
        tokens = row[:end]
        rows = [number] * end if beams is None else beams[number].tolist()[:end]
        thought = chances[rows, range(end)]  # (T, V)
        entropies = -(thought.exp() * thought.clamp_min(_UNSAYABLE)).sum(1)
        logprobs = thought[range(end), tokens].clamp_min(_UNSAYABLE)
        said.append((tokens, Openness(logprobs.tolist(), entropies.tolist(), [])))
    return said


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _side(processor: Any) -> int:
    """Return how large photos should be on their shorter side for a processor of pictures."""
    sizes = [getattr(processor, name, None) or {} for name in ("size", "crop_size")]
    sides = [int(value) for one in sizes for value in dict(one).values() if isinstance(value, int)]
    return min(max([*sides, _LEAST_SIDE_PX]), _MOST_SIDE_PX)


@contextmanager
def _quietly(name: str) -> Iterator[None]:
    """Load without a word on the terminal; faults come as ModelError in one line."""
    from transformers.utils import logging as their_logging

    logging: Any = their_logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    except ModelError:
        raise
    except Exception as error:  # transformers raises most kinds there are on files that it does not know
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if "trust_remote_code" in str(error):
            mend = "give --trust-remote-code if you trust who wrote it"
            raise ModelError("it needs code of its own, which is not run unasked", name, mend) from error
        mend = "give a captioner of a class that transformers knows"
        raise ModelError(f"transformers cannot load it ({why})", name, mend) from error
