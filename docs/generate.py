"""Writes the pages that say what the code says: docs/settings.md and docs/rules.md. `make docs` runs it.

A test fails while a page differs from what is made here, so neither can be forgotten.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from dw_lsp.analysis.findings import SEVERITIES, Rule
from dw_lsp.analysis.rules import RULES
from dw_lsp.settings import SettingDescription, describe_settings

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


PAGES: Mapping[str, Callable[[], str]] = {"settings.md": settings_page, "rules.md": rules_page}


def main() -> None:
    """Write the pages."""
    for name, make in PAGES.items():
        (FOLDER / name).write_text(make(), encoding="utf-8", newline="\n")
        print(FOLDER / name)


if __name__ == "__main__":
    main()
