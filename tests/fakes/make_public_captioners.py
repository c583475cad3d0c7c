"""Make tiny captioners of transformers' own classes: random weights, a vocabulary of twenty words, real processors."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from make_tiny_captioner import WORDS
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessor,
    BlipProcessor,
    CLIPImageProcessor,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
    GenerationConfig,
    GitConfig,
    GitForCausalLM,
    GitProcessor,
    GPT2Config,
    PreTrainedTokenizerFast,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
    SmolVLMImageProcessor,
    SmolVLMProcessor,
    SmolVLMVideoProcessor,
    VisionEncoderDecoderConfig,
    VisionEncoderDecoderModel,
    ViTConfig,
    ViTImageProcessor,
)

SPECIAL = ["[PAD]", "[BOS]", "[EOS]", "[UNK]"]
SIDE_PX = 32
TOWER = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
         "image_size": SIDE_PX, "patch_size": 16}  # fmt: skip
CARD = "---\nlanguage:\n- en\nlicense: bsd-3-clause\n---\n# Tiny\n"


def tokenizer(more: tuple[str, ...] = (), *, wrap: bool = True, **options: Any) -> PreTrainedTokenizerFast:
    """Return a tokenizer of twenty words, its ids 0 to 3 special."""
    words = [*SPECIAL, *WORDS, "describe", "photo", *more]
    inner = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, "[UNK]"))
    inner.add_special_tokens(list(more))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    if wrap:
        inner.post_processor = processors.TemplateProcessing(
            single="[BOS] $A [EOS]", special_tokens=[("[BOS]", 1), ("[EOS]", 2)]
        )
    names = {
        "cls_token": "[BOS]",
        "sep_token": "[EOS]",
        "pad_token": "[PAD]",
        "bos_token": "[BOS]",
        "eos_token": "[EOS]",
        "unk_token": "[UNK]",
    }
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        **names,
        extra_special_tokens={"image_token": "<image>"} if more else {},
        **options,
    )


def text_sizes(words: int) -> dict[str, Any]:
    """Return the sizes of a tiny language model."""
    return {"vocab_size": words, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
            "num_attention_heads": 2, "max_position_embeddings": 128, "pad_token_id": 0, "bos_token_id": 1,
            "eos_token_id": 2}  # fmt: skip


def blip(folder: Path) -> None:
    spelled = tokenizer()
    text = text_sizes(len(spelled)) | {"sep_token_id": 2, "encoder_hidden_size": 16}
    config = BlipConfig(text_config=text, vision_config=TOWER, projection_dim=16)
    model = BlipForConditionalGeneration(config)
    shaped = BlipImageProcessor(size={"height": SIDE_PX, "width": SIDE_PX})
    save(folder, model, BlipProcessor(shaped, spelled))


def git(folder: Path) -> None:
    spelled = tokenizer()
    model = GitForCausalLM(GitConfig(vision_config=TOWER, **text_sizes(len(spelled))))
    shaped = CLIPImageProcessor(size={"shortest_edge": SIDE_PX}, crop_size={"height": SIDE_PX, "width": SIDE_PX})
    save(folder, model, GitProcessor(shaped, spelled))


def vit_gpt2(folder: Path) -> None:
    spelled = tokenizer()
    gpt2 = GPT2Config(vocab_size=len(spelled), n_embd=16, n_layer=2, n_head=2, n_positions=64, bos_token_id=1,
                      eos_token_id=2, pad_token_id=0)  # fmt: skip
    config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(ViTConfig(**TOWER), gpt2)
    config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = 1, 0, 2
    model = VisionEncoderDecoderModel(config)
    model.generation_config = GenerationConfig(decoder_start_token_id=1, pad_token_id=0, eos_token_id=2, bos_token_id=1)
    shaped = ViTImageProcessor(size={"height": SIDE_PX, "width": SIDE_PX})
    save(folder, model, shaped)
    spelled.save_pretrained(folder)


def blip2(folder: Path) -> None:
    spelled = tokenizer(("<image>",))
    opt = {"model_type": "opt", "vocab_size": len(spelled), "hidden_size": 16, "ffn_dim": 32, "num_hidden_layers": 2,
           "num_attention_heads": 2, "max_position_embeddings": 128, "word_embed_proj_dim": 16, "pad_token_id": 0,
           "bos_token_id": 1, "eos_token_id": 2}  # fmt: skip
    former = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
              "encoder_hidden_size": 16, "vocab_size": len(spelled)}  # fmt: skip
    image = spelled.convert_tokens_to_ids("<image>")
    config = Blip2Config(
        vision_config=TOWER, qformer_config=former, text_config=opt, num_query_tokens=4, image_token_index=image
    )
    shaped = BlipImageProcessor(size={"height": SIDE_PX, "width": SIDE_PX})
    save(folder, Blip2ForConditionalGeneration(config), Blip2Processor(shaped, spelled, num_query_tokens=4))


def smolvlm(folder: Path) -> None:
    marks = ("<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>", "<|im_start|>",
             *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)))  # fmt: skip
    spelled = tokenizer(marks, wrap=False)
    llama = text_sizes(len(spelled)) | {"model_type": "llama", "num_key_value_heads": 2}
    image = spelled.convert_tokens_to_ids("<image>")
    tower = TOWER | {"model_type": "smolvlm_vision"}
    config = SmolVLMConfig(vision_config=tower, text_config=llama, scale_factor=2, image_token_id=image, pad_token_id=0)
    shaped = SmolVLMImageProcessor(size={"longest_edge": 2 * SIDE_PX}, max_image_size={"longest_edge": SIDE_PX})
    template = (
        "<|im_start|>{% for message in messages %}{% for part in message['content'] %}{% if part['type'] == 'image' %}"
        "<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}<end_of_utterance>{% endfor %}"
    )
    processor = SmolVLMProcessor(
        shaped, spelled, video_processor=SmolVLMVideoProcessor(), image_seq_len=1, chat_template=template
    )
    save(folder, SmolVLMForConditionalGeneration(config), processor)


def florence2(folder: Path) -> None:
    spelled = tokenizer(("<image>",))
    image = spelled.convert_tokens_to_ids("<image>")
    bart = {"model_type": "bart", "vocab_size": len(spelled), "d_model": 16, "encoder_layers": 1, "decoder_layers": 1,
            "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32,
            "max_position_embeddings": 128, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
            "decoder_start_token_id": 2, "forced_eos_token_id": None}  # fmt: skip
    tower = {"model_type": "florence_vision", "embed_dim": [8, 16], "depths": [1, 1], "num_heads": [2, 2],
             "num_groups": [2, 2], "patch_size": [7, 3], "patch_stride": [4, 2], "patch_padding": [3, 1],
             "patch_prenorm": [False, True], "window_size": 4, "projection_dim": 16, "drop_path_rate": 0.0}  # fmt: skip
    config = Florence2Config(text_config=bart, vision_config=tower, image_token_id=image)
    shaped = CLIPImageProcessor(size={"height": SIDE_PX, "width": SIDE_PX}, do_center_crop=False, image_seq_length=17)
    save(
        folder,
        Florence2ForConditionalGeneration(config),
        Florence2Processor(shaped, spelled, num_additional_image_tokens=1),
    )


def save(folder: Path, model: Any, processor: Any) -> None:
    """Write a captioner as its makers do, with weights that differ from word to word."""
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.mul_(6.0)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    (folder / "README.md").write_text(CARD, encoding="utf-8")


KINDS: dict[str, Callable[[Path], None]] = {
    "blip": blip, "git": git, "vit-gpt2": vit_gpt2, "blip-2": blip2, "smolvlm": smolvlm, "florence-2": florence2,
}  # fmt: skip
"""Name to what makes it."""


def public_captioner(kind: str, folder: Path) -> Path:
    """Write a tiny captioner of a kind into a folder and return it."""
    torch.manual_seed(5)
    KINDS[kind](folder)
    return folder
