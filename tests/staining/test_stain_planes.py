"""A panel that makes planes of small images."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from unstained.errors import DataError, InputError, ModelError
from unstained.images.image import Image, as_image
from unstained.learning.networks import NetworkSpec, build_network
from unstained.staining.normalize import MarkerSpec
from unstained.staining.panel import CARD, Member, Panel
from unstained.staining.predictor import PredictOptions, Predictor
from unstained.staining.stain_planes import StainPlanes

EXACT = PredictOptions(device="cpu", precision="float32")

ABOUT = {
    "data": {
        "name": "day 1",
        "groups": {"train": ["w1", "w2"], "validation": ["w3"], "test": ["w4"]},
    }
}


def panel(seed: int = 0, pixel_size_um: float | None = None) -> Panel:
    """Two planes to two markers, weights by chance."""
    torch.manual_seed(seed)
    network = build_network(NetworkSpec("compact", 2, 2, 4, 2)).eval()
    markers = tuple(MarkerSpec(name, 100.0, 50.0, "FFFFFF") for name in ("DNA", "ACTIN"))
    member = Member(network, ("DNA", "ACTIN"))
    return Panel(markers, (member,), pixel_size_um=pixel_size_um, about=ABOUT)


def pixels(side: int = 37) -> np.ndarray:
    return np.random.default_rng(0).integers(900, 1100, (2, side, side + 6)).astype(np.uint16)


def image(side: int = 37, pixel_size_um: float | None = None) -> Image:
    return as_image(pixels(side), "CYX", pixel_size_um=pixel_size_um)


def test_stains_are_those_of_the_panel_in_its_order() -> None:
    found = StainPlanes(panel())(image())
    whole = panel().predict_stack(pixels()[None])
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [whole["DNA"][0], whole["ACTIN"][0]])


def test_another_pixel_size_is_resampled_and_comes_back_on_the_image_s_own() -> None:
    planes = StainPlanes(panel(pixel_size_um=0.5))
    found = planes(image(pixel_size_um=0.8))
    predictor = Predictor(
        panel(pixel_size_um=0.5), PredictOptions(device="cpu", precision="float32")
    )
    expected = predictor(image(pixel_size_um=0.8)).planes()
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.ptp(expected))
    # unknown: taken to be the panel's
    np.testing.assert_array_equal(planes(image()), planes(image(pixel_size_um=0.5)))
    with pytest.raises(InputError, match="times apart"):
        planes(image(pixel_size_um=50.0))


@pytest.mark.parametrize("um", [0.5, 0.3, 0.8])
@pytest.mark.parametrize(
    "window", [(slice(0, 9), slice(0, 5)), (slice(33, 71), slice(50, 51)), (slice(90, 150),) * 2]
)
def test_a_window_is_that_part_of_the_whole(window: tuple[slice, slice], um: float) -> None:
    whole = Predictor(panel(pixel_size_um=0.5), EXACT)
    expected = whole(image(150, um)).planes()[:, *window]
    found = StainPlanes(panel(pixel_size_um=0.5))(image(150, um), window)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.ptp(expected) + 1e-3)


def test_a_large_image_is_the_same_by_tile_and_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = StainPlanes(panel())(image(120))
    monkeypatch.setattr("unstained.staining.stain_planes._WHOLE_PX", 1000)
    monkeypatch.setattr(Predictor, "side", lambda self, grid: 50)  # of 120 x 126 px
    tiled = StainPlanes(panel())(image(120))
    np.testing.assert_allclose(tiled, at_once, atol=1e-4 * np.ptp(at_once))


def test_a_frame_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = []
    of = Predictor.statistics_of
    monkeypatch.setattr(
        Predictor, "statistics_of", lambda self, i, t: measured.append(t) or of(self, i, t)
    )
    planes, window = StainPlanes(panel()), (slice(3, 9), slice(4, 9))
    for frame in ("a", "a", "b", None, None):
        planes(image(), window, frame=frame)
    assert len(measured) == 4


def test_a_gpu_is_left_alone_so_that_stains_are_the_same_on_every_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # a small image goes through the networks as it is, a part of one through the predictor
    ways = (None, (slice(3, 20), slice(4, 20)))
    expected = [StainPlanes(panel())(image(), way) for way in ways]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert Predictor(panel())._device.type == "cuda"  # `auto` takes it
    for way, found in zip(ways, expected, strict=True):
        np.testing.assert_array_equal(StainPlanes(panel())(image(), way), found)


def test_precision_is_that_of_float32_within_another_s_autocast() -> None:
    expected = StainPlanes(panel())(image())
    window = (slice(3, 20), slice(4, 20))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        np.testing.assert_array_equal(StainPlanes(panel())(image()), expected)
        part = StainPlanes(panel())(image(), window)
    np.testing.assert_array_equal(part, StainPlanes(panel())(image(), window))


def test_other_planes_than_in_training_are_refused() -> None:
    with pytest.raises(DataError, match="has 1 planes, and the model of the stain takes 2"):
        StainPlanes(panel())(as_image(pixels()[:1], "CYX"))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_not_finite_are_told_as_such(value: float) -> None:
    odd = pixels().astype(np.float32)
    odd[0, 3, 4] = value
    for window in (None, (slice(0, 9), slice(0, 9))):
        with pytest.raises(DataError, match=r"not finite|NaN or infinite"):
            StainPlanes(panel())(as_image(odd, "CYX"), window)


def test_the_fingerprint_is_that_of_the_weights_and_survives_saving(tmp_path: Path) -> None:
    panel().save(tmp_path / "dna", card="# DNA of day 1\n")
    loaded = StainPlanes.load(tmp_path / "dna")
    loaded.save(tmp_path / "again")
    again = StainPlanes.load(tmp_path / "again")
    assert loaded.fingerprint == again.fingerprint == StainPlanes(panel()).fingerprint
    assert loaded.fingerprint != StainPlanes(panel(seed=1)).fingerprint
    assert loaded.fingerprint != StainPlanes(panel(pixel_size_um=0.5)).fingerprint
    np.testing.assert_array_equal(again(image()), StainPlanes(panel())(image()))
    assert (tmp_path / "again" / CARD).read_text() == "# DNA of day 1\n"
    StainPlanes(panel()).save(tmp_path / "new")
    assert "Intended use" in (tmp_path / "new" / CARD).read_text()


def test_it_tells_what_taught_it_and_that_the_test_part_did_not() -> None:
    planes = StainPlanes(panel())
    assert planes.learned_from == "day 1 (w1, w2, w3)"
    assert planes.taught_groups == {"w1", "w2", "w3"}
    begun = replace(panel(), about={**ABOUT, "parent": "dna-0"})
    assert StainPlanes(begun).learned_from.endswith(", begun from the model dna-0")


@pytest.mark.parametrize("kind", ["colonies", "cells"])
def test_a_model_of_something_else_is_told_apart(kind: str, tmp_path: Path) -> None:
    said = {"format": 1, "kind": kind, "unstained": "0.1.0"}
    (tmp_path / "model.json").write_text(json.dumps(said))
    with pytest.raises(ModelError, match=f"is a model of {kind}, not of stains"):
        StainPlanes.load(tmp_path)
