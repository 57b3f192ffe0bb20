"""Normalization, and what strong views vary."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from unstained.colonies.settings import ClassifierSettings
from unstained.colonies.views import Normalizer, mirrored, strong

NOTHING = replace(ClassifierSettings(), rotation=0.0, jitter=0.0, blur=0.0)


def patches(n: int = 6, planes: int = 2, side: int = 24) -> torch.Tensor:
    smooth = ndimage.gaussian_filter(
        np.random.default_rng(0).normal(size=(n, planes, side, side)), (0, 0, 2, 2)
    )
    return torch.from_numpy((smooth / smooth.std()).astype(np.float32))


def varied(x: torch.Tensor, settings: ClassifierSettings, seed: int = 0) -> torch.Tensor:
    return strong(x, settings, np.random.default_rng(seed))


def test_each_plane_is_normalized_by_its_own_mean_and_spread() -> None:
    rng = np.random.default_rng(0)
    grey = np.stack([rng.normal(100, 5, (50, 8, 8)), rng.normal(9, 2, (50, 8, 8))], axis=1)
    x = Normalizer.fit(grey)(grey.astype(np.float32))
    assert x.mean(dim=(0, 2, 3)).tolist() == pytest.approx([0, 0], abs=1e-4)
    assert x.std(dim=(0, 2, 3)).tolist() == pytest.approx([1, 1], abs=1e-3)


def scattered(n: int = 60) -> np.ndarray:
    """Camera noise about 100 beside a log-normal plane on a background of 20."""
    rng = np.random.default_rng(1)
    even, tail = rng.normal(100, 5, (n, 8, 8)), 20 + rng.lognormal(1, 1.5, (n, 8, 8))
    return np.stack([even, tail], axis=1).astype(np.float32)


def test_a_plane_with_a_long_tail_gets_a_logarithm_and_others_do_not() -> None:
    grey = scattered()
    fitted = Normalizer.fit(grey)
    low, median = np.quantile(grey[:, 1], (0.01, 0.5))
    assert fitted.low == pytest.approx((0, low))
    assert fitted.unit == pytest.approx((0, median - low))
    logged = np.log(1 + np.maximum(grey[:, 1] - low, 0) / (median - low))
    x = fitted(grey).numpy()
    assert x[:, 1] == pytest.approx((logged - logged.mean()) / logged.std(), abs=1e-3)
    plain = Normalizer.fit(grey, logarithm=False)
    assert (plain.low, plain.unit) == ((), ())
    assert x[:, 0] == pytest.approx(plain(grey).numpy()[:, 0], abs=1e-4)


def test_a_long_tail_weighs_the_same_whatever_the_camera_adds_and_multiplies() -> None:
    grey = scattered()
    other = 3 * grey + 500
    x, y = (Normalizer.fit(of)(of).numpy() for of in (grey, other))
    assert x == pytest.approx(y, abs=1e-3)


def test_patches_normalized_alone_have_their_logarithm_too() -> None:
    grey = scattered()
    x = Normalizer.fit(grey, own=True)(grey)
    assert torch.allclose(x.mean(dim=(2, 3)), torch.zeros(60, 2), atol=1e-4)
    skew = (x[:, 1] ** 3).mean(dim=(1, 2)) / x[:, 1].std(dim=(1, 2)) ** 3
    assert float(skew.median()) < 1.5  # of a log-normal of sd 1.5: above 4 in 64 px


def test_a_plane_that_is_mostly_its_lowest_value_stays_as_it_is() -> None:
    digits = np.zeros((40, 1, 8, 8), np.float32)
    digits[:, :, 3:5, 3:5] = 1
    assert Normalizer.fit(digits).unit == ()


def test_without_a_fit_each_patch_is_normalized_alone() -> None:
    x = Normalizer()((patches() * 7 + 3).numpy())
    assert torch.allclose(x.mean(dim=(2, 3)), torch.zeros(6, 2), atol=1e-5)
    assert torch.allclose(x.std(dim=(2, 3)), torch.ones(6, 2), atol=1e-5)


@pytest.mark.parametrize("fitted", [True, False])
def test_a_patch_of_one_grey_value_becomes_zeros(fitted: bool) -> None:
    flat = np.full((2, 1, 8, 8), 7, np.float32)
    x = (Normalizer.fit(flat) if fitted else Normalizer())(flat)
    assert torch.equal(x, torch.zeros(2, 1, 8, 8))


def test_without_chances_a_strong_view_is_the_weak_one() -> None:
    x = patches()
    assert torch.allclose(varied(x, NOTHING), x, atol=1e-6)


def test_the_weak_view_is_left_as_it_was() -> None:
    x = patches()
    before = x.clone()
    varied(x, replace(NOTHING, rotation=1.0, jitter=1.0, blur=1.0, cutout=0.5))
    assert torch.equal(x, before)


def test_equal_generators_give_equal_views() -> None:
    settings = ClassifierSettings(cutout=0.3)
    assert torch.equal(varied(patches(), settings), varied(patches(), settings))
    assert not torch.equal(varied(patches(), settings), varied(patches(), settings, seed=1))


def test_a_share_of_the_views_is_varied() -> None:
    x = patches(400)
    changed = (varied(x, replace(NOTHING, blur=0.25)) - x).abs().flatten(1).amax(dim=1) > 1e-3
    # 4 standard deviations of sqrt(0.25 * 0.75 / 400) = 0.022
    assert changed.float().mean().item() == pytest.approx(0.25, abs=0.087)


def test_a_rotation_is_that_of_scipy() -> None:
    x = patches(1, 1, 41)
    found = varied(x, replace(NOTHING, rotation=1.0))[0, 0].numpy()
    rng = np.random.default_rng(0)
    rng.random((4, 1))  # the chances
    degrees = float(np.degrees(rng.uniform(-np.pi, np.pi, 1))[0])
    turned = ndimage.rotate(x[0, 0].numpy(), degrees, reshape=False, order=1)
    y, x_ = np.indices((41, 41)) - 20
    inside = np.hypot(y, x_) < 19  # outside, other pixels come in
    assert np.abs(found - turned)[inside].max() < 0.02


def test_contrast_is_a_factor_about_the_mean_and_brightness_an_offset() -> None:
    x = patches(300, 1) + 5
    settings = replace(NOTHING, jitter=1.0, contrast=0.4, brightness=0.6)
    found = varied(x, settings)
    factor = found.std(dim=(1, 2, 3)) / x.std(dim=(1, 2, 3))
    offset = found.mean(dim=(1, 2, 3)) - x.mean(dim=(1, 2, 3))
    assert 0.6 <= float(factor.min()) < 0.65
    assert 1.35 < float(factor.max()) <= 1.4001
    assert -0.6001 <= float(offset.min()) < -0.5
    assert 0.5 < float(offset.max()) <= 0.6001


def test_a_blurred_point_is_1_2_1_squared() -> None:
    x = torch.zeros(1, 2, 7, 7)
    x[:, 1, 3, 3] = 16
    found = varied(x, replace(NOTHING, blur=1.0))
    expected = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]])
    assert torch.allclose(found[0, 1, 2:5, 2:5], expected, atol=1e-5)
    assert found[0, 1].sum().item() == pytest.approx(16, abs=1e-4)
    assert not found[0, 0].any()


def test_a_cutout_loses_a_square_of_each_patch() -> None:
    x = patches(5, 2, 20)
    found = varied(x, replace(NOTHING, cutout=0.5))
    for n in range(5):
        lost = (found[n, 0] - x[n, 0].mean()).abs() < 1e-6
        y, x_ = np.nonzero(lost.numpy())
        assert (np.ptp(y), np.ptp(x_)) == (9, 9)  # half of 20 px
        assert y.size == 100
        kept = torch.ones(20, 20, dtype=bool)
        kept[y, x_] = False
        assert torch.allclose(found[n, :, kept], x[n, :, kept], atol=1e-6)


def test_mirrors_are_four_and_of_any_of_them_the_same() -> None:
    x = patches(1, 1)
    of_one = {tuple(v.flatten().tolist()) for v in mirrored(x)}
    of_flipped = {tuple(v.flatten().tolist()) for v in mirrored(x.flip(-1))}
    assert len(of_one) == 4
    assert of_one == of_flipped
