"""What tests of the engine share: LoRAs with random weights for the shapes model, as diffusers saves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file


@pytest.fixture(scope="session")
def lora_files(tmp_path_factory: pytest.TempPathFactory, make: Any) -> Path:
    """A folder with two LoRAs of the unet, one of unet and text encoder, and one with alphas."""
    folder = tmp_path_factory.mktemp("loras")
    for seed in range(2):
        write_lora(make.model, folder / f"unet{seed}.safetensors", seed)
    write_lora(make.model, folder / "both.safetensors", 9, text_encoder=True)
    with_alpha(folder / "unet0.safetensors", folder / "alpha.safetensors", 2.0)
    return folder


def write_lora(model: Path, file: Path, seed: int, text_encoder: bool = False, strength: float = 0.05) -> None:
    """Write a LoRA of a unet's attention, and, if asked, of the text encoder's."""
    pipe = StableDiffusionPipeline.from_pretrained(str(model))
    pipe.unet.add_adapter(LoraConfig(r=4, lora_alpha=4, target_modules=["to_q", "to_k", "to_v", "to_out.0"]))
    layers: dict[str, Any] = {"unet_lora_layers": drawn(get_peft_model_state_dict(pipe.unet), seed, strength)}
    if text_encoder:
        pipe.text_encoder.add_adapter(LoraConfig(r=4, lora_alpha=4, target_modules=["q_proj", "v_proj"]))
        found = get_peft_model_state_dict(pipe.text_encoder)
        layers["text_encoder_lora_layers"] = drawn(found, seed, strength)
    pipe.save_lora_weights(str(file.parent), weight_name=file.name, **layers)


def drawn(tensors: dict[str, torch.Tensor], seed: int, strength: float) -> dict[str, torch.Tensor]:
    """Tensors of the same shapes with random numbers."""
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(tensor.shape, generator=generator) * strength for name, tensor in tensors.items()}


def with_alpha(file: Path, made: Path, alpha: float) -> None:
    """The same LoRA of a unet as other programs write it: other names, and an alpha for each layer."""
    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in load_file(file).items():
        layer, _, part = name.removeprefix("unet.").partition(".lora")
        path = "lora_unet_" + layer.replace(".", "_")
        direction = "down" if "_A" in part or "down" in part else "up"
        tensors[f"{path}.lora_{direction}.weight"] = tensor
        tensors[f"{path}.alpha"] = torch.tensor(alpha)
    save_file(tensors, made)
