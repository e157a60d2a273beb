"""Prompts are encoded once: what comes out is the same to the byte, and the encoder does not compute it again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import diffusers
import numpy
import pytest
import torch
import transformers

from dw_lsp.worker.engine.prompts import Prompts

pytestmark = pytest.mark.filterwarnings("ignore")  # Of diffusers and transformers about each other.
SIZES: dict[str, dict[str, Any]] = {
    "sd": {},
    "sdxl": {"width": 32, "height": 32},
    "flux": {"width": 32, "height": 32, "max_sequence_length": 16},
    "video": {"width": 16, "height": 16, "num_frames": 5, "max_sequence_length": 16},
}


def opened(families: dict[str, Path], family: str) -> Any:
    pipe = diffusers.DiffusionPipeline.from_pretrained(str(families[family]), torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def draw(pipe: Any, family: str, prompt: str = "a red circle", seed: int = 1, **arguments: Any) -> Any:
    generator = torch.Generator().manual_seed(seed)
    given = {**SIZES[family], "num_inference_steps": 2, "output_type": "np", **arguments}
    output = pipe(prompt, generator=generator, **given)
    return getattr(output, "images", None) if hasattr(output, "images") else output.frames


class Counted:
    """How often the text encoders of a pipeline have really computed."""

    def __init__(self, pipe: Any):
        self.times = 0
        encoders = [part for name, part in pipe.components.items() if name.startswith("text_encoder")]
        for encoder in encoders:
            inner = next(part for part in encoder.modules() if type(part).__name__ in ("CLIPEncoder", "T5Stack"))
            inner.register_forward_hook(self._count)

    def _count(self, *_: Any) -> None:
        self.times += 1


@contextlib.contextmanager
def remembering(pipe: Any, prompts: Prompts, state: str = "") -> Iterator[None]:
    with prompts.used_by(pipe, {name: f"{name}:1" for name in pipe.components}, lambda model: state):
        yield


@pytest.mark.parametrize("family", SIZES)
def test_a_known_prompt_is_not_encoded_again(family: str, families: dict[str, Path]) -> None:
    pipe, prompts = opened(families, family), Prompts()
    bare = [draw(pipe, family, seed=seed) for seed in (1, 2)]
    counted = Counted(pipe)
    with remembering(pipe, prompts):
        first = draw(pipe, family, seed=1)
        computed = counted.times
        second = draw(pipe, family, seed=2)
    assert computed > 0 and counted.times == computed
    assert all((one == other).all() for one, other in zip(bare, (first, second), strict=True))


@pytest.mark.parametrize("family", SIZES)
def test_nothing_stays_behind_in_the_models(family: str, families: dict[str, Path]) -> None:
    pipe = opened(families, family)
    with remembering(pipe, Prompts()):
        draw(pipe, family)
    assert all("forward" not in vars(part) for part in pipe.components.values() if isinstance(part, torch.nn.Module))


def test_another_prompt_is_another_one(families: dict[str, Path]) -> None:
    pipe, prompts = opened(families, "sd"), Prompts()
    bare = draw(pipe, "sd", "a blue square")
    with remembering(pipe, prompts):
        draw(pipe, "sd", "a red circle")
        other = draw(pipe, "sd", "a blue square")
    assert (bare == other).all()


def test_another_state_of_the_encoder_is_another_answer(families: dict[str, Path]) -> None:
    pipe, prompts = opened(families, "sd"), Prompts()
    counted = Counted(pipe)
    for state in ("", "with a LoRA"):
        with remembering(pipe, prompts, state):
            draw(pipe, "sd")
    assert counted.times == 4  # The prompt and the negative one, each twice.


def test_writing_into_an_answer_changes_nothing(families: dict[str, Path]) -> None:
    pipe, prompts = opened(families, "sd"), Prompts()
    tokens = torch.tensor([[1, 2, 3]])
    with remembering(pipe, prompts):
        first = pipe.text_encoder(tokens)[0]
        expected = first.clone()
        first.mul_(0)
        second = pipe.text_encoder(tokens)[0]
        second.mul_(0)
        assert torch.equal(pipe.text_encoder(tokens)[0], expected)


def test_what_is_kept_is_bounded(families: dict[str, Path]) -> None:
    pipe = opened(families, "sd")
    size = pipe.text_encoder(torch.zeros(1, 20, dtype=torch.long))[0].numel() * 4
    prompts = Prompts(largest=10 * size)
    counted = Counted(pipe)
    with remembering(pipe, prompts):
        for number in range(40):
            pipe.text_encoder(torch.full((1, 20), number))
        pipe.text_encoder(torch.full((1, 20), 39))
        assert counted.times == 40
        pipe.text_encoder(torch.full((1, 20), 0))
    assert counted.times == 41


@pytest.mark.parametrize("kind", ["Gemma2", "Qwen2", "Qwen3", "Llama", "Mistral"])
def test_a_language_model_encodes_a_prompt_once(kind: str) -> None:
    """What it notes for words to come cannot be kept, and is not what a prompt is encoded for."""
    sizes = {"vocab_size": 16, "hidden_size": 32, "intermediate_size": 8, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1}
    model = getattr(transformers, f"{kind}Model")(getattr(transformers, f"{kind}Config")(**sizes, **heads)).eval()
    times: list[Any] = []
    model.layers[0].register_forward_hook(lambda *_: times.append(1))
    holder, prompts, words = SimpleNamespace(components={"text_encoder": model}), Prompts(), torch.tensor([[1, 2, 3]])
    with torch.no_grad(), remembering(holder, prompts):
        first, again = (model(input_ids=words, output_hidden_states=True) for _ in range(2))
        assert len(times) == 1 and prompts.bytes > 0
        assert torch.equal(first[0], again[0]) and torch.equal(first.hidden_states[1], again.hidden_states[1])
        assert torch.equal(first[2][-1], again[2][-1])
        # Who asks for the notes gets them.
        noted = [model(input_ids=words, use_cache=True).past_key_values.get_seq_length() for _ in range(2)]
    assert noted == [3, 3] and len(times) == 3


def test_what_cannot_be_compared_is_computed(families: dict[str, Path]) -> None:
    pipe = opened(families, "sd")
    counted = Counted(pipe)
    with remembering(pipe, Prompts()):
        for _ in range(2):
            pipe.text_encoder(torch.zeros(1, 5, dtype=torch.long), unheard_of=numpy.arange(5))
    assert counted.times == 2
