"""Files are whole or not there: when the disk is full, when the folder is not there, when the writer is killed."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dw_lsp.worker.engine import whole_files
from dw_lsp.worker.engine.whole_files import write_whole

WAYS = ["nameless", "beside"]
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(params=WAYS)
def way(request: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "beside":
        monkeypatch.setattr(whole_files, "_write_nameless", lambda path, data: False)
    elif sys.platform != "linux":
        pytest.skip("a file has a name from the beginning here")
    return str(request.param)


def test_a_file_is_written_and_replaced(way: str, tmp_path: Path) -> None:
    place = tmp_path / "a.png"
    for data in (b"one", b"another"):
        write_whole(str(place), data)
        assert place.read_bytes() == data
    assert os.listdir(tmp_path) == ["a.png"]


def test_a_file_has_no_name_until_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform != "linux":
        pytest.skip("a file has a name from the beginning here")
    monkeypatch.setattr(whole_files, "_write_beside", lambda path, data: pytest.fail("it had a name"))
    for _ in range(2):
        write_whole(str(tmp_path / "a"), b"one")


def test_it_is_as_readable_as_any_other_file(way: str, tmp_path: Path) -> None:
    write_whole(str(tmp_path / "a"), b"")
    (tmp_path / "b").write_bytes(b"")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_a_folder_that_is_not_there_is_told(way: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_whole(str(tmp_path / "no" / "a"), b"one")


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is a signal elsewhere too, but is not set in this way")
def test_a_full_disk_leaves_nothing(way: str, tmp_path: Path) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError) as caught:
            write_whole(str(tmp_path / "a"), b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert caught.value.errno == errno.EFBIG
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere an unfinished file stays")
def test_a_writer_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from dw_lsp.worker.engine.whole_files import write_whole\n"
        "data, number = b'x' * 20_000_000, 0\n"
        "while True:\n"
        "    number += 1\n"
        f"    write_whole({str(tmp_path)!r} + f'/{{number % 3}}', data)\n"
        "    print('.', end='', flush=True)\n"
    )
    for count in (1, 2, 5):
        writer = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.read(count)
        writer.kill()
        writer.communicate()
        sizes = {path.stat().st_size for path in tmp_path.iterdir()}
        assert sizes == {20_000_000}
        assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
