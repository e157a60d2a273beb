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
from transformers.models.grounding_dino.image_processing_pil_grounding_dino import GroundingDinoImageProcessorPil

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


def write_detector(folder: Path) -> None:
    """A model that finds what a text names, sure of all that it sees."""
    torch.manual_seed(0)
    sees = transformers.SwinConfig(
        embed_dim=8,
        depths=[1] * 4,
        num_heads=[1, 1, 2, 2],
        window_size=4,
        image_size=64,
        out_features=["stage2", "stage3", "stage4"],
    )
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "a", "red", "blue", "cat", "dog", "tree"]
    reads = transformers.BertConfig(vocab_size=len(words), max_position_embeddings=64, **SIZES)
    config = transformers.GroundingDinoConfig(
        backbone_config=sees,
        text_config=reads,
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_n_points=2,
        decoder_n_points=2,
        num_queries=6,
        num_feature_levels=3,
        max_text_len=64,
    )
    transformers.GroundingDinoForObjectDetection(config).save_pretrained(folder)
    pictures = GroundingDinoImageProcessorPil(size={"shortest_edge": 64, "longest_edge": 96})
    numbered = {word: number for number, word in enumerate(words)}
    transformers.GroundingDinoProcessor(pictures, transformers.BertTokenizerFast(vocab=numbered)).save_pretrained(
        folder
    )


def write_segmenter(folder: Path) -> None:
    """A model that outlines what a box holds."""
    torch.manual_seed(0)
    side = 64
    backbone = transformers.Sam2HieraDetConfig(
        hidden_size=8,
        image_size=[side, side],
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[8, 16, 32, 64],
        num_attention_heads_per_stage=[1, 1, 2, 2],
        window_size_per_stage=[8, 4, 4, 4],
        global_attention_blocks=[3],
        window_positional_embedding_background_size=[2, 2],
    )
    sees = transformers.Sam2VisionConfig(
        backbone_config=backbone,
        backbone_channel_list=[64, 32, 16, 8],
        backbone_feature_sizes=[[side // each] * 2 for each in (4, 8, 16)],
        fpn_hidden_size=16,
    )
    asks = transformers.Sam2PromptEncoderConfig(hidden_size=16, image_size=side, mask_input_channels=4)
    draws = transformers.Sam2MaskDecoderConfig(
        hidden_size=16, mlp_dim=16, num_attention_heads=2, iou_head_hidden_dim=16
    )
    config = transformers.Sam2Config(vision_config=sees, prompt_encoder_config=asks, mask_decoder_config=draws)
    transformers.Sam2Model(config).save_pretrained(folder)
