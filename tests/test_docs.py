"""The pages that are made from the code are as the code has them now, and say something of everything."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from dw_lsp.analysis.rules import RULES
from dw_lsp.settings import describe_settings, read_settings
from dw_lsp.workflow.format.commands import COMMANDS
from dw_lsp.workflow.format.pipeline import CONFIGURATION
from dw_lsp.workflow.format.step import STEP

DOCS = Path(__file__).resolve().parent.parent / "docs"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    """The script that makes the pages."""
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["settings.md", "rules.md", "format.md"])
def test_a_page_is_fresh(name, generate) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == generate.PAGES[name](), "run `make docs`"


def test_every_setting_has_its_section_and_variable() -> None:
    page = (DOCS / "settings.md").read_text(encoding="utf-8")
    for setting in describe_settings():
        assert f"\n## `{setting.name}`\n\n{setting.meaning}\n" in page
        assert f"`{setting.variable}`" in page


def test_the_example_is_one_that_is_understood(generate) -> None:
    settings, problems = read_settings(generate.EXAMPLE["dw"])
    assert problems == ()
    assert settings.run.timeout_seconds == 600


def test_every_rule_has_its_section_and_its_link() -> None:
    page = (DOCS / "rules.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\(#([a-z-]+)\)", page))
    sections = set(re.findall(r"^## ([a-z-]+)$", page, re.MULTILINE))
    assert linked == sections == {rule.code for rule in RULES}


def test_every_key_and_every_command_of_the_format_is_told() -> None:
    page = (DOCS / "format.md").read_text(encoding="utf-8")
    for known in [*STEP.properties, *CONFIGURATION.properties]:
        assert re.search(rf"\| \**`{known.name}`\** \|", page), known.name
    for command in COMMANDS.values():
        section = page.split(f"\n### {command.name}\n")[1].split("\n#")[0]
        assert command.meaning in section
        assert all(f"`{argument.name}`" in section for argument in command.arguments), command.name


def test_every_link_within_the_page_of_the_format_leads_somewhere() -> None:
    page = (DOCS / "format.md").read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}
    assert len(headings) == len(set(headings))
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) <= anchors
