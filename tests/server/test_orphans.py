"""Whether the editor's process is still there."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from dw_lsp.server import orphans
from dw_lsp.server.orphans import is_alive, leave_with


def test_a_living_process_is_told_from_a_dead_one() -> None:
    assert is_alive(os.getpid())
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert not is_alive(child.pid)


async def test_the_end_of_the_editor_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orphans, "LOOK_SECONDS", 0.02)
    left = asyncio.Event()
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE)
    leave_with(child.pid, left.set)
    await asyncio.sleep(0.1)
    assert not left.is_set()
    child.kill()
    await child.wait()
    await asyncio.wait_for(left.wait(), 10)


async def test_an_editor_that_was_never_seen_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orphans, "LOOK_SECONDS", 0.01)
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    left = asyncio.Event()
    leave_with(child.pid, left.set)
    await asyncio.sleep(0.1)
    assert not left.is_set()
