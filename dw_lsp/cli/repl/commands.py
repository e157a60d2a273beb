"""What can be typed at the prompt: each command, what it takes, what it says."""

from __future__ import annotations

import argparse
import cmd
import shlex
from dataclasses import replace
from pathlib import Path

from dw_lsp.cli.inputs import UnusableInput, read_document, tell
from dw_lsp.cli.repl.session import Session
from dw_lsp.cli.repl.values import must_fit, typed
from dw_lsp.cli.repl.wording import memory_lines, state_lines
from dw_lsp.cli.run import prepare
from dw_lsp.supervisor.failures import WorkerFailure
from dw_lsp.text.document import Document
from dw_lsp.text.syntax_tree import Object, Value, to_value
from dw_lsp.workflow.recognition import LANGUAGE_ID


class Commands(cmd.Cmd):
    """The commands. The first line of each one's docstring is its help."""

    prompt = ""

    def __init__(self, session: Session):
        super().__init__()
        self._session = session
        self._file: Path | None = None
        self._arguments: dict[str, str] = {}

    def onecmd(self, line: str) -> bool:
        """Carry out one line; what goes wrong is told, and the prompt stays."""
        try:
            return bool(super().onecmd(line))
        except UnusableInput as problem:
            tell(str(problem))
        except WorkerFailure as failure:
            tell(failure.message)
        return False

    def emptyline(self) -> bool:
        """Nothing: an empty line does not repeat the last command, which may be a long run."""
        return False

    def default(self, line: str) -> None:
        """A line that begins with no command."""
        tell(f"there is no command {line.split()[0]!r}; `help` tells those there are")

    # ------------------------------------------------------------ commands

    def do_load(self, line: str) -> None:
        """load FILE: the workflow that `run` runs; values given before are forgotten."""
        words = _words(line)
        if len(words) != 1:
            raise UnusableInput("load takes one file: load FILE")
        path = Path(words[0]).expanduser()
        root = read_document(path).root
        if not isinstance(root, Object) or root.get("steps") is None:
            stays = "" if self._file is None else f"; {self._file} stays loaded"
            raise UnusableInput(f"{path} is no workflow: it has no `steps`{stays}")
        self._file, self._arguments = path, {}
        if self._session.settings.worker.prewarm == "onOpen":
            self._session.prewarm()
        print(f"{path}: {', '.join(self.variables()) or 'no variables'}")

    def do_arg(self, line: str) -> None:
        """arg [NAME=VALUE | NAME]: give a variable a value; without one, its default again; alone, list all."""
        variables = self.variables()
        if not line.strip():
            for name, default in variables.items():
                print(f"{name} = {self._shown(name, default)}")
            return
        name = line.partition("=")[0].strip()
        if name not in variables:
            raise UnusableInput(f"there is no variable {name!r}; there are: {', '.join(variables) or 'none'}")
        if "=" not in line:
            self._arguments.pop(name, None)
            return
        text = _unquoted(line.partition("=")[2].strip())
        default = variables[name]
        must_fit(self._document(), name, typed(name, text, default), default, self._session.settings)
        self._arguments[name] = text

    def _shown(self, name: str, default: Value) -> str:
        if name not in self._arguments:
            return f"{default!r}  (default)"
        text = self._arguments[name]
        try:
            return repr(typed(name, text, default))
        except UnusableInput:
            return f"{text!r}  (does not fit the default {default!r} any more)"

    def do_run(self, line: str) -> None:
        """run [STEP]: run the workflow as the file is now, up to a step or whole. Ctrl-C cancels."""
        path = self._loaded()
        words = [f"{name}={value}" for name, value in self._arguments.items()]
        options = argparse.Namespace(
            arguments=words, step=line.strip() or None, seed=None, output_dir=None, profile_memory=False
        )
        request = prepare(options, path, self._session.settings)
        if request is not None:
            self._session.run(request, path)

    def do_memory(self, line: str) -> None:
        """memory: what the worker holds, and what is free."""
        print("\n".join(memory_lines(self._session.ask(lambda supervisor: supervisor.memory()))))

    def do_clear(self, line: str) -> None:
        """clear: make the worker drop all models; it stays alive."""
        print("\n".join(memory_lines(self._session.ask(lambda supervisor: supervisor.clear()))))

    def do_status(self, line: str) -> None:
        """status: what the worker is doing."""
        print("\n".join(state_lines(self._session.state)))

    def do_restart(self, line: str) -> None:
        """restart: a new worker, whatever the old one does."""
        print("\n".join(state_lines(self._session.ask(lambda supervisor: supervisor.restart()))))

    def do_exit(self, line: str) -> bool:
        """exit: end the worker and leave (Ctrl-D does too)."""
        return True

    def do_help(self, arg: str) -> None:
        """help [COMMAND]: what can be typed, or more on one command."""
        if arg.strip():
            super().do_help(arg)
            return
        for name, use in self.helped().items():
            print(f"{name:<8} {use}")

    def do_EOF(self, line: str) -> bool:
        """The end of the input."""
        return True

    def get_names(self) -> list[str]:
        """The commands that `help` lists."""
        return [name for name in super().get_names() if name != "do_EOF"]

    # ------------------------------------------------------------ the file

    @property
    def file(self) -> Path | None:
        """The workflow that is loaded."""
        return self._file

    @property
    def given(self) -> dict[str, Value]:
        """The values that were given to variables."""
        return dict(self._arguments)

    def helped(self) -> dict[str, str]:
        """Each command with what it does."""
        documented = {
            name.removeprefix("do_"): getattr(self, name).__doc__ for name in self.get_names() if name[:3] == "do_"
        }
        return {name: (text or "").partition(": ")[2] for name, text in documented.items()}

    def _loaded(self) -> Path:
        if self._file is None:
            raise UnusableInput("no workflow is loaded; type: load FILE")
        return self._file

    def _document(self) -> Document:
        return replace(read_document(self._loaded()), language_id=LANGUAGE_ID)

    def variables(self) -> dict[str, Value]:
        """The variables of the file as it is now, with their defaults."""
        root = self._document().root
        block = root.get("variables") if isinstance(root, Object) else None
        variables = None if block is None else to_value(block)
        return variables if isinstance(variables, dict) else {}


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        raise UnusableInput("a quote is not closed") from None


def _unquoted(value: str) -> str:
    """The value without quotes around the whole: nobody means them here, but a shell has taught to type them."""
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" and value[0] not in value[1:-1]
    return value[1:-1] if quoted else value
