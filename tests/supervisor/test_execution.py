"""What the worker is told of a request and the settings."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from dw_lsp.protocol import RunOptions
from dw_lsp.settings import Settings
from dw_lsp.supervisor.execution import execute_message, output_folder, run_options
from dw_lsp.supervisor.runs import RunRequest

REQUEST = RunRequest("file:///a.dw.json", "{}", arguments={"prompt": "a cat"}, step="draw", seed=3)


def test_text_and_arguments_go_through_unread() -> None:
    message = execute_message("r1", dataclasses.replace(REQUEST, text="{ broken"), Settings())
    assert (message.run_id, message.text, message.arguments) == ("r1", "{ broken", {"prompt": "a cat"})
    assert (message.step, message.seed) == ("draw", 3)


@pytest.mark.parametrize(
    ("document", "roots", "asked", "folder"),
    [
        ("/w/flows/a.dw.json", ("/w",), None, "/w/outputs"),
        ("/w/flows/a.dw.json", (), None, "/w/flows/outputs"),
        ("/w/flows/a.dw.json", ("/w",), "pictures", "/w/pictures"),
        ("/w/flows/a.dw.json", ("/w",), "/elsewhere", "/elsewhere"),
        (None, (), None, str(Path.cwd() / "outputs")),
    ],
)
def test_results_go_to_the_workspace_else_beside_the_file(
    document: str | None, roots: tuple[str, ...], asked: str | None, folder: str
) -> None:
    request = dataclasses.replace(REQUEST, document_path=document, roots=roots, output_directory=asked)
    assert output_folder(request, Settings()) == Path(folder)


def test_a_home_folder_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    request = dataclasses.replace(REQUEST, output_directory="~/pictures", roots=("/w",))
    assert output_folder(request, Settings()) == Path("/home/me/pictures")


def test_default_settings_are_default_options() -> None:
    assert run_options(Settings()) == RunOptions()


def test_each_setting_becomes_its_option() -> None:
    base = Settings()
    settings = dataclasses.replace(
        base,
        preview=dataclasses.replace(base.preview, enabled=False, every_steps=4),
        security=dataclasses.replace(
            base.security,
            trust_remote_code=True,
            allow_pickle=True,
            allowed_modules=("mine",),
            allowed_paths=("/media",),
        ),
        memory=dataclasses.replace(base.memory, budget="20GB", host_budget=0.1, growth_warning_mb=1),
        run=dataclasses.replace(base.run, reuse_unseeded=True, remembered_gb=0.5),
    )
    assert run_options(settings) == RunOptions(
        preview_enabled=False,
        preview_every_steps=4,
        trust_remote_code=True,
        allow_pickle=True,
        allowed_modules=("mine",),
        allowed_paths=("/media",),
        memory_budget="20GB",
        host_memory_budget=0.1,
        growth_warning_bytes=1024 * 1024,
        reuse_unseeded=True,
        remembered_bytes=512 * 1024**2,
    )
