"""A step that replaces components of a model downloads what replaces them, and nothing of what is replaced."""

from __future__ import annotations

import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dw_lsp.protocol import Ready
from tests.worker.engine.test_interruptible import Hub

FILE = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def hub(tmp_path: Path, make: Any) -> Iterator[str]:
    """The address of a server with the shapes model, its autoencoder in a variant too, its denoiser as one file too."""
    root = tmp_path / "served"
    shutil.copytree(make.model, root)
    shutil.copyfile(root / "vae" / FILE, root / "vae" / FILE.replace(".s", ".fp16.s"))
    (root / "files").mkdir()
    shutil.copyfile(root / "unet" / FILE, root / "files" / "shapes.safetensors")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("PlainHub", (Hub,), {"root": root}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_what_is_replaced_is_not_downloaded(start_worker: Any, make: Any, hub: str, tmp_path: Path) -> None:
    worker = start_worker(HF_ENDPOINT=hub, HF_HUB_OFFLINE="0", HF_HOME=str(tmp_path / "home"))
    worker.wait_for(Ready)
    step = make.drawing(1)
    address = "https://huggingface.co/someone/shapes/blob/main/files/shapes.safetensors"
    step["pipeline"]["from_pretrained_arguments"]["model_name"] = "someone/shapes"
    step["pipeline"].update(
        vae={
            "configuration": {"component_type": "AutoencoderKL"},
            "from_pretrained_arguments": {"model_name": "someone/shapes", "subfolder": "vae", "variant": "fp16"},
        },
        unet={
            "configuration": {"component_type": "UNet2DConditionModel"},
            "from_pretrained_arguments": {
                "from_single_file": address, "config": str(make.model), "subfolder": "unet",
            },
        },
    )  # fmt: skip
    ended = worker.run(make.workflow(step, seed=1), tmp_path)
    assert ended.outcome == "succeeded", (ended.error, ended.error and ended.error.traceback)
    assert {part.name for part in ended.loaded} == {"vae", "unet", "text_encoder", "tokenizer"}
    (snapshot,) = (tmp_path / "home" / "hub" / "models--someone--shapes" / "snapshots").iterdir()
    fetched = {str(file.relative_to(snapshot)) for file in snapshot.rglob("*.safetensors")}
    assert fetched == {"text_encoder/model.safetensors", "vae/diffusion_pytorch_model.fp16.safetensors",
                       "files/shapes.safetensors"}  # fmt: skip
    assert worker.run(make.workflow(step, seed=2), tmp_path).loaded == ()
