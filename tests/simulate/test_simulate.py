"""Simulated pairs: repeatable, physical in what matters, with a ceiling that holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from unstained.errors import FileError, InputError
from unstained.images.sources import pairs_from_manifest
from unstained.simulate import MARKERS, SimulatedField, simulate_field, write_pairs
from unstained.simulate.field import _phase_contrast


@pytest.fixture(scope="module")
def field() -> SimulatedField:
    return simulate_field(256, seed=1)


def r(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def test_the_same_seed_gives_the_same_field_and_another_another(field: SimulatedField) -> None:
    again, other = simulate_field(256, seed=1), simulate_field(256, seed=2)
    assert np.array_equal(field.phase, again.phase)
    assert all(np.array_equal(field.stains[m], again.stains[m]) for m in MARKERS)
    assert not np.array_equal(field.phase, other.phase)


def test_images_are_16_bit_of_one_shape(field: SimulatedField) -> None:
    assert list(field.stains) == ["NUCLEUS", "BODY", "GRANULES"]
    for image in (field.phase, *field.stains.values()):
        assert (image.dtype, image.shape) == (np.uint16, (256, 256))


def test_nothing_is_nothing_in_phase_contrast() -> None:
    # a constant delay is no contrast: |exp(i c) a|^2 / a^2 = 1
    assert _phase_contrast(np.full((64, 64), 0.3)) == pytest.approx(np.ones((64, 64)))


def test_a_small_thin_object_is_dark_as_the_textbook_says() -> None:
    # The bump is small against 1 / 0.018 px, so its light passes beside the ring. With a = 0.6
    # for what the ring lets through: I = |-i a + i phi|^2 / a^2, to first order 1 - 2 phi / a.
    y, x = np.mgrid[-64:64, -64:64]
    phi = 1e-3 * np.exp(-(y**2 + x**2) / (2 * 2.0**2))
    contrast = _phase_contrast(phi) - 1
    assert contrast[64, 64] == pytest.approx(-2 * 1e-3 / 0.6, rel=0.05)


def test_a_broad_object_has_a_bright_halo() -> None:
    y, x = np.mgrid[-128:128, -128:128]
    radius = np.hypot(y, x)
    image = _phase_contrast(0.3 * (radius < 20))
    assert image[radius < 15].mean() < 0.9
    assert image[(radius > 25) & (radius < 35)].mean() > 1.02


def test_cells_are_brighter_than_background_in_every_stain(field: SimulatedField) -> None:
    for stain in field.stains.values():
        assert stain[field.labels > 0].mean() > 1.2 * stain[field.labels == 0].mean()


def test_the_ceiling_is_the_score_of_the_expected_stain(field: SimulatedField) -> None:
    for marker, ceiling in field.ceiling.items():
        assert ceiling == pytest.approx(r(field.stains[marker], field.expected[marker]))
        assert 0.5 < ceiling < 0.999


def test_the_hidden_level_lowers_the_ceiling(monkeypatch: pytest.MonkeyPatch) -> None:
    from unstained.simulate import Marker, field

    still = Marker(body=1.0, hidden=0.0)
    wild = Marker(body=1.0, hidden=0.8)
    monkeypatch.setattr(field, "MARKERS", {"STILL": still, "WILD": wild})
    made = simulate_field(512, markers=("STILL", "WILD"), seed=3)
    assert made.ceiling["STILL"] > 0.97
    assert made.ceiling["WILD"] < made.ceiling["STILL"] - 0.1


def test_no_guess_from_the_structures_beats_the_ceiling_on_average() -> None:
    # the expected stain is the best function of the structures: bending it does not help
    gain = []
    for seed in range(4):
        made = simulate_field(256, markers=("BODY",), seed=seed)
        bent = (made.expected["BODY"] - 100) ** 1.3
        gain.append(r(made.stains["BODY"], bent) - made.ceiling["BODY"])
    assert np.mean(gain) < 0


def test_written_pairs_are_read_back_with_their_split(tmp_path: Path) -> None:
    manifest = write_pairs(tmp_path / "pairs", fields=4, size=64, seed=5)
    pairs = pairs_from_manifest(manifest)
    assert pairs.markers == ("NUCLEUS", "BODY", "GRANULES")
    split = pairs.table.groupby("group")["split"].first().to_dict()
    assert split == {
        "field00": "train",
        "field01": "train",
        "field02": "validation",
        "field03": "test",
    }
    expected = simulate_field(64, seed=(5, 2))
    assert np.array_equal(pairs.fields()[2].read_phase(), expected.phase[None])


def test_written_images_state_their_pixel_size(tmp_path: Path) -> None:
    folder = write_pairs(tmp_path / "pairs", fields=3, size=64).parent
    with tifffile.TiffFile(folder / "field00_phase.tif") as file:
        over, under = file.pages.first.tags["XResolution"].value
    assert over / under == pytest.approx(10000 / 0.65, rel=1e-4)  # pixels per centimeter


def test_an_existing_folder_is_not_overwritten(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="exists"):
        write_pairs(tmp_path, fields=3, size=64)


def test_two_fields_are_too_few_for_three_parts(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2 simulated fields"):
        write_pairs(tmp_path / "pairs", fields=2)


def test_an_unknown_marker_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"CD105; there are NUCLEUS, BODY, GRANULES"):
        simulate_field(64, markers=("BODY", "CD105"))
