"""`dw-lsp repl`: a prompt beside a warm worker, to run workflows again and again with other values."""

from __future__ import annotations

import argparse
import shlex
import sys

from dw_lsp.cli.inputs import read_settings, tell
from dw_lsp.cli.repl.commands import Commands
from dw_lsp.cli.repl.session import Session
from dw_lsp.cli.run import INVALID

__all__ = ["repl"]


def repl(options: argparse.Namespace) -> int:
    """Read and carry out commands until `exit` or the end of the input. Returns the exit code."""
    if sys.stdin is None:
        tell("standard input is closed, so there are no commands to read")
        return INVALID
    session = Session(read_settings())
    try:
        commands = Commands(session)
        if options.file is not None:
            commands.onecmd(f"load {shlex.quote(options.file)}")
        if sys.stdin.isatty() and sys.stdout.isatty():
            from dw_lsp.cli.repl.prompt import converse

            converse(commands, session)
        else:
            commands.use_rawinput = False
            commands.cmdloop()
    finally:
        session.close()
    return 0
