"""Weights within a prompt, `a (red:1.3) cat`: what each token is encoded to is multiplied by the weight of its word.

A bracket without a number counts for 1.1, a square one for its inverse, brackets within brackets multiply. One after a
backslash is a plain character; so is one that has no partner.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from dw_lsp.worker.engine.refusals import refuse
from dw_lsp.workflow.resolved import ResolvedStep

#: What a bracket without a number does.
EMPHASIS = 1.1
_TOKEN = re.compile(r"\\[()\[\]\\]|:\s*[+-]?(?:\d+\.?\d*|\.\d+)\s*\)|[()\[\]]|[^\\()\[\]:]+|.", re.DOTALL)
_PARTNERS = {")": "(", "]": "["}


@dataclass(frozen=True)
class WeightedText:
    """A prompt without its brackets, and the weight of each of its characters."""

    text: str
    weights: tuple[float, ...]


def read_weights(prompt: str) -> WeightedText:
    """A prompt's text and weights."""
    # What stands between two brackets, or a bracket of which it is not known yet whether it has a partner.
    pieces: list[str] = []
    weights: list[float] = []
    opened: list[int] = []
    for token in _TOKEN.findall(prompt):
        partner = _PARTNERS.get(token[-1]) if len(token) == 1 or token[0] == ":" else None
        if partner is not None and opened and pieces[opened[-1]] == partner:
            begin = opened.pop()
            pieces[begin] = ""
            weights[begin:] = [weight * _factor(token) for weight in weights[begin:]]
            continue
        if token in _PARTNERS.values():
            opened.append(len(pieces))
        pieces.append(token[1:] if token[0] == "\\" and len(token) == 2 else token)
        weights.append(1.0)
    of_letters = (weight for piece, weight in zip(pieces, weights, strict=True) for _ in piece)
    return WeightedText("".join(pieces), tuple(of_letters))


def _factor(closing: str) -> float:
    if closing[0] == ":":
        return float(closing[1:-1])
    return EMPHASIS if closing == ")" else 1 / EMPHASIS


def takes_weights(pipeline: Any) -> bool:
    """Whether a pipeline, or a class of them, encodes prompts in the way that is known here: that of FLUX."""
    kind = pipeline if isinstance(pipeline, type) else type(pipeline)
    return kind.__name__.startswith("Flux") and not kind.__name__.startswith("Flux2") and hasattr(kind, "encode_prompt")


def check_weights(step: ResolvedStep, chosen: Any) -> None:
    """Raise `InvalidInput` where a step wants weights of a pipeline class that cannot have them."""
    configuration = step.body.get("configuration")
    if isinstance(configuration, dict) and configuration.get("prompt_weighting") and not takes_weights(chosen):
        message = f"`prompt_weighting` is for FLUX pipelines, not for {chosen.__name__}"
        hint = "Write the prompt without weights, and remove it."
        raise refuse(step, ("pipeline", "configuration", "prompt_weighting"), message, hint)


def weighing(pipeline: Any) -> Callable[..., Any]:
    """What stands for a pipeline's `encode_prompt` and obeys the weights in prompts."""
    encode = pipeline.encode_prompt

    @functools.wraps(encode)
    def encode_prompt(prompt: Any = None, prompt_2: Any = None, *args: Any, **kwargs: Any) -> Any:
        if prompt is None or kwargs.get("prompt_embeds") is not None:
            return encode(prompt, prompt_2, *args, **kwargs)
        read = [read_weights(text) for text in _listed(prompt)]
        second = [read_weights(text) for text in _listed(prompt_2)] if prompt_2 is not None else None
        plain = [each.text for each in read]
        embeds, *others = encode(plain, None if second is None else [each.text for each in second], *args, **kwargs)
        weights = _of_tokens(pipeline.tokenizer_2, second or read, embeds.shape[1])
        each = embeds.shape[0] // weights.shape[0]
        factors = weights.repeat_interleave(each, dim=0)[..., None].to(embeds.device, embeds.dtype)
        return (embeds * factors, *others)

    return encode_prompt


def _listed(prompt: Any) -> list[str]:
    return [prompt] if isinstance(prompt, str) else list(prompt)


def _of_tokens(tokenizer: Any, texts: Sequence[WeightedText], length: int) -> torch.Tensor:
    """The weight of each token: that of the first of its characters. The shape is (texts, length)."""
    weights = torch.ones(len(texts), length)
    for row, each in enumerate(texts):
        told = tokenizer(each.text, truncation=True, max_length=length, return_offsets_mapping=True)
        for column, (begin, end) in enumerate(told["offset_mapping"]):
            inside = [each.weights[place] for place in range(begin, end) if not each.text[place].isspace()]
            if inside:
                weights[row, column] = inside[0]
    return weights
