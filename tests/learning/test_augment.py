import numpy as np
import pytest

from unstained.learning.augment import (
    ALL_MOTIONS,
    Augmentation,
    Symmetry,
    apply_symmetry,
    crop_pair,
    find_symmetries,
    undo_symmetry,
    vary_intensity,
)
from unstained.learning.random import generator


def _field(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    phase = rng.normal(size=(2, 60, 80)).astype(np.float32)
    return phase, np.stack([phase[0], 2 * phase[1]])


def _crop(augmentation: Augmentation, seed: int, size: int = 32) -> tuple[np.ndarray, np.ndarray]:
    phase, stains = _field()
    return crop_pair(
        lambda y, x: (phase[:, y, x], stains[:, y, x]),
        phase.shape[-2:],
        size,
        augmentation,
        generator(seed, 0, 0),
    )


@pytest.mark.parametrize("seed", range(8))
def test_phase_and_stain_are_moved_by_the_very_same_warp(seed: int) -> None:
    varied = Augmentation(rotation_deg=40, scale=0.3, symmetries=ALL_MOTIONS)
    phase, stains = _crop(varied, seed)
    np.testing.assert_allclose(stains[0], phase[0], atol=1e-5)
    np.testing.assert_allclose(stains[1], 2 * phase[1], atol=1e-5)


@pytest.mark.parametrize("symmetry", ALL_MOTIONS, ids=str)
def test_without_rotation_a_patch_is_a_moved_piece_of_the_field(symmetry: Symmetry) -> None:
    field, _ = _field()
    patch, _ = _crop(Augmentation(symmetries=(symmetry,)), seed=3)
    pieces = {
        field[:, y : y + 32, x : x + 32].tobytes() for y in range(60 - 31) for x in range(80 - 31)
    }
    back = np.ascontiguousarray(undo_symmetry(patch, symmetry))
    assert back.tobytes() in pieces


@pytest.mark.parametrize("symmetry", ALL_MOTIONS, ids=str)
def test_undoing_a_symmetry_brings_the_image_back(symmetry: Symmetry) -> None:
    field, _ = _field()
    np.testing.assert_array_equal(undo_symmetry(apply_symmetry(field, symmetry), symmetry), field)


def test_a_patch_larger_than_the_image_is_mirrored_not_padded_with_zeros() -> None:
    phase = np.ones((1, 40, 40), np.float32)
    patch, _ = crop_pair(
        lambda y, x: (phase[:, y, x], phase[:, y, x]),
        (40, 40),
        48,
        Augmentation(rotation_deg=20),
        generator(0, 0, 0),
    )
    np.testing.assert_allclose(patch, 1, atol=1e-6)


def test_samples_depend_on_their_place_alone() -> None:
    a = generator(5, 10, 3).random(4)
    generator(5, 9, 3).random(100)
    np.testing.assert_array_equal(a, generator(5, 10, 3).random(4))
    others = [generator(6, 10, 3), generator(5, 11, 3), generator(5, 10, 4), generator(5, 3, 10)]
    assert all(not np.array_equal(a, other.random(4)) for other in others)


def test_contrast_changes_all_planes_alike() -> None:
    phase, _ = _field()
    varied = vary_intensity(phase, Augmentation(contrast=0.5), generator(1, 0, 0))
    ratio = varied / phase
    assert ratio.std() < 1e-4
    assert abs(ratio.mean() - 1) > 0.01


def _shaded(image: np.ndarray, axis: int) -> np.ndarray:
    """A derivative along one axis: what oblique illumination shows of a phase object."""
    return np.gradient(image, axis=axis)


def _blobs(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:256, :256]
    image = np.zeros((256, 256))
    for cy, cx in rng.uniform(10, 246, (120, 2)):
        d2 = (y - cy) ** 2 + (x - cx) ** 2
        # a flat-topped disc has a steep edge: its derivative is skewed only jointly over lags
        image += 1 / (1 + np.exp((np.sqrt(d2) - 5) * 2))
    return image


def _normalized(image: np.ndarray) -> np.ndarray:
    normalized: np.ndarray = ((image - np.median(image)) / image.std()).astype(np.float32)[None]
    return normalized


def test_an_image_without_direction_allows_all_eight_motions() -> None:
    assert find_symmetries([_normalized(_blobs())]) == ALL_MOTIONS


def test_oblique_shading_allows_the_mirror_along_it_alone() -> None:
    # d/dx of a round object: mirroring y changes nothing, mirroring x swaps dark and bright
    found = find_symmetries([_normalized(_shaded(_blobs(), axis=1))])
    assert found == (Symmetry(), Symmetry(flip_y=True))


def test_neurons_under_oblique_shading_allow_no_motion(data_set) -> None:  # type: ignore[no-untyped-def]
    from unstained.images import read_image

    folder = data_set("isl")
    planes = np.stack([read_image(folder / f"phase_z{z:02d}.png").plane() for z in (2, 5, 8)])
    ready = np.concatenate([_normalized(plane.astype(float)) for plane in planes])
    assert find_symmetries([ready]) == (Symmetry(),)
    # a small region beside a large one does not drown its direction
    assert find_symmetries([ready[:, :, :592], ready[:, :688, 592:768]]) == (Symmetry(),)
