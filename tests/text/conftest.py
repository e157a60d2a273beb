"""A long workflow as a text, and how much of it is still read after an edit."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from dw_lsp.text.parser import parse
from dw_lsp.text.syntax_tree import Array, Node, Object, to_value

Leaf = tuple[tuple[Any, ...], str]


@pytest.fixture(scope="session")
def long_text() -> str:
    """A workflow of about 1,500 lines."""
    return _workflow(steps=45)


@pytest.fixture(scope="session")
def short_text() -> str:
    """A workflow of about 80 lines."""
    return _workflow(steps=2)


def _workflow(steps: int) -> str:
    return json.dumps(
        {
            "id": "long",
            "variables": {f"prompt_{number}": f"a cat number {number}" for number in range(steps)},
            "steps": [_step(number) for number in range(steps)],
        },
        indent=2,
    )


def _step(number: int) -> dict[str, Any]:
    return {
        "name": f"step_{number}",
        "pipeline": {
            "configuration": {"component_type": "StableDiffusionPipeline", "offload": "model"},
            "from_pretrained_arguments": {"model_name": "owner/model", "torch_dtype": "torch.float16"},
            "scheduler": {"configuration": {"scheduler_type": "DDIMScheduler"}},
            "arguments": {
                "prompt": f"variable:prompt_{number}",
                "sizes": [512, 768, None],
                "num_inference_steps": 25 + number,
                "guidance_scale": 7.5,
                "clean": number % 2 == 0,
            },
        },
        "result": {"content_type": "image/png", "save": True},
    }


@pytest.fixture(scope="session")
def surviving() -> Callable[[str, str], float]:
    """The share of a sound text's leaves that a broken one still has, at the same path with the same value."""

    def share(sound: str, broken: str) -> float:
        wanted, found = _leaves(parse(sound).root), set(_leaves(parse(broken).root))
        return sum(leaf in found for leaf in wanted) / len(wanted)

    return share


def _leaves(node: Node | None) -> list[Leaf]:
    """The values that are no containers, each with its path."""
    found: list[Leaf] = []

    def add(node: Node, path: tuple[Any, ...]) -> None:
        if isinstance(node, Object):
            for member in node.members:
                add(member.value, (*path, member.key.value))
        elif isinstance(node, Array):
            for index, item in enumerate(node.items):
                add(item, (*path, index))
        else:
            found.append((path, repr(to_value(node))))

    if node is not None:
        add(node, ())
    return found
