"""A modular model that is not here: its index is fetched, then the parts that it takes, and nothing else."""

from __future__ import annotations

import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import diffusers
import pytest

from dw_lsp.catalog.modular_parts import FILE, expected_parts
from dw_lsp.planning.plan import plan
from dw_lsp.protocol import Ready, StepProgress
from dw_lsp.text.parser import parse
from dw_lsp.worker.engine.modular_table import table_of_installed
from dw_lsp.workflow.substitution import resolve
from tests.worker.engine.test_interruptible import Hub

#: What Stable Diffusion XL takes besides when it begins from more than a text.
NEEDED_BY_NO_TEXT = {
    "control_image_processor",
    "controlnet",
    "feature_extractor",
    "image_encoder",
    "mask_processor",
}


@pytest.fixture
def hub(tmp_path: Path, families: dict[str, Path]) -> Iterator[str]:
    """The address of a server with a model in the modular layout, in which lies more than its pipeline takes."""
    root = tmp_path / "served"
    shutil.copytree(families["flux"], root)
    index = json.loads((root / "model_index.json").read_text())
    (root / "model_index.json").unlink()
    index["spare"] = index["transformer"]
    shutil.copytree(root / "transformer", root / "spare")
    shutil.copy(next((root / "vae").glob("*.safetensors")), root / "vae" / "diffusion_pytorch_model.fp16.safetensors")
    told: dict[str, Any] = {"_class_name": "FluxModularPipeline", "_blocks_class_name": "FluxAutoBlocks"}
    for name, value in index.items():
        if isinstance(value, list) and value[0]:
            source = {"pretrained_model_name_or_path": "someone/shapes", "subfolder": name, "type_hint": value}
            told[name] = [*value, source]
    (root / "modular_model_index.json").write_text(json.dumps(told))
    handler = type("ModularHub", (Hub,), {"root": root})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_what_it_takes_is_downloaded(start_worker: Any, make: Any, hub: str, tmp_path: Path) -> None:
    worker = start_worker(HF_ENDPOINT=hub, HF_HUB_OFFLINE="0", HF_HOME=str(tmp_path / "hub"))
    worker.wait_for(Ready)
    step = {
        "name": "draw",
        "pipeline": {
            "configuration": {"component_type": "ModularPipeline", "load_components": {"dtype": "torch.float32"}},
            "from_pretrained_arguments": {"model_name": "someone/shapes"},
            "arguments": {"prompt": "a red circle", "width": 32, "height": 32, "num_inference_steps": 1},
        },
        "result": {"content_type": "image/png"},
    }
    work = make.workflow(step, seed=1)
    ended = worker.run(work, tmp_path)
    assert ended.outcome == "succeeded", ended.error
    assert len(ended.loaded) == 6
    assert [told for told in worker.heard(StepProgress) if told.phase == "downloading" and told.unit == "byte"]
    (snapshot,) = (tmp_path / "hub" / "hub" / "models--someone--shapes" / "snapshots").iterdir()
    assert not (snapshot / "spare").exists()
    assert [file.name for file in (snapshot / "vae").glob("*.safetensors")] == ["diffusion_pytorch_model.safetensors"]
    work["steps"][0]["pipeline"]["from_pretrained_arguments"]["model_name"] = str(snapshot)
    planned = plan(resolve(parse(json.dumps(work)).root, {}), tmp_path, {}, tmp_path)
    assert {part.name for part in planned.components} == {part.name for part in ended.loaded}


def test_the_table_says_what_the_blocks_take() -> None:
    told = json.loads(FILE.read_text(encoding="utf-8"))
    if told["version"] != diffusers.__version__:
        pytest.skip(f"the table speaks of diffusers {told['version']}, installed is {diffusers.__version__}")
    assert told == table_of_installed()


@pytest.mark.parametrize(
    ("class_name", "index", "workflow", "absent"),
    [
        ("ModularPipeline", {"_class_name": "StableDiffusionXLPipeline"}, None, set()),
        ("StableDiffusionXLModularPipeline", {}, "text2image", NEEDED_BY_NO_TEXT),
    ],
)
def test_parts_are_foretold(
    tmp_path: Path, class_name: str, index: dict[str, str], workflow: str | None, absent: set[str]
) -> None:
    whole = expected_parts("StableDiffusionXLModularPipeline", tmp_path, None, None)
    found = expected_parts(class_name, tmp_path, index.get("_class_name"), workflow)
    assert whole is not None and {"unet", "vae", "controlnet", "image_encoder"} <= whole and found == whole - absent


def test_parts_of_blocks_of_a_model_s_own_are_not_foretold(tmp_path: Path) -> None:
    (tmp_path / "modular_model_index.json").write_text('{"_blocks_class_name": "OwnBlocks"}')
    assert expected_parts("FluxModularPipeline", tmp_path, None, None) is None
