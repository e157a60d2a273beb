"""Models compiled for a step: they give the same, are compiled once, and are as they were for other steps."""

from __future__ import annotations

import contextlib
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from PIL import Image

from dw_lsp.protocol import LogLine, RunEnded
from dw_lsp.text.parser import parse
from dw_lsp.worker.engine.compiling import compile_model, computes_compiled
from dw_lsp.workflow.resolved import InvalidInput, ResolvedStep
from dw_lsp.workflow.substitution import resolve
from tests.worker.conftest import CACHE

#: torch warns of itself where it prepares to compile.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
DRAW = '{"id": "drawing", "steps": [{"name": "draw", "task": {"command": "gather_inputs", "inputs": []}}]}'


def drawing(make: Any, **components: Any) -> dict[str, Any]:
    step = make.drawing(2)
    step["pipeline"]["configuration"]["components"] = components
    work: dict[str, Any] = make.workflow(step, seed=3)
    return work


def pixels(ended: RunEnded) -> Any:
    assert ended.outcome == "succeeded", ended.error
    with Image.open(str(ended.results[0].path)) as image:
        return numpy.asarray(image).astype(int)


def test_a_compiled_model_loads_nothing_and_is_undone(
    worker: Any, make: Any, families: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(families["flux"], tmp_path / "flux")

    def flux(**components: Any) -> dict[str, Any]:
        work = drawing(make, **components)
        pipeline = work["steps"][0]["pipeline"]
        pipeline["configuration"]["component_type"] = "FluxPipeline"
        pipeline["from_pretrained_arguments"]["model_name"] = "./flux"
        pipeline["arguments"].update(width=32, height=32, max_sequence_length=16)
        return work

    plain = worker.run(flux(), tmp_path)
    compiled = worker.run(flux(transformer={"compile": {"repeated_blocks": True}}), tmp_path)
    back = worker.run(flux(), tmp_path, output_directory=str(tmp_path / "back"))
    assert (compiled.steps[0].outcome, compiled.loaded, back.loaded) == ("ran", (), ())
    assert numpy.abs(pixels(plain) - pixels(compiled)).max() <= 2
    assert (pixels(plain) == pixels(back)).all()
    assert not [line for line in worker.heard(LogLine) if "cannot be compiled" in line.message]
    assert any((CACHE / "compiled").iterdir())


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))


@pytest.fixture
def step() -> ResolvedStep:
    (found,) = resolve(parse(DRAW).root, {}).steps
    return found


def test_it_is_compiled_once(step: ResolvedStep) -> None:
    model = torch.nn.Linear(2, 2)
    before = model(torch.ones(1, 2))
    found = []
    for options in ({}, {"dynamic": False}, {}):
        with contextlib.ExitStack() as undo:
            compile_model(model, "unet", options, step, undo)
            assert computes_compiled(model)
            found.append(model.forward)
        assert not computes_compiled(model) and "forward" not in vars(model)
    assert found[0] is found[2] is not found[1]
    assert (model(torch.ones(1, 2)) == before).all()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere compilers are found in other ways")
def test_a_machine_that_cannot_compile_computes_all_the_same(
    step: ResolvedStep, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", (str(tmp_path / "none"),))
    model = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.GELU(), torch.nn.Linear(5, 3))
    before = model(torch.ones(1, 3))
    with contextlib.ExitStack() as undo, torch.no_grad():
        compile_model(model, "unet", {}, step, undo)
        assert all((model(torch.ones(1, 3)) == before).all() for _ in range(2))
    told = [record.getMessage() for record in caplog.records if record.name.startswith("dw_lsp")]
    assert len(told) == 1 and told[0].startswith("unet cannot be compiled here and computes without")


def test_blocks_that_repeat_are_the_models_to_name(step: ResolvedStep) -> None:
    with contextlib.ExitStack() as undo, pytest.raises(InvalidInput, match="which of its blocks repeat"):
        compile_model(torch.nn.Linear(2, 2), "unet", {"repeated_blocks": True}, step, undo)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": "eager"}, "`compile` has no key `backend`"),
        ({"mode": 3}, "`mode` should be a text"),
        ([], "an object"),
    ],
)
def test_what_does_not_fit_is_refused(worker: Any, make: Any, tmp_path: Path, options: Any, message: str) -> None:
    ended = worker.run(drawing(make, unet={"compile": options}), tmp_path)
    assert ended.outcome == "failed" and message in ended.error.message
