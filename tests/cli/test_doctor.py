"""`dw-lsp doctor`: what it says of a machine that is well, and of each thing that can be wrong with one."""

from __future__ import annotations

import json
import re
import stat
import sys
import time
from pathlib import Path

import pytest

from dw_lsp.cli import doctor
from dw_lsp.cli.doctor import Examination, Examined, install, older, to_text
from dw_lsp.cli.worker_probe import CannotProbe, ProbedPython, StartedWorker, probe_python, start_worker
from dw_lsp.protocol import MemoryReport
from dw_lsp.settings import Settings, WorkerSettings
from dw_lsp.supervisor.events import WorkerState

ROOT = Path(__file__).resolve().parents[2]
MEMORY = MemoryReport("cpu", "a processor", 0, 1, 5 * 10**9, 8 * 10**9, 1, 1, 5 * 10**9, 0)
COMPLETE = ProbedPython("/python", "3.12.1", dict.fromkeys(doctor.PACKAGES, "99.0"), None)


def script(path: Path, body: str) -> str:
    """A program that can be set as a Python and is none."""
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


needs_sh = pytest.mark.skipif(sys.platform == "win32", reason="the program is a shell script")


# ---------------------------------------------------------------- the program


def test_a_machine_that_is_well_ends_with_0(program) -> None:
    done = program("doctor", "--json")
    written = json.loads(done.stdout)
    assert (done.returncode, written["well"]) == (0, True), done.stdout + done.stderr
    assert written["device"] in ("cpu", "cuda", "mps")
    assert 0 < written["freeBytes"] <= written["totalBytes"]
    assert written["versions"]["torch"] and written["versions"]["diffusers"]
    assert {item["name"] for item in written["items"]} >= {"dw-lsp", "worker Python", "worker", "device", "model cache"}


def test_a_python_without_torch_is_told_with_the_command_that_mends_it(tmp_path, program) -> None:
    python = bare_python(tmp_path)
    done = program("doctor", DW_WORKER_PYTHON=python)
    assert done.returncode == 1
    assert re.search(r"^PROBLEM +torch +not installed$", done.stdout, re.MULTILINE)
    assert f'-> {python} -m pip install "torch>={doctor.PACKAGES["torch"]}"' in done.stdout
    assert "Something will not work" in done.stdout


def test_a_python_that_is_not_there_is_told(program) -> None:
    done = program("doctor", DW_WORKER_PYTHON="/nowhere/python")
    assert done.returncode == 1
    assert "dw.worker.python is '/nowhere/python', which does not exist" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_setting_that_is_wrong_is_a_warning(program) -> None:
    written = json.loads(program("doctor", "--json", DW_RUN_ON_SAVE="maybe", DW_WORKER_PYTHON="/nowhere").stdout)
    (item,) = [item for item in written["items"] if item["name"] == "settings"]
    assert item["state"] == "warning"
    assert item["told"].startswith("DW_RUN_ON_SAVE must be true or false")


def bare_python(tmp_path: Path) -> str:
    """The path of a Python without packages."""
    import venv

    venv.create(tmp_path / "bare", with_pip=False, symlinks=sys.platform != "win32")
    return str(tmp_path / "bare" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python"))


# ---------------------------------------------------------------- the worker's Python


def test_the_probe_tells_versions_without_importing() -> None:
    began = time.monotonic()
    found = probe_python(sys.executable, ["torch", "no-such-package"], {})
    assert time.monotonic() - began < 5
    assert found.version.startswith(f"{sys.version_info[0]}.{sys.version_info[1]}.")
    assert found.versions["torch"] and found.versions["no-such-package"] is None


def test_the_probe_takes_nothing_from_the_folder_it_lies_in() -> None:
    # Beside it lie modules with everyday names, which must not stand in for libraries.
    code = (ROOT / "dw_lsp" / "cli" / "probe.py").read_text(encoding="utf-8")
    assert code.index("sys.path[:] = sys.path[1:]") < code.index("look(sys.argv[1:])")


@needs_sh
@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("echo 'cannot load library' >&2; exit 3", "it is no Python that works (exit code 3): cannot load library"),
        ("echo hello", "it is no Python that works (exit code 0): it printed nothing"),
        ("echo '[1]'", "it is no Python that works"),
    ],
)
def test_a_program_that_is_no_python_is_told_apart(body, told, tmp_path) -> None:
    with pytest.raises(CannotProbe) as raised:
        probe_python(script(tmp_path / "python", body), ["torch"], {})
    assert str(raised.value).startswith(told)


@needs_sh
def test_a_program_that_does_not_answer_is_given_up(tmp_path) -> None:
    with pytest.raises(CannotProbe, match=r"it did not answer within 0.3 s"):
        probe_python(script(tmp_path / "python", "exec sleep 60"), ["torch"], {}, seconds=0.3)


@pytest.mark.parametrize(
    ("version", "oldest", "is_older"),
    [
        ("2.4", "2.4", False),
        ("2.13.0+cpu", "2.4", False),
        ("2.3.1", "2.4", True),
        ("2.10", "2.9", False),
        ("0.4.5rc1", "0.4.5", False),
        ("1.0", "1.0.1", True),
    ],
)
def test_versions_are_compared_by_their_numbers(version, oldest, is_older) -> None:
    assert older(version, oldest) is is_older


def test_the_packages_are_those_of_the_worker_extra() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extra = re.search(r"^worker = \[(.*?)\]", text, re.MULTILINE | re.DOTALL)
    assert extra is not None
    assert dict(re.findall(r'"([a-z]+)>=([\d.]+)"', extra.group(1))) == doctor.PACKAGES
    assert f'requires-python = ">={doctor.OLDEST_PYTHON}"' in text


@pytest.mark.parametrize(
    ("changes", "state", "told"),
    [
        ({"torch": None}, "problem", "not installed"),
        ({"torch": "2.3"}, "problem", "2.3 is older than 2.4"),
        ({"segno": None}, "warning", "not installed: QR codes cannot be made"),
    ],
)
def test_each_package_is_judged(changes, state, told) -> None:
    python = ProbedPython("/python", "3.12.1", {**COMPLETE.versions, **changes}, None)
    (item,) = [item for item in doctor._packages(python) if item.state != "ok"]
    assert (item.state, item.told) == (state, told)
    assert item.remedy is not None and item.remedy.startswith(install("/python", [""])[:-3])


def test_an_old_python_is_a_problem() -> None:
    (item,) = doctor._python(ProbedPython("/python", "3.9.18", {}, None))
    assert item.state == "problem"
    assert item.remedy is not None and "3.10" in item.remedy


# ---------------------------------------------------------------- the worker


@needs_sh
def test_a_worker_that_does_not_start_is_told_with_its_last_words(tmp_path) -> None:
    command = script(tmp_path / "worker", "echo 'libcudart.so.12: not found' >&2; exit 1")
    worker = start_worker(Settings(worker=WorkerSettings(command=(command,))), 30)
    assert worker.failure is not None
    assert "exit code 1" in worker.failure and "libcudart.so.12: not found" in worker.failure


@needs_sh
def test_a_worker_that_hangs_is_given_up(tmp_path) -> None:
    command = script(tmp_path / "worker", "exec sleep 60")
    worker = start_worker(Settings(worker=WorkerSettings(command=(command,))), 0.5)
    assert worker.failure is not None and "not ready after 0.5 s" in worker.failure


@needs_sh
def test_a_command_of_the_users_own_is_started_as_it_is(tmp_path, program) -> None:
    command = script(tmp_path / "worker", "exit 4")
    done = program("doctor", DW_WORKER_COMMAND=json.dumps([command]))
    assert done.returncode == 1
    assert f"worker command  {command}" in done.stdout
    assert "The worker ended with exit code 4." in done.stdout


def test_a_worker_that_started_tells_its_device_and_memory() -> None:
    worker = StartedWorker(WorkerState("idle", versions={"torch": "2.9"}), 3.0, MEMORY, None, ())
    names = {item.name: item for item in doctor._worker(worker, COMPLETE)}
    assert names["worker"].told == "ready after 3.0 s (torch 2.9)"
    assert names["device"].told == "cpu, a processor"
    assert names["host memory"].told == "5.0 GB free"


@needs_sh
@pytest.mark.parametrize(
    ("cuda", "told"), [(None, "this torch has no CUDA"), ("12.8", "this torch (CUDA 12.8) cannot use it")]
)
def test_a_gpu_that_is_not_used_is_told(cuda, told, tmp_path, monkeypatch) -> None:
    script(tmp_path / "nvidia-smi", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    item = doctor._device(MEMORY, ProbedPython("/python", "3.12", {}, cuda))
    assert item.state == "warning"
    assert told in item.told


def test_little_memory_is_a_warning() -> None:
    memory = MemoryReport("cpu", "a processor", 0, 1, 1, 8, 1, 1, 10**9, 0)
    assert doctor._host_memory(memory).state == "warning"


# ---------------------------------------------------------------- folders


def test_a_folder_that_will_be_made_is_well(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(doctor, "LITTLE_DISK", 0)
    assert doctor._folder("outputs", tmp_path / "a" / "b", "", "").state == "ok"


def test_a_folder_on_a_full_disk_is_a_warning(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(doctor, "LITTLE_DISK", 2**70)
    item = doctor._folder("outputs", tmp_path, "", "Free some space.")
    assert (item.state, item.remedy) == ("warning", "Free some space.")


def test_a_folder_below_a_file_is_a_problem(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    item = doctor._folder("outputs", tmp_path / "file" / "outputs", "", "")
    assert item.state == "problem"
    assert item.told.endswith("file is no folder")


def test_the_cache_counts_its_models(tmp_path) -> None:
    for name in ("models--a--b", "models--c", "datasets--d"):
        (tmp_path / name).mkdir()
    assert doctor._models_in(tmp_path) == "2 models"
    assert doctor._models_in(tmp_path / "nowhere") == "0 models"


# ---------------------------------------------------------------- telling


def test_only_a_problem_is_not_well() -> None:
    assert Examination((Examined("a", "warning", "x"),), None, None).well
    assert not Examination((Examined("a", "problem", "x"),), None, None).well


def test_a_remedy_stands_below_its_line() -> None:
    told = to_text(Examination((Examined("a", "ok", "x"), Examined("long", "problem", "y", "mend it")), None, None))
    assert told.splitlines() == [
        "ok       a     x",
        "PROBLEM  long  y",
        "               -> mend it",
        "Something will not work; each remedy stands behind its arrow.",
    ]
