"""An interrupted or refused write leaves nothing under the final name."""

from __future__ import annotations

import errno
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from unstained.errors import FileError
from unstained.images import atomic
from unstained.images.atomic import (
    atomic_dir,
    atomic_path,
    disk_remedy,
    json_text,
    make_folder,
    remove_folder,
    write_json,
)


def test_a_file_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "new" / "out.tif"
    with atomic_path(target) as part:
        part.write_text("half")
        assert not target.exists()
        assert part.suffix == ".tif"
        assert part.parent == target.parent
    assert target.read_text() == "half"
    assert [p.name for p in target.parent.iterdir()] == ["out.tif"]


def test_an_interrupted_write_keeps_the_old_file_and_no_other(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    target.write_text("old")

    def interrupted() -> None:
        with atomic_path(target) as part:
            part.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv"]


def test_an_interrupted_folder_leaves_nothing(tmp_path: Path) -> None:
    def interrupted() -> None:
        with atomic_dir(tmp_path / "model") as part:
            (part / "model.json").write_text("{")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_replaced_whole_and_only_on_request(tmp_path: Path) -> None:
    target = tmp_path / "model"
    with atomic_dir(target) as part:
        (part / "a").write_text("1")
    with pytest.raises(FileError, match="exists already; choose another"), atomic_dir(target):
        pass
    with atomic_dir(target, replace=True) as part:
        (part / "b").write_text("2")
        assert (target / "a").exists()
    assert [p.name for p in target.iterdir()] == ["b"]
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_an_existing_file_is_kept_when_it_may_not_be_replaced(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    target.write_text("old")
    with pytest.raises(FileError, match="exists already"), atomic_path(target, replace=False):
        pass
    assert target.read_text() == "old"


@pytest.mark.parametrize("make", [atomic_path, atomic_dir])
def test_a_full_disk_names_file_reason_and_remedy(tmp_path: Path, make) -> None:  # type: ignore[no-untyped-def]
    target = tmp_path / "out.zarr"
    with pytest.raises(FileError) as caught, make(target):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.file == str(target)
    assert "No space left on device" in caught.value.reason
    assert "free some space" in caught.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_a_table_that_excel_has_open_is_told_so(tmp_path: Path) -> None:
    # Windows refuses to replace it: PermissionError, errno 13
    with (
        pytest.raises(FileError, match="close the file where another program has it open"),
        atomic_path(tmp_path / "a.csv"),
    ):
        raise PermissionError(errno.EACCES, "Permission denied")


def test_an_error_of_another_kind_is_not_renamed(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="input/output") as caught, atomic_path(tmp_path / "a.csv"):
        raise OSError(errno.EIO, "input/output")
    assert not isinstance(caught.value, FileError)


def test_a_file_in_the_place_of_a_folder_is_named_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for write in (atomic_path, atomic_dir):
        with (
            pytest.raises(FileError, match="choose another folder"),
            write(tmp_path / "file" / "a"),
        ):
            pass
    for taken in (tmp_path / "file", tmp_path / "file" / "b"):
        with pytest.raises(FileError, match="choose another folder"):
            make_folder(taken)
    assert make_folder(tmp_path / "new" / "deep").is_dir()


def test_json_has_null_where_a_number_is_not_finite_at_any_depth() -> None:
    value = {"a": math.nan, "b": [1.5, (math.inf, {"c": -math.inf})]}
    assert json_text(value) == '{"a": null, "b": [1.5, [null, {"c": null}]]}'


def test_numbers_and_arrays_of_numpy_are_written_as_python_writes_its_own() -> None:
    value = {
        "n": np.int64(3),
        "yes": np.bool_(True),
        "half": np.float32(0.5),
        "grid": np.array([[1.0, np.nan], [2.0, 3.0]]),
    }
    assert json_text(value) == (
        '{"n": 3, "yes": true, "half": 0.5, "grid": [[1.0, null], [2.0, 3.0]]}'
    )


def test_what_json_does_not_know_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_json(tmp_path / "a.json", {"when": object()})
    assert list(tmp_path.iterdir()) == []


def test_a_json_file_has_null_for_nan_and_ends_with_a_line_feed(tmp_path: Path) -> None:
    file = write_json(tmp_path / "a.json", {"c_max": math.nan})
    assert file.read_bytes() == b'{\n  "c_max": null\n}\n'


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Windows, as far as the module asks; the seconds that were waited."""
    waited: list[float] = []
    monkeypatch.setattr(atomic.sys, "platform", "win32")
    monkeypatch.setattr(atomic.time, "sleep", waited.append)
    return waited


def _held(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Renaming is refused so often, as while a virus scanner has the file open."""
    refused = iter(range(times))
    renamed = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if next(refused, None) is not None:
            raise PermissionError(errno.EACCES, "Access is denied", str(self))
        return renamed(self, target)

    monkeypatch.setattr(Path, "replace", replace)


@pytest.mark.parametrize("make", [atomic_path, atomic_dir])
def test_what_a_virus_scanner_holds_for_a_moment_is_renamed_after_it(
    tmp_path: Path,
    windows: list[float],
    monkeypatch: pytest.MonkeyPatch,
    make,  # type: ignore[no-untyped-def]
) -> None:
    _held(monkeypatch, 3)
    with make(tmp_path / "out") as part:
        (part / "a" if part.is_dir() else part).write_text("whole")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert windows == [0.1, 0.2, 0.4]


def test_what_stays_open_is_told_after_three_seconds_and_elsewhere_at_once(
    tmp_path: Path, windows: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused() -> None:
        _held(monkeypatch, 100)
        with (
            pytest.raises(FileError, match="close the file where another program"),
            atomic_path(tmp_path / "a.csv") as part,
        ):
            part.write_text("1")

    refused()
    assert sum(windows) == pytest.approx(3.0)
    windows.clear()
    monkeypatch.setattr(atomic.sys, "platform", "linux")
    refused()
    assert windows == []


def test_a_folder_is_removed_when_its_last_file_is_let_go(
    tmp_path: Path, windows: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "staging"
    folder.mkdir()
    removed, refused = shutil.rmtree, iter(range(1))

    def rmtree(path: Path) -> None:
        if next(refused, None) is not None:  # as Windows says of a file that it will remove soon
            raise OSError(errno.ENOTEMPTY, "The directory is not empty", str(path))
        removed(path)

    monkeypatch.setattr(shutil, "rmtree", rmtree)
    remove_folder(folder)
    assert not folder.exists()
    assert windows == [0.1]


def test_a_leftover_that_cannot_be_removed_hides_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unlink(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(errno.EACCES, "is open", str(self))

    monkeypatch.setattr(Path, "unlink", unlink)
    with pytest.raises(ZeroDivisionError), atomic_path(tmp_path / "a.csv"):
        raise ZeroDivisionError


def test_lines_end_alike_where_the_system_has_other_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on_windows(self: Path, text: str, encoding: str, newline: str | None = None) -> int:
        return self.write_bytes(text.replace("\n", newline or "\r\n").encode(encoding))

    monkeypatch.setattr(Path, "write_text", on_windows)
    assert write_json(tmp_path / "a.json", {"a": 1}).read_bytes() == b'{\n  "a": 1\n}\n'


def test_a_path_that_is_too_long_for_windows_is_told_so(windows: list[float]) -> None:
    def said(file: str) -> str | None:
        return disk_remedy(FileNotFoundError(errno.ENOENT, "No such file or directory", file))

    assert "choose one nearer to the drive" in str(said("a" * 250))
    assert said("a.tif") is None


def test_a_character_that_no_name_may_have_is_told() -> None:
    # Windows, and Linux on a disk of Windows's making, say no more than "Invalid argument"
    assert "without the characters" in str(
        disk_remedy(OSError(errno.EINVAL, "Invalid argument", "out/DAPI:1.csv"))
    )
    assert disk_remedy(OSError(errno.EINVAL, "Invalid argument")) is None  # of a bug
