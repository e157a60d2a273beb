"""What a name in a workflow may stand for."""

from __future__ import annotations

import sys
from typing import Any

import diffusers
import pytest
import torch

from dw_lsp.protocol import RunOptions
from dw_lsp.worker.engine.arguments import Arguments
from dw_lsp.worker.engine.trusted_types import TrustedTypes
from dw_lsp.workflow.resolved import InvalidInput

TYPES = TrustedTypes(RunOptions().allowed_modules)


def test_a_bare_name_is_one_of_diffusers() -> None:
    assert TYPES.pipeline("StableDiffusionPipeline") is diffusers.StableDiffusionPipeline
    assert TYPES.scheduler("DDIMScheduler") is diffusers.DDIMScheduler
    assert TYPES.component("diffusers.AutoencoderKL") is diffusers.AutoencoderKL


def test_classes_of_modules_inside_a_package() -> None:
    name = "diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion.StableDiffusionPipeline"
    assert TYPES.pipeline(name) is diffusers.StableDiffusionPipeline


@pytest.mark.parametrize("name", ["torch.float16", "float16"])
def test_dtypes(name: str) -> None:
    assert TYPES.dtype(name) is torch.float16


def test_a_mistyped_dtype() -> None:
    with pytest.raises(InvalidInput, match=r"did you mean torch\.bfloat16"):
        TYPES.dtype("torch.bloat16")


@pytest.mark.parametrize(
    "name",
    ["torch.os.system", "diffusers.utils.logging.os", "transformers.utils.hub.subprocess.Popen", "torch.hub.load",
     "torch._C.Generator", "a b", "", "x" * 300, "os", "diffusers..x"],
)  # fmt: skip
def test_what_leads_out_of_the_packages_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        TYPES.pipeline(name)
    with pytest.raises(InvalidInput):
        TYPES.component(name)


def test_a_class_that_a_library_has_only_imported_is_not_its_own() -> None:
    with pytest.raises(InvalidInput, match="'pathlib', which is not allowed"):
        TYPES.component("diffusers.configuration_utils.Path")


def test_a_pipeline_is_no_component() -> None:
    with pytest.raises(InvalidInput, match="is a pipeline"):
        TYPES.component("StableDiffusionPipeline")


def test_constants_are_data_and_copied() -> None:
    found = TYPES.constant("diffusers.utils.WEIGHTS_NAME")
    assert found == "diffusion_pytorch_model.bin"
    table = TYPES.constant("diffusers.pipelines.pipeline_loading_utils.LOADABLE_CLASSES")
    table.clear()
    assert TYPES.constant("diffusers.pipelines.pipeline_loading_utils.LOADABLE_CLASSES")


def test_a_constant_of_a_module_that_nothing_has_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "diffusers.pipelines.ltx2.utils", raising=False)
    monkeypatch.delattr(diffusers.pipelines.ltx2, "utils", raising=False)
    assert isinstance(TYPES.constant("diffusers.pipelines.ltx2.utils.DEFAULT_NEGATIVE_PROMPT"), str)


def test_nothing_is_imported_from_a_package_that_a_library_has_merely_imported() -> None:
    sys.modules.pop("json.tool", None)
    with pytest.raises(InvalidInput):
        TYPES.constant("diffusers.configuration_utils.json.tool.__name__")
    with pytest.raises(InvalidInput):
        TYPES.constant("diffusers.configuration_utils.json.tool.infile")
    assert "json.tool" not in sys.modules


def test_a_package_that_is_not_there_is_named_with_its_mend() -> None:
    with pytest.raises(InvalidInput, match="needs the package absent_one") as refused:
        TrustedTypes(("absent_one",)).value("absent_one.quantization.Config")
    assert refused.value.hint == "Install it there: pip install absent_one"


@pytest.mark.parametrize(
    "name", ["diffusers.DiffusionPipeline", "torch.load", "os.environ", "diffusers.utils", "not a name"]
)
def test_what_is_no_constant(name: str) -> None:
    with pytest.raises(InvalidInput):
        TYPES.constant(name)


# ---------------------------------------------------------------- as arguments


class NoMedia:
    def image(self, location: str) -> str:
        return f"picture of {location}"

    def check(self, location: str, moving: bool) -> None:
        """Anything goes."""


@pytest.fixture
def arguments() -> Arguments:
    return Arguments(NoMedia(), TYPES)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "live"),
    [
        ({"torch_dtype": "torch.float16"}, {"torch_dtype": torch.float16}),
        ({"output_type": "{latent}"}, {"output_type": "latent"}),
        ({"output_type": "pil"}, {"output_type": "pil"}),
        ({"content_type": "torch.float16"}, {"content_type": "torch.float16"}),
        ({"image": "a.png"}, {"image": "picture of a.png"}),
        ({"mask_image": {"location": {"location": "b.png"}, "size": 3}}, {"mask_image": "picture of b.png"}),
        ({"image": ["a.png", None]}, {"image": ["picture of a.png", None]}),
        ({"guide": {"media_type": "image", "location": "c.png"}}, {"guide": "picture of c.png"}),
        ({"options": {"init_image": "d.png", "n": 1}}, {"options": {"init_image": "picture of d.png", "n": 1}}),
        ({"name": "constant:diffusers.utils.CONFIG_NAME"}, {"name": "config.json"}),
        ({"prompt": "a cat", "n": 3, "x": None}, {"prompt": "a cat", "n": 3, "x": None}),
    ],
)
def test_values_become_live_by_the_key_they_stand_under(given: Any, live: Any, arguments: Arguments) -> None:
    arguments.check(given)
    assert arguments.live(given) == live


def test_references_wait(arguments: Arguments) -> None:
    arguments.check({"image": "previous_result:a", "torch_dtype": "previous_result:b"})


def test_a_number_is_no_picture(arguments: Arguments) -> None:
    with pytest.raises(InvalidInput, match="'image' should be a picture"):
        arguments.check({"image": 3})
