"""What the extension says in its own language must be what the server says: messages, versions, licences."""

from __future__ import annotations

import dataclasses
import json
import re
import typing
from pathlib import Path
from typing import Any

import pytest

import dw_lsp
from dw_lsp import protocol, settings
from dw_lsp.analysis.diagnose import diagnose
from dw_lsp.analysis.workspace import DiskWorkspace
from dw_lsp.supervisor import events
from dw_lsp.text.document import Document

ROOT = Path(__file__).resolve().parents[2]
EXTENSION = ROOT / "vscode-extension"
PROTOCOL = (EXTENSION / "src" / "protocol.ts").read_text(encoding="utf-8")
PACKAGE: dict[str, Any] = json.loads((EXTENSION / "package.json").read_text(encoding="utf-8"))

#: Settings that only the extension reads.
OWN_SETTINGS = {
    "dw.codeLens.enabled",
    "dw.results.historySize",
    "dw.results.openAfterRun",
    "dw.server.python",
    "dw.trace.server",
}

FACTS = (
    protocol.Component,
    protocol.MemoryReport,
    protocol.StepResult,
    protocol.StepSummary,
    protocol.RunError,
    events.WorkerExit,
)
SHAPES = [*FACTS, *(event for event in events.EVENTS if event is not events.MemoryChanged)]


def typescript_fields(interface: str) -> dict[str, bool]:
    """Name of each field of an interface, and whether it may be left out."""
    body = re.search(rf"export interface {interface} \{{\n(.*?)\n\}}", PROTOCOL, re.S)
    assert body, f"protocol.ts has no {interface}"
    return {name: mark == "?" for name, mark in re.findall(r"^  readonly (\w+)(\??):", body[1], re.M)}


def python_fields(shape: Any) -> dict[str, bool]:
    """The same of a dataclass, as `to_json` writes it."""
    written = {}
    for field in dataclasses.fields(shape):
        left_out = field.default is None and field.name not in events._SAID_WHEN_UNKNOWN
        written[events.camel_case(field.name)] = left_out
    if shape is protocol.RunError:
        # A front turns offsets into a range.
        del written["start"], written["end"]
        written["range"] = True
    return written


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_a_message_has_the_same_fields_in_both_languages(shape: Any) -> None:
    assert typescript_fields(shape.__name__) == python_fields(shape)


def test_the_extension_hears_every_notification() -> None:
    table = re.search(r"interface Notifications \{\n(.*?)\n\}", PROTOCOL, re.S)
    assert table
    assert set(re.findall(r"'(dw/\w+)'", table[1])) == {event.method for event in events.EVENTS}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "python"),
    [
        ("RunOutcome", protocol.RunOutcome),
        ("StepOutcome", protocol.StepOutcome),
        ("Phase", protocol.Phase),
        ("State", events.State),
        ("LogLevel", events.LogLevel),
    ],
)
def test_an_enumeration_has_the_same_members(name: str, python: Any) -> None:
    line = re.search(rf"export type {name} = (.*?);", PROTOCOL, re.S)
    assert line
    assert set(re.findall(r"'(\w+)'", line[1])) == set(typing.get_args(python))


def test_server_and_extension_have_one_version() -> None:
    assert PACKAGE["version"] == dw_lsp.__version__


def test_the_lock_file_names_no_registry() -> None:
    assert '"resolved"' not in (EXTENSION / "package-lock.json").read_text(encoding="utf-8")


def manifest_settings() -> dict[str, Any]:
    """Every setting of the manifest, by its name."""
    return {
        name: described
        for part in PACKAGE["contributes"]["configuration"]
        for name, described in part["properties"].items()
        if name not in OWN_SETTINGS
    }


def test_the_manifest_has_every_setting_of_the_server_and_no_other() -> None:
    assert set(manifest_settings()) == {described.name for described in settings.describe_settings()}


@pytest.mark.parametrize("setting", settings.describe_settings(), ids=lambda setting: setting.name)
def test_a_setting_has_one_type_and_default(setting: settings.SettingDescription) -> None:
    described = manifest_settings()[setting.name]
    written = described["type"] if isinstance(described["type"], list) else [described["type"]]
    assert set(written) == set(setting.kind.split(" or "))
    # The settings editor shows an empty field for text that is not set.
    assert described["default"] == ("" if setting.default is None else setting.default)
    assert described.get("description") or described.get("markdownDescription")


def test_what_decides_over_programs_and_safety_cannot_come_from_an_untrusted_workspace() -> None:
    restricted = set(PACKAGE["capabilities"]["untrustedWorkspaces"]["restrictedConfigurations"])
    names = {*manifest_settings(), *OWN_SETTINGS}
    assert restricted <= names
    assert {name for name in names if re.match(r"dw\.(security|worker|server)\.", name)} <= restricted


@pytest.mark.parametrize("template", sorted((EXTENSION / "templates").iterdir()), ids=lambda path: path.name)
def test_a_template_has_no_mistakes_and_is_offered(template: Path) -> None:
    document = Document(template.as_uri(), template.read_text(encoding="utf-8"))
    findings = diagnose(document, DiskWorkspace((template.parent,)), {})
    assert [finding.message for finding in findings if finding.severity == "error"] == []
    assert f"'{template.name}'" in (EXTENSION / "src/workflows/templates.ts").read_text(encoding="utf-8")


def test_every_picture_and_file_of_the_manifest_is_in_the_package() -> None:
    named = set(re.findall(r'"(?:\./)?((?:media|snippets|syntaxes)/[\w.-]+)"', json.dumps(PACKAGE)))
    assert len(named) >= 8
    assert [name for name in sorted(named) if not (EXTENSION / name).is_file()] == []
    packed = (EXTENSION / ".vscodeignore").read_text(encoding="utf-8")
    assert all(f"!{name}" in packed or f"!{name.split('/')[0]}/*" in packed for name in named)


def test_menus_keys_and_texts_name_only_commands_that_exist() -> None:
    commands = {command["command"] for command in PACKAGE["contributes"]["commands"]}
    assert (
        set(re.findall(r"dwLsp\.(?!worker\b|running\b|workflowEditor\b|results\b)\w+", json.dumps(PACKAGE))) <= commands
    )


def test_every_contributed_command_is_registered() -> None:
    registered = (EXTENSION / "src" / "commands.ts").read_text(encoding="utf-8")
    for command in PACKAGE["contributes"]["commands"]:
        assert f"'{command['command']}'" in registered
