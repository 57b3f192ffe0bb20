"""Where a training may begin."""

from __future__ import annotations

from pathlib import Path

import pytest

from unstained.errors import FileError, InputError
from unstained.learning.training_folder import (
    NOTE,
    begin_training,
    forget_if_unbegun,
    leave_note,
)


def test_a_file_is_no_folder_for_a_model(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="is a file, not a folder"):
        begin_training(tmp_path / "out", "model.json", {}, resume=False)
    assert (tmp_path / "out").read_text(encoding="utf-8") == "mine"


def test_a_training_goes_on_only_with_what_it_began_with(tmp_path: Path) -> None:
    out = tmp_path / "out"
    begin_training(out, "model.json", {"settings": {"steps": 2}, "data": "a"}, resume=False)
    begin_training(out, "model.json", {"settings": {"steps": 2}, "data": "a"}, resume=True)
    with pytest.raises(InputError, match="holds an interrupted training"):
        begin_training(out, "model.json", {"settings": {"steps": 2}, "data": "a"}, resume=False)
    with pytest.raises(InputError, match="begun with other data"):
        begin_training(out, "model.json", {"settings": {"steps": 2}, "data": "b"}, resume=True)


def test_a_finished_training_may_be_resumed_with_what_it_began_with_alone(tmp_path: Path) -> None:
    def begin(data: str, *, resume: bool) -> bool:
        return begin_training(tmp_path / "out", "model.json", {"data": data}, resume=resume)

    assert begin("a", resume=False)  # there is something to train
    (tmp_path / "out" / "training" / "member").mkdir()
    (tmp_path / "out" / "training" / "checkpoint.safetensors").touch()
    leave_note(tmp_path / "out" / "training")
    assert [path.name for path in (tmp_path / "out" / "training").iterdir()] == [NOTE]
    (tmp_path / "out" / "model.json").touch()
    assert not begin("a", resume=True)  # nor is it an error: clusters queue a job again
    with pytest.raises(InputError, match="begun with other data"):
        begin("b", resume=True)
    with pytest.raises(InputError, match="holds a finished model"):
        begin("a", resume=False)
    (tmp_path / "out" / "training" / NOTE).unlink()
    with pytest.raises(InputError, match="holds a finished model"):  # of what, nobody knows
        begin("a", resume=True)


def test_a_folder_that_finder_showed_is_still_a_new_one(tmp_path: Path) -> None:
    (tmp_path / ".DS_Store").touch()
    assert begin_training(tmp_path, "model.json", {}, resume=False)
    (tmp_path / "notes.txt").touch()
    (tmp_path / "training" / NOTE).unlink()
    (tmp_path / "training").rmdir()
    with pytest.raises(InputError, match="is not empty"):
        begin_training(tmp_path, "model.json", {}, resume=False)


def test_a_damaged_note_is_named(tmp_path: Path) -> None:
    begin_training(tmp_path / "out", "model.json", {}, resume=False)
    (tmp_path / "out" / "training" / "run.json").write_text("[1,", encoding="utf-8")
    with pytest.raises(FileError, match=r"run\.json: cannot be read .*; remove the folder"):
        begin_training(tmp_path / "out", "model.json", {}, resume=True)


def test_only_what_has_no_checkpoint_is_forgotten(tmp_path: Path) -> None:
    begun, unbegun = tmp_path / "begun", tmp_path / "unbegun"
    for out in (begun, unbegun):
        begin_training(out, "model.json", {}, resume=False)
    (begun / "training" / "checkpoint.safetensors").touch()
    for out in (begun, unbegun):
        forget_if_unbegun(out)
    assert begun.is_dir()
    assert not unbegun.exists()
