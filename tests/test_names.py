"""The name of a file or data set, given to a function that needs what is read from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from unstained import cells, colonies, dynamics, heterogeneity, images, staining
from unstained.cells.segmentation_sources import find_images
from unstained.errors import InputError, refuse_name
from unstained.images import Pairs

CALLS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "train": (lambda name: staining.train(name, "out"), "load_pairs"),
    "check_pairs": (images.check_pairs, "load_pairs"),
    "split_pairs": (images.split_pairs, "load_pairs"),
    "predict": (lambda name: staining.predict(name, None), "Panel.load"),  # type: ignore[arg-type]
    "predict_files": (lambda name: staining.predict_files(name, [], "out"), "Panel.load"),
    "score": (lambda name: staining.score_with_panel(name, "isl"), "Panel.load"),  # type: ignore[arg-type]
    "split_as_trained": (lambda name: staining.split_as_trained(name, "isl"), "Panel.load"),  # type: ignore[arg-type]
    "train_cells": (lambda name: cells.train_cells(name, "out"), "load_labelled"),
    "train_model": (lambda name: colonies.train_model(name, "out", "ipb", {}), "load_examples"),
    "fit": (lambda name: colonies.ColonyClassifier().fit(name, []), "load_examples"),
    "compare": (lambda name: colonies.compare(name, [], "out", colonies.Plan()), "load_examples"),
    "choose_cells": (heterogeneity.choose_cells, "read_cells"),
    "division_levels": (lambda name: dynamics.division_levels(name), "read_cells"),
}


@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.parametrize("call", list(CALLS))
def test_a_name_is_told_how_to_read_it(
    call: str, kind: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    function, reader = CALLS[call]
    with pytest.raises(InputError, match=rf"got the name 'mine', .*; give {reader}\('mine'\)"):
        function(kind("mine"))
    assert not list(tmp_path.iterdir())  # nothing was begun


@pytest.mark.parametrize(
    "call",
    [
        lambda name: staining.predict_files([], name, "out"),
        lambda name: colonies.detect_files(name, "out"),
        find_images,
    ],
)
def test_one_file_is_to_be_given_as_a_list(call: Callable[[str], Any]) -> None:
    with pytest.raises(InputError, match=r"not a list of files; give \['a\.tif'\]"):
        call("a.tif")


def test_anything_else_passes(pairs: Pairs) -> None:
    for value in (pairs, [Path("a.tif")], None, 3):
        refuse_name(value, "pairs", "load_pairs({})")
