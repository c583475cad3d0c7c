"""A captioner's decoder as transformers has it: `BlenderbotForConditionalGeneration` with the very same weights.

Of transformers' encoder-decoders Blenderbot's decoder is ours to the letter: norm before each layer and after the
last, learned positions without an offset, scaled word vectors shared with the output, a bias on the output. (BART and
mBART norm the word vectors too, and Pegasus makes its positions from sines.) Our own encoder gives it the regions.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import BlenderbotConfig, BlenderbotForConditionalGeneration, GenerationConfig, LogitsProcessor
from transformers.modeling_outputs import BaseModelOutput

from captioner.decoding import END, PADDING, START, UNKNOWN, Search
from captioner.models import TransformerCaptioner
from captioner.models.layers import Attention


def as_blenderbot(network: TransformerCaptioner, attention: str = "sdpa") -> BlenderbotForConditionalGeneration:
    """Build transformers' model of the network's sizes and copy the decoder's weights into it."""
    config = network.config
    built = BlenderbotForConditionalGeneration(
        BlenderbotConfig(
            vocab_size=config.vocabulary,
            max_position_embeddings=config.longest,
            d_model=config.width,
            decoder_layers=config.decoder_layers,
            decoder_attention_heads=config.heads,
            decoder_ffn_dim=config.feed_forward,
            encoder_layers=0,
            encoder_attention_heads=config.heads,
            activation_function="relu",
            scale_embedding=True,
            pad_token_id=PADDING,
            bos_token_id=START,
            eos_token_id=END,
            decoder_start_token_id=START,
            forced_eos_token_id=None,
            attn_implementation=attention,
        )
    ).eval()
    weights = _decoder_weights(network) | {"final_logits_bias": network.bias_out[None]}
    missing, unknown = built.load_state_dict(weights, strict=False)
    assert not unknown, unknown
    assert all("encoder." in name for name in missing), missing
    built.generation_config = GenerationConfig(pad_token_id=PADDING, eos_token_id=END, decoder_start_token_id=START)
    return built


def _decoder_weights(network: TransformerCaptioner) -> dict[str, Tensor]:
    """Return the decoder's weights under the names that transformers gives them."""
    weights = _named("model.decoder.layer_norm", network.norm_out)
    weights["model.decoder.embed_positions.weight"] = network.positions
    for name in ("model.shared", "model.decoder.embed_tokens", "lm_head"):
        weights[f"{name}.weight"] = network.words.weight
    for number, layer in enumerate(network.word_layers):
        place = f"model.decoder.layers.{number}"
        weights |= _attention(f"{place}.self_attn", layer.attention)
        weights |= _attention(f"{place}.encoder_attn", layer.cross)
        weights |= _named(f"{place}.self_attn_layer_norm", layer.norm_attention)
        weights |= _named(f"{place}.encoder_attn_layer_norm", layer.norm_cross)
        weights |= _named(f"{place}.final_layer_norm", layer.norm_feed_forward)
        weights |= _named(f"{place}.fc1", layer.feed_forward[0]) | _named(f"{place}.fc2", layer.feed_forward[-1])
    return weights


def _attention(place: str, attention: Attention) -> dict[str, Tensor]:
    both = attention.key_value.state_dict()
    weights = _named(f"{place}.q_proj", attention.query) | _named(f"{place}.out_proj", attention.out)
    for name, tensor in both.items():
        weights[f"{place}.k_proj.{name}"], weights[f"{place}.v_proj.{name}"] = tensor.chunk(2)
    return weights


def _named(place: str, module: torch.nn.Module) -> dict[str, Tensor]:
    return {f"{place}.{name}": tensor for name, tensor in module.state_dict().items()}


class NoStutter(LogitsProcessor):
    """Our rule that no word comes twice in a row, which transformers does not have."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Forbid the last of the tokens (rows, S) among the scores (rows, V)."""
        return scores.scatter(1, input_ids[:, -1:], -torch.inf)


class EndAtLongest(LogitsProcessor):
    """Our rule at the greatest length: only the end may follow, at its own log-probability (theirs takes 0)."""

    def __init__(self, longest: int) -> None:
        """Give the most tokens, the end token included and the start token left out."""
        self.longest = longest

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Leave the end alone among the scores (rows, V) once (rows, 1 + S) tokens are said."""
        if input_ids.shape[1] < self.longest:
            return scores
        return torch.full_like(scores, -torch.inf).index_copy(1, torch.tensor([END]), scores[:, END : END + 1])


@torch.inference_mode()
def generate(
    built: BlenderbotForConditionalGeneration, network: TransformerCaptioner, regions: Tensor, search: Search
) -> list[tuple[int, ...]]:
    """Caption (B, L, D) by transformers' own search with our settings: the K best of each photo, one after another.

    Two of our rules are added to its own: no word twice in a row, and the end's own log-probability where it is forced.
    """
    rules: dict[str, Any] = {"no_repeat_ngram_size": search.no_repeat} if search.no_repeat else {}
    rules |= {"length_penalty": search.length_power} if search.beams > 1 else {}
    memory = network.encode(regions)  # (B, L, W)
    made = built.generate(
        encoder_outputs=BaseModelOutput(last_hidden_state=memory),
        attention_mask=torch.ones(memory.shape[:2], dtype=torch.long),
        do_sample=False,
        num_beams=search.beams,
        num_return_sequences=search.beams,
        max_new_tokens=search.longest,
        min_new_tokens=search.shortest,
        suppress_tokens=[PADDING, START, UNKNOWN, *search.forbidden],
        logits_processor=[*([NoStutter()] if search.no_repeat else []), EndAtLongest(search.longest)],
        **rules,
    )
    return [tuple(token for token in row[1:] if token not in (PADDING, END)) for row in made.tolist()]
