"""Tiny models of transformers with random weights, as folders: what tasks compute with, in small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.dpt.image_processing_pil_dpt import DPTImageProcessorPil

WORDS = "<s> </s> <unk> user system assistant : a the red blue circle square on draws of cat dog house tree sky"
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
ENDS: dict[str, Any] = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
CONVERSATION = (
    "{% for m in messages %}{{ m['role'] }} : {{ m['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}assistant : {% endif %}"
)
CONVERSATION_WITH_PICTURES = (
    "{% for m in messages %}{{ m['role'] }} : {% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<image> {% else %}{{ c['text'] }} {% endif %}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}assistant : {% endif %}"
)


def tokenizer(template: str | None) -> Any:
    """One that knows `WORDS`. Arguments: its chat template."""
    numbered = {word: number for number, word in enumerate(WORDS.split())}
    plain = Tokenizer(models.WordLevel(numbered, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "</s>"}
    made = transformers.PreTrainedTokenizerFast(tokenizer_object=plain, **names)
    made.chat_template = template
    return made


def write_speaker(folder: Path) -> None:
    """A language model that takes conversations."""
    torch.manual_seed(0)
    made = tokenizer(CONVERSATION)
    config = transformers.LlamaConfig(vocab_size=len(made), num_key_value_heads=2, **SIZES, **ENDS)
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    made.save_pretrained(folder)


def write_seer(folder: Path) -> None:
    """A language model that takes conversations with pictures."""
    torch.manual_seed(0)
    made = tokenizer(None)
    made.add_tokens(["<image>"], special_tokens=True)
    sees = transformers.CLIPVisionConfig(image_size=32, patch_size=8, projection_dim=16, **SIZES)
    speaks = transformers.LlamaConfig(vocab_size=len(made), num_key_value_heads=2, **SIZES, **ENDS)
    number = made.convert_tokens_to_ids("<image>")
    config = transformers.LlavaConfig(
        vision_config=sees, text_config=speaks, image_token_index=number, vision_feature_layer=-1
    )
    transformers.LlavaForConditionalGeneration(config).save_pretrained(folder)
    pictures = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    transformers.LlavaProcessor(
        pictures,
        made,
        patch_size=8,
        vision_feature_select_strategy="default",
        chat_template=CONVERSATION_WITH_PICTURES,
        num_additional_image_tokens=1,
    ).save_pretrained(folder)


def write_captioner(folder: Path) -> None:
    """A model that describes pictures and knows no conversations."""
    torch.manual_seed(0)
    made = tokenizer(None)
    speaks = {**SIZES, **ENDS, "vocab_size": len(made), "sep_token_id": 1, "encoder_hidden_size": 32}
    sees = {**SIZES, "image_size": 32, "patch_size": 8}
    config = transformers.BlipConfig(text_config=speaks, vision_config=sees, projection_dim=16)
    transformers.BlipForConditionalGeneration(config).save_pretrained(folder)
    pictures = BlipImageProcessorPil(size={"height": 32, "width": 32})
    transformers.BlipProcessor(pictures, made).save_pretrained(folder)


def write_depth(folder: Path) -> None:
    """A model that tells depth."""
    torch.manual_seed(0)
    sizes = {**SIZES, "num_hidden_layers": 4}
    config = transformers.DPTConfig(
        image_size=32,
        patch_size=8,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[16] * 4,
        fusion_hidden_size=16,
        **sizes,
    )
    transformers.DPTForDepthEstimation(config).save_pretrained(folder)
    DPTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
