"""Every `dw.*` setting: its type, its default, what it means; read from an editor's JSON or from DW_... variables.

One table for all: the documentation and the extension's manifest are made from `describe_settings`. A wrong value keeps
the default and is told of; it never stops anything.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Prewarm: TypeAlias = Literal["onOpen", "onRun"]
SEVERITIES = ("error", "warning", "information", "hint", "off")
ALLOWED_MODULES = tuple(
    "diffusers transformers torch accelerate peft torchao bitsandbytes sdnq optimum gguf".split()  # noqa: SIM905 (a list)
)


def _setting(kind: str, default: Any, meaning: str) -> Any:
    """A field of a settings dataclass: `kind` names the check in `_CHECKS`, `meaning` is its one-line documentation."""
    metadata = {"kind": kind, "meaning": meaning}
    if isinstance(default, dict):
        return field(default_factory=dict, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class WorkerSettings:
    python: str | None = _setting(
        "text", None, "Interpreter that has torch and diffusers. Unset: the server's own, or the editor's selected one."
    )
    command: tuple[str, ...] = _setting(
        "texts", (), 'Full argument list that starts the worker instead, e.g. ["ssh", "gpu-box", "dw-lsp", "worker"].'
    )
    prewarm: Prewarm = _setting(
        "prewarm", "onOpen", "onOpen: start and import when the first workflow is opened; onRun: the first run pays."
    )
    environment: Mapping[str, str] = _setting("environment", {}, "Extra environment variables of the worker.")


@dataclass(frozen=True)
class RunSettings:
    timeout_seconds: float = _setting(
        "seconds", 300.0, "A run that shows no sign of progress for so long is ended; 0 = never."
    )
    max_seconds: float = _setting("seconds", 0.0, "The whole run's limit; 0 = none.")
    reuse_unseeded: bool = _setting("flag", False, "Also reuse remembered results of steps that have no seed.")
    remembered_gb: float = _setting(
        "amount", 8.0, "GB that remembered results may fill in each output folder; 0 = none, and what is there goes."
    )
    on_save: bool = _setting("flag", False, "Run again when the file is saved.")


@dataclass(frozen=True)
class MemorySettings:
    growth_warning_mb: float = _setting(
        "amount", 500.0, "Warn when memory after a run has grown by more than this many MB."
    )
    budget: float | str = _setting(
        "budget", 0.9, 'Fraction (or "20GB") of the device\'s memory that kept components may fill.'
    )
    host_budget: float | str = _setting("budget", 0.5, "The same for components parked in host memory.")


@dataclass(frozen=True)
class PreviewSettings:
    enabled: bool = _setting("flag", True, "Show the image while it is being denoised.")
    every_steps: int = _setting("count", 1, "A preview at every so many denoising steps.")


@dataclass(frozen=True)
class SecuritySettings:
    trust_remote_code: bool = _setting("flag", False, "Let workflows run Python code from model repositories.")
    allow_pickle: bool = _setting("flag", False, "Load weights other than safetensors and GGUF (they may run code).")
    allowed_modules: tuple[str, ...] = _setting(
        "texts", ALLOWED_MODULES, "Packages from which a type named in a workflow may be taken."
    )
    allowed_paths: tuple[str, ...] = _setting(
        "texts", (), "Folders outside the workspace that a workflow may read media or models from."
    )


@dataclass(frozen=True)
class DiagnosticsSettings:
    severity: Mapping[str, str] = _setting("severities", {}, "Rule code to error, warning, information, hint or off.")


@dataclass(frozen=True)
class Settings:
    """All settings. Unset ones have their defaults."""

    worker: WorkerSettings = WorkerSettings()
    run: RunSettings = RunSettings()
    output_directory: str = _setting(
        "folder", "outputs", "Where results go, relative to the workspace folder, else to the file."
    )
    memory: MemorySettings = MemorySettings()
    preview: PreviewSettings = PreviewSettings()
    security: SecuritySettings = SecuritySettings()
    diagnostics: DiagnosticsSettings = DiagnosticsSettings()


@dataclass(frozen=True)
class SettingDescription:
    """One setting for people and manifests: `kind` is the JSON type it has, `default` its JSON value."""

    name: str
    variable: str
    kind: str
    default: Any
    meaning: str


class _Refused(Exception):
    """A value that a setting cannot have; the message completes "... must be"."""


def read_settings(value: Mapping[str, Any], base: Settings | None = None) -> tuple[Settings, tuple[str, ...]]:
    """The settings in the JSON of section `dw`, and a sentence for each value that is wrong.

    Arguments: the JSON (nested, or with dotted names); `base` what absent settings are, the defaults if not given.
    """
    problems: list[str] = []
    settings = _read_section(base or Settings(), _nested(value), "dw", problems)
    return settings, tuple(problems)


def settings_from_environment(environ: Mapping[str, str]) -> tuple[Settings, tuple[str, ...]]:
    """The settings in variables such as DW_RUN_TIMEOUT_SECONDS, and a sentence for each value that is wrong.

    Lists, objects and numbers are written as JSON; text may stand as it is, a list of texts with commas.
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    for description in describe_settings():
        text = environ.get(description.variable)
        if text is not None:
            values[description.name.removeprefix("dw.")] = _from_text(text, description.kind)
    settings, wrong = read_settings(values)
    names = {description.name: description.variable for description in describe_settings()}
    for problem in wrong:
        name = problem.split(" ", 1)[0]
        problems.append(problem.replace(name, names.get(name, name), 1))
    return settings, tuple(problems)


def describe_settings() -> tuple[SettingDescription, ...]:
    """Every setting, in the order of the contract."""
    return tuple(_described(Settings(), "dw"))


def _described(section: Any, prefix: str) -> list[SettingDescription]:
    rows = []
    for part in dataclasses.fields(section):
        name, default = f"{prefix}.{_camel_case(part.name)}", getattr(section, part.name)
        if dataclasses.is_dataclass(default):
            rows += _described(default, name)
        else:
            plain = list(default) if isinstance(default, tuple) else default
            kind = part.metadata["kind"]
            rows.append(SettingDescription(name, _variable(name), _JSON_KINDS[kind], plain, part.metadata["meaning"]))
    return rows


def _read_section(section: Any, value: Any, prefix: str, problems: list[str]) -> Any:
    if not isinstance(value, Mapping):
        problems.append(f"{prefix} must be an object")
        return section
    changed = {}
    parts = {_camel_case(part.name): part for part in dataclasses.fields(section)}
    for name, given in value.items():
        part, full = parts.get(name), f"{prefix}.{name}"
        if part is None:
            problems.append(f"{full} is no setting of dw-lsp")
        elif dataclasses.is_dataclass(getattr(section, part.name)):
            changed[part.name] = _read_section(getattr(section, part.name), given, full, problems)
        elif given is not None:
            try:
                changed[part.name] = _CHECKS[part.metadata["kind"]](given)
            except _Refused as refused:
                problems.append(f"{full} must be {refused}; {json.dumps(given, default=str)[:60]} is ignored")
    return dataclasses.replace(section, **changed)


def _nested(value: Mapping[str, Any]) -> dict[str, Any]:
    """`{"run.onSave": true}` as `{"run": {"onSave": true}}`: some editors send one, some the other."""
    result: dict[str, Any] = {}
    for name, given in value.items():
        *sections, last = name.removeprefix("dw.").split(".")
        place = result
        for section in sections:
            inner = place.setdefault(section, {})
            place = inner if isinstance(inner, dict) else {}
        if isinstance(given, Mapping) and isinstance(place.get(last), dict):
            place[last].update(given)
        else:
            place[last] = dict(given) if isinstance(given, Mapping) else given
    return result


def _from_text(text: str, kind: str) -> Any:
    """The value that a variable's text stands for; what is no JSON is text, or texts with commas."""
    if kind == "string":
        return text
    try:
        return json.loads(text)
    except ValueError:
        return [part.strip() for part in text.split(",") if part.strip()] if kind == "array" else text


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(part.capitalize() for part in others)


def _variable(name: str) -> str:
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).replace(".", "_").upper()


# ---- checks


def _check_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise _Refused("text")


def _check_python(value: Any) -> str | None:
    return _check_text(value).strip() or None


def _check_folder(value: Any) -> str:
    if isinstance(value, str) and value.strip():
        return value
    raise _Refused("the path of a folder")


def _check_texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, (list, tuple)) and all(isinstance(part, str) for part in value):
        return tuple(value)
    raise _Refused("a list of texts")


def _check_flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise _Refused("true or false")


def _check_amount(value: Any) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
        return float(value)
    raise _Refused("a number from 0")


def _check_count(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise _Refused("a whole number from 1")


def _check_budget(value: Any) -> float | str:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= 1:
        return float(value)
    if isinstance(value, str) and re.fullmatch(r"\s*\d+(\.\d+)?\s*[KMGT]i?B\s*", value, re.IGNORECASE):
        return value.strip()
    raise _Refused('a fraction from 0 to 1, or a size such as "20GB"')


def _check_prewarm(value: Any) -> str:
    if value in ("onOpen", "onRun"):
        return str(value)
    raise _Refused('"onOpen" or "onRun"')


def _check_environment(value: Any) -> dict[str, str]:
    if isinstance(value, Mapping) and all(isinstance(part, str) for part in (*value, *value.values())):
        return dict(value)
    raise _Refused("an object of texts")


def _check_severities(value: Any) -> dict[str, str]:
    if isinstance(value, Mapping) and all(part in SEVERITIES for part in value.values()):
        return dict(value)
    raise _Refused(f"an object of rule codes, each with one of {', '.join(SEVERITIES)}")


_CHECKS: Mapping[str, Callable[[Any], Any]] = {
    "text": _check_python,
    "folder": _check_folder,
    "texts": _check_texts,
    "flag": _check_flag,
    "seconds": _check_amount,
    "amount": _check_amount,
    "count": _check_count,
    "budget": _check_budget,
    "prewarm": _check_prewarm,
    "environment": _check_environment,
    "severities": _check_severities,
}
_JSON_KINDS = {
    "text": "string", "folder": "string", "texts": "array", "flag": "boolean", "seconds": "number", "amount": "number",
    "count": "integer", "budget": "number or string", "prewarm": "string", "environment": "object",
    "severities": "object",
}  # fmt: skip
