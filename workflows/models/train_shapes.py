"""Train the shapes model from nothing: a tiny, genuine Stable Diffusion pipeline that draws coloured shapes.

    python train_shapes.py                     # about an hour on two CPU cores; minutes on a GPU
    python train_shapes.py --stages save       # write the folder again from the last checkpoint

Interrupted, it goes on from its last checkpoint (`--checkpoints`). Every random choice comes from `--seed`.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from shapes_dataset import all_scenes, draw, random_placement, training_caption, vocabulary_words
from torch import nn
from torch.nn import functional
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

HERE = Path(__file__).resolve().parent
PROMPT_TOKENS = 32
SECONDS_BETWEEN_CHECKPOINTS = 60.0


@dataclass(frozen=True)
class Recipe:
    """What decides the result: sizes of the data and length of the training."""

    seed: int = 7
    placements: int = 54  # pictures drawn for each of the 224 scenes
    autoencoder_steps: int = 2200
    autoencoder_batch: int = 24
    autoencoder_rate: float = 2e-3
    denoiser_steps: int = 4800
    denoiser_batch: int = 64
    denoiser_rate: float = 2e-3
    caption_dropout: float = 0.10
    average_decay: float = 0.999


@dataclass(frozen=True)
class Pictures:
    """The training set: pictures (count, 3, 64, 64) in -1..1 and the index of the scene that each one shows."""

    pixels: torch.Tensor
    scenes: torch.Tensor


def draw_pictures(recipe: Recipe) -> Pictures:
    """Draw every scene `recipe.placements` times."""
    source = random.Random(recipe.seed)
    pixels, scenes = [], []
    for index, scene in enumerate(all_scenes()):
        for _ in range(recipe.placements):
            pixels.append(numpy.asarray(draw(scene, random_placement(source))))
            scenes.append(index)
    stacked = torch.from_numpy(numpy.stack(pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return Pictures(stacked, torch.tensor(scenes))


def merge_pair(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    """The pieces with each occurrence of the pair joined."""
    joined: list[str] = []
    for piece in pieces:
        if joined and (joined[-1], piece) == pair:
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined


def make_tokenizer() -> CLIPTokenizer:
    """A byte-pair tokenizer in which the known words are one token each and other text is spelt byte by byte."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = list(bytes_to_unicode().values())
    tokens = letters + [letter + "</w>" for letter in letters]
    merges: list[tuple[str, str]] = []
    spelt = [[*word[:-1], word[-1] + "</w>"] for word in vocabulary_words()]
    # As byte-pair training does: each new merge is applied to every word before the next is chosen, so that the order
    # of the list is the order in which a tokenizer applies it.
    while split := next((pieces for pieces in spelt if len(pieces) > 1), None):
        pair = (split[0], split[1])
        merges.append(pair)
        if "".join(pair) not in tokens:
            tokens.append("".join(pair))
        spelt = [merge_pair(pieces, pair) for pieces in spelt]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    tokenizer = CLIPTokenizer(
        vocab={token: number for number, token in enumerate(tokens)},
        merges=merges,
        model_max_length=PROMPT_TOKENS,
    )
    for word in vocabulary_words():
        pieces = tokenizer.tokenize(word)
        if len(pieces) != 1:
            raise RuntimeError(f"the word {word!r} should be one token, but it is split into {pieces}")
    return tokenizer


def make_autoencoder() -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(16, 32, 32),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=64,
        force_upcast=False,
    )


def make_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=256,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=PROMPT_TOKENS,
            projection_dim=64,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def make_denoiser() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(64, 96),
        layers_per_block=1,
        cross_attention_dim=64,
        attention_head_dim=4,
        norm_num_groups=16,
    )


def make_scheduler() -> DDIMScheduler:
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


class Training:
    """One resumable optimisation: modules, their moving average, AdamW with warm-up and cosine decay, a checkpoint."""

    def __init__(self, name: str, module: nn.Module, steps: int, rate: float, recipe: Recipe, checkpoints: Path):
        self.name, self.module, self.steps, self.rate = name, module, steps, rate
        self.decay = recipe.average_decay
        self.average = copy.deepcopy(module).eval().requires_grad_(False)
        self.optimizer = torch.optim.AdamW(module.parameters(), lr=rate, betas=(0.9, 0.99), weight_decay=1e-2)
        self.file = checkpoints / f"{name}.pt"
        self.step = 0
        self.seconds = 0.0
        if self.file.exists():
            state = torch.load(self.file, weights_only=True, map_location=next(module.parameters()).device)
            self.module.load_state_dict(state["module"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.seconds = state["step"], state["seconds"]
            print(f"{name}: going on from step {self.step}", flush=True)

    def rate_at(self, step: int) -> float:
        warm = max(1, min(200, self.steps // 10))
        if step < warm:
            return self.rate * (step + 1) / warm
        progress = (step - warm) / max(1, self.steps - warm)
        return self.rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))

    def save(self) -> None:
        state = {
            "module": self.module.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        partial = self.file.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.file)

    def run(self, loss_of_step: Callable[[int], torch.Tensor]) -> None:
        """Optimise to the last step; `loss_of_step` draws its randomness from the step number, so resuming is exact."""
        saved = time.monotonic()
        self.module.train()
        smooth = None
        while self.step < self.steps:
            started = time.monotonic()
            for group in self.optimizer.param_groups:
                group["lr"] = self.rate_at(self.step)
            loss = loss_of_step(self.step)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
            self.optimizer.step()
            self.step += 1
            decay = min(self.decay, (1 + self.step) / (10 + self.step))
            with torch.no_grad():
                for mean, value in zip(self.average.parameters(), self.module.parameters(), strict=True):
                    mean.lerp_(value, 1 - decay)
            self.seconds += time.monotonic() - started
            smooth = loss.item() if smooth is None else 0.98 * smooth + 0.02 * loss.item()
            if self.step % 50 == 0:
                left = (self.steps - self.step) * self.seconds / self.step
                print(
                    f"{self.name}: step {self.step}/{self.steps}  loss {smooth:.5f}  {left / 60:.1f} min left",
                    flush=True,
                )
            if time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS:
                self.save()
                saved = time.monotonic()
        self.save()


def batch_at(step: int, count: int, size: int, seed: int) -> torch.Tensor:
    """The indices of a step's batch: each epoch goes through all pictures in a new order."""
    per_epoch = count // size
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed + step // per_epoch))
    start = (step % per_epoch) * size
    return order[start : start + size]


def train_autoencoder(pictures: Pictures, recipe: Recipe, checkpoints: Path, device: torch.device) -> Training:
    """Pictures -> latents -> the same pictures, with a light pull of the latents towards a normal distribution."""
    torch.manual_seed(recipe.seed)
    training = Training(
        "autoencoder",
        make_autoencoder().to(device, memory_format=torch.channels_last),
        recipe.autoencoder_steps,
        recipe.autoencoder_rate,
        recipe,
        checkpoints,
    )
    model = training.module

    def loss_of_step(step: int) -> torch.Tensor:
        source = torch.Generator().manual_seed(recipe.seed * 1_000_003 + step)
        pixels = pictures.pixels[batch_at(step, len(pictures.pixels), recipe.autoencoder_batch, recipe.seed)].to(device)
        posterior = model.encode(pixels).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=source).to(device)
        decoded = model.decode(posterior.mean + posterior.std * noise).sample
        reconstruction = functional.mse_loss(decoded, pixels) + 0.3 * functional.l1_loss(decoded, pixels)
        return reconstruction + 1e-4 * posterior.kl().mean() / posterior.mean[0].numel()

    training.run(loss_of_step)
    return training


@torch.no_grad()
def encode_pictures(autoencoder: AutoencoderKL, pictures: Pictures, device: torch.device) -> torch.Tensor:
    """The latents (count, 4, 16, 16) of all pictures, unscaled."""
    parts = [autoencoder.encode(part.to(device)).latent_dist.mean for part in pictures.pixels.split(128)]
    return torch.cat(parts).cpu()


class Denoiser(nn.Module):
    """Text encoder and UNet, trained together."""

    def __init__(self, text_encoder: CLIPTextModel, unet: UNet2DConditionModel):
        super().__init__()
        self.text_encoder, self.unet = text_encoder, unet


def train_denoiser(
    latents: torch.Tensor,
    pictures: Pictures,
    tokenizer: CLIPTokenizer,
    recipe: Recipe,
    checkpoints: Path,
    device: torch.device,
) -> Training:
    """Noised latents and a caption -> the velocity (Salimans & Ho 2022), with captions dropped for guidance."""
    torch.manual_seed(recipe.seed + 1)
    module = Denoiser(make_text_encoder(tokenizer), make_denoiser()).to(device, memory_format=torch.channels_last)
    training = Training("denoiser", module, recipe.denoiser_steps, recipe.denoiser_rate, recipe, checkpoints)
    scheduler, scenes = make_scheduler(), all_scenes()

    def loss_of_step(step: int) -> torch.Tensor:
        chosen = batch_at(step, len(latents), recipe.denoiser_batch, recipe.seed + 10_000)
        source = torch.Generator().manual_seed(recipe.seed * 2_000_003 + step)
        words = random.Random(recipe.seed * 3_000_017 + step)
        captions = [
            ""
            if words.random() < recipe.caption_dropout
            else training_caption(scenes[int(pictures.scenes[index])], words)
            for index in chosen
        ]
        tokens = tokenizer(
            captions, padding="max_length", truncation=True, max_length=PROMPT_TOKENS, return_tensors="pt"
        )
        clean = latents[chosen]
        noise = torch.randn(clean.shape, generator=source)
        # Stratified timesteps: each batch sees the whole range of noise, so the loss is quieter.
        fractions = (torch.arange(len(chosen)) + torch.rand(len(chosen), generator=source)) / len(chosen)
        timesteps = (fractions * scheduler.config.num_train_timesteps).long()
        noisy, velocity = scheduler.add_noise(clean, noise, timesteps), scheduler.get_velocity(clean, noise, timesteps)
        hidden = module.text_encoder(tokens.input_ids.to(device))[0]
        predicted = module.unet(noisy.to(device), timesteps.to(device), hidden).sample
        return functional.mse_loss(predicted, velocity.to(device))

    training.run(loss_of_step)
    return training


def save_pipeline(
    folder: Path, autoencoder: AutoencoderKL, denoiser: Denoiser, tokenizer: CLIPTokenizer, latent_deviation: float
) -> None:
    """Write the whole as a diffusers folder, half precision, safetensors."""
    autoencoder.register_to_config(scaling_factor=round(1 / latent_deviation, 5))
    pipeline = StableDiffusionPipeline(
        vae=autoencoder,
        text_encoder=denoiser.text_encoder,
        tokenizer=tokenizer,
        unet=denoiser.unet,
        scheduler=make_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.to(torch.float16).save_pretrained(folder, safe_serialization=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=HERE / "shapes")
    parser.add_argument("--checkpoints", type=Path, default=HERE / ".checkpoints")
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--autoencoder-steps", type=int, default=Recipe.autoencoder_steps)
    parser.add_argument("--denoiser-steps", type=int, default=Recipe.denoiser_steps)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    recipe = Recipe(options.seed, autoencoder_steps=options.autoencoder_steps, denoiser_steps=options.denoiser_steps)
    options.checkpoints.mkdir(parents=True, exist_ok=True)
    device = torch.device(options.device)
    tokenizer = make_tokenizer()
    print("drawing the pictures", flush=True)
    pictures = draw_pictures(recipe)
    autoencoder = train_autoencoder(pictures, recipe, options.checkpoints, device)
    latents = encode_pictures(autoencoder.average, pictures, device)
    deviation = float(latents.std())
    print(f"latents: mean {latents.mean():.3f}, standard deviation {deviation:.3f}", flush=True)
    denoiser = train_denoiser(latents / deviation, pictures, tokenizer, recipe, options.checkpoints, device)
    save_pipeline(options.output, autoencoder.average.cpu(), denoiser.average.cpu(), tokenizer, deviation)
    minutes = {"autoencoder": autoencoder.seconds / 60, "denoiser": denoiser.seconds / 60}
    print(json.dumps({"output": str(options.output), "minutes": minutes}), flush=True)


if __name__ == "__main__":
    main()
