"""Names of attention implementations, read from the sources of whatever version is installed."""

from __future__ import annotations

from pathlib import Path

from dw_lsp.catalog.attention import attention_backends
from dw_lsp.catalog.environment import Environment

LIST = """
class Other(str, Enum):
    NO = "no"


class AttentionBackendName(str, Enum):
    # EAGER = "eager"

    # packages
    FLASH = "flash"
    _NATIVE_MATH = "_native_math"


class Registry:
    NEVER = "never"
"""


def names(folder: Path, text: str | None) -> tuple[str, ...]:
    package = folder / "diffusers"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    if text is not None:
        (package / "models" / "attention_dispatch.py").write_text(text)
    return attention_backends(Environment("python", (folder,)))


def test_the_names_of_the_list_are_read(tmp_path: Path) -> None:
    assert names(tmp_path, LIST) == ("flash", "_native_math")


def test_a_version_without_such_a_list_has_none(tmp_path: Path) -> None:
    assert names(tmp_path, None) == ()


def test_a_list_of_another_form_is_not_guessed_at(tmp_path: Path) -> None:
    assert names(tmp_path, "AttentionBackendName = make()\n") == ()
