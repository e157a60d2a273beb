"""The words of the command line to one function for each command. Knows of no command more than its options.

A command's module is imported when it is used: `check` never loads the language server, `serve` no progress bar.
"""

from __future__ import annotations

import argparse
import gc
import os
import runpy
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import dw_lsp

#: What a shell sees of a program that Ctrl-C ended.
INTERRUPTED = 130
#: What a shell sees of a program whose reader went away, as `dw-lsp schema | head -1` does.
BROKEN_PIPE = 141


@dataclass(frozen=True)
class Command:
    """One command: a line for people, its options, and what it does; that returns the exit code."""

    help: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def execute(words: Sequence[str]) -> int:
    """Do what the words after the program's name say. Returns the exit code; wrong words end the process with 2."""
    words = list(words)
    if not words or (words[0].startswith("-") and words[0] not in ("-h", "--help", "--version")):
        words.insert(0, "serve")
    name = _overview().parse_args(words[:1]).command
    command = COMMANDS[name]
    options = _parser(name, command).parse_intermixed_args(words[1:])
    try:
        code = command.run(options)
        if not sys.stdout.closed:
            sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Python would complain once more when it closes the stream at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE


def _overview() -> argparse.ArgumentParser:
    """The parser of the first word: it knows the names of the commands, not their options."""
    parser = argparse.ArgumentParser(prog="dw-lsp", description=dw_lsp.__doc__, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"dw-lsp {dw_lsp.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        commands.add_parser(name, help=command.help, add_help=False)
    parser.epilog = "Without a command: serve --stdio. `dw-lsp COMMAND --help` tells of the options of one."
    return parser


def _parser(name: str, command: Command) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"dw-lsp {name}", description=command.help, allow_abbrev=False)
    command.add_options(parser)
    return parser


# ---------------------------------------------------------------- options


def _serve_options(parser: argparse.ArgumentParser) -> None:
    transport = parser.add_mutually_exclusive_group()
    transport.add_argument("--stdio", action="store_true", help="talk over standard input and output (the default)")
    transport.add_argument("--tcp", type=_address, metavar="HOST:PORT", help="wait there for one editor to connect")


def _run_options(parser: argparse.ArgumentParser) -> None:
    _workflow_options(parser)
    parser.add_argument("--output-dir", metavar="DIR", help="where results go (setting: dw.outputDirectory)")
    parser.add_argument("--json", action="store_true", help="one event as JSON on each line of standard output")
    parser.add_argument("--watch", action="store_true", help="stay, and run again whenever the file is saved")
    help = "write a timeline of memory (memory.json, memory.png; on CUDA torch's snapshot) beside the results"
    parser.add_argument("--profile-memory", action="store_true", help=help)


def _plan_options(parser: argparse.ArgumentParser) -> None:
    _workflow_options(parser)
    parser.add_argument("--json", action="store_true", help="the plan as one JSON object")


def _workflow_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="the workflow")
    parser.add_argument("arguments", nargs="*", default=[], metavar="NAME=VALUE", help="a value for a variable")
    parser.add_argument("--step", metavar="NAME", help="stop after this step")
    parser.add_argument("--seed", type=int, metavar="N", help="the seed of steps that have none of their own")


def _check_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a file, or a folder to search for workflows")
    parser.add_argument("--format", choices=("text", "json", "sarif", "github"), default="text", help="of the report")
    parser.add_argument(
        "--severity",
        choices=("error", "warning", "hint"),
        default="error",
        help="findings from this severity on make the exit code 1 (default: error)",
    )


def _doctor_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="the report as one JSON object")


def _repl_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", metavar="FILE", help="the workflow to begin with")


def _no_options(parser: argparse.ArgumentParser) -> None:
    """A command without options."""


def _address(text: str) -> tuple[str, int]:
    """`HOST:PORT`; an IPv6 host stands in brackets, and no host means this machine only."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT, such as 127.0.0.1:2087")
    return host.removeprefix("[").removesuffix("]") or "127.0.0.1", int(port)


# ---------------------------------------------------------------- commands


def _serve(options: argparse.Namespace) -> int:
    gc.disable()  # Until the server is up: nothing that is imported is garbage, and looking for some takes 50 ms.
    from dw_lsp.server.serve import serve_stdio, serve_tcp

    return serve_tcp(*options.tcp) if options.tcp else serve_stdio()


def _run(options: argparse.Namespace) -> int:
    from dw_lsp.cli.run import run

    return run(options)


def _check(options: argparse.Namespace) -> int:
    from dw_lsp.cli.check import check

    return check(options)


def _plan(options: argparse.Namespace) -> int:
    from dw_lsp.cli.plan import plan

    return plan(options)


def _schema(options: argparse.Namespace) -> int:
    from dw_lsp.cli.schema import schema

    return schema()


def _doctor(options: argparse.Namespace) -> int:
    from dw_lsp.cli.doctor import doctor

    return doctor(options)


def _repl(options: argparse.Namespace) -> int:
    from dw_lsp.cli.repl import repl

    return repl(options)


def _worker(options: argparse.Namespace) -> int:
    # By path, as the supervisor does it: nothing here imports the worker, and the worker nothing of this.
    launcher = Path(dw_lsp.__file__).parent / "worker" / "launch.py"
    sys.argv = [str(launcher)]
    runpy.run_path(str(launcher), run_name="__main__")
    return 0


COMMANDS: dict[str, Command] = {
    "serve": Command("the language server (what an editor starts)", _serve_options, _serve),
    "run": Command("run a workflow", _run_options, _run),
    "check": Command("tell the mistakes in workflow files", _check_options, _check),
    "plan": Command("tell what a run would load, run and write, without doing it", _plan_options, _plan),
    "schema": Command("print the JSON Schema of the workflow format", _no_options, _schema),
    "doctor": Command("tell what is installed, what will not work, and the remedy", _doctor_options, _doctor),
    "repl": Command("a prompt beside a warm worker", _repl_options, _repl),
    "worker": Command("the worker process; the supervisor starts it", _no_options, _worker),
}
