"""Getting ready: what is found, what is reported, how the libraries' logs are brought in line."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator

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


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            ModuleNotFoundError("No module named 'filelock'", name="filelock"),
            "needs filelock: {python} -m pip install filelock",
        ),
        (
            ImportError("cannot import name 'x' from 'huggingface_hub.utils'", name="huggingface_hub.utils"),
            "huggingface_hub does not fit to diffusers: {python} -m pip install diffusers huggingface_hub --upgrade",
        ),
        (
            OSError("libcudart.so.12: cannot open shared object file"),
            "Install it again: {python} -m pip install diffusers",
        ),
    ],
)
def test_an_import_that_fails_names_the_package_at_fault(error: Exception, told: str) -> None:
    assert told.format(python=sys.executable) in standby._remedy(error, "diffusers")
