"""An offset put in by hand is found again; noise and unrelated images give none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy import ndimage

from unstained.errors import InputError
from unstained.images.register import (
    edge_map,
    measure_offset,
    move,
    offset_of_edges,
    phase_edges,
)

RNG = np.random.default_rng(3)


def scene(size: int = 320) -> tuple[np.ndarray, np.ndarray]:
    """A label-free image with bright rims and dark bodies, and the stain of the bodies."""
    rng = np.random.default_rng(5)
    body = np.zeros((size, size))
    y, x = np.mgrid[:size, :size]
    for _ in range(60):
        cy, cx, r = *rng.uniform(0, size, 2), rng.uniform(5, 11)
        body = np.maximum(body, ((y - cy) ** 2 + (x - cx) ** 2 < r**2) * rng.uniform(0.5, 1))
    stain = 200 + 1000 * ndimage.gaussian_filter(body, 1.5)
    phase = 5000 + 900 * (ndimage.gaussian_filter(body, 5) - ndimage.gaussian_filter(body, 1))
    return (
        phase + rng.normal(0, 30, phase.shape),
        stain + rng.normal(0, 20, stain.shape),
    )


PHASE, STAIN = scene()


def test_registered_images_have_no_offset() -> None:
    found = measure_offset((PHASE, STAIN))
    assert found.sure
    assert found.size_px < 0.3


@pytest.mark.parametrize("shift", [(3.5, -2.25), (-0.75, 0.5), (31.0, 18.5)])
def test_a_shift_is_found_to_0_3_px_with_its_sign(shift: tuple[float, float]) -> None:
    # moved down and right by `shift`, so it lies there
    found = measure_offset((PHASE, move(STAIN, *shift)))
    assert found.sure
    assert (found.y_px, found.x_px) == pytest.approx(shift, abs=0.3)


def test_the_error_covers_the_offset_that_is_left() -> None:
    found = measure_offset((PHASE, move(STAIN, 2.0, 1.0)))
    assert 0 < found.error_px < 0.5
    assert abs(found.y_px - 2.0) < 4 * found.error_px


def test_unrelated_images_and_noise_give_no_offset() -> None:
    assert not measure_offset((PHASE, STAIN[::-1, ::-1])).sure
    assert not measure_offset((PHASE, RNG.normal(size=STAIN.shape))).sure


def test_a_constant_image_gives_no_offset() -> None:
    found = measure_offset((PHASE, np.full(STAIN.shape, 7.0)))
    assert not found.sure
    assert np.isnan(found.y_px)


def test_contrast_and_sign_of_the_edges_do_not_matter() -> None:
    moved = move(STAIN, 3.0, -4.0)
    first, second = (measure_offset((PHASE, s)) for s in (moved, 9000 - 3 * moved))
    assert (second.y_px, second.x_px) == pytest.approx((first.y_px, first.x_px), abs=1e-6)


def test_several_small_images_have_one_offset() -> None:
    moved = move(STAIN, 2.5, -1.25)
    tiles = [
        (slice(y, y + 40), slice(x, x + 40)) for y in range(20, 300, 40) for x in range(20, 300, 40)
    ]
    found = measure_offset([(PHASE[t], moved[t]) for t in tiles])
    assert found.sure
    assert (found.y_px, found.x_px) == pytest.approx((2.5, -1.25), abs=0.5)


def test_moving_by_whole_pixels_moves_pixels_and_keeps_the_type() -> None:
    image = np.arange(20, dtype=np.uint16).reshape(4, 5)
    moved = move(image, 1, -2)
    assert moved.dtype == np.uint16
    assert moved[1:, :3].tolist() == image[:3, 2:].tolist()


def test_moving_there_and_back_returns_the_image() -> None:
    smooth = ndimage.gaussian_filter(RNG.normal(1000, 300, (64, 64)), 3)
    back = move(move(smooth, 1.5, 0.25), -1.5, -0.25)
    assert np.abs(back - smooth)[8:-8, 8:-8].max() < 0.1  # of a deviation of 30


def test_a_move_does_not_wrap_integers() -> None:
    image = np.zeros((16, 16), np.uint8)
    image[4:9, 4:9] = 255
    moved = move(image, 0.5, 0.5)  # splines overshoot at edges
    assert moved[0, 0] < 20
    assert moved[6, 6] > 235


def test_edges_of_a_constant_image_are_zero() -> None:
    assert not edge_map(np.full((32, 32), 1e6)).any()


def test_shapes_must_agree() -> None:
    with pytest.raises(InputError, match=r"phase is \(320, 320\), stain \(320, 319\)"):
        measure_offset((PHASE, STAIN[:, :-1]))


def test_a_shift_of_dapi_on_a_real_field_is_found_to_0_3_px(data_set) -> None:  # type: ignore[no-untyped-def]
    folder = data_set("isl")
    phase, dapi = (
        cv2.imread(str(folder / name), cv2.IMREAD_UNCHANGED)
        for name in ("phase_z06.png", "dapi.png")
    )
    middle = np.s_[192:832, 192:832]
    edges = phase_edges(phase[middle])
    before, after, unrelated = (
        offset_of_edges([(edges, edge_map(stain[middle]))])
        for stain in (dapi, move(dapi, 3.5, -2.25), dapi[::-1])
    )
    assert before.sure
    assert after.sure
    assert before.size_px < 3  # registered by its publisher
    assert after.y_px - before.y_px == pytest.approx(3.5, abs=0.3)
    assert after.x_px - before.x_px == pytest.approx(-2.25, abs=0.3)
    assert not unrelated.sure
