"""Noise, contrast, saturation and blur are recovered from images made with known ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from unstained.errors import InputError
from unstained.images import load_pairs, read_image
from unstained.images.quality import (
    background,
    c_max,
    foreground_mask,
    noise_variance,
    saturation,
    snr_rms,
    snr_var,
    spectrum,
)

RNG = np.random.default_rng(0)


def cells(shape: tuple[int, int] = (192, 192), count: int = 8, height: float = 800) -> np.ndarray:
    """Gaussian cells (sigma 8 px) on nothing."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[: shape[0], : shape[1]]
    centers = rng.uniform(16, np.array(shape) - 16, (count, 2))
    return sum(height * np.exp(-((y - a) ** 2 + (x - b) ** 2) / 128) for a, b in centers)


@pytest.mark.parametrize("sd", [5.0, 50.0])
def test_white_noise_is_measured_under_cells_to_5_percent(sd: float) -> None:
    image = 100 + cells() + RNG.normal(0, sd, (192, 192))
    assert math.sqrt(noise_variance(image)) == pytest.approx(sd, rel=0.05)


def test_photon_noise_is_its_mean() -> None:
    mean = 20 + cells()
    # the variance of a Poisson count is its mean
    assert noise_variance(RNG.poisson(mean)) == pytest.approx(mean.mean(), rel=0.1)


@pytest.mark.parametrize("sd", [0.5, 0.7, 1.0, 2.0, 5.0])
def test_noise_of_about_a_grey_value_is_measured_to_5_percent(sd: float) -> None:
    levels = np.rint(20.3 + cells(height=80) + RNG.normal(0, sd, (192, 192))).astype(np.uint8)
    # rounding is noise, too: 1 / 12
    assert noise_variance(levels) == pytest.approx(sd**2 + 1 / 12, rel=0.05)


def test_an_image_without_noise_has_at_least_that_of_rounding() -> None:
    ramp = np.repeat(np.arange(0, 256, 4, dtype=np.uint16)[None], 64, axis=0)
    # steps of 4: 16 / 12
    assert noise_variance(ramp) == pytest.approx(16 / 12)


def test_snr_var_and_c_max_predict_the_correlation_with_the_truth() -> None:
    clean = cells()
    image = clean + RNG.normal(0, 150, clean.shape)
    assert snr_var(image) == pytest.approx(clean.var() / 150**2, rel=0.1)
    # what a perfect prediction, the clean image, would score
    r = np.corrcoef(clean.ravel(), image.ravel())[0, 1]
    assert c_max(snr_var(image)) == pytest.approx(r, abs=0.01)


def test_c_max_of_1_is_0_707_and_of_no_noise_1() -> None:
    assert c_max(1.0) == pytest.approx(math.sqrt(1 / 2))
    assert c_max(3.0) == pytest.approx(math.sqrt(3 / 4))
    assert c_max(0.0) == 0.0
    assert c_max(math.inf) == 1.0
    with pytest.raises(InputError, match="not negative"):
        c_max(-1.0)


def test_snr_rms_is_contrast_over_the_background_s_deviation() -> None:
    image = np.zeros((100, 100))
    image[::2] = 2.0  # background 0 and 2 in turn: mean 1, deviation 1
    inside = np.zeros((100, 100), bool)
    inside[40:60, 40:60] = True
    image[inside] = 13.0
    assert snr_rms(image, inside) == pytest.approx((13 - 1) / 1)


def disks(side: int = 256) -> np.ndarray:
    """Fourteen cells of radius 10 px and height 1."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:side, :side]
    centers = rng.uniform(16, side - 16, (14, 2))
    return np.any([(y - a) ** 2 + (x - b) ** 2 < 100 for a, b in centers], axis=0).astype(float)


def test_snr_rms_is_0_without_stain_and_rises_with_its_contrast() -> None:
    # the highest pixels of pure noise, taken for a foreground, lie about 2 SD above the others
    def mean(contrast: float) -> float:
        seeds = range(4)
        noise = [np.random.default_rng(seed).normal(100, 1, (256, 256)) for seed in seeds]
        return float(np.mean([snr_rms(n + contrast * disks()) for n in noise]))

    found = [mean(contrast) for contrast in (0, 0.5, 1, 2, 5, 20)]
    assert found[0] == 0
    assert found == sorted(found)
    assert found[3] == pytest.approx(2, rel=0.05)


def test_small_bright_spots_are_a_foreground() -> None:
    # sigma 1 px and 10 high: 5 high when smoothed by 1 px, where noise has 1 / sqrt(4 pi) = 0.28
    points = np.zeros((256, 256))
    points[8::16, 8::16] = 10 * 2 * np.pi
    image = ndimage.gaussian_filter(points, 1) + np.random.default_rng(3).normal(100, 1, (256, 256))
    assert snr_rms(image) > 2


def test_the_two_ratios_are_different_quantities() -> None:
    image = 100 + cells() + RNG.normal(0, 20, (192, 192))
    assert snr_var(image) > 2 * snr_rms(image)


def test_snr_rms_is_not_a_number_without_a_background() -> None:
    assert math.isnan(snr_rms(np.ones((9, 9)), np.ones((9, 9), bool)))
    with pytest.raises(InputError, match="foreground is"):
        snr_rms(np.ones((9, 9)), np.ones((8, 9), bool))


def test_the_background_is_found_beside_bright_cells() -> None:
    image = 300 + cells(height=5000) + RNG.normal(0, 12, (192, 192))
    found = background(image)
    assert found.level == pytest.approx(300, abs=6)
    assert found.sd == pytest.approx(12, rel=0.1)


def test_the_foreground_is_where_the_cells_are() -> None:
    clean = cells()
    mask = foreground_mask(100 + clean + RNG.normal(0, 10, clean.shape))
    assert mask[clean > 100].all()  # ten standard deviations
    assert mask[clean < 1].mean() < 0.02


def test_clipping_is_counted_at_the_type_s_limit_and_at_a_camera_s() -> None:
    image = RNG.normal(2000, 400, (128, 128))
    top = np.quantile(image, 0.95)
    clipped = np.minimum(image, top)
    assert saturation(clipped) == pytest.approx(0.05, abs=0.001)
    assert saturation(np.minimum(image, 4095).astype(np.uint16)) == 0.0
    full = np.where(image > top, 65535, image).astype(np.uint16)
    assert saturation(full) == pytest.approx(0.05, abs=0.001)


def test_blur_lowers_sharpness_whatever_the_noise() -> None:
    texture = ndimage.gaussian_filter(RNG.normal(size=(192, 192)), 1.5)
    texture /= texture.std()
    noise = 0.1 * RNG.normal(size=(192, 192))
    sharp = spectrum(texture + noise).sharpness
    blurred = ndimage.gaussian_filter(texture, 3)
    assert spectrum(blurred / blurred.std() + noise).sharpness < 0.7 * sharp
    assert spectrum(5 * (texture + noise) + 7).sharpness == pytest.approx(sharp)


def test_an_enlarged_image_is_told_from_a_raw_one() -> None:
    raw = cells() + RNG.normal(0, 20, (192, 192))
    assert not spectrum(raw).smoothed
    assert spectrum(ndimage.zoom(raw, 2, order=1)).smoothed


def test_a_median_filter_is_told_by_its_equal_neighbors() -> None:
    raw = np.rint(500 + cells() + RNG.normal(0, 20, (192, 192))).astype(np.uint16)
    filtered = ndimage.median_filter(raw, 3)
    assert spectrum(filtered).smoothed
    assert spectrum(np.rint(13.7 * filtered)).smoothed  # a stretched contrast
    # along one axis is enough, and of a part
    assert spectrum(ndimage.median_filter(raw, (5, 1))).smoothed
    assert spectrum(filtered[:64, :64]).smoothed
    assert spectrum(np.kron(raw, np.ones((2, 2)))).smoothed  # enlarged by repeating pixels


@pytest.mark.parametrize("light", [0.003, 0.03, 0.3, 3.0, 30.0])
def test_a_raw_image_is_not_called_smoothed_whatever_its_light(light: float) -> None:
    # photon noise of 20 + 800 at most, times the light, and a camera's read noise of 2
    raw = np.rint(100 + RNG.poisson(light * (20 + cells())) + RNG.normal(0, 2, (192, 192)))
    changed = {
        "as it is": raw,
        "stretched": np.rint(13.7 * raw),
        "background taken off": np.maximum(raw - np.median(raw), 0),
        "saturated": np.minimum(raw, np.quantile(raw, 0.97)),
        "8 bits": np.rint(255 * (raw - raw.min()) / np.ptp(raw)),
        "flat-field corrected": raw * np.linspace(1, 1.2, 192),
    }
    assert [how for how, image in changed.items() if spectrum(image).smoothed] == []


def test_saturated_spots_are_not_taken_for_a_median_filter() -> None:
    # 2 x 3 px of each 16 x 16: neighbors are equal there, pixels 8 px apart are not
    raw = np.rint(1000 + RNG.normal(0, 100, (192, 192)))
    raw[np.ix_(np.arange(192) % 16 < 2, np.arange(192) % 16 < 3)] = 4095
    assert not spectrum(raw).smoothed


def test_white_noise_on_a_blurred_image_is_not_called_smoothed() -> None:
    texture = ndimage.gaussian_filter(RNG.normal(size=(192, 192)), 2)
    for noise in (0.01, 0.1, 1.0):  # of the texture's own spread
        image = texture / texture.std() + RNG.normal(0, noise, texture.shape)
        assert not spectrum(image).smoothed
        assert not spectrum(np.rint(1000 * image)).smoothed


def test_the_stains_of_isl_were_median_filtered(data_set: Callable[[str], Path]) -> None:
    for name in ("dapi", "map2", "nfh"):
        stain = read_image(data_set("isl") / f"{name}.png").planes()[0]
        assert spectrum(stain).smoothed, name
        assert spectrum(stain[:, 768:]).smoothed, name  # the test strip


def test_single_cells_of_mlcp_are_raw(data_set: Callable[[str], Path]) -> None:
    for field in load_pairs("mlcp").fields()[::200]:
        (dna,) = (field.read_stain(marker) for marker in field.stains)
        assert not spectrum(dna).smoothed, field.id


def test_only_planes_are_measured() -> None:
    with pytest.raises(InputError, match="one plane"):
        snr_var(np.zeros((2, 8, 8)))


def test_an_image_of_two_pixels_has_no_noise_that_can_be_told() -> None:
    with pytest.raises(InputError, match="give 3 px or more each way"):
        noise_variance(np.zeros((2, 9)))
