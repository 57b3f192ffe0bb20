"""The command line: help at once, one line for what a user can mend, a traceback for a bug."""

from __future__ import annotations

import errno
import io
import subprocess
import sys
import types
import warnings
from pathlib import Path

import pytest
import typer

from unstained import __version__
from unstained.cli import main as cli
from unstained.errors import DataError


def leave(argv: list[str]) -> int:
    with pytest.raises(SystemExit) as left:
        cli.main(argv)
    return int(left.value.code or 0)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """A group ``fail`` whose one command ``now`` raises what the test puts into the list."""
    errors: list[BaseException] = []
    app = typer.Typer(rich_markup_mode=None)

    @app.command()
    def now() -> None:
        raise errors[0]

    monkeypatch.setitem(cli.GROUPS, "fail", "")
    monkeypatch.setitem(sys.modules, "unstained.cli.fail", types.SimpleNamespace(app=app))
    return errors


@pytest.mark.parametrize("argv", [[], ["--help"]])
def test_help_names_every_group(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert leave(argv) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in ("demo", "datasets", "images", "staining"))


def test_help_imports_nothing_that_takes_time() -> None:
    code = (
        "import sys\n"
        "from unstained.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({m.split('.')[0] for m in sys.modules}), file=sys.stderr)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for heavy in ("numpy", "torch", "typer", "rich", "pandas", "zarr", "matplotlib"):
        assert f"'{heavy}'" not in run.stderr
    assert "Usage: unstained" in run.stdout


def test_import_unstained_brings_no_subpackage() -> None:
    code = "import sys, unstained; print('numpy' in sys.modules, unstained.images.__name__)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "unstained.images"]


def test_python_m_unstained_is_the_command() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "unstained", "--version"], capture_output=True, text=True, check=True
    )
    assert run.stdout == f"unstained {__version__}\n"


@pytest.mark.parametrize("name", list(cli.GROUPS))
def test_every_group_answers_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert leave([name, "--help"]) == 0
    assert f"unstained {name}" in capsys.readouterr().out


def test_a_mistyped_group_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert leave(["datsets", "list"]) == 2
    assert capsys.readouterr().err == "unstained: no command 'datsets'; did you mean datasets?\n"


def test_an_error_of_the_user_is_one_line_and_code_1(
    failing: list[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    failing.append(DataError("holds no\nstain", "give it one", file="pairs.csv"))
    assert leave(["fail", "now"]) == 1
    shown = capsys.readouterr()
    assert shown.err == "unstained: pairs.csv: holds no stain; give it one\n"
    assert shown.out == ""


@pytest.mark.parametrize(
    ("number", "says", "remedy"),
    [
        (errno.ENOSPC, "No space left on device", "free some space"),
        (errno.EDQUOT, "Disk quota exceeded", "your quota is used up"),
        (errno.EACCES, "Permission denied", "choose another folder or change its permissions"),
    ],
)
def test_what_the_system_refuses_is_one_line_with_file_and_remedy(
    number: int,
    says: str,
    remedy: str,
    failing: list[BaseException],
    capsys: pytest.CaptureFixture[str],
) -> None:
    failing.append(OSError(number, says, "out/a.tif"))
    assert leave(["fail", "now"]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith(f"unstained: out/a.tif: {says}; {remedy}")
    assert shown.count("\n") == 1


def test_a_name_that_the_output_cannot_hold_ends_no_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # what Windows gives to a command whose output goes into a file
    redirected = io.TextIOWrapper(io.BytesIO(), encoding="cp1252", write_through=True)
    monkeypatch.setattr(sys, "stdout", redirected)
    app = typer.Typer(rich_markup_mode=None)

    @app.command()
    def now() -> None:
        sys.stdout.write("marker \u03b1SMA, 2 \u00b5m\n")

    monkeypatch.setitem(cli.GROUPS, "say", "")
    monkeypatch.setitem(sys.modules, "unstained.cli.say", types.SimpleNamespace(app=app))
    assert leave(["say", "now"]) == 0
    redirected.seek(0)
    assert redirected.read() == "marker ?SMA, 2 \u00b5m\n"


def test_the_users_folder_is_found_where_no_shell_does_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    assert leave(["images", "check", "~/pairs.csv"]) == 1
    assert f"{tmp_path / 'pairs.csv'}: " in capsys.readouterr().err
    # where paths have no backslash this is the name of a user, whom nobody knows
    assert cli._from_home("~\\no such user\\pairs.csv").endswith("pairs.csv")


def test_an_interrupt_leaves_with_130_and_a_line(
    failing: list[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    failing.append(KeyboardInterrupt())
    assert leave(["fail", "now"]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "unstained: interrupted"


def test_a_bug_keeps_its_traceback(failing: list[BaseException]) -> None:
    failing.append(ZeroDivisionError("a bug"))
    with pytest.raises(ZeroDivisionError, match="a bug"):
        cli.main(["fail", "now"])


def test_a_warning_is_a_note_in_one_line_without_source_code(
    failing: list[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)  # put back afterwards
    failing.append(DataError("no", "mend it"))
    leave(["fail", "now"])
    said = warnings.formatwarning("one group only", UserWarning, "split.py", 7, "split()")
    assert said == "unstained: note: one group only\n"


@pytest.mark.parametrize(
    "words", [[name] for name in cli.GROUPS if name != "demo"] + [["staining", "study"]]
)
def test_the_help_of_a_group_cuts_no_sentence_off(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert leave([*words, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "..." not in shown.partition("Commands:")[2]
