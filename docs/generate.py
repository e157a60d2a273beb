"""Writes the pages that say what the code says: settings.md, rules.md and format.md. `make docs` runs it.

A test fails while a page differs from what is made here, so none can be forgotten.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from dw_lsp.analysis.findings import SEVERITIES, Rule
from dw_lsp.analysis.rules import RULES
from dw_lsp.settings import SettingDescription, describe_settings
from dw_lsp.workflow.format.command import Command
from dw_lsp.workflow.format.commands import COMMANDS
from dw_lsp.workflow.format.shapes import (
    AnyOf,
    FlagShape,
    ListShape,
    MapShape,
    MediumShape,
    NullShape,
    NumberShape,
    ObjectShape,
    Property,
    Shape,
    TextShape,
)
from dw_lsp.workflow.format.workflow import WORKFLOW

FOLDER = Path(__file__).resolve().parent
EXAMPLE = {
    "dw": {
        "worker": {"python": "~/diffusion/.venv"},
        "run": {"timeoutSeconds": 600},
        "outputDirectory": "results",
        "diagnostics": {"severity": {"unused-variable": "off"}},
    }
}


def settings_page() -> str:
    """All settings, with their variables, types and defaults."""
    lines = [
        "# Settings",
        "",
        "An editor gives them as JSON in section `dw`; the command line reads the variables. A value that a setting",
        "cannot have is told, and the default stays. An example for an editor:",
        "",
        "```json",
        json.dumps(EXAMPLE, indent=2),
        "```",
        "",
        "In a variable, numbers, lists and objects are written as JSON, text as it is; a list of texts may be written",
        "with commas: `DW_RUN_TIMEOUT_SECONDS=600`, `DW_SECURITY_ALLOWED_PATHS=/data/photos,/data/models`.",
    ]
    for setting in describe_settings():
        lines += ["", f"## `{setting.name}`", "", setting.meaning, "", *_setting_table(setting)]
    return "\n".join(lines) + "\n"


def _setting_table(setting: SettingDescription) -> list[str]:
    value = setting.default
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    default = "unset" if value is None else f"`{json.dumps(whole, ensure_ascii=False)}`"
    return ["| type | default | variable |", "|---|---|---|", f"| {setting.kind} | {default} | `{setting.variable}` |"]


def rules_page() -> str:
    """All rules, most serious first, with their reasons, an example and the mend of each."""
    lines = [
        "# Rules",
        "",
        "What an editor underlines and `dw-lsp check` tells. A rule can be given another severity, or be switched off,",
        "with [`dw.diagnostics.severity`](settings.md#dwdiagnosticsseverity):",
        '`{ "unused-variable": "off", "unknown-property": "warning" }`.',
        "",
        "| rule | severity | finds |",
        "|---|---|---|",
    ]
    rules = sorted(RULES, key=lambda rule: SEVERITIES.index(rule.severity))
    lines += [f"| [`{rule.code}`](#{rule.code}) | {rule.severity} | {_cell(rule.summary)} |" for rule in rules]
    for rule in rules:
        lines += ["", *_rule_section(rule)]
    return "\n".join(lines) + "\n"


def _rule_section(rule: Rule) -> list[str]:
    return [
        f"## {rule.code}",
        "",
        f"**{rule.severity.capitalize()}.** {rule.summary}",
        "",
        f"Why: {rule.why}",
        "",
        "```jsonc",
        rule.example,
        "```",
        "",
        f"Mend: {rule.mend}",
    ]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


# ---------------------------------------------------------------- the format


def format_page() -> str:
    """The workflow format: every object with its keys, every task command with its arguments."""
    shapes = list(_objects(WORKFLOW, set()))
    lines = [
        "# The workflow format",
        "",
        "A workflow is a JSON file (comments and trailing commas are allowed) of the objects below. Two dialects are",
        "in use, and both are understood; *older* and *newer* mark what only one of them has. A reference may stand",
        "for any value: `variable:NAME`, or `previous_result:STEP` and `previous_result:STEP.PROPERTY` for what",
        "earlier steps gave. Required keys are **bold**.",
        "",
        "Objects: " + ", ".join(f"[{shape.name}](#{_anchor(shape.name)})" for shape in shapes) + ".",
        "",
        "Tasks: [commands](#task-commands), [image processors](#image-processors),",
        "[video processors](#video-processors).",
    ]
    for shape in shapes:
        lines += ["", *_object_section(shape)]
    for kind, title in _KINDS.items():
        lines += ["", f"## {title}"]
        for command in COMMANDS.values():
            if command.kind == kind:
                lines += ["", *_command_section(command)]
    return "\n".join(lines) + "\n"


_KINDS = {
    "command": "Task commands",
    "image processor": "Image processors",
    "video processor": "Video processors",
}
_OTHERS = {
    "refused": "",
    "ignored": " Other arguments are ignored.",
    "passed on": " Other arguments are passed on.",
}


def _objects(shape: Shape, seen: set[str]) -> Iterator[ObjectShape]:
    """Every object of the format, each before those inside of it."""
    if isinstance(shape, AnyOf):
        for option in shape.options:
            yield from _objects(option, seen)
    elif isinstance(shape, (ListShape, MapShape)):
        yield from _objects(shape.item if isinstance(shape, ListShape) else shape.value, seen)
    elif isinstance(shape, ObjectShape) and shape.name not in seen:
        seen.add(shape.name)
        yield shape
        for known in shape.properties:
            yield from _objects(known.shape, seen)
        if shape.others is not None:
            yield from _objects(shape.others, seen)


def _anchor(name: str) -> str:
    return name.replace(" ", "-")


def _object_section(shape: ObjectShape) -> list[str]:
    lines = [f"## {shape.name}", "", shape.meaning, "", *_property_table("key", shape.properties)]
    rules = [f"At most one of {_named(group)}." for group in shape.exclusive]
    rules += [f"Exactly one of {_named(group)}." for group in shape.one_of]
    if shape.others is not None:
        rules.append(f"Any other key that holds an object with `from_pretrained_arguments` is {_kind(shape.others)}.")
    elif not shape.closed:
        rules.append("Other keys are passed on.")
    return [*lines, "", " ".join(rules)] if rules else lines


def _named(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _command_section(command: Command) -> list[str]:
    lines = [f"### {command.name}", "", _newer(command.dialect) + command.meaning + _OTHERS[command.others]]
    if command.properties:
        lines[-1] += f" Each result has {_named(command.properties)}."
    if command.arguments:
        lines += ["", *_property_table("argument", command.arguments)]
    return lines


def _property_table(title: str, properties: Sequence[Property]) -> list[str]:
    lines = [f"| {title} | type | default | meaning |", "|---|---|---|---|"]
    for known in properties:
        name = f"**`{known.name}`**" if known.required else f"`{known.name}`"
        default = "" if known.default is None else f"`{_cell(json.dumps(known.default, ensure_ascii=False))}`"
        deprecated = f" Deprecated: use {known.deprecated}." if known.deprecated else ""
        meaning = _newer(known.dialect) + _cell(known.meaning) + deprecated
        lines.append(f"| {name} | {_kind(known.shape)} | {default} | {meaning} |")
    return lines


def _newer(dialect: str) -> str:
    return {"A": "*Older.* ", "B": "*Newer.* "}.get(dialect, "")


def _kind(shape: Shape) -> str:
    """What a value may be, for people."""
    if isinstance(shape, AnyOf):
        return " or ".join(dict.fromkeys(_kind(option) for option in shape.options))
    if isinstance(shape, ObjectShape):
        return f"[{shape.name}](#{_anchor(shape.name)})"
    if isinstance(shape, ListShape):
        return "list" if _kind(shape.item) == "any" else f"list of {_kind(shape.item)}"
    if isinstance(shape, MapShape):
        return "object" if _kind(shape.value) == "any" else f"object of {_kind(shape.value)}"
    if isinstance(shape, TextShape):
        return ", ".join(f"`{choice}`" for choice in shape.choices) or "text"
    if isinstance(shape, NumberShape):
        return _number(shape)
    if isinstance(shape, MediumShape):
        return {"audio": "sound", "medium": "image, video or sound"}.get(shape.kind, shape.kind)
    return {FlagShape: "true or false", NullShape: "null"}.get(type(shape), "any")


def _number(shape: NumberShape) -> str:
    if shape.choices:
        return ", ".join(f"`{choice}`" for choice in shape.choices)
    limits = (("above", shape.above), ("from", shape.least), ("to", shape.most))
    told = [f"{word} {limit:g}" for word, limit in limits if limit is not None]
    return " ".join(["whole number" if shape.whole else "number", *told])


PAGES: Mapping[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "rules.md": rules_page,
    "format.md": format_page,
}


def main() -> None:
    """Write the pages."""
    for name, make in PAGES.items():
        (FOLDER / name).write_text(make(), encoding="utf-8", newline="\n")
        print(FOLDER / name)


if __name__ == "__main__":
    main()
