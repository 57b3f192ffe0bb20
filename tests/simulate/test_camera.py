"""The camera's noise follows the photon transfer curve; lamp and dust do what they say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from unstained.errors import InputError
from unstained.simulate import Camera, Optics, dust, expose, floaters, uneven_illumination


def exposed(level: float, camera: Camera, n: int = 500) -> np.ndarray:
    return expose(np.full((n, n), level), camera, np.random.default_rng(1)).astype(float)


@pytest.mark.parametrize("electrons", [2.0, 9.0, 12.0, 60.0, 1000.0])
def test_variance_follows_the_photon_transfer_curve(electrons: float) -> None:
    # var = gain * (mean - offset) + (gain * read_noise)^2, and 1/12 by rounding. The sample
    # variance of n values has the relative error sqrt(2 / n) = 0.003, more where few electrons
    # are skewed.
    camera = Camera(photons_per_unit=100.0, gain=3.0, offset=200.0, read_noise=2.0)
    grey = exposed(electrons / 100, camera)
    expected = 3.0 * (grey.mean() - 200) + (3.0 * 2.0) ** 2 + 1 / 12
    assert grey.var() == pytest.approx(expected, rel=0.015)
    # the error of the mean is sqrt(var / n)
    assert grey.mean() == pytest.approx(200 + 3 * electrons, abs=4 * math.sqrt(expected) / 500)


def test_the_third_moment_is_that_of_poissons_distribution() -> None:
    # without read noise the third central moment of m electrons is m; its sample has the error
    # sqrt(15 m^3 / n) = 0.5 for m = 16
    grey = exposed(16.0, Camera(photons_per_unit=1.0, offset=0.0, read_noise=0.0))
    assert np.mean((grey - grey.mean()) ** 3) == pytest.approx(16, abs=2)


def test_the_dark_has_read_noise_alone() -> None:
    grey = exposed(0.0, Camera(offset=100.0, read_noise=4.0))
    assert grey.mean() == pytest.approx(100, abs=0.04)
    assert grey.std() == pytest.approx(math.sqrt(16 + 1 / 12), rel=0.01)


def test_few_photons_are_poissons() -> None:
    # P(0) = exp(-2), P(1) = 2 exp(-2); their errors are below 0.001
    grey = exposed(2.0, Camera(photons_per_unit=1.0, offset=0.0, read_noise=0.0))
    assert (grey == 0).mean() == pytest.approx(math.exp(-2), abs=0.004)
    assert (grey == 1).mean() == pytest.approx(2 * math.exp(-2), abs=0.004)


def test_grey_values_stop_at_full_scale() -> None:
    image = expose(np.array([[0.0, 1e9]]), Camera(bits=12), np.random.default_rng(0))
    assert image.dtype == np.uint16
    assert image[0, 1] == 4095


def test_the_same_generator_makes_the_same_picture() -> None:
    light = np.linspace(0, 1, 400).reshape(20, 20)
    pictures = [expose(light, Camera(), np.random.default_rng(s)) for s in (3, 3, 4)]
    assert np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])


def test_uneven_illumination_has_mean_1_and_the_stated_strength() -> None:
    lamp = uneven_illumination((90, 120), 0.3, np.random.default_rng(0))
    assert lamp.mean() == pytest.approx(1, abs=1e-5)
    assert lamp.min() / lamp.max() == pytest.approx(1 - 0.3, abs=1e-3)
    assert uneven_illumination((9, 9), 0.0, np.random.default_rng(0)) == pytest.approx(1.0)


def test_dust_takes_light_where_it_lies_and_none_elsewhere() -> None:
    rng = np.random.default_rng(2)
    assert dust((40, 50), 0, rng).tolist() == np.ones((40, 50)).tolist()
    passed = dust((300, 300), 8, rng, depth=0.2)
    assert passed.shape == (300, 300)
    assert 0.55 < passed.min() < 0.95
    assert np.median(passed) == pytest.approx(1, abs=1e-3)


def test_where_nothing_floats_all_light_passes() -> None:
    passed = floaters((70, 90), 0.0, Optics(), np.random.default_rng(0))
    assert (passed.dtype, passed.shape) == (np.float32, (70, 90))
    assert abs(passed - 1).max() < 1e-4


def test_what_floats_moves_light_about_in_smooth_patterns() -> None:
    passed = floaters((512, 512), 150.0, Optics(), np.random.default_rng(0))
    assert 0.01 < passed.std() < 0.3
    assert abs(np.diff(passed, axis=0)).max() < 0.5 * np.ptp(passed)
    more = floaters((512, 512), 600.0, Optics(), np.random.default_rng(0))
    assert more.std() > 1.4 * passed.std()  # of independent balls it goes with the root: 2


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"read_noise": -1.0}, "read_noise is -1.0"),
        ({"photons_per_unit": math.inf}, "photons_per_unit is inf"),
        ({"gain": 0.0}, "gain is 0.0; give a number above 0"),
        ({"bits": 32}, "32 bits"),
    ],
)
def test_what_no_camera_has_is_refused(values: dict[str, float], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        Camera(**values)


def test_a_light_path_that_cannot_be_is_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="uneven by 1"):
        uneven_illumination((9, 9), 1, rng)
    with pytest.raises(InputError, match="-1 grains"):
        dust((9, 9), -1, rng)
    with pytest.raises(InputError, match="-1 floating balls"):
        floaters((9, 9), -1, Optics(), rng)
    with pytest.raises(InputError, match="not finite"):
        expose(np.array([[np.nan]]), Camera(), rng)
