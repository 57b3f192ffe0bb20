"""The gain of a camera from its images, fewer photons, and dirt."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from unstained.errors import DataError, InputError
from unstained.images.impurities import add_dust, add_speckles
from unstained.images.photons import PhotonScale, fewer_photons, photon_scale


def stain(gain: float, offset: float, *, side: int = 512, seed: int = 0) -> np.ndarray:
    """Smooth light of 20 to about 1500 photo-electrons, as a camera shows it."""
    rng = np.random.default_rng(seed)
    light = np.clip(gaussian_filter(rng.normal(size=(side, side)), 12) * 9000 + 300, 20, None)
    return np.rint(offset + gain * rng.poisson(light)).astype(np.uint16)


@pytest.mark.parametrize(("gain", "offset"), [(2.5, 100.0), (0.6, 400.0)])
def test_gain_and_offset_are_found_in_the_noise(gain: float, offset: float) -> None:
    found = photon_scale([stain(gain, offset, seed=s) for s in range(3)])
    assert found.gain == pytest.approx(gain, rel=0.1)
    assert found.offset == pytest.approx(offset, abs=30 * gain)  # photo-electrons


@pytest.mark.parametrize(("gain", "offset"), [(2.0, 100.0), (0.6, 400.0)])
def test_gain_is_found_where_few_bright_cells_fill_the_bins_of_much_light(
    gain: float, offset: float
) -> None:
    # 40 photo-electrons of background, 60 cells of 100 to 1200: bins of many tiles are wide
    images = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[:512, :512]
        light = np.full((512, 512), 40.0)
        for _ in range(60):
            (cy, cx), radius = rng.uniform(0, 512, 2), rng.uniform(8, 18)
            light += rng.uniform(100, 1200) * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / radius**2)
        images.append(np.rint(offset + gain * rng.poisson(light)).astype(np.uint16))
    found = photon_scale(images)
    assert found.gain == pytest.approx(gain, rel=0.04)
    assert found.offset == pytest.approx(offset, abs=1.5 * gain)  # photo-electrons


def test_an_image_without_shot_noise_gives_no_gain() -> None:
    rng = np.random.default_rng(0)
    smooth = gaussian_filter(rng.normal(size=(256, 256)), 12) * 9000 + 300
    falling = smooth + rng.normal(size=smooth.shape) * 3e3 / (100 + np.abs(smooth))
    with pytest.raises(DataError, match="give it"):
        photon_scale([falling])


def test_half_the_light_has_twice_the_relative_variance() -> None:
    # n ~ Poisson(200): thinned to f and divided by f, mean 200 and variance 200 / f
    rng = np.random.default_rng(1)
    scale = PhotonScale(gain=3.0, offset=50.0)
    image = 50 + 3.0 * rng.poisson(200, (400, 400))
    for share in (0.5, 0.1):
        electrons = (fewer_photons(image, share, scale, rng) - 50) / 3
        assert electrons.mean() == pytest.approx(200, rel=0.01)
        assert electrons.var() == pytest.approx(200 / share, rel=0.03)
    np.testing.assert_array_equal(fewer_photons(image, 1.0, scale, rng), image)
    with pytest.raises(InputError, match="more than 0"):
        fewer_photons(image, 0.0, scale, rng)


def test_dust_is_dark_and_as_dense_as_asked() -> None:
    rng = np.random.default_rng(2)
    clean = rng.normal(1000, 10, (1000, 1000))
    # 100 grains of radius 5 px cover pi 25 px each; their soft edges and chance blur the share
    dusty = add_dust(clean, rng, per_mpx=100, radius_px=(5, 5), contrast=30)
    covered = np.mean(dusty - clean < -75)  # deeper than a quarter of 30 SD
    assert covered == pytest.approx(100 * np.pi * 25 / 1e6, rel=0.35)
    np.testing.assert_array_equal(add_dust(clean, rng, per_mpx=0), clean.astype(np.float32))


def test_speckles_only_brighten_and_scale_with_the_stain() -> None:
    clean = stain(1.0, 100.0).astype(np.float32)
    one = add_speckles(clean, np.random.default_rng(3)) - clean
    other = add_speckles(7 * clean, np.random.default_rng(3)) - 7 * clean
    assert one.min() >= 0
    assert one.max() > 100
    np.testing.assert_allclose(other, 7 * one, rtol=1e-2, atol=0.5)


def test_a_negative_density_is_refused() -> None:
    with pytest.raises(InputError, match="density of 0 or more"):
        add_dust(np.ones((32, 32)), np.random.default_rng(0), per_mpx=-1)
