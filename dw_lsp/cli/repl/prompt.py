"""The prompt on a terminal: completion while one types, history, and what the worker is doing below the line."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.patch_stdout import patch_stdout

from dw_lsp.cli.inputs import tell
from dw_lsp.cli.repl.commands import Commands
from dw_lsp.cli.repl.session import Session
from dw_lsp.cli.repl.suggestions import Scene, suggestions
from dw_lsp.cli.repl.wording import toolbar_words

GREETING = "dw-lsp: `help` tells the commands, Tab completes, Ctrl-C cancels a run, Ctrl-D leaves."
#: How often what stands below the line is drawn anew. Seconds.
REFRESHED = 0.5


def converse(commands: Commands, session: Session) -> None:
    """Read and carry out lines until `exit` or Ctrl-D.

    Ctrl-C at the prompt drops the line that is being typed; while a command waits, it drops the command.
    """
    print(GREETING)
    prompt: PromptSession[str] = PromptSession(
        "dw> ",
        completer=_Completer(commands, session),
        complete_while_typing=False,
        history=_history(),
        bottom_toolbar=lambda: toolbar_words(commands.file, session.state, session.memory),
        refresh_interval=REFRESHED,
        enable_suspend=True,
    )
    while True:
        is_typed = False
        try:
            with patch_stdout():
                line = prompt.prompt()
            is_typed = True
            with _keys_unseen():
                if commands.onecmd(line):
                    return
        except KeyboardInterrupt:
            if is_typed:
                tell("interrupted")
        except EOFError:
            return


@contextlib.contextmanager
def _keys_unseen() -> Iterator[None]:
    """What is typed while a command goes on does not stand in the midst of what it says; the next prompt has it."""
    if sys.platform == "win32":
        yield
        return
    import termios

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    unseen = [*before]
    unseen[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSANOW, unseen)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSANOW, before)


class _Completer(Completer):
    """Hands what Tab offers to the terminal."""

    def __init__(self, commands: Commands, session: Session):
        self._commands, self._settings = commands, session.settings

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """What may stand at the cursor."""
        commands = self._commands
        scene = Scene(commands.helped(), commands.file, commands.given, self._settings)
        for found in suggestions(document.text_before_cursor, scene):
            yield Completion(found.text, -found.typed, display_meta=found.note)


def _history() -> History:
    """What was typed in earlier sessions too, where it can be kept."""
    path = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "dw-lsp" / "history"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError as error:
        tell(f"what is typed cannot be remembered in {path}: {error.strerror}")
        return InMemoryHistory()
    return FileHistory(str(path))
