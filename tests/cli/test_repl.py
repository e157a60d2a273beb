"""`dw-lsp repl` as a person has it: lines typed, what is answered, Ctrl-C and Tab on a terminal."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shlex
import struct
import subprocess
import sys
import time
from pathlib import Path

import pyte
import pytest

from dw_lsp.cli.repl.wording import memory_lines, state_lines, toolbar_words
from dw_lsp.protocol import Component, MemoryReport
from dw_lsp.supervisor.events import WorkerExit, WorkerState

ROOT = Path(__file__).resolve().parents[2]
FLOW = """{
  "id": "codes",
  "variables": { "text": "hello", "size": 10 },
  "steps": [
    { "name": "code",
      "task": { "command": "qr_code", "arguments": { "qr_code_contents": "variable:text" } },
      "result": { "content_type": "image/png" } }
  ]
}
"""


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    """A workflow without a model, in the folder that the program is started in."""
    path = tmp_path / "codes.dw.json"
    path.write_text(FLOW, encoding="utf-8")
    return path


@pytest.fixture
def typed(tmp_path: Path):
    """Gives the program lines on its input and waits for its end."""

    def start(*lines: str, words: tuple[str, ...] = (), **variables: str) -> subprocess.CompletedProcess[str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("DW_")}
        return subprocess.run(
            [sys.executable, "-m", "dw_lsp", "repl", *words],
            input="".join(line + "\n" for line in lines),
            cwd=tmp_path,
            env={**plain, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "DW_WORKER_PREWARM": "onRun", **variables},
            capture_output=True,
            encoding="utf-8",
            timeout=100,
            check=False,
        )

    return start


def test_a_session_with_a_worker(flow, typed) -> None:
    done = typed("arg text=a star", "run", "run", "memory", "clear", "status", words=("codes.dw.json",))
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    pictures = [Path(line) for line in lines if line.endswith(".png")]
    assert len(pictures) == 2 and all(picture.is_file() for picture in pictures)
    manifest = json.loads((pictures[0].parent / "manifest.json").read_text(encoding="utf-8"))
    assert "a star" in json.dumps(manifest)
    assert done.stderr.count("starting worker") == 1
    assert done.stderr.count("succeeded after") == 2
    assert sum("of" in line and line.endswith("free") and not line.startswith(" ") for line in lines) == 2
    assert re.search(r"^idle \(process \d+, ", done.stdout, re.MULTILINE)


def test_it_ends_with_its_input_or_with_exit(typed) -> None:
    assert typed().returncode == 0
    done = typed("exit", "status")
    assert (done.returncode, done.stdout) == (0, "")


def test_nothing_is_started_before_it_is_needed(flow, typed) -> None:
    assert typed("load codes.dw.json", "arg", "status").stdout.splitlines()[-1] == "stopped"


def test_values_are_listed_given_and_taken_back(flow, typed) -> None:
    done = typed("arg", 'arg text="a star"', "arg size=3", "arg", "arg text", "arg", words=("codes.dw.json",))
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "codes.dw.json: text, size",
        "text = 'hello'  (default)",
        "size = 10  (default)",
        "text = 'a star'",
        "size = 3",
        "text = 'hello'  (default)",
        "size = 3",
    ]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("run", "no workflow is loaded; type: load FILE"),
        ("arg x=1", "no workflow is loaded; type: load FILE"),
        ("load", "load takes one file: load FILE"),
        ("load nowhere.json", "nowhere.json does not exist"),
        ('load "codes', "a quote is not closed"),
        ("dance", "there is no command 'dance'; `help` tells those there are"),
        ("memory", "There is no worker. Run a workflow or restart the worker first."),
    ],
)
def test_what_cannot_be_done_is_told_and_the_prompt_stays(line, told, typed) -> None:
    done = typed(line, "status")
    assert (done.returncode, done.stderr) == (0, f"dw-lsp: {told}\n")
    assert done.stdout == "stopped\n"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("arg size=abc", "size"),
        ("arg scheduler=NoSuchScheduler", 'scheduler = "NoSuchScheduler": '),
        ("load notes.json", "notes.json is no workflow: it has no `steps`; shapes.dw.json stays loaded"),
        ("run nostep", "there is no step 'nostep'; the steps are: draw"),
    ],
)
def test_what_does_not_fit_is_told_when_it_is_given(line, told, typed, tmp_path) -> None:
    variables = {"size": 4, "scheduler": "DDIMScheduler", "prompt": "a star"}
    pipeline = {
        "configuration": {"component_type": "StableDiffusionPipeline"},
        "from_pretrained_arguments": {"model_name": str(ROOT / "workflows" / "models" / "shapes")},
        "scheduler": {"configuration": {"scheduler_type": "variable:scheduler"}},
        "arguments": {"prompt": "variable:prompt", "num_inference_steps": "variable:size"},
    }
    steps = [{"name": "draw", "pipeline": pipeline, "result": {"content_type": "image/png"}}]
    flow = {"id": "shapes", "variables": variables, "steps": steps}
    (tmp_path / "shapes.dw.json").write_text(json.dumps(flow), encoding="utf-8")
    (tmp_path / "notes.json").write_text("{}", encoding="utf-8")
    models = str(ROOT / "workflows" / "models")
    done = typed("arg size=7", line, "arg", words=("shapes.dw.json",), DW_SECURITY_ALLOWED_PATHS=models)
    assert told in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert done.stdout.splitlines()[-3:] == [
        "size = 7",
        "scheduler = 'DDIMScheduler'  (default)",
        "prompt = 'a star'  (default)",
    ]


def test_quotes_inside_of_a_value_stay(flow, typed) -> None:
    done = typed('arg text="x" y "z"', "arg", words=("codes.dw.json",))
    assert """text = '"x" y "z"'""" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="the line is for a POSIX shell")
def test_without_an_input_there_is_nothing_to_do(tmp_path) -> None:
    command = f"{shlex.quote(sys.executable)} -m dw_lsp repl <&-"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (2, "dw-lsp: standard input is closed, so there are no commands to read\n")


def test_a_variable_that_is_not_there_is_told(flow, typed) -> None:
    assert "there is no variable 'txt'; there are: text, size" in typed("arg txt=1", words=("codes.dw.json",)).stderr


def test_a_file_with_mistakes_is_not_run(flow, typed) -> None:
    flow.write_text(FLOW.replace("variable:text", "variable:txt"), encoding="utf-8")
    done = typed("run", "status", words=("codes.dw.json",))
    assert "codes.dw.json:6:74: error: " in done.stderr
    assert done.stdout.splitlines()[-1] == "stopped"


def test_an_empty_line_does_nothing(typed) -> None:
    assert typed("status", "", "").stdout == "stopped\n"


def test_help_names_every_command_with_its_use(typed) -> None:
    names = ["arg", "clear", "exit", "help", "load", "memory", "restart", "run", "status"]
    done = typed("help", *(f"help {name}" for name in names))
    assert [line.split()[0] for line in done.stdout.splitlines()[: len(names)]] == names
    assert "run      run the workflow as the file is now, up to a step or whole. Ctrl-C cancels." in done.stdout
    assert [
        name for name in names if name != "help" and not re.search(rf"^{name}\b.*: ", done.stdout, re.MULTILINE)
    ] == []


# ---------------------------------------------------------------- on a terminal


class Terminal:
    """The program on a pseudo-terminal, and what stands on its screen."""

    ROWS, COLUMNS = 30, 120

    def __init__(self, folder: Path, *words: str, **variables: str):
        import fcntl
        import pty
        import termios

        self.screen = pyte.Screen(self.COLUMNS, self.ROWS)
        # The program asks where the cursor is, and the terminal answers.
        self.screen.write_process_input = lambda data: os.write(self.channel, data.encode())  # type: ignore[method-assign]
        self._stream = pyte.ByteStream(self.screen)
        self.pid, self.channel = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", self.ROWS, self.COLUMNS, 0, 0))
            plain = {name: value for name, value in os.environ.items() if not name.startswith("DW_")}
            changes = {"PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(folder / "state"), "TERM": "xterm"}
            changes |= {"DW_WORKER_PREWARM": "onRun"}
            environment = {**plain, **changes, **variables}
            os.execve(sys.executable, [sys.executable, "-m", "dw_lsp", "repl", *words], environment)

    @property
    def lines(self) -> list[str]:
        """What stands on the screen."""
        return [line.rstrip() for line in self.screen.display]

    def wait_for(self, text: str, seconds: float = 60, whole: bool = False) -> None:
        """Read until a line of the screen has the text, or is it."""
        end = time.monotonic() + seconds
        while not any(text == line if whole else text in line for line in self.lines):
            assert time.monotonic() < end, f"{text!r} did not come: {self.lines}"
            if select.select([self.channel], [], [], 0.1)[0]:
                try:
                    self._stream.feed(os.read(self.channel, 65536))
                except OSError:
                    raise AssertionError(f"it ended: {self.lines}") from None

    def ready(self) -> None:
        """Wait for an empty prompt: what is typed before it may be taken in another way."""
        self.wait_for("dw>", whole=True)

    def type(self, keys: str) -> None:
        """Type."""
        os.write(self.channel, keys.encode())

    def end(self) -> int:
        """Wait for the program's end. Returns its exit code."""
        with contextlib.suppress(OSError):
            while os.read(self.channel, 65536):
                pass
        _, status = os.waitpid(self.pid, 0)
        os.close(self.channel)
        return os.waitstatus_to_exitcode(status)


on_a_terminal = pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")


@on_a_terminal
def test_tab_completes_commands_files_variables_values_and_steps(flow) -> None:
    terminal = Terminal(flow.parent)
    terminal.ready()
    terminal.type("loa\t")
    terminal.wait_for("dw> load")
    terminal.type("cod\t")
    terminal.wait_for("dw> load codes.dw.json")
    terminal.type("\n")
    terminal.wait_for("codes.dw.json: text, size")
    terminal.ready()
    terminal.type("arg si\t")
    terminal.wait_for("dw> arg size=")
    terminal.type("\t")
    terminal.wait_for("dw> arg size=10")
    terminal.type("\x15run co\t")
    terminal.wait_for("dw> run code")
    terminal.type("\x15")
    terminal.ready()
    terminal.type("exit\n")
    assert terminal.end() == 0


@on_a_terminal
def test_the_state_of_the_worker_stands_below_the_line(flow) -> None:
    terminal = Terminal(flow.parent, "codes.dw.json")
    terminal.wait_for("codes.dw.json   worker stopped")
    terminal.ready()
    terminal.type("run\n")
    terminal.wait_for("succeeded after")
    terminal.wait_for("codes.dw.json   worker idle")
    terminal.wait_for(" GB   0 components")
    terminal.ready()
    terminal.type("exit\n")
    assert terminal.end() == 0


@on_a_terminal
def test_what_was_typed_is_remembered(tmp_path) -> None:
    terminal = Terminal(tmp_path)
    terminal.ready()
    terminal.type("status\n")
    terminal.wait_for("stopped", whole=True)
    terminal.ready()
    terminal.type("\x04")
    assert terminal.end() == 0
    terminal = Terminal(tmp_path)
    terminal.ready()
    terminal.type("\x1b[A")
    terminal.wait_for("dw> status")
    terminal.type("\x15\x04")
    assert terminal.end() == 0


@on_a_terminal
def test_ctrl_c_at_the_prompt_drops_the_line(tmp_path) -> None:
    terminal = Terminal(tmp_path)
    terminal.ready()
    terminal.type("dance")
    terminal.wait_for("dw> dance")
    terminal.type("\x03")
    terminal.ready()
    terminal.type("status\n")
    terminal.wait_for("stopped", whole=True)
    assert not any("there is no command" in line for line in terminal.lines)
    terminal.ready()
    terminal.type("exit\n")
    assert terminal.end() == 0


@on_a_terminal
def test_ctrl_c_cancels_a_run_and_the_worker_stays(tmp_path) -> None:
    text = (ROOT / "workflows" / "shapes.dw.json").read_text(encoding="utf-8")
    models = ROOT / "workflows" / "models"
    text = text.replace('"./models/shapes"', json.dumps(str(models / "shapes")))
    (tmp_path / "long.dw.json").write_text(text, encoding="utf-8")
    (tmp_path / "other.dw.json").write_text(text.replace("yellow star", "red circle"), encoding="utf-8")
    terminal = Terminal(tmp_path, "long.dw.json", DW_SECURITY_ALLOWED_PATHS=str(models))
    terminal.ready()
    terminal.type("arg steps=900\n")
    terminal.wait_for("dw> arg steps=900")
    terminal.ready()
    terminal.type("run\n")
    terminal.wait_for("denoising")
    terminal.wait_for(" left")
    terminal.type("\x03")
    terminal.wait_for("cancelled after")
    terminal.ready()
    terminal.type("status\n")
    terminal.wait_for("idle (process")
    terminal.ready()
    # Another workflow over the same model: what they share stays.
    terminal.type("load other.dw.json\n")
    terminal.wait_for("other.dw.json: ")
    terminal.ready()
    terminal.type("run\n")
    terminal.wait_for("nothing had to be loaded")
    terminal.ready()
    terminal.type("exit\n")
    assert terminal.end() == 0


@on_a_terminal
def test_ctrl_c_ends_what_a_command_waits_for_and_never_the_prompt(flow) -> None:
    (flow.parent / "torch.py").write_text("import time; time.sleep(60)", encoding="utf-8")
    environment = json.dumps({"PYTHONPATH": str(flow.parent)})
    terminal = Terminal(flow.parent, "codes.dw.json", DW_WORKER_PREWARM="onOpen", DW_WORKER_ENVIRONMENT=environment)
    terminal.wait_for("worker starting")
    for command in ("memory", "clear", "restart", "run"):
        terminal.ready()
        terminal.type(f"\x0c{command}")  # On an empty screen.
        terminal.wait_for(f"dw> {command}", whole=True)
        terminal.type("\n")
        time.sleep(0.5)  # It waits for the worker, which imports for a minute.
        terminal.type("typed meanwhile\x03")
        terminal.wait_for("cancelled after" if command == "run" else "interrupted")
        assert not any("typed meanwhile" in line for line in terminal.lines)
    terminal.ready()
    terminal.type("exit\n")
    assert terminal.end() == 0


@on_a_terminal
def test_that_restarts_have_stopped_is_told(flow) -> None:
    (flow.parent / "torch.py").write_text("import os; os._exit(7)", encoding="utf-8")
    environment = json.dumps({"PYTHONPATH": str(flow.parent)})
    terminal = Terminal(flow.parent, "codes.dw.json", DW_WORKER_PREWARM="onOpen", DW_WORKER_ENVIRONMENT=environment)
    terminal.wait_for("The worker crashed 3 times in a row")
    terminal.ready()
    terminal.type("\x04")
    assert terminal.end() == 0


# ---------------------------------------------------------------- words


def test_memory_in_words() -> None:
    part = Component("k", "vae", "AutoencoderKL", 2_500_000, "cuda:0", 0.2)
    report = MemoryReport("cuda", "a card", 1, 2, 3_000_000_000, 8_000_000_000, 1, 2_000_000, 5_000_000, 1, (part,))
    assert memory_lines(report) == [
        "cuda, a card: 3.0 GB of 8.0 GB free",
        "  worker 2.0 MB, host 5.0 MB free",
        "  vae  AutoencoderKL, 2.5 MB, on cuda:0",
    ]


def test_what_is_not_known_is_said_so() -> None:
    report = MemoryReport("cpu", "a processor", None, None, None, None, None, None, None, 0)
    assert memory_lines(report)[:2] == ["cpu, a processor: unknown free", "  worker unknown, host unknown free"]


def test_what_stands_below_the_line() -> None:
    idle = WorkerState("idle", pid=1)
    report = MemoryReport("cuda", "a card", 1, 2_000_000_000, None, 8_000_000_000, None, None, None, 0)
    assert toolbar_words(None, WorkerState("stopped"), None) == "no workflow   worker stopped"
    assert toolbar_words(Path("x/a.json"), idle, report) == "a.json   worker idle   cuda 2.0/8.0 GB   0 components"


def test_the_last_worker_is_told_of() -> None:
    state = WorkerState("crashed", exit=WorkerExit(1, None, "The worker ended with exit code 1.", ()))
    assert state_lines(state) == ["crashed", "  the last one: The worker ended with exit code 1."]
