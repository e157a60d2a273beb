"""What tests of plans share."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a model of one component, without weights."""
    model = tmp_path / "tiny"
    (model / "unet").mkdir(parents=True)
    (model / "model_index.json").write_text(json.dumps({"_class_name": "P", "unet": ["diffusers", "UNet"]}))
    (model / "unet" / "config.json").write_text("{}")
    return tmp_path
