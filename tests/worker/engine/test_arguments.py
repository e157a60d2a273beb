"""Values of a workflow made live: objects of classes that hold values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from diffusers.pipelines.ltx.pipeline_ltx_condition import LTXVideoCondition
from PIL import Image

from dw_lsp.worker.engine.allowed_paths import AllowedPaths
from dw_lsp.worker.engine.arguments import Arguments
from dw_lsp.worker.engine.media import Media
from dw_lsp.worker.engine.trusted_types import TrustedTypes
from dw_lsp.workflow.resolved import InvalidInput

CONDITION = "diffusers.pipelines.ltx.pipeline_ltx_condition.LTXVideoCondition"


@pytest.fixture
def values(tmp_path: Path) -> Arguments:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "red.png")
    return Arguments(Media(AllowedPaths([tmp_path]), tmp_path), TrustedTypes(["diffusers", "torch"]))


def condition(**arguments: Any) -> dict[str, Any]:
    return {"conditions": [{"condition_type": CONDITION, "from_arguments": arguments}]}


def test_an_object_is_made_from_live_arguments(values: Arguments) -> None:
    arguments = condition(image="red.png", frame_index=8, strength=0.5)
    values.check(arguments)
    (made,) = values.live(arguments)["conditions"]
    assert isinstance(made, LTXVideoCondition)
    assert (made.image.size, made.frame_index, made.strength) == ((8, 8), 8, 0.5)


def test_what_is_a_result_already_is_passed_on(values: Arguments) -> None:
    frames = [Image.new("RGB", (4, 4))]
    (made,) = values.live(condition(video=frames))["conditions"]
    assert made.video == frames


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"condition_type": CONDITION, "from_arguments": {"pictures": 1}}, "has no member 'pictures'"),
        ({"condition_type": CONDITION, "from_arguments": {}, "more": 1}, "has one more member"),
        ({"from_arguments": {}}, "has one more member"),
        ({"condition_type": CONDITION, "from_arguments": [1]}, "has one more member"),
        ({"condition_type": "UNet2DConditionModel", "from_arguments": {}}, "is no class that is made from arguments"),
        ({"condition_type": "subprocess.Popen", "from_arguments": {"args": "ls"}}, "which is not allowed"),
        ({"condition_type": CONDITION, "from_arguments": {"image": "none.png"}}, "there is no image 'none.png'"),
    ],
)
def test_what_cannot_be_made_is_refused_beforehand(value: Any, message: str, values: Arguments) -> None:
    with pytest.raises(InvalidInput, match=message):
        values.check({"conditions": [value]})
