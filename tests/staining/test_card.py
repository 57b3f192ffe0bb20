"""What a model's card says of its data is held to when it is scored."""

from __future__ import annotations

import pandas as pd

from unstained.images import Pairs
from unstained.learning.networks import NetworkSpec, build_network
from unstained.staining.card import kept_apart, split_as_trained
from unstained.staining.normalize import MarkerSpec
from unstained.staining.panel import Member, Panel


def _panel(groups: dict[str, list[str]]) -> Panel:
    network = build_network(NetworkSpec("compact", 1, 1, 2, 1))
    marker = MarkerSpec("A", 0.0, 1.0, "FFFFFF")
    about = {"data": {"groups": groups}, "settings": {"seed": 3}}
    return Panel((marker,), (Member(network, ("A",)),), about=about)


def _pairs(*groups: str, split: str = "") -> Pairs:
    rows = [
        {"phase": f"/{g}.tif", "stain": f"/{g}-a.tif", "marker": "A", "group": g, "split": split}
        for g in groups
    ]
    return Pairs(pd.DataFrame(rows))


def test_groups_go_where_the_model_had_them_and_new_ones_are_test() -> None:
    panel = _panel({"train": ["a", "b"], "validation": ["c"], "test": ["d"]})
    table = split_as_trained(panel, _pairs("d", "e", "a", "c", "b")).table
    assert table["split"].tolist() == ["test", "test", "train", "validation", "train"]


def test_a_split_that_tests_what_was_learned_is_noted() -> None:
    panel = _panel({"train": ["a"], "validation": ["b"], "test": ["c"]})
    kept = split_as_trained(panel, _pairs("a", "c", split="test"))
    assert set(kept.table["split"]) == {"test"}
    assert [n for n in kept.notes if "1 test groups were trained on, as a" in n]
    clean = _pairs("c", "d", split="test")
    assert split_as_trained(panel, clean) is clean


def test_a_group_that_was_cut_in_space_is_not_called_seen() -> None:
    # one group on all sides: the places, not the groups, tell the parts
    panel = _panel({"train": ["a"], "validation": ["a"], "test": ["a"]})
    given = _pairs("a", split="test")
    assert split_as_trained(panel, given) is given


def test_another_days_cells_test_a_model_better_than_cells_of_the_same_day() -> None:
    cells = _pairs("1", "2", "3").table
    cells["cell"], cells["group"] = cells["group"], ["monday", "monday", "tuesday"]
    cells["split"] = ["train", "validation", "test"]
    assert kept_apart(Pairs(cells)) == {"validation": "cell", "test": "group"}


def test_a_panel_shown_in_a_notebook_is_a_few_lines() -> None:
    groups = {"train": [f"cell {i}" for i in range(5000)]}
    assert len(repr(_panel(groups))) < 500
