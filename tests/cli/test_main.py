"""The command line: which words start what, and what the exit code of wrong ones is."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import dw_lsp
from dw_lsp.cli import main
from dw_lsp.cli.main import COMMANDS, Command, execute

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, argparse.Namespace]]:
    """What each command would have been started with, instead of starting it."""
    heard: list[tuple[str, argparse.Namespace]] = []

    def listening(name: str, command: Command) -> Command:
        def run(options: argparse.Namespace) -> int:
            heard.append((name, options))
            return 7

        return Command(command.help, command.add_options, run)

    monkeypatch.setattr(main, "COMMANDS", {name: listening(name, command) for name, command in COMMANDS.items()})
    return heard


@pytest.mark.parametrize("words", [[], ["--stdio"], ["serve"], ["serve", "--stdio"]])
def test_without_a_command_it_is_the_language_server_over_stdio(words, given) -> None:
    assert execute(words) == 7
    ((name, options),) = given
    assert (name, options.tcp) == ("serve", None)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("localhost:2087", ("localhost", 2087)),
        (":2087", ("127.0.0.1", 2087)),
        ("[::1]:2087", ("::1", 2087)),
        ("0.0.0.0:0", ("0.0.0.0", 0)),
    ],
)
def test_an_address_has_a_host_and_a_port(text, address, given) -> None:
    execute(["serve", "--tcp", text])
    assert given[0][1].tcp == address


@pytest.mark.parametrize("text", ["2087", "host:", "host:http", "host:70000", "host:-1"])
def test_what_is_no_address_is_refused(text, given, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        execute(["serve", "--tcp", text])
    assert ended.value.code == 2
    assert "127.0.0.1:2087" in capsys.readouterr().err


def test_options_of_run_may_stand_anywhere(given) -> None:
    execute(["run", "--seed", "4", "a.dw.json", "x=1", "--step", "draw", "y=2", "--output-dir", "out", "--json"])
    options = given[0][1]
    assert (options.file, options.arguments) == ("a.dw.json", ["x=1", "y=2"])
    assert (options.seed, options.step, options.output_dir) == (4, "draw", "out")
    assert (options.json, options.watch) == (True, False)


def test_a_value_may_begin_with_a_dash_and_hold_an_equals_sign(given) -> None:
    execute(["plan", "a.dw.json", "shift=-1", "prompt=1+1=2"])
    assert given[0][1].arguments == ["shift=-1", "prompt=1+1=2"]


def test_options_are_not_guessed_from_their_beginnings(given, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        execute(["run", "a.dw.json", "--see", "4"])
    assert ended.value.code == 2
    assert "--see" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["bogus"], ["run"], ["check"], ["check", "x", "--format", "xml"], ["serve", "x"]])
def test_wrong_words_end_with_2(words, program) -> None:
    done = program(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: dw-lsp" in done.stderr


def test_it_tells_its_version(program) -> None:
    assert program("--version").stdout == f"dw-lsp {dw_lsp.__version__}\n"


def test_its_help_names_every_command(program) -> None:
    told = program("--help").stdout
    assert [name for name in COMMANDS if f"\n    {name} " not in told] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name, program) -> None:
    done = program(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: dw-lsp {name}")


@pytest.mark.parametrize("words", [["schema"], ["check", "workflows"]])
def test_a_reader_that_goes_away_is_no_error_of_ours(words) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "dw_lsp", *words],
        cwd=ROOT,
        stdout=write,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (main.BROKEN_PIPE, b"")


def test_ctrl_c_ends_with_130_and_without_a_traceback(monkeypatch) -> None:
    def interrupted(options: argparse.Namespace) -> int:
        signal.raise_signal(signal.SIGINT)
        return 0

    monkeypatch.setitem(COMMANDS, "schema", Command("", lambda parser: None, interrupted))
    assert execute(["schema"]) == 130


def test_worker_starts_the_file_that_the_supervisor_starts(program) -> None:
    # Without anybody at the other end of its input the worker says hello and leaves.
    done = subprocess.run(
        [sys.executable, "-m", "dw_lsp", "worker"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=100,
        check=False,
    )
    length = int.from_bytes(done.stdout[:4], "big")
    hello = json.loads(done.stdout[4 : 4 + length])
    assert hello["kind"] == "Hello", done.stderr.decode()


def test_check_loads_neither_the_server_nor_a_progress_bar() -> None:
    code = (
        "import sys; from dw_lsp.cli.main import execute; execute(['check', 'workflows'])\n"
        "print([name for name in ('pygls', 'lsprotocol', 'rich', 'asyncio', 'torch') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
