"""What tests of the engine share: LoRAs with random weights for the shapes model, as diffusers saves them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
import transformers
from diffusers import StableDiffusionPipeline
from diffusers.pipelines.stable_audio import StableAudioProjectionModel
from peft import LoraConfig, inject_adapter_in_model
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file

from dw_lsp.protocol import ClearMemory, Ready
from tests.worker.conftest import CACHE
from tests.worker.engine.second_device.worker import CannotBuild, DeviceWorker, built_library


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
    # Not by the models' own `add_adapter`: that of transformers asks for releases of peft that may not be there.
    inject_adapter_in_model(
        LoraConfig(r=4, lora_alpha=4, target_modules=["to_q", "to_k", "to_v", "to_out.0"]), pipe.unet
    )
    layers: dict[str, Any] = {"unet_lora_layers": drawn(get_peft_model_state_dict(pipe.unet), seed, strength)}
    if text_encoder:
        inject_adapter_in_model(LoraConfig(r=4, lora_alpha=4, target_modules=["q_proj", "v_proj"]), pipe.text_encoder)
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


# ---------------------------------------------------------------- tiny pipelines of several families


@pytest.fixture(scope="session")
def families(tmp_path_factory: pytest.TempPathFactory, make: Any) -> dict[str, Path]:
    """Folders with tiny pipelines of other families, made from configurations: untrained, but complete."""
    folder = tmp_path_factory.mktemp("families")
    made = {"sdxl": tiny_sdxl(make.model), "flux": tiny_flux(make.model), "video": tiny_video(make.model)}
    made["image2video"] = tiny_image_to_video(make.model)
    for name, pipe in made.items():
        pipe.save_pretrained(str(folder / name))
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", FutureWarning
        )  # The autoencoder's own layers are of a kind that torch gives up.
        tiny_sound(make.model).save_pretrained(str(folder / "sound"))
    made["sound"] = None
    return {"sd": make.model, **{name: folder / name for name in made}}


def tiny_text(model: Path) -> tuple[Any, Any]:
    """The tokenizer and the text encoder of the shapes model."""
    return (
        transformers.CLIPTokenizer.from_pretrained(str(model / "tokenizer")),
        transformers.CLIPTextModel.from_pretrained(str(model / "text_encoder"), dtype=torch.float32),
    )


def tiny_vae() -> Any:
    """An autoencoder that halves the sides."""
    return diffusers.AutoencoderKL(
        block_out_channels=[8, 16],
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        latent_channels=4,
        norm_num_groups=4,
        layers_per_block=1,
        sample_size=32,
        use_quant_conv=False,
        use_post_quant_conv=False,
        shift_factor=0.0,
    )


def tiny_sdxl(model: Path) -> Any:
    """Two text encoders, one of which gives a pooled embedding, and a unet that takes the picture's size."""
    torch.manual_seed(1)
    tokenizer, text_encoder = tiny_text(model)
    width = text_encoder.config.hidden_size
    second = transformers.CLIPTextModelWithProjection(
        transformers.CLIPTextConfig(**{**text_encoder.config.to_dict(), "projection_dim": 32, "hidden_size": width})
    )
    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(8, 16),
        layers_per_block=1,
        sample_size=16,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=4,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        transformer_layers_per_block=1,
        projection_class_embeddings_input_dim=6 * 8 + 32,
        cross_attention_dim=2 * width,
        norm_num_groups=4,
    )
    return diffusers.StableDiffusionXLPipeline(
        vae=tiny_vae(),
        text_encoder=text_encoder,
        text_encoder_2=second.eval(),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=unet,
        scheduler=diffusers.EulerDiscreteScheduler(),
        add_watermarker=False,
    )


def tiny_t5(tokenizer: Any) -> Any:
    """A text encoder of the kind that flow models use."""
    config = transformers.T5Config(
        vocab_size=len(tokenizer), d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=4, feed_forward_proj="relu"
    )
    return transformers.T5EncoderModel(config).eval()


def tiny_flux(model: Path) -> Any:
    """A transformer over packed latents, with a flow-matching scheduler."""
    torch.manual_seed(2)
    tokenizer, text_encoder = tiny_text(model)
    transformer = diffusers.FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=text_encoder.config.hidden_size,
        axes_dims_rope=[4, 4, 8],
    )
    return diffusers.FluxPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=tiny_vae(),
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        text_encoder_2=tiny_t5(tokenizer),
        tokenizer_2=tokenizer,
        transformer=transformer,
    )


def tiny_video(model: Path) -> Any:
    """A transformer over space and time, with an autoencoder of moving pictures."""
    torch.manual_seed(3)
    tokenizer, _ = tiny_text(model)
    transformer = diffusers.WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=16,
        out_channels=16,
        text_dim=32,
        freq_dim=32,
        ffn_dim=32,
        num_layers=1,
        rope_max_seq_len=32,
    )
    vae = diffusers.AutoencoderKLWan(base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1)
    return diffusers.WanPipeline(
        tokenizer=tokenizer,
        text_encoder=tiny_t5(tokenizer),
        vae=vae,
        scheduler=diffusers.UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True),
        transformer=transformer,
    )


def tiny_image_to_video(model: Path) -> Any:
    """A transformer that goes on from a picture, with an autoencoder of moving pictures."""
    torch.manual_seed(5)
    tokenizer, _ = tiny_text(model)
    transformer = diffusers.LTXVideoTransformer3DModel(
        in_channels=8, out_channels=8, num_attention_heads=2, attention_head_dim=8, cross_attention_dim=16,
        num_layers=1, caption_channels=32,
    )  # fmt: skip
    vae = diffusers.AutoencoderKLLTXVideo(
        latent_channels=8, block_out_channels=(8,) * 4, decoder_block_out_channels=(8,) * 4,
        layers_per_block=(1,) * 5, decoder_layers_per_block=(1,) * 5,
        spatio_temporal_scaling=(True, True, False, False), decoder_spatio_temporal_scaling=(True, True, False, False),
        decoder_inject_noise=(False,) * 5, upsample_residual=(False,) * 4, upsample_factor=(1,) * 4, patch_size=1,
    )  # fmt: skip
    return diffusers.LTXImageToVideoPipeline(
        transformer=transformer,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=vae,
        text_encoder=tiny_t5(tokenizer),
        tokenizer=tokenizer,
    )


def tiny_sound(model: Path) -> Any:
    """A transformer over the latents of a waveform of two channels."""
    torch.manual_seed(4)
    tokenizer, _ = tiny_text(model)
    vae = diffusers.AutoencoderOobleck(
        encoder_hidden_size=6, downsampling_ratios=[1, 2], decoder_channels=3, decoder_input_channels=3,
        audio_channels=2, channel_multiples=[2, 4], sampling_rate=8000,
    )  # fmt: skip
    transformer = diffusers.StableAudioDiTModel(
        sample_size=2000, in_channels=3, out_channels=3, num_layers=1, attention_head_dim=4, num_attention_heads=2,
        num_key_value_attention_heads=2, cross_attention_dim=4, time_proj_dim=8, global_states_input_dim=8,
        cross_attention_input_dim=4,
    )  # fmt: skip
    return diffusers.StableAudioPipeline(
        vae=vae,
        text_encoder=tiny_t5(tokenizer),
        tokenizer=tokenizer,
        projection_model=StableAudioProjectionModel(text_encoder_dim=32, conditioning_dim=4, min_value=0, max_value=32),
        transformer=transformer,
        scheduler=diffusers.EDMDPMSolverMultistepScheduler(
            prediction_type="v_prediction", sigma_data=1.0, sigma_schedule="exponential"
        ),
    )


@pytest.fixture(scope="session")
def ip_adapter_files(tmp_path_factory: pytest.TempPathFactory, make: Any) -> Path:
    """A folder with two image-prompt adapters for the shapes model, and the encoder that both need."""
    folder = tmp_path_factory.mktemp("adapters")
    torch.manual_seed(5)
    config = transformers.CLIPVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, projection_dim=8,
        image_size=32, patch_size=16,
    )  # fmt: skip
    transformers.CLIPVisionModelWithProjection(config).save_pretrained(str(folder / "image_encoder"))
    unet = diffusers.UNet2DConditionModel.from_pretrained(str(make.model / "unet"))
    width = unet.config.cross_attention_dim
    for seed in range(2):
        torch.manual_seed(seed)
        tensors = {
            "image_proj.proj.weight": torch.randn(4 * width, 8), "image_proj.proj.bias": torch.randn(4 * width),
            "image_proj.norm.weight": torch.ones(width), "image_proj.norm.bias": torch.zeros(width),
        }  # fmt: skip
        crossing = [module for name, module in unet.named_modules() if name.endswith("attn2")]
        for number, attention in enumerate(crossing):
            for part in ("to_k_ip", "to_v_ip"):
                shape = attention.to_k.weight.shape
                tensors[f"ip_adapter.{2 * number + 1}.{part}.weight"] = torch.randn(shape) * 0.2
        save_file(tensors, folder / f"adapter{seed}.safetensors")
    return folder


# ---------------------------------------------------------------- a device that is not the processor


@pytest.fixture(scope="session")
def second_device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeviceWorker]:
    """A worker whose device is not the processor; where it cannot be built, the tests are skipped and say why."""
    try:
        library = built_library(CACHE)
    except CannotBuild as error:
        pytest.skip(str(error))
    worker = DeviceWorker(library, tmp_path_factory.mktemp("device") / "capacity")
    worker.wait_for(Ready)
    yield worker
    worker.close()


@pytest.fixture
def device_worker(second_device: DeviceWorker) -> DeviceWorker:
    """The worker with a second device: 64 MB of it, and nothing in memory."""
    second_device.has(64)
    second_device.ask(ClearMemory(1))
    return second_device
