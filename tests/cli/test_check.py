"""`dw-lsp check`: which files are checked, what is told of them, and what the exit code is."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

CLEAN = '{"id": "a", "steps": [{"name": "s", "task": {"command": "qr_code", "arguments": {"qr_code_contents": "x"}}}]}'
UNUSED = CLEAN.replace('"steps"', '"variables": {"v": 1}, "steps"')
WRONG = CLEAN.replace('"x"', '"variable:nope"')


def write(path: Path, text: str) -> Path:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_clean_file_ends_with_0(tmp_path, program) -> None:
    write(tmp_path / "a.dw.json", CLEAN)
    done = program("check", "a.dw.json")
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 file checked, nothing found.\n", "")


def test_an_error_is_told_with_line_and_column_from_1(tmp_path, program) -> None:
    write(tmp_path / "a.dw.json", "\n  " + WRONG)
    done = program("check", "a.dw.json")
    column = WRONG.index('"variable:nope"') + 3
    assert done.returncode == 1
    assert done.stdout.startswith(f"a.dw.json:2:{column}: error: ")
    assert done.stdout.endswith("[unknown-variable]\n1 error in 1 of 1 file.\n")


def test_columns_count_characters_not_units_of_an_encoding(tmp_path, program) -> None:
    text = WRONG.replace('"id": "a"', '"id": "é😀"')
    write(tmp_path / "a.dw.json", text)
    assert program("check", "a.dw.json").stdout.startswith(f"a.dw.json:1:{text.index('variable:nope')}: ")


@pytest.mark.parametrize(("severity", "code"), [("error", 0), ("warning", 0), ("hint", 1)])
def test_the_severity_decides_the_exit_code_and_not_what_is_told(severity, code, tmp_path, program) -> None:
    write(tmp_path / "a.dw.json", UNUSED)
    done = program("check", "a.dw.json", "--severity", severity)
    assert (done.returncode, "[unused-variable]" in done.stdout) == (code, True)


def test_a_rule_can_be_given_another_severity_or_none(tmp_path, program) -> None:
    write(tmp_path / "a.dw.json", UNUSED)
    severities = json.dumps({"unused-variable": "error"})
    assert program("check", "a.dw.json", DW_DIAGNOSTICS_SEVERITY=severities).returncode == 1
    severities = json.dumps({"unused-variable": "off"})
    done = program("check", "a.dw.json", "--severity", "hint", DW_DIAGNOSTICS_SEVERITY=severities)
    assert (done.returncode, done.stdout) == (0, "1 file checked, nothing found.\n")


def test_a_setting_that_is_wrong_is_told(tmp_path, program) -> None:
    write(tmp_path / "a.dw.json", CLEAN)
    done = program("check", "a.dw.json", DW_DIAGNOSTICS_SEVERITY='{"syntax": "loud"}')
    assert done.returncode == 0
    assert done.stderr.startswith("dw-lsp: warning: DW_DIAGNOSTICS_SEVERITY must be ")


def test_a_folder_is_searched_for_workflows_in_the_order_of_names(tmp_path, program) -> None:
    for name in ("b.dw.json", "deep/er/c.jsonc", "a.json"):
        write(tmp_path / name, WRONG)
    done = program("check", ".")
    assert [line.split(":")[0] for line in done.stdout.splitlines()[:-1]] == [
        "a.json",
        "b.dw.json",
        os.path.join("deep", "er", "c.jsonc"),
    ]
    assert done.stdout.endswith("3 errors in 3 of 3 files.\n")


@pytest.mark.parametrize(
    "name", [".hidden/a.dw.json", "node_modules/x/a.dw.json", ".a.dw.json", "a.txt", "deep/.git/a.dw.json"]
)
def test_hidden_files_and_packages_of_others_are_not_searched(name, tmp_path, program) -> None:
    write(tmp_path / name, WRONG)
    done = program("check", ".")
    assert (done.returncode, done.stdout) == (0, "0 files checked, nothing found.\n")
    assert done.stderr == "dw-lsp: no workflow in .\n"


@pytest.mark.parametrize("name", [".hidden/a.dw.json", "a.txt.dw.json"])
def test_a_file_that_is_named_is_checked_wherever_it_lies(name, tmp_path, program) -> None:
    write(tmp_path / name, WRONG)
    assert program("check", name).returncode == 1


def test_other_json_in_a_folder_is_none_of_our_business(tmp_path, program) -> None:
    write(tmp_path / "package.json", '{"name": "x", "steps": ["build", {"run": 1}]}')
    write(tmp_path / "broken.json", "{{{")
    write(tmp_path / "a.dw.json", CLEAN)
    done = program("check", ".")
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 file checked, nothing found.\n", "")


def test_other_json_that_is_named_is_said_not_to_be_checked(tmp_path, program) -> None:
    write(tmp_path / "package.json", '{"name": "x"}')
    done = program("check", "package.json")
    assert done.returncode == 0
    assert "dw-lsp: package.json is no workflow" in done.stderr


def test_a_file_that_is_named_twice_is_checked_once(tmp_path, program) -> None:
    write(tmp_path / "a.dw.json", WRONG)
    assert program("check", "a.dw.json", ".", str(tmp_path)).stdout.endswith("1 error in 1 of 1 file.\n")


def test_a_path_that_is_not_there_ends_with_2_and_the_others_are_checked(tmp_path, program) -> None:
    write(tmp_path / "a.dw.json", WRONG)
    done = program("check", "nowhere", "a.dw.json")
    assert done.returncode == 2
    assert done.stderr == "dw-lsp: nowhere does not exist\n"
    assert done.stdout.endswith("1 error in 1 of 1 file. 1 path could not be read.\n")


def test_a_file_that_is_not_utf_8_ends_with_2(tmp_path, program) -> None:
    (tmp_path / "a.dw.json").write_bytes(CLEAN.replace('"x"', '"é"').encode("latin-1"))
    done = program("check", ".")
    assert (done.returncode, done.stderr) == (
        2,
        f"dw-lsp: a.dw.json: byte {CLEAN.index('x')} is not UTF-8; save the file in UTF-8\n",
    )


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="everything is readable here")
def test_a_file_that_may_not_be_read_ends_with_2(tmp_path, program) -> None:
    write(tmp_path / "a.dw.json", CLEAN).chmod(0)
    done = program("check", "a.dw.json")
    assert (done.returncode, done.stderr) == (2, "dw-lsp: a.dw.json cannot be read: Permission denied\n")


def test_a_byte_order_mark_does_not_shift_columns(tmp_path, program) -> None:
    (tmp_path / "a.dw.json").write_bytes(b"\xef\xbb\xbf" + WRONG.encode())
    assert f":1:{WRONG.index('variable:nope')}: error" in program("check", "a.dw.json").stdout


def test_a_file_too_large_to_be_checked_is_an_error_at_once(tmp_path, program) -> None:
    write(tmp_path / "a.dw.json", CLEAN.replace('"x"', '"' + "x" * 10_000_000 + '"'))
    done = program("check", "a.dw.json")
    assert done.returncode == 1
    assert done.stdout.startswith("a.dw.json:1:1: error: This document has 10.0 million characters")


def test_brackets_without_end_are_told_once_and_do_no_harm(tmp_path, program) -> None:
    write(tmp_path / "a.dw.json", "[" * 10_000)
    done = program("check", "a.dw.json")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.count("[syntax]") == 1


def test_the_report_is_written_in_the_format_that_is_asked_for(tmp_path, program) -> None:
    write(tmp_path / "a.dw.json", WRONG)
    assert json.loads(program("check", ".", "--format", "json").stdout)["summary"]["error"] == 1
    assert json.loads(program("check", ".", "--format", "sarif").stdout)["version"] == "2.1.0"
    assert program("check", ".", "--format", "github").stdout.startswith("::error file=a.dw.json,line=1,")


def test_a_machine_readable_report_is_whole_even_when_nothing_could_be_read(program) -> None:
    done = program("check", "nowhere", "--format", "json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["unread"] == 1


def test_sarif_names_the_page_of_each_rule(tmp_path, program) -> None:
    write(tmp_path / "a.dw.json", WRONG)
    (run,) = json.loads(program("check", ".", "--format", "sarif").stdout)["runs"]
    rules = {rule["id"]: rule for rule in run["tool"]["driver"]["rules"]}
    assert rules["unknown-variable"]["helpUri"].endswith("/rules.md#unknown-variable")


def test_a_place_in_another_file_is_told_with_that_file(tmp_path, program) -> None:
    write(tmp_path / "child.dw.json", CLEAN.replace('"steps"', '\n"variables": {}, "steps"'))
    step = '{"name": "s", "workflow": {"path": "./child.dw.json", "arguments": {"x": 1}}}'
    write(tmp_path / "a.dw.json", f'{{"id": "a", "steps": [{step}]}}')
    lines = program("check", "a.dw.json").stdout.splitlines()
    assert lines[0].startswith("a.dw.json:1:") and "[unknown-argument]" in lines[0]
    assert lines[1] == "  child.dw.json:2:1: its variables"
