"""A panel that makes planes of small images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from unstained.errors import DataError, InputError
from unstained.images.image import as_image
from unstained.learning.networks import NetworkSpec, build_network
from unstained.staining.normalize import MarkerSpec
from unstained.staining.panel import CARD, Member, Panel
from unstained.staining.predictor import PredictOptions, Predictor
from unstained.staining.stain_planes import StainPlanes

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


def image(side: int = 37) -> np.ndarray:
    return np.random.default_rng(0).integers(900, 1100, (2, side, side + 6)).astype(np.uint16)


def test_stains_are_those_of_the_panel_in_its_order() -> None:
    found = StainPlanes(panel())(image())
    whole = panel().predict_stack(image()[None])
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [whole["DNA"][0], whole["ACTIN"][0]])


def test_another_pixel_size_is_resampled_and_comes_back_on_the_image_s_own() -> None:
    planes = StainPlanes(panel(pixel_size_um=0.5))
    found = planes(image(), 0.8)
    other = as_image(image(), "CYX", pixel_size_um=0.8)
    expected = Predictor(panel(pixel_size_um=0.5), PredictOptions())(other).planes()
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert found.shape == image().shape
    # unknown: taken to be the panel's
    np.testing.assert_array_equal(planes(image()), planes(image(), 0.5))
    with pytest.raises(InputError, match="times apart"):
        planes(image(), 50.0)


def test_a_large_image_is_predicted_tile_by_tile_to_the_same_stains(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = StainPlanes(panel())(image(120))
    monkeypatch.setattr("unstained.staining.stain_planes._WHOLE_PX", 1000)
    tiled = StainPlanes(panel())(image(120))
    inner = (slice(None), slice(40, -40), slice(40, -40))  # borders are padded in other ways
    assert not np.array_equal(whole, tiled)
    np.testing.assert_allclose(tiled[inner], whole[inner], atol=1e-2 * whole.std())


def test_other_planes_than_in_training_are_refused() -> None:
    with pytest.raises(DataError, match="has 1 planes, and the model of the stain takes 2"):
        StainPlanes(panel())(image()[:1])


def test_the_fingerprint_is_that_of_the_weights_and_survives_saving(tmp_path: Path) -> None:
    panel().save(tmp_path / "dna", card="# DNA of day 1\n")
    loaded = StainPlanes.load(tmp_path / "dna")
    loaded.save(tmp_path / "again")
    again = StainPlanes.load(tmp_path / "again")
    assert loaded.fingerprint == again.fingerprint == StainPlanes(panel()).fingerprint
    assert loaded.fingerprint != StainPlanes(panel(seed=1)).fingerprint
    np.testing.assert_array_equal(again(image()), StainPlanes(panel())(image()))
    assert (tmp_path / "again" / CARD).read_text() == "# DNA of day 1\n"


def test_it_tells_what_taught_it_and_that_the_test_part_did_not() -> None:
    planes = StainPlanes(panel())
    assert planes.learned_from == "day 1"
    assert planes.taught_groups == {"w1", "w2", "w3"}
    assert planes.context_px > 0
