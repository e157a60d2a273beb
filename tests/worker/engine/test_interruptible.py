"""Stopping what is not ours: loads stop between two tensors, downloads between two chunks, and nothing is spoilt."""

from __future__ import annotations

import hashlib
import http.server
import json
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import diffusers
import huggingface_hub
import pytest
import torch
import transformers

from dw_lsp.protocol import Advanced, Ready, RunEnded, StepProgress
from dw_lsp.worker.engine.devices import bring
from dw_lsp.worker.engine.interruptible import LoadingWatch, watched_downloads

KINDS: list[tuple[Any, str]] = [
    (diffusers.UNet2DConditionModel, "unet"),
    (diffusers.AutoencoderKL, "vae"),
    (transformers.CLIPTextModel, "text_encoder"),
]
SLOW_LOADS = """
import time, torch
empty = torch.empty
def slow(*args, **kwargs):
    time.sleep(0.05)
    return empty(*args, **kwargs)
torch.empty = slow
"""


class Stop(BaseException):
    """Somebody wants the load to stop."""


def after(calls: int) -> Callable[[], None]:
    left = [calls]

    def check() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Stop

    return check


@pytest.mark.parametrize("share", [0, 0.02, 0.2, 0.5, 0.95])
@pytest.mark.parametrize(("kind", "part"), KINDS)
def test_a_load_stops_anywhere_and_the_next_one_is_whole(make: Any, kind: Any, part: str, share: float) -> None:
    calls: list[int] = []
    with LoadingWatch(lambda: calls.append(1)):
        whole = kind.from_pretrained(make.model / part)
    with pytest.raises(Stop), LoadingWatch(after(int(len(calls) * share))):
        kind.from_pretrained(make.model / part)
    again = kind.from_pretrained(make.model / part)
    assert not any(parameter.is_meta for parameter in again.parameters())
    for one, other in zip(whole.state_dict().items(), again.state_dict().items(), strict=True):
        assert one[0] == other[0] and torch.equal(one[1], other[1])
    assert torch.get_default_dtype() == torch.float32
    assert not torch.nn.Linear(2, 2).weight.is_meta


def test_a_load_has_many_places_to_stop(make: Any) -> None:
    calls: list[int] = []
    with LoadingWatch(lambda: calls.append(1)):
        diffusers.AutoencoderKL.from_pretrained(make.model / "vae")
    assert len(calls) > 1000


def test_a_move_stops_between_two_tensors_and_leaves_no_model_in_two_places() -> None:
    asked: list[str] = []

    class Model(torch.nn.Sequential):
        def to(self, device: Any) -> Any:
            asked.append(str(device))
            # From this stand-in for a device nothing comes back.
            return self.to_empty(device=device) if str(device) == "cpu" else super().to(device)

    model = Model(*(torch.nn.Linear(2, 2) for _ in range(4)))
    calls = [0]

    def goes_on() -> None:
        calls[0] += 1
        if model[1].weight.is_meta:
            raise Stop

    with pytest.raises(Stop), LoadingWatch(goes_on, once=True):
        bring(model, torch.device("meta"))
    assert asked == ["meta", "cpu"] and calls[0] > 3
    assert {parameter.device.type for parameter in model.parameters()} == {"cpu"}


def test_a_cancel_stops_a_load(start_worker: Any, make: Any, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "noisy.py").write_text(SLOW_LOADS)
    worker = start_worker(PYTHONPATH=str(site))
    worker.wait_for(Ready)
    step = make.drawing(1)
    step["pipeline"]["configuration"]["pre_load_modules"] = ["noisy"]
    run_id = worker.begin(make.workflow(step), tmp_path, options=make.options(allowed=("noisy",)))
    worker.wait_for(Advanced)
    began = time.monotonic()
    worker.cancel(run_id)
    ended = worker.wait_for(RunEnded)
    assert ended.outcome == "cancelled" and ended.error is None
    assert time.monotonic() - began < 1.5


# ---------------------------------------------------------------- downloads


class Hub(http.server.BaseHTTPRequestHandler):
    """Serves one model as the hub does; its weights trickle. `root` is the model's folder."""

    root: Path
    seconds_a_block = 0.0
    commit = "a" * 40
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        files = {str(path.relative_to(self.root)): path for path in self.root.rglob("*") if path.is_file()}
        path = self.path.partition("?")[0]
        if "/tree/" in path:
            self._json(
                [{"type": "file", "path": name, "size": _size(each), "oid": _oid(each)} for name, each in files.items()]
            )
        elif path.startswith("/api/models/"):
            self._json(
                {"id": "someone/shapes", "sha": self.commit, "siblings": [{"rfilename": name} for name in files]}
            )
        elif (found := re.fullmatch(r"/someone/shapes/resolve/[^/]+/(.+)", path)) and found[1] in files:
            self._file(files[found[1]])
        else:
            self.send_error(404)

    def _json(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _file(self, path: Path) -> None:
        data = path.read_bytes()
        self.send_response(200)
        self.send_header("ETag", f'"{_oid(path)}"')
        self.send_header("X-Repo-Commit", self.commit)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        if self.command == "HEAD":
            return
        for start in range(0, len(data), 1 << 16):
            if path.suffix == ".safetensors":
                time.sleep(self.seconds_a_block)
            try:
                self.wfile.write(data[start : start + (1 << 16)])
            except OSError:
                return

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def _size(path: Path) -> int:
    return path.stat().st_size


def _oid(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()


@pytest.fixture
def hub(make: Any) -> Iterator[Any]:
    """A server beside this process that serves the shapes model slowly. Returns its class, with `address`."""
    handler: Any = type("SlowHub", (Hub,), {"root": make.model, "seconds_a_block": 0.03})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    handler.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield handler
    server.shutdown()
    server.server_close()


def downloading(make: Any) -> dict[str, Any]:
    step = make.drawing(1)
    step["pipeline"]["from_pretrained_arguments"]["model_name"] = "someone/shapes"
    return make.workflow(step, seed=1)


def test_a_download_tells_its_bytes_and_can_be_stopped(start_worker: Any, make: Any, hub: Any, tmp_path: Path) -> None:
    worker = start_worker(HF_ENDPOINT=hub.address, HF_HUB_OFFLINE="0", HF_HOME=str(tmp_path / "hub"))
    worker.wait_for(Ready)
    run_id = worker.begin(downloading(make), tmp_path)
    worker.wait_for(StepProgress, lambda told: told.phase == "downloading" and (told.current or 0) > 100_000)
    began = time.monotonic()
    worker.cancel(run_id)
    assert worker.wait_for(RunEnded).outcome == "cancelled"
    assert time.monotonic() - began < 2.5
    told = [each for each in worker.heard(StepProgress) if each.phase == "downloading" and each.unit == "byte"]
    assert told and all(each.total is None or each.current <= each.total for each in told)
    hub.seconds_a_block = 0.0
    weighted = downloading(make)
    weighted["steps"][0]["pipeline"]["configuration"] = {
        "component_type": "DiffusionPipeline",
        "prompt_weighting": True,
    }
    ended = worker.run(weighted, tmp_path)
    # Which class it is, only the download has told; nothing is loaded in vain.
    assert "not for StableDiffusionPipeline" in ended.error.message and ended.loaded == ()
    ended = worker.run(downloading(make), tmp_path)
    assert ended.outcome == "succeeded", ended.error


def test_a_transfer_by_xet_can_be_stopped(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The hub's other protocol: its threads are not Python's, and go on after what is raised there."""
    xet = pytest.importorskip("hf_xet")
    (tmp_path / "store").mkdir()
    whole, part, home = tmp_path / "whole", tmp_path / "part", f"local://{tmp_path / 'store'}"
    whole.write_bytes(random.Random(0).randbytes(150_000_000))
    with xet.XetSession().new_upload_commit(endpoint=home) as upload:
        sent = upload.start_upload_file(str(whole))
    asked = threading.Event()

    def check() -> None:
        if asked.is_set():
            raise Stop

    def advanced(*_: Any) -> None:
        asked.set()
        bar.update(1)

    with pytest.raises(Stop), watched_downloads(check, lambda done, total: None):
        bar = huggingface_hub.utils.tqdm(unit="B", total=10, disable=True, name="huggingface_hub.xet_get")
        session = huggingface_hub.utils._xet.get_xet_session()
        with session.new_file_download_group(
            endpoint=home, progress_callback=advanced, progress_interval_ms=5
        ) as download:
            download.start_download_file(sent.result().xet_info, str(part))
    assert asked.is_set() and "Stop" not in capfd.readouterr().err
