"""Calls that are broken off where a pipeline has changed a shared model: the next run finds it as it was loaded."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
import transformers
from PIL import Image

from dw_lsp.protocol import Execute, RunEnded, RunOptions
from dw_lsp.worker import standby
from dw_lsp.worker.cancellation import Cancellation
from dw_lsp.worker.engine.engine import Engine
from dw_lsp.worker.engine.restoring import as_found

#: A worker does not take warnings of the libraries for errors, as tests do.
pytestmark = pytest.mark.filterwarnings("default")
HALF = {"torch_dtype": "torch.float16"}
SIZE = {"width": 32, "height": 32}
#: What goes wrong in a call; `None` is a cancel.
BREAKS: dict[str, tuple[BaseException | None, str]] = {
    "cancel": (None, "cancelled"),
    "error": (RuntimeError("some failure"), "failed"),
    "memory": (torch.OutOfMemoryError("tried to allocate 1.00 GiB"), "succeeded"),
}


class Here:
    """An engine in this process, whose live models can be reached. Arguments: the folder of its runs."""

    def __init__(self, folder: Path):
        self.engine, self.folder = Engine(standby.versions()), folder
        self._runs = 0
        self.cancellation = Cancellation("none")

    def run(self, work: dict[str, Any]) -> RunEnded:
        """Run a workflow; each run has outputs of its own, so nothing is remembered."""
        self._runs += 1
        self.cancellation = Cancellation(f"run-{self._runs}")
        request = Execute(
            self.cancellation.run_id, json.dumps(work), document_path=str(self.folder / "test.dw.json"),
            roots=(str(self.folder), str(Path(__file__).parents[3])),
            output_directory=str(self.folder / f"outputs-{self._runs}"), options=RunOptions(preview_enabled=False),
        )  # fmt: skip
        return self.engine.execute(request, self.cancellation, lambda message: None)

    def picture(self, work: dict[str, Any]) -> bytes:
        """The picture that a workflow draws now, with what is in memory."""
        ended = self.run(work)
        assert ended.outcome == "succeeded", ended.error
        with Image.open(str(ended.results[-1].path)) as image:
            return image.tobytes()

    def live(self, name: str) -> Any:
        """A model in memory."""
        return next(each.live for each in self.engine._components._residents.values() if each.record.name == name)

    @contextlib.contextmanager
    def broken(self, module: torch.nn.Module, error: BaseException | None, call: int = 1) -> Iterator[None]:
        """That call of a module fails, or cancels the run."""
        calls = [0]

        def hook(*_: Any) -> None:
            calls[0] += 1
            if calls[0] == call and error is not None:
                raise error
            if calls[0] == call:
                self.cancellation.cancel()

        handle = module.register_forward_pre_hook(hook)
        yield
        handle.remove()


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path)


@pytest.fixture
def sdxl(tmp_path: Path, families: dict[str, Path]) -> Path:
    """A model whose autoencoder decodes in single precision only."""
    shutil.copytree(families["sdxl"], tmp_path / "sdxl")
    config = diffusers.AutoencoderKL.load_config(families["sdxl"] / "vae")
    changed = {**config, "use_quant_conv": True, "use_post_quant_conv": True, "force_upcast": True}
    diffusers.AutoencoderKL.from_config(changed).save_pretrained(tmp_path / "sdxl" / "vae")
    return tmp_path / "sdxl"


def drawing(make: Any, kind: str = "StableDiffusionXLPipeline", seed: int = 3, **arguments: Any) -> dict[str, Any]:
    step = make.drawing(2, class_name=kind, **{**SIZE, **arguments})
    step["pipeline"]["from_pretrained_arguments"] = {"model_name": "./sdxl", **HALF}
    work: dict[str, Any] = make.workflow(step, seed=seed)
    return work


@pytest.mark.parametrize("way", BREAKS)
def test_an_autoencoder_keeps_its_precision(way: str, here: Here, sdxl: Path, make: Any) -> None:
    error, outcome = BREAKS[way]
    first = here.picture(drawing(make))
    with here.broken(here.live("vae").decoder.mid_block, error):
        assert here.run(drawing(make, seed=4)).outcome == outcome
    assert {tensor.dtype for tensor in here.live("vae").parameters()} == {torch.float16}
    again = here.run(drawing(make, seed=4))
    assert (again.outcome, again.loaded) == ("succeeded", ())
    assert here.picture(drawing(make)) == first


def test_an_autoencoder_that_is_made_narrower_keeps_its_values(here: Here, sdxl: Path, make: Any) -> None:
    """Pipelines that encode a picture give the autoencoder the precision of the prompt afterwards."""
    Image.new("RGB", (32, 32), "red").save(sdxl.parent / "red.png")
    whole = {
        "configuration": {"component_type": "AutoencoderKL"},
        "from_pretrained_arguments": {"model_name": "./sdxl", "subfolder": "vae", "torch_dtype": "torch.float32"},
    }
    work = drawing(make, "StableDiffusionXLImg2ImgPipeline", image="red.png", strength=1.0)
    work["steps"][0]["pipeline"]["vae"] = whole
    first = here.picture(work)
    loaded = diffusers.AutoencoderKL.from_pretrained(str(sdxl / "vae")).state_dict()
    assert all(torch.equal(tensor, loaded[name]) for name, tensor in here.live("vae").state_dict().items())
    assert here.picture(work) == first


@pytest.mark.parametrize("way", ["cancel", "error"])
def test_attention_is_computed_as_before(way: str, here: Here, make: Any) -> None:
    error, outcome = BREAKS[way]
    plain = make.workflow(make.drawing(2), seed=3)
    perturbed = make.workflow(make.drawing(4, class_name="StableDiffusionPAGPipeline", pag_scale=3.0), seed=3)
    first = here.picture(plain)
    with here.broken(here.live("unet").mid_block, error, call=2):
        assert here.run(perturbed).outcome == outcome
    assert here.picture(plain) == first


# ---------------------------------------------------------------- one by one


def changes(make: Any) -> dict[str, tuple[Any, Callable[[Any], Any], Callable[[Any], Any]]]:
    """Components, what some pipeline does to them, and what is to be as before."""
    vae = diffusers.AutoencoderKL.from_pretrained(str(make.model / "vae"))
    tokenizer = transformers.CLIPTokenizer.from_pretrained(str(make.model / "tokenizer"))

    def partly_half(model: Any) -> None:
        model.half()
        model.decoder.float()

    return {
        "tiling": (vae, lambda model: model.enable_tiling(), lambda model: model.use_tiling),
        "precision": (vae, partly_half, lambda model: [tensor.dtype for tensor in model.parameters()]),
        "attention": (
            vae, lambda model: model.set_attn_processor(diffusers.models.attention_processor.AttnProcessor()),
            lambda model: list(map(id, model.attn_processors.values())),
        ),
        "tokenizer": (
            tokenizer, lambda one: vars(one).update(padding_side="left"), lambda one: one.padding_side
        ),
        "padding": (
            tokenizer, lambda one: setattr(one, "pad_token", one.bos_token), lambda one: one.pad_token,
        ),
    }  # fmt: skip


@pytest.mark.parametrize("change", ["tiling", "precision", "attention", "tokenizer", "padding"])
def test_what_a_call_leaves_changed_is_put_back(change: str, make: Any) -> None:
    component, make_change, state = changes(make)[change]
    before, lost = state(component), list[str]()
    with as_found({"part": component}, lost.append):
        make_change(component)
        assert state(component) != before
    assert state(component) == before and not lost


def test_what_cannot_be_put_back_is_lost(make: Any) -> None:
    vae, lost = diffusers.AutoencoderKL.from_pretrained(str(make.model / "vae")), list[str]()

    def no_memory(*_: Any) -> None:
        raise RuntimeError("out of memory")

    with pytest.raises(ValueError, match="broken off"), as_found({"vae": vae}, lost.append):
        vae.use_slicing = True
        type(vae).use_slicing = property(lambda self: True, no_memory)  # type: ignore[attr-defined]
        raise ValueError("broken off")
    del type(vae).use_slicing
    assert lost == ["vae"]


def test_it_costs_next_to_nothing(make: Any) -> None:
    live = diffusers.StableDiffusionPipeline.from_pretrained(str(make.model)).components
    taken = []
    for _ in range(50):
        began = time.perf_counter()
        with as_found(live, print):
            pass
        taken.append(time.perf_counter() - began)
    assert min(taken) < 0.0003
