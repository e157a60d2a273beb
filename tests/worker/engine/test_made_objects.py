"""Objects of classes in a workflow: made for each result of the step that they name, from files by their content."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image

from dw_lsp.planning.plan import plan
from dw_lsp.text.parser import parse
from dw_lsp.workflow.substitution import resolve

REFERENCE = "diffusers.modular_pipelines.minimax_h3.MiniMaxH3ImageReference"


def referring(make: Any, **source: Any) -> dict[str, Any]:
    """A step that makes references, and those that take a picture out of them again."""
    return make.workflow(
        make.task("photos", "gather_images", glob="*.png"),
        make.task("made", "gather_inputs", given=[{"reference_type": REFERENCE, **source}]),
        make.task("list", "get_dict_value", dict="previous_result:made", key="given"),
        make.task("out", "resize_rescale", "image/png", image="previous_result:list.image", height=4, width=4),
    )  # type: ignore[no-any-return]


def colours(ended: Any) -> list[Any]:
    assert ended.outcome == "succeeded", ended.error
    found = []
    for result in ended.results:
        with Image.open(str(result.path)) as image:
            found.append(image.getpixel((1, 1)))
    return found


def test_a_step_runs_once_for_each_result_that_an_object_is_made_from(worker: Any, make: Any, tmp_path: Path) -> None:
    for name in ("green", "red"):
        Image.new("RGB", (8, 8), name).save(tmp_path / f"{name}.png")
    work = referring(make, from_previous_result="photos")
    ended = worker.run(work, tmp_path)
    assert colours(ended) == [(0, 128, 0), (255, 0, 0)]


def test_a_plan_counts_them(make: Any, tmp_path: Path) -> None:
    work = referring(make, from_previous_result="photos")
    work["steps"][0]["task"]["arguments"] = {"urls": ["a.png", "b.png", "c.png"]}
    resolved = resolve(parse(json.dumps(work)).root, {})
    steps = plan(resolved, tmp_path, {}, tmp_path).steps
    assert [step.iterations for step in steps][:2] == [1, 3]


def test_a_file_counts_by_its_content_and_null_leaves_an_entry_out(worker: Any, make: Any, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "one.png")
    work = referring(make, from_file="variable:photo")
    work["variables"] = {"photo": None}
    work["steps"][1]["task"]["arguments"]["given"].append({"reference_type": REFERENCE, "from_file": "one.png"})
    assert colours(worker.run(work, tmp_path)) == [(255, 0, 0)]
    Image.new("RGB", (8, 8), "green").save(tmp_path / "one.png")
    assert colours(worker.run(work, tmp_path)) == [(0, 128, 0)]
    work["steps"][1]["task"]["arguments"]["given"] = {"reference_type": REFERENCE, "from_file": "variable:photo"}
    ended = worker.run(work, tmp_path)
    assert ended.outcome == "failed" and "should be a path or an address, not None" in ended.error.message
