from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
import torch

from unstained.errors import DataError, InputError, ModelError
from unstained.images import Field, Pairs, split_pairs
from unstained.learning.augment import ALL_MOTIONS, Augmentation
from unstained.learning.losses import (
    absolute_error,
    amount_error,
    correlation_loss,
    discriminator_loss,
    generator_loss,
    squared_error,
)
from unstained.learning.networks import NetworkSpec, build_network
from unstained.staining.normalize import MarkerSpec, Statistics
from unstained.staining.panel import Panel
from unstained.staining.samples import Samples, Scene, constant_stains, load_scenes
from unstained.staining.settings import PRESETS, TrainSettings
from unstained.staining.task import StainingTask
from unstained.staining.training import enough_steps, train


def _weights(panel: Panel) -> list[torch.Tensor]:
    return [t for m in panel.members for t in m.network.state_dict().values()]


def test_a_step_of_a_single_pixel_at_the_coarsest_level_is_refused(
    pairs: Pairs, tiny: TrainSettings, tmp_path: Path
) -> None:
    # folding by 2 and two halvings: 8 px become one
    with pytest.raises(
        InputError, match=r"batch=1 with patches of 8 px: .* patch=16 and images as large"
    ):
        train(pairs, tmp_path / "model", replace(tiny, batch=1, patch=8))
    assert train(pairs, tmp_path / "two", replace(tiny, batch=2, patch=8, steps=1)).names


def test_training_leaves_a_model_that_predicts_in_the_stains_units(
    pairs: Pairs, tiny: TrainSettings, tmp_path: Path
) -> None:
    panel = train(pairs, tmp_path / "model", replace(tiny, steps=60))
    assert panel.names == pairs.markers
    again = Panel.load(tmp_path / "model")
    field = pairs.of_split("test").fields()[0]
    stains = again.predict_stack(field.read_phase()[None])
    for marker in pairs.markers:
        measured = field.read_stain(marker).astype(float)
        # in units: nearer to the measured level than zero or the normalized output would be
        assert abs(stains[marker].mean() - measured.mean()) < 0.3 * measured.mean()
    card = (tmp_path / "model" / "CARD.md").read_text(encoding="utf-8")
    assert pairs.fingerprint()[:16] in card
    assert "Intended use" in card
    assert "- test is kept apart from training by group\n" in card
    assert not list((tmp_path / "model").rglob("checkpoint.safetensors"))


def test_units_are_fitted_on_the_validation_pairs(
    pairs: Pairs, tiny: TrainSettings, tmp_path: Path
) -> None:
    # correlation alone leaves the scale open; the fitted line's residuals know no more of it
    blind = replace(tiny, l1=0.0, amount=0.0, steps=30)
    panel = train(pairs, tmp_path / "model", blind)
    fields = pairs.of_split("validation").fields()
    for marker in panel.names:
        measured = np.concatenate([f.read_stain(marker).ravel() for f in fields]).astype(float)
        stacks = [panel.predict_stack(f.read_phase()[None])[marker].ravel() for f in fields]
        predicted = np.concatenate(stacks).astype(float)
        slope, intercept = np.polyfit(predicted, measured, 1)
        assert slope == pytest.approx(1, abs=1e-3)
        assert intercept == pytest.approx(0, abs=1e-3 * measured.mean())


def test_a_killed_training_resumes_to_the_weights_of_an_uninterrupted_one(
    simulated: Path, tmp_path: Path
) -> None:
    def command(out: str, *more: str) -> list[str]:
        small = ["width=4", "depth=2", "batch=2", "patch=64", "validate_every=3", "warmup_steps=2"]
        sets = [word for s in small for word in ("--set", s)]
        words = ["staining", "train", str(simulated), "--out", str(tmp_path / out)]
        return [sys.executable, "-m", "unstained", *words, "--steps", "45", *sets, *more]

    subprocess.run(command("whole"), check=True, capture_output=True, timeout=300)
    history = tmp_path / "broken" / "training"
    process = subprocess.Popen(command("broken"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 240
    while not list(history.rglob("checkpoint.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    process.communicate()
    assert not (tmp_path / "broken" / "model.json").exists()
    with pytest.raises(ModelError, match="--resume"):
        Panel.load(tmp_path / "broken")
    subprocess.run(command("broken", "--resume"), check=True, capture_output=True, timeout=300)
    whole, resumed = Panel.load(tmp_path / "whole"), Panel.load(tmp_path / "broken")
    for a, b in zip(_weights(whole), _weights(resumed), strict=True):
        assert torch.equal(a, b)


def test_a_separate_panel_has_a_network_for_each_marker(
    pairs: Pairs, tiny: TrainSettings, tmp_path: Path
) -> None:
    panel = train(pairs, tmp_path / "model", replace(tiny, panel="separate", steps=4))
    assert [m.markers for m in panel.members] == [(m,) for m in pairs.markers]
    assert panel.of_markers([pairs.markers[1]]).names == (pairs.markers[1],)


def test_an_ensemble_predicts_the_mean_of_its_networks(
    pairs: Pairs, tiny: TrainSettings, tmp_path: Path
) -> None:
    train(pairs, tmp_path / "model", replace(tiny, ensemble=3, steps=4))
    panel = Panel.load(tmp_path / "model")
    assert [m.markers for m in panel.members] == [pairs.markers] * 3
    first, second = (panel.members[i].network.state_dict() for i in (0, 1))
    assert any(not torch.equal(first[name], second[name]) for name in first)  # of other seeds
    field = pairs.of_split("test").fields()[0].read_phase()[None]
    alone = [replace(panel, members=(m,)).predict_stack(field) for m in panel.members]
    together = panel.predict_stack(field)
    um = panel.pixel_size_um
    tiled = panel.predict(field[0], tile=64, precision="float32", pixel_size_um=um).planes()
    for i, marker in enumerate(panel.names):
        mean = np.mean([stains[marker] for stains in alone], axis=0)
        np.testing.assert_allclose(together[marker], mean, rtol=1e-4)
        np.testing.assert_allclose(tiled[i], mean[0], rtol=1e-3)
    # its networks are the parents of another ensemble's, each of its own
    again = train(pairs, tmp_path / "again", replace(tiny, ensemble=3, steps=1, learning_rate=1e-9),
                  init=tmp_path / "model")  # fmt: skip
    for child, parent in zip(again.members, panel.members, strict=True):
        a, b = (n.network.state_dict()["heads.weight"] for n in (child, parent))
        torch.testing.assert_close(a, b)


def test_a_panel_learns_from_pairs_that_each_have_only_some_markers(
    pairs: Pairs, tiny: TrainSettings, tmp_path: Path
) -> None:
    table = pairs.table
    training = np.flatnonzero(table["split"] == "train")
    one_each = table.drop(index=table.index[training[[0, 3]]])  # A of one field, B of the other
    panel = train(Pairs(one_each, pairs.root, "some"), tmp_path / "model", tiny)
    assert set(panel.names) == set(pairs.markers)


def test_an_absent_marker_gives_its_head_no_gradient(tiny: TrainSettings) -> None:
    network = build_network(NetworkSpec("compact", 1, 2, 4, 2))
    scene = _scene(np.ones((2, 64, 64)), present=(True, False))
    specs = (MarkerSpec("A", 0, 1, "FFFFFF"), MarkerSpec("B", 0, 1, "FFFFFF"))
    task = StainingTask(network, tiny, specs, [scene], [scene], Augmentation())
    seen: list[torch.Tensor] = []

    def update(name: str, loss: torch.Tensor) -> None:
        loss.backward()
        seen.append(network.heads.weight.grad.clone())

    task.step(task.batch(0), update)
    head_a, head_b = seen[0].reshape(2, 4, -1)  # heads x folded pixels x channels
    assert head_a.abs().sum() > 0
    assert head_b.abs().sum() == 0


def _scene(stains: np.ndarray, present: tuple[bool, ...]) -> Scene:
    rng = np.random.default_rng(0)
    planes = rng.normal(size=(1, *stains.shape[-2:])).astype(np.float32)
    noisy = stains * rng.normal(size=stains.shape)
    return Scene(_field(), planes, noisy, np.array(present), Statistics((0.0,), (1.0,)))


def _field(weight: float = 1.0) -> Field:
    return Field("f.tif", None, {}, "", "train", "f", row={"weight": weight})


def test_the_discriminator_learns_by_least_squares_and_slower_than_the_generator(
    tiny: TrainSettings,
) -> None:
    settings = replace(tiny, adversarial=1.0, discriminator_rate=0.25)
    network = build_network(NetworkSpec("compact", 1, 1, 4, 2))
    scene = _scene(np.ones((1, 64, 64)), present=(True,))
    spec = (MarkerSpec("A", 0, 1, "FFFFFF"),)
    task = StainingTask(network, settings, spec, [scene], [scene], Augmentation())
    rates = {n: t.optimizer.param_groups[0]["lr"] for n, t in task.trained.items()}
    assert rates["discriminator"] == pytest.approx(0.25 * rates["network"])
    losses: dict[str, torch.Tensor] = {}
    batch = task.batch(0)
    task.step(batch, lambda name, loss: losses.__setitem__(name, loss))
    judge = task.trained["discriminator"].module
    with torch.no_grad():
        task.network.train()
        fake = task.network(batch["planes"])
        judged = discriminator_loss(
            judge(batch["planes"], batch["stains"]), judge(batch["planes"], fake)
        )
    assert losses["discriminator"].item() == pytest.approx(judged.item(), rel=0.2)  # dropout
    assert all(p.requires_grad for p in judge.parameters())


def test_each_term_of_the_loss_is_its_weight_times_its_function(tiny: TrainSettings) -> None:
    weights = {"l1": 2.0, "mse": 3.0, "correlation": 5.0, "amount": 7.0, "adversarial": 11.0}
    functions = {
        "l1": absolute_error,
        "mse": squared_error,
        "correlation": correlation_loss,
        "amount": amount_error,
    }
    settings = replace(tiny, dropout=0.0, **weights)
    network = build_network(NetworkSpec("compact", 1, 1, 4, 2, dropout=0.0))
    scene = _scene(np.ones((1, 64, 64)), present=(True,))
    spec = (MarkerSpec("A", 0, 1, "FFFFFF"),)
    task = StainingTask(network, settings, spec, [scene], [scene], Augmentation())
    batch = task.batch(0)
    minimized: dict[str, float] = {}
    said = task.step(batch, lambda name, loss: minimized.__setitem__(name, loss.item()))
    judge = task.trained["discriminator"].module
    with torch.no_grad():  # nothing was learned in between
        predicted = task.network(batch["planes"])
        alone = {
            name: f(predicted, batch["stains"], batch["present"]) for name, f in functions.items()
        }
        alone["adversarial"] = generator_loss(judge(batch["planes"], predicted))
    for name, weight in weights.items():
        assert said[name] == pytest.approx(weight * alone[name].item(), rel=1e-4), name
    assert minimized["network"] == pytest.approx(sum(said[name] for name in weights), rel=1e-5)


def test_a_term_without_weight_is_not_in_the_loss(tiny: TrainSettings) -> None:
    network = build_network(NetworkSpec("compact", 1, 1, 4, 2))
    scene = _scene(np.ones((1, 64, 64)), present=(True,))
    spec = (MarkerSpec("A", 0, 1, "FFFFFF"),)
    alone = replace(tiny, l1=0.0, mse=1.0, correlation=0.0, amount=0.0, adversarial=0.0)
    task = StainingTask(network, alone, spec, [scene], [scene], Augmentation())
    said = task.step(task.batch(0), lambda name, loss: None)
    assert set(said) == {"loss", "mse"}
    assert said["loss"] == said["mse"]


def test_the_planes_of_a_focus_series_are_shifted_together_and_stains_are_not() -> None:
    # plane p is p everywhere, the stain a ramp: a shift by s makes planes clip(p + s, 0, 5)
    planes = np.tile(np.arange(6, dtype=np.float32)[:, None, None], (1, 32, 32))
    stain = np.arange(32 * 32, dtype=np.float32).reshape(1, 32, 32)
    scene = Scene(_field(), planes, stain, np.array([True]), Statistics((0.0,) * 6, (1.0,) * 6))
    spec = (MarkerSpec("A", 0, 1, "FFFFFF"),)

    def drawn(of: Scene, focus_shift: int) -> set[tuple[float, ...]]:
        samples = Samples(
            [of], spec, patch=32, augmentation=Augmentation(), seed=0, focus_shift=focus_shift
        )
        found = [samples.sample(step, 0) for step in range(60)]
        for shifted, stains, _ in found:
            assert (shifted == shifted[:, :1, :1]).all()
            np.testing.assert_array_equal(stains, stain)
        return {tuple(shifted[:, 0, 0].tolist()) for shifted, _, _ in found}

    assert drawn(scene, 0) == {(0, 1, 2, 3, 4, 5)}
    assert drawn(scene, 2) == {
        (0, 0, 0, 1, 2, 3),  # by -2: the outermost plane stands for those beyond it
        (0, 0, 1, 2, 3, 4),
        (0, 1, 2, 3, 4, 5),
        (1, 2, 3, 4, 5, 5),
        (2, 3, 4, 5, 5, 5),
    }
    # fewer than five planes are channels, not heights
    channels = replace(scene, planes=planes[:4], statistics=Statistics((0.0,) * 4, (1.0,) * 4))
    assert drawn(channels, 2) == {(0, 1, 2, 3)}


def test_the_focus_shift_of_the_settings_reaches_the_samples(tiny: TrainSettings) -> None:
    network = build_network(NetworkSpec("compact", 5, 1, 4, 2))
    scene = _scene(np.ones((1, 64, 64)), present=(True,))
    series = replace(scene, planes=np.repeat(scene.planes, 5, axis=0))
    spec = (MarkerSpec("A", 0, 1, "FFFFFF"),)
    settings = replace(tiny, focus_shift=3)
    task = StainingTask(network, settings, spec, [series], [series], Augmentation())
    assert task.samples.focus_shift == 3


def test_weight_decay_reaches_convolutions_only(tiny: TrainSettings) -> None:
    network = build_network(NetworkSpec("compact", 1, 1, 4, 2))
    scene = _scene(np.ones((1, 64, 64)), present=(True,))
    spec = (MarkerSpec("A", 0, 1, "FFFFFF"),)
    task = StainingTask(network, tiny, spec, [scene], [scene], Augmentation())
    decayed, free = task.trained["network"].optimizer.param_groups
    assert {p.ndim for p in decayed["params"]} == {4}
    assert {p.ndim for p in free["params"]} == {1}  # batch norm and biases
    assert free["weight_decay"] == 0


def test_fine_tuning_scores_the_parent_on_the_same_pairs(
    pairs: Pairs, tiny: TrainSettings, tmp_path: Path
) -> None:
    train(pairs, tmp_path / "parent", tiny)
    child = train(pairs, tmp_path / "child", replace(tiny, steps=4), init=tmp_path / "parent")
    parent = Panel.load(tmp_path / "parent")
    member = child.about["members"][0]
    assert member["parent_validation_r_s"] == pytest.approx(
        parent.about["members"][0]["validation_r_s"], abs=1e-6
    )
    assert "the parent has" in (tmp_path / "child" / "CARD.md").read_text(encoding="utf-8")


def test_a_parent_of_another_layout_is_refused(
    pairs: Pairs, tiny: TrainSettings, tmp_path: Path
) -> None:
    train(pairs, tmp_path / "parent", replace(tiny, steps=1))
    with pytest.raises(ModelError, match="width"):
        train(pairs, tmp_path / "child", replace(tiny, width=6), init=tmp_path / "parent")


def test_test_pairs_are_not_read_by_training(
    pairs: Pairs, tiny: TrainSettings, tmp_path: Path
) -> None:
    table = pairs.table.copy()
    for path in table.loc[table["split"] == "test", "stain"]:
        Path(path).rename(path + ".away")
    try:
        train(pairs, tmp_path / "model", replace(tiny, steps=1))
    finally:
        for path in table.loc[table["split"] == "test", "stain"]:
            Path(path + ".away").rename(path)


def test_a_folder_in_use_is_refused(pairs: Pairs, tiny: TrainSettings, tmp_path: Path) -> None:
    tiny = replace(tiny, steps=1)
    train(pairs, tmp_path / "model", tiny)
    with pytest.raises(InputError, match="finished model"):
        train(pairs, tmp_path / "model", tiny)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.doc").touch()
    with pytest.raises(InputError, match="not empty"):
        train(pairs, tmp_path / "other", tiny)


def test_resuming_with_other_settings_is_refused(
    pairs: Pairs, tiny: TrainSettings, tmp_path: Path
) -> None:
    def stop(name: str, progress: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(pairs, tmp_path / "model", tiny, report=stop)
    with pytest.raises(InputError, match="other settings"):
        train(pairs, tmp_path / "model", replace(tiny, seed=1), resume=True)


def test_a_marker_without_training_pairs_is_named(
    pairs: Pairs, tiny: TrainSettings, tmp_path: Path
) -> None:
    table = pairs.table
    marker = pairs.markers[1]
    gone = table[~((table["split"] == "train") & (table["marker"] == marker))]
    with pytest.raises(DataError, match=marker):
        train(Pairs(gone, pairs.root, "gone"), tmp_path / "model", tiny)


def _with_constant_stains(pairs: Pairs, folder: Path, marker: str, count: int) -> Pairs:
    """The same pairs; the first `count` training stains of a marker are of one grey value each."""
    table = split_pairs(pairs).table.copy()
    rows = table.index[(table["split"] == "train") & (table["marker"] == marker)][:count]
    for level, row in enumerate(rows):
        path = folder / f"empty_{level}.tif"
        shape = tifffile.imread(table.loc[row, "stain"]).shape
        tifffile.imwrite(path, np.full(shape, 100 + level, np.uint16))
        table.loc[row, "stain"] = str(path)
    return replace(pairs, table=table)


def test_constant_stains_are_trained_on_and_named_in_one_note(
    pairs: Pairs, tiny: TrainSettings, tmp_path: Path
) -> None:
    told: list[str] = []
    brief = replace(tiny, steps=2, ensemble=2)
    train(pairs, tmp_path / "as_they_are", replace(tiny, steps=1), notify=told.append)
    assert told == []
    control = _with_constant_stains(pairs, tmp_path, pairs.markers[1], 1)
    train(control, tmp_path / "control", brief, notify=told.append)
    fields = control.of_split("train").fields()
    (note,) = told
    assert f"1 of {2 * len(fields)} training stains are constant" in note
    assert f"{pairs.markers[1]} of empty_0.tif; they teach" in note
    assert "right for a control, else leave these pairs out" in note


def test_a_note_on_constant_stains_names_the_first_few() -> None:
    stain = np.zeros((2, 8, 8), np.uint16)
    both = {"A": "a/x.tif", "B": "b/y.tif"}
    field = replace(_field(), stains=both)
    scene = replace(_scene(stain, (True, True)), stains=stain, field=field)
    alone = replace(scene, present=np.array([True, False]))  # the other's zeros are no image
    noisy = replace(scene, stains=np.arange(128).reshape(2, 8, 8))
    assert constant_stains([noisy], ("A", "B")) == ""
    assert constant_stains([alone, noisy], ("A", "B")).startswith(
        "1 of 3 training stains are constant: A of x.tif; "
    )
    assert "12 of 12 training stains are constant: A of x.tif, A of x.tif, A of x.tif, " + (
        "A of x.tif, A of x.tif, ...; "
    ) in constant_stains([scene] * 6, ("A", "B"))


def test_a_marker_that_is_constant_in_all_training_pairs_is_refused(
    pairs: Pairs, tiny: TrainSettings, tmp_path: Path
) -> None:
    # each at a level of its own, 100, 101, ...: together they vary, and nothing is to be seen
    empty = _with_constant_stains(pairs, tmp_path, pairs.markers[0], len(pairs.table))
    with pytest.raises(
        DataError,
        match=rf"empty_0\.tif: marker '{pairs.markers[0]}' is constant in all training pairs.*"
        r"leave the marker out \(of_markers, --markers\)",
    ):
        train(empty, tmp_path / "model", tiny)
    assert train(empty.of_markers(pairs.markers[1:]), tmp_path / "model", replace(tiny, steps=1))


def test_samples_are_the_same_whatever_was_drawn_before(pairs: Pairs, tmp_path: Path) -> None:
    fields = pairs.of_split("train").fields()
    scenes = load_scenes(fields, pairs.markers, tmp_path)
    specs = tuple(MarkerSpec(m, 0, 1, "FFFFFF") for m in pairs.markers)
    varied = Augmentation(rotation_deg=20, noise=0.1, symmetries=ALL_MOTIONS)
    a = Samples(scenes, specs, patch=32, augmentation=varied, seed=4)
    b = Samples(scenes, specs, patch=32, augmentation=varied, seed=4)
    for step in range(3):
        b.sample(step, 0)
    for ours, theirs in zip(a.sample(9, 1), b.sample(9, 1), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_sixteen_bit_values_neither_wrap_nor_saturate(tmp_path: Path) -> None:
    stain = np.full((1, 32, 32), 65535, np.uint16)
    stain[0, :16] = 60000
    scene = Scene(
        _field(),
        np.random.default_rng(0).integers(0, 65536, (1, 32, 32)).astype(np.uint16),
        stain,
        np.array([True]),
        Statistics((30000.0,), (10000.0,)),
    )
    spec = (MarkerSpec("A", 50000.0, 1000.0, "FFFFFF"),)
    drawn = Samples([scene], spec, patch=32, augmentation=Augmentation(), seed=0).sample(0, 0)
    assert sorted(np.unique(drawn[1]).tolist()) == pytest.approx([10.0, 15.535])
    assert drawn[0].min() == pytest.approx((scene.planes.min() - 30000.0) / 10000.0, abs=1e-4)


def test_presets_and_settings_are_checked() -> None:
    assert set(PRESETS) == {"fast", "paper", "best"}
    with pytest.raises(InputError, match="known: "):
        TrainSettings.preset("fast", wdth=3)
    with pytest.raises(InputError, match="slower than the generator"):
        TrainSettings.preset("fast", discriminator_rate=1.5)
    with pytest.raises(InputError, match="4096 at most"):  # 8 of them would fill any memory
        TrainSettings.preset("fast", patch=1_000_000)
    for change in (
        {"dropout": 1.5},
        {"seed": -1},
        {"learning_rate": -1.0},
        {"rotation_deg": float("nan")},
        {"ema": 2.0},
        {"steps": -1},
    ):
        with pytest.raises(InputError, match=next(iter(change))):
            TrainSettings.preset("fast", **change)
    assert TrainSettings.preset("fast", width="12").width == 12  # as from the command line


def test_model_json_tells_what_is_needed_to_build_it_again(
    pairs: Pairs, tiny: TrainSettings, tmp_path: Path
) -> None:
    panel = train(pairs, tmp_path / "model", replace(tiny, steps=1))
    said = json.loads((tmp_path / "model" / "model.json").read_text(encoding="utf-8"))
    assert [m["name"] for m in said["markers"]] == list(pairs.markers)
    assert said["pixel_size_um"] == panel.pixel_size_um
    for a, b in zip(_weights(panel), _weights(Panel.load(tmp_path / "model")), strict=True):
        assert torch.equal(a, b)
    (tmp_path / "model" / "model.json").write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match=r"model\.json: is not what unstained wrote"):
        Panel.load(tmp_path / "model")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda said: said["markers"][0].update(offset="12"), r"offset is '12'"),
        (lambda said: said["markers"][0].update(scale=0), r"scale 0"),
        (lambda said: said["markers"][0].update(color="green"), r"color 'green'"),
        (lambda said: said["members"][0]["network"].update(width="4"), r"width is '4'"),
        (lambda said: said["members"][0]["network"].update(width=0), r"size below 1"),
        (lambda said: said["members"][0]["network"].update(name="x"), r"no network is called 'x'"),
        (lambda said: said["members"][0]["network"].update(dropout=2.0), r"dropout"),
        (lambda said: said["members"][0].update(markers=["x"]), r"do not match"),
        (lambda said: said["normalization"].update(way="none"), r"normalization is 'none'"),
        (lambda said: said["normalization"].update(way="dataset"), r"'dataset' with"),
        (lambda said: said.update(symmetries=[["yes"]]), r"symmetry\[0\] is 'yes'"),
        (lambda said: said.update(pixel_size_um="0.65"), r"pixel_size_um is '0.65'"),
        (lambda said: said.update(pixel_size_um=-1), r"pixel_size_um is -1"),
        (lambda said: said["about"].update(settings="x"), r"about.settings is 'x'"),
        (lambda said: said["about"]["data"].update(groups=["a"]), r"about.data.groups is \['a'\]"),
    ],
)
def test_an_entry_of_model_json_that_was_changed_by_hand_is_named(
    change: Callable[[Any], None],
    said: str,
    pairs: Pairs,
    tiny: TrainSettings,
    tmp_path: Path,
) -> None:
    train(pairs, tmp_path / "model", replace(tiny, steps=1))
    file = tmp_path / "model" / "model.json"
    told = json.loads(file.read_text(encoding="utf-8"))
    change(told)
    file.write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(ModelError, match=rf"model\.json: .*{said}"):
        Panel.load(tmp_path / "model")


def test_a_size_in_model_json_that_no_memory_holds_is_refused(
    pairs: Pairs, tiny: TrainSettings, tmp_path: Path
) -> None:
    train(pairs, tmp_path / "model", replace(tiny, steps=1))
    file = tmp_path / "model" / "model.json"
    told = json.loads(file.read_text(encoding="utf-8"))
    told["members"][0]["network"]["width"] = 10**7
    file.write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(ModelError, match=r"model\.safetensors: .*width is 1e\+07.*copy it again"):
        Panel.load(tmp_path / "model")


def test_history_is_written_as_training_goes(
    pairs: Pairs, tiny: TrainSettings, tmp_path: Path
) -> None:
    train(pairs, tmp_path / "model", tiny)
    (history,) = (tmp_path / "model").rglob("history.jsonl")
    table = pd.read_json(history, lines=True)
    assert table["step"].tolist() == [4, 8, 12]
    assert {"seconds", "loss", "l1", "correlation", "r_s"} <= set(table.columns)


def test_the_functions_train_and_predict_are_not_hidden_by_their_modules() -> None:
    from unstained import staining

    assert callable(staining.train)
    assert callable(staining.predict)
    assert callable(staining.score_panel)


def test_scenes_are_drawn_by_weight_and_one_of_weight_0_never(tiny: TrainSettings) -> None:
    # three fields, constant at 1, 2, 3, of weights 3, 1, 0: of 400 samples some 300, 100, 0
    scenes = []
    for value, weight in ((1, 3.0), (2, 1.0), (3, 0.0)):
        stain = np.full((1, 64, 64), value, np.float32)
        scenes.append(replace(_scene(stain, (True,)), stains=stain, field=_field(weight)))
    marker = (MarkerSpec("A", 0.0, 1.0, "FFFFFF"),)
    samples = Samples(scenes, marker, patch=64, augmentation=Augmentation(), seed=0)
    drawn = [float(samples.sample(step, 0)[1].max()) for step in range(400)]
    assert drawn.count(1) == pytest.approx(300, abs=30)
    assert drawn.count(2) == pytest.approx(100, abs=30)
    assert drawn.count(3) == 0
    none = [replace(scene, field=_field(0.0)) for scene in scenes]
    with pytest.raises(DataError, match="all training pairs have weight 0"):
        Samples(none, marker, patch=64, augmentation=Augmentation(), seed=0)


def test_weighted_pairs_are_shown_as_often_as_what_they_are_worth() -> None:
    settings = TrainSettings()
    shapes = [(1024, 1024)]
    # 80 x 1024^2 / (8 x 128^2) = 640 steps; half of that 320
    assert enough_steps(settings, shapes) == 640
    assert enough_steps(settings, shapes, 0.5) == 320


def test_a_part_of_weight_0_alone_is_refused(
    pairs: Pairs, tiny: TrainSettings, tmp_path: Path
) -> None:
    parted = split_pairs(pairs)
    weights = np.where(parted.table["split"] == "validation", 0.0, 1.0)
    never = replace(parted, table=parted.table.assign(weight=weights))
    with pytest.raises(DataError, match=r"no validation pairs for .*, or of weight 0 alone"):
        train(never, tmp_path / "model", tiny)
