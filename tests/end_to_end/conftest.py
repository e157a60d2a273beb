"""One server, one worker and the real model for each module of tests: starting them takes seconds."""

from __future__ import annotations

import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

sys.path.insert(0, str(Path(__file__).resolve().parent))

from client import ROOT, Client, client


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example workflows and the model, as a user would have them."""
    folder = tmp_path_factory.mktemp("workspace")
    shutil.copytree(ROOT / "workflows", folder / "workflows", ignore=shutil.ignore_patterns(".checkpoints", "*.py"))
    return folder


@pytest.fixture
def misspelt(workspace: Path) -> Path:
    """The workspace with a workflow in which a reference is misspelt, behind letters that are counted differently."""
    text = (workspace / "workflows" / "shapes.dw.json").read_text(encoding="utf-8")
    for old, new in (
        ('"id": "shapes"', '"id": "emoji 🦊"'),
        ('"prompt": "variable:prompt"', '/* é🦊 */ "prompt": "variable:motiv"'),
        ('"a yellow star on a blue', '"a red square on a yellow'),
    ):
        assert old in text
        text = text.replace(old, new)
    (workspace / "workflows" / "emoji.dw.json").write_text(text, encoding="utf-8")
    shutil.copy(workspace / "workflows" / "shapes.dw.json", workspace / "workflows" / "plain.json")
    return workspace


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def editor(workspace: Path) -> AsyncIterator[Client]:
    """A connected editor on the workspace."""
    async with client(workspace) as session:
        yield session
