"""Pairs that have only some of the markers, many of them, and parents of other markers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from unstained.errors import DataError, ModelError
from unstained.images import Field, Pairs
from unstained.learning.augment import ALL_MOTIONS, IDENTITY, Symmetry
from unstained.learning.networks import NetworkSpec, build_network
from unstained.staining import samples, task, training
from unstained.staining.normalize import MarkerSpec, Statistics
from unstained.staining.panel import Member, Panel, remove_training
from unstained.staining.samples import Scene, load_scenes, principal_components
from unstained.staining.settings import TrainSettings


def _panel(*names: str, planes: int = 1, spec: NetworkSpec | None = None) -> Panel:
    torch.manual_seed(1)
    network = build_network(spec or NetworkSpec("compact", planes, len(names), 4, 2))
    specs = tuple(MarkerSpec(name, 7.0, 3.0, "FFFFFF") for name in names)
    return Panel(specs, (Member(network.eval(), names),))


def _fresh(*names: str, planes: int = 1, dropout: float = 0.0) -> tuple:  # type: ignore[type-arg]
    torch.manual_seed(2)
    network = build_network(NetworkSpec("compact", planes, len(names), 4, 2, dropout=dropout))
    return network, tuple(MarkerSpec(name, 0.0, 1.0, "FFFFFF") for name in names)


def test_a_parent_of_the_same_markers_gives_heads_and_units_whatever_the_dropout() -> None:
    parent = _panel("A", "B")
    network, specs = _fresh("A", "B", dropout=0.3)
    specs, whole = training._inherit(network, specs, parent, 0, "parent")
    assert whole
    assert specs == parent.markers
    for name, weight in parent.members[0].network.state_dict().items():
        assert torch.equal(weight, network.state_dict()[name])


def test_a_parent_of_other_markers_gives_all_but_its_heads_and_is_not_scored() -> None:
    parent = _panel("A")
    network, specs = _fresh("B")
    heads = network.heads.weight.clone()
    found, whole = training._inherit(network, specs, parent, 0, "parent")
    assert not whole
    assert found == specs
    assert torch.equal(network.heads.weight, heads)
    theirs = parent.members[0].network.state_dict()["encoders.0.0.weight"]
    assert torch.equal(network.state_dict()["encoders.0.0.weight"], theirs)


def test_members_average_only_over_motions_that_all_allow() -> None:
    first = replace(_panel("A"), symmetries=ALL_MOTIONS)
    second = replace(_panel("B"), symmetries=(IDENTITY, Symmetry(flip_y=True)))
    assert training._panel([first, second]).symmetries == (IDENTITY, Symmetry(flip_y=True))


def test_fields_of_two_pixel_sizes_are_refused_wherever_they_stand(
    pairs: Pairs, tiny: TrainSettings, tmp_path: Path
) -> None:
    table = pairs.table.copy()
    table.loc[table["split"] == "validation", "pixel_size_um"] = 1.3  # the others have 0.65
    with pytest.raises(DataError, match=r"pixel sizes from 0\.65 to 1\.3"):
        training.train(Pairs(table), tmp_path / "model", tiny)


def test_a_deeper_parent_is_refused_though_the_childs_layers_are_all_in_it() -> None:
    network, specs = _fresh("A")
    deeper = _panel("A", spec=NetworkSpec("compact", 1, 1, 4, 3))
    own, theirs = network.state_dict(), deeper.members[0].network.state_dict()
    assert sum(k in theirs and theirs[k].shape == v.shape for k, v in own.items()) > len(own) // 2
    with pytest.raises(ModelError, match="depth"):
        training._inherit(network, specs, deeper, 0, "parent")


def test_a_parent_of_other_planes_is_refused() -> None:
    network, specs = _fresh("A", planes=3)
    with pytest.raises(ModelError, match=r"takes 1 label-free planes, the pairs have 3"):
        training._inherit(network, specs, _panel("A"), 0, "parent")


def test_members_of_a_separate_panel_agree_though_no_image_has_both_markers(
    pairs: Pairs, tiny: TrainSettings, tmp_path: Path
) -> None:
    table = pairs.table
    rows = np.flatnonzero(table["split"] == "train")
    one_each = Pairs(table.drop(index=table.index[rows[[0, 3]]]), pairs.root, "some")
    settings = replace(tiny, panel="separate", steps=1, normalization="dataset")
    panel = training.train(one_each, tmp_path / "model", settings)
    assert panel.names == one_each.markers
    assert panel.normalization.way == "dataset"
    left = {p.name for p in (tmp_path / "model").rglob("*")}
    assert not left & {"cache", "member", "checkpoint.safetensors"}


def _scene(side: int, present: tuple[bool, bool]) -> Scene:
    planes = np.zeros((1, side, side), np.float32)
    stains = np.zeros((2, side, side), np.float32)
    statistics = Statistics((0.0,), (1.0,))
    field = Field("f.tif", None, {}, "", "train", "f")
    return Scene(field, planes, stains, np.array(present), statistics)


def test_thinned_validation_keeps_each_marker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task, "_VALIDATION_PIXELS", 64**2)
    scenes = [_scene(64, (True, False))] * 5 + [_scene(64, (False, True))] * 5
    kept = task._thinned(task._parts(scenes))
    assert [tuple(scene.present) for scene, _, _ in kept] == [(True, False), (False, True)]


def test_a_large_field_is_validated_in_parts_that_cover_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(task, "_VALIDATION_SIDE", 40)
    seen = np.zeros((64, 64), int)
    for _, rows, columns in task._parts([_scene(64, (True, True))]):
        seen[rows, columns] += 1
        assert max(seen[rows, columns].shape) <= 40
    assert (seen == 1).all()


def test_fields_beyond_the_memorys_share_are_read_from_one_file(
    pairs: Pairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = pairs.fields()
    kept = load_scenes(fields, pairs.markers, tmp_path / "a")
    monkeypatch.setattr(samples, "_IN_MEMORY", kept[0].planes.nbytes + kept[0].stains.nbytes)
    mapped = load_scenes(fields, pairs.markers, tmp_path / "b")
    assert [p.name for p in (tmp_path / "b").iterdir()] == ["fields.bin"]
    assert mapped[0].planes.base is None
    for ours, theirs in zip(mapped, kept, strict=True):
        assert ours.planes.dtype == theirs.planes.dtype
        np.testing.assert_array_equal(ours.planes, theirs.planes)
        np.testing.assert_array_equal(ours.stains, theirs.stains)


def test_a_marker_with_a_slash_is_trained_in_one_folder_as_others() -> None:
    # in a folder below, what only a resume needs would not be found and removed
    assert training._folder_name(("F/G-actin", "DAPI"), 0) == "F%2FG-actin+DAPI"


def test_what_only_a_resume_needs_is_removed(tmp_path: Path) -> None:
    for name in ("A/cache/0/train/fields.bin", "A/member/model.json", "A/history.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    remove_training(tmp_path)
    assert [p.name for p in tmp_path.rglob("*")] == ["A", "history.jsonl"]


def test_two_equal_planes_give_finite_components() -> None:
    plane = np.random.default_rng(0).normal(size=(1, 64, 64)).astype(np.float32)
    scene = replace(
        _scene(64, (True, True)),
        planes=np.concatenate([plane, plane]),
        statistics=Statistics((0.0, 0.0), (1.0, 1.0)),
    )
    matrix = principal_components([scene], 2)
    assert np.isfinite(matrix).all()
    mixed = matrix @ scene.planes.reshape(2, -1)
    assert mixed.std(axis=1) == pytest.approx([1, 0], abs=1e-2)
