"""What the folders of all models have in common: ``model.json``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from unstained.cells.model import CellModel
from unstained.colonies import ColonyClassifier
from unstained.errors import FileError, ModelError, UnstainedError
from unstained.learning.model_file import MODEL, read_model_file, write_model_files
from unstained.staining import Panel

LOAD = {"stains": Panel.load, "cells": CellModel.load, "colonies": ColonyClassifier.load}
COMMAND = {"stains": "staining", "cells": "cells", "colonies": "colonies"}


@pytest.fixture(params=list(LOAD))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_what_was_written_is_read(kind: str, tmp_path: Path) -> None:
    write_model_files(tmp_path, kind, {}, {"planes": 2})
    said = read_model_file(tmp_path, kind)
    assert (said["kind"], said["planes"]) == (kind, 2)


def test_a_model_of_stains_need_not_say_so(tmp_path: Path) -> None:
    """Those of the first weeks do not."""
    (tmp_path / MODEL).write_text('{"format": 1}')
    assert read_model_file(tmp_path, "stains") == {"format": 1}
    with pytest.raises(ModelError, match="is a model of stains, not of cells"):
        read_model_file(tmp_path, "cells")


def test_a_folder_that_is_no_model_says_which_command_makes_one(kind: str, tmp_path: Path) -> None:
    made_by = f"give what `unstained {COMMAND[kind]} train` wrote"
    with pytest.raises(FileError, match=f"none: is not there; {made_by}"):
        LOAD[kind](tmp_path / "none")
    with pytest.raises(FileError, match=rf"is no model: it has no model\.json; {made_by}"):
        LOAD[kind](tmp_path)


def test_an_unfinished_training_says_how_it_goes_on(kind: str, tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    with pytest.raises(ModelError, match=f"not finished; .*{COMMAND[kind]} train .* --resume"):
        LOAD[kind](tmp_path)


@pytest.mark.parametrize("other", list(LOAD))
def test_a_model_of_something_else_is_told_apart(kind: str, other: str, tmp_path: Path) -> None:
    write_model_files(tmp_path, other, {}, {})
    with pytest.raises(UnstainedError) as caught:
        LOAD[kind](tmp_path)
    assert (f"is a model of {other}, not of {kind}" in str(caught.value)) == (kind != other)


def test_a_model_of_a_later_version_asks_for_it(kind: str, tmp_path: Path) -> None:
    write_model_files(tmp_path, kind, {}, {"format": 2, "unstained": "9.1"})
    with pytest.raises(ModelError, match=r"was written by unstained 9\.1; update unstained"):
        LOAD[kind](tmp_path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "Expecting"),
        ("[1]", r"it holds \[1\], not a mapping"),
        ("{}", "it has no 'format'"),
        ('{"format": "1"}', "format is '1', not a whole number"),
        (json.dumps({"format": 1, "kind": 3}), "kind is 3, not text"),
    ],
)
def test_a_file_that_is_not_ours_is_refused(
    kind: str, text: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / MODEL).write_text(text)
    with pytest.raises(ModelError, match=rf"model\.json: is not what unstained wrote \({told}"):
        LOAD[kind](tmp_path)
