"""Getting ready: what is found, what is reported, how the libraries' logs are brought in line."""

from __future__ import annotations

import logging
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dw_lsp.worker import standby


@pytest.fixture
def logging_as_it_was() -> Iterator[None]:
    root, showing, formatting = logging.getLogger(), warnings.showwarning, warnings.formatwarning
    handlers, level = list(root.handlers), root.level
    yield
    logging.captureWarnings(False)
    warnings.showwarning, warnings.formatwarning = showing, formatting
    root.handlers[:] = handlers
    root.setLevel(level)


def test_the_versions_that_decide_a_result_are_told() -> None:
    found = standby.versions()
    assert {"python", "torch", "diffusers", "transformers", "pillow"} <= found.keys()
    assert "pygls" not in found


def test_what_is_missing_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standby, "REQUIRED", ("torch", "no_such_library"))
    with pytest.raises(standby.CannotStart) as refused:
        standby.import_libraries(lambda level, line: None)
    assert "has no no_such_library" in refused.value.message
    assert "-m pip install no_such_library" in refused.value.hint


def test_warnings_and_records_come_through_one_handler(logging_as_it_was: None) -> None:
    records: list[logging.LogRecord] = []

    class Collecting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    standby.send_logs_to(Collecting())
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("be careful", stacklevel=1)
    logging.getLogger("some.library").info("hello")
    logging.getLogger("httpx").info("GET /")
    assert [record.getMessage() for record in records] == ["UserWarning: be careful", "hello"]


WRAPPED = RuntimeError("Failed to import diffusers.loaders.peft because of the following error")
WRAPPED.__cause__ = ImportError("cannot import name 'x' from 'transformers.utils'", name="transformers.utils")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            ModuleNotFoundError("No module named 'no_such_lock'", name="no_such_lock"),
            "needs no_such_lock: {python} -m pip install no_such_lock",
        ),
        (
            ModuleNotFoundError("No module named 'note_seq'", name="note_seq"),
            "needs note_seq: {python} -m pip install note-seq",
        ),
        (
            ModuleNotFoundError("No module named 'packaging.new'", name="packaging.new"),
            "packaging does not fit to diffusers: {python} -m pip install diffusers packaging --upgrade",
        ),
        (
            ImportError("cannot import name 'x' from 'huggingface_hub.utils'", name="huggingface_hub.utils"),
            "huggingface_hub does not fit to diffusers: {python} -m pip install diffusers huggingface_hub --upgrade",
        ),
        (WRAPPED, "transformers does not fit to diffusers: {python} -m pip install diffusers transformers --upgrade"),
        (
            OSError("libcudart.so.12: cannot open shared object file"),
            "Install it again: {python} -m pip install diffusers",
        ),
    ],
)
def test_an_import_that_fails_names_the_package_at_fault(error: Exception, told: str) -> None:
    assert told.format(python=sys.executable) in standby._remedy(standby._cause(error), "diffusers")


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Makes a package `no_such_thing` that does this when it is imported."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(code: str) -> None:
        (tmp_path / "no_such_thing").mkdir()
        (tmp_path / "no_such_thing" / "__init__.py").write_text(code)

    yield make
    sys.modules.pop("no_such_thing", None)


def test_a_library_that_exits_does_not_end_the_worker(broken: Callable[[str], None]) -> None:
    broken("raise SystemExit('accept the licence first')")
    lines: list[str] = []
    with pytest.raises(standby.CannotStart, match="accept the licence first") as refused:
        standby._import("no_such_thing", lambda level, line: lines.append(line))
    assert "-m pip install no_such_thing --force-reinstall" in refused.value.hint
    assert lines == ["importing no_such_thing"]


def test_what_an_uninstallation_left_is_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "no_such_thing").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(standby, "REQUIRED", ("torch", "no_such_thing"))
    with pytest.raises(standby.CannotStart, match="has no no_such_thing"):
        standby.import_libraries(lambda level, line: None)


def test_what_is_only_imported_ahead_is_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Diffusers(types.ModuleType):
        def __getattr__(self, name: str) -> object:
            raise WRAPPED

    monkeypatch.setitem(sys.modules, "diffusers", Diffusers("diffusers"))
    told: list[tuple[str, str]] = []
    standby._warm_up(lambda level, line: told.append((level, line)))
    [warning] = [line for level, line in told if level == "warning"]
    assert "cannot import name 'x' from 'transformers.utils'" in warning
    assert warning.endswith("-m pip install diffusers transformers --upgrade")
