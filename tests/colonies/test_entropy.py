"""Local entropy: equal to scikit-image, the same with any number of threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from skimage.filters.rank import entropy
from skimage.morphology import disk

from unstained.colonies import entropy as module
from unstained.colonies.entropy import local_entropy
from unstained.errors import InputError


def test_entropy_of_two_values_side_by_side() -> None:
    # a disk of radius 1 is a cross of 5 pixels; in the corner 3 of them lie inside
    image = np.array([[1, 1, 2], [1, 1, 2], [1, 1, 2]], np.uint8)
    found = local_entropy(image, 1)
    # middle: 4 ones, 1 two: -(0.8 log2 0.8 + 0.2 log2 0.2) = 0.72193
    assert found[1, 1] == pytest.approx(0.72193, abs=1e-5)
    # corner: the corner, its right and its lower neighbor: 1, 1, 1
    assert found[0, 0] == 0
    # right corner: 2, 2 below, 1 at the left: -(2/3 log2 2/3 + 1/3 log2 1/3) = 0.91830
    assert found[0, 2] == pytest.approx(0.91830, abs=1e-5)


@pytest.mark.parametrize("radius", [1, 3, 7])
@pytest.mark.parametrize("shape", [(1, 1), (2, 9), (9, 2), (61, 83)])
def test_entropy_equals_that_of_scikit_image_up_to_the_border(
    shape: tuple[int, int], radius: int
) -> None:
    rng = np.random.default_rng(0)
    for values in (2, 20, 256):
        image = rng.integers(0, values, shape).astype(np.uint8)
        theirs = entropy(image, disk(radius))
        assert np.abs(local_entropy(image, radius) - theirs).max() < 1e-5


def test_sums_do_not_drift_along_a_long_row() -> None:
    rng = np.random.default_rng(1)
    end = rng.integers(0, 256, (7, 40)).astype(np.uint8)
    row = np.concatenate([rng.integers(0, 256, (7, 200_000)).astype(np.uint8), end], axis=1)
    assert np.array_equal(local_entropy(row)[:, -30:], local_entropy(end)[:, -30:])


def test_threads_change_nothing() -> None:
    image = np.random.default_rng(2).integers(0, 64, (50, 70)).astype(np.uint8)
    expected = local_entropy(image, threads=1)
    assert np.array_equal(local_entropy(image, threads=5), expected)
    with ThreadPoolExecutor(4) as pool:  # callers at the same time
        for found in pool.map(lambda _: local_entropy(image, threads=3), range(8)):
            assert np.array_equal(found, expected)


def test_a_transposed_image_has_a_transposed_entropy() -> None:
    image = np.random.default_rng(3).integers(0, 64, (20, 30)).astype(np.uint8)
    assert np.array_equal(local_entropy(image.T), local_entropy(image).T)


def test_without_a_folder_for_compiled_code_there_is_a_warning_and_a_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import numba

    real = numba.njit

    def njit(signature: str, **given: bool) -> object:
        if given.pop("cache", False):
            raise RuntimeError("cannot cache function '_entropy_rows': no locator available")
        return real(signature, **given)

    monkeypatch.setattr(numba, "njit", njit)
    module._compiled.cache_clear()
    try:
        with pytest.warns(UserWarning, match="NUMBA_CACHE_DIR"):
            assert local_entropy(np.zeros((4, 4), np.uint8)).max() == 0
    finally:
        module._compiled.cache_clear()


@pytest.mark.parametrize(
    ("image", "radius"),
    [
        (np.zeros((4, 4), np.uint16), 3),
        (np.zeros((2, 4, 4), np.uint8), 3),
        (np.zeros((0, 4), np.uint8), 3),
        (np.zeros((4, 4), np.uint8), 0),
        (np.zeros((4, 4), np.uint8), 101),
    ],
)
def test_what_is_no_8_bit_plane_is_refused(image: np.ndarray, radius: int) -> None:
    with pytest.raises(InputError):
        local_entropy(image, radius)
