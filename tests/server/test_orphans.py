"""Whether the editor's process is still there."""

from __future__ import annotations

import os
import subprocess
import sys

from dw_lsp.server.orphans import is_alive


def test_a_living_process_is_told_from_a_dead_one() -> None:
    assert is_alive(os.getpid())
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert not is_alive(child.pid)
