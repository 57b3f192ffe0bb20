"""Tiles joined are the whole: no cell cut at a seam, none lost, none twice; so in files."""

from __future__ import annotations

import numpy as np
import pytest
import zarr
from scipy import ndimage
from skimage.segmentation import watershed

from unstained.cells.flooding import flood
from unstained.cells.tiling import label_tiles
from unstained.errors import DataError, InputError


def components(image: np.ndarray) -> np.ndarray:
    """A local segmenter: a label depends on its own object alone."""
    return ndimage.label(image > 0)[0]


def blobs(seed: int, shape: tuple[int, int] = (333, 410)) -> np.ndarray:
    """Objects of up to some 25 px, of odd shapes, that touch no other."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.random(shape), 3)
    labels, _ = ndimage.label(smooth > np.quantile(smooth, 0.8))
    large = [
        k
        for k, (y, x) in enumerate(ndimage.find_objects(labels), 1)
        if max(y.stop - y.start, x.stop - x.start) > 40
    ]
    return (labels > 0) & ~np.isin(labels, large)


def same_partition(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal but for the numbers."""
    pairs = np.unique(np.stack([a.ravel(), b.ravel()]), axis=1)
    return all(np.unique(side).size == pairs.shape[1] for side in pairs)


@pytest.mark.parametrize("seed", range(4))
def test_tiles_joined_are_the_whole_for_a_local_segmenter(seed: int) -> None:
    image = blobs(seed)
    whole = components(image)
    joined = label_tiles(components, image, tile=64, halo=64)
    assert same_partition(joined.labels, whole)
    assert joined.cells == whole.max()
    assert np.unique(joined.labels).size == joined.cells + 1
    assert joined.cut == 0


def test_cells_do_cross_the_seams_of_these_tiles() -> None:
    # else the test above shows nothing: the seams lie at multiples of 64
    image = blobs(0)
    assert (image[63] & image[64]).any()
    assert (image[:, 63] & image[:, 64]).any()


def test_a_cell_whose_mask_jitters_between_tiles_is_neither_lost_nor_there_twice() -> None:
    calls = 0

    def jittering(image: np.ndarray) -> np.ndarray:
        nonlocal calls
        calls += 1  # the cell's centroid moves over the seam by the tile that sees it
        return components(ndimage.shift(image.astype(float), (0, (-1) ** calls), order=0))

    for x in (*range(54, 70), *range(118, 134)):  # around the seams at 64 and at 128
        image = np.zeros((64, 256))
        image[28:36, x : x + 8] = 1  # 6 of 8 columns are common
        assert label_tiles(jittering, image, tile=64, halo=64).cells == 1


def test_cells_larger_than_the_halo_are_told() -> None:
    image = np.zeros((64, 400))
    image[30:34, 10:390] = 1
    assert label_tiles(components, image, tile=64, halo=32).cut > 0


def test_labels_can_be_filled_into_an_array_on_disk(tmp_path: object) -> None:
    image = blobs(1)
    out = zarr.create_array(
        store=f"{tmp_path}/labels", shape=image.shape, chunks=(64, 64), dtype="i4", fill_value=0
    )
    joined = label_tiles(components, image, tile=64, halo=64, out=out)
    assert joined.labels is out
    assert same_partition(np.asarray(out[:]), components(image))


def test_no_tile_is_larger_than_tile_and_halos() -> None:
    seen = []

    def watching(image: np.ndarray) -> np.ndarray:
        seen.append(image.shape)
        return components(image)

    label_tiles(watching, blobs(2), tile=64, halo=32)
    assert max(max(shape) for shape in seen) <= 64 + 2 * 32


def test_nuclei_have_the_number_of_their_cell() -> None:
    image = blobs(3)

    def with_nuclei(tile: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        labels = components(tile)
        return labels, np.where(ndimage.binary_erosion(tile, iterations=2), labels, 0)

    joined = label_tiles(with_nuclei, image, tile=64, halo=64)
    inside = ndimage.binary_erosion(image, iterations=2)
    assert np.array_equal(joined.nuclei, np.where(inside, joined.labels, 0))


def test_labels_of_another_size_than_the_tile_are_refused() -> None:
    with pytest.raises(DataError, match="the segmenter gave"):
        label_tiles(lambda image: image[:-1], np.zeros((64, 64), int))
    with pytest.raises(InputError, match="one \\(Y, X\\) plane"):
        label_tiles(components, np.zeros((2, 64, 64), int))


# Flooding ----------------------------------------------------------------------------------


def test_flooding_is_the_watershed_of_scikit_image() -> None:
    rng = np.random.default_rng(5)
    height = ndimage.gaussian_filter(rng.random((150, 170)), 3)  # no two heights are equal
    mask = ndimage.gaussian_filter(rng.random(height.shape), 4) > 0.48
    seeds = np.zeros(height.shape, int)
    at = rng.integers(0, 150, (2, 30))
    seeds[at[0], at[1]] = np.arange(1, 31)
    assert np.array_equal(flood(height, seeds, mask), watershed(height, seeds, mask=mask))
    assert np.array_equal(flood(height, seeds), watershed(height, seeds))


def test_basins_meet_at_the_ridge() -> None:
    height = np.array([[0.0, 1, 2, 3, 2, 1, 0]])
    seeds = np.array([[4, 0, 0, 0, 0, 0, 9]])
    labels = flood(height, seeds)
    # both sides reach the ridge at height 2; the left one came there first
    assert labels.tolist() == [[4, 4, 4, 4, 9, 9, 9]]


def test_on_a_plain_basins_grow_alike() -> None:
    assert flood(np.zeros((1, 6)), np.array([[1, 0, 0, 0, 0, 2]])).tolist() == [[1, 1, 1, 2, 2, 2]]


def test_what_no_seed_leads_to_stays_background() -> None:
    height = np.zeros((1, 5))
    mask = np.array([[True, True, False, True, True]])
    assert flood(height, np.array([[3, 0, 0, 0, 0]]), mask).tolist() == [[3, 3, 0, 0, 0]]


def test_flooding_refuses_what_it_cannot_order() -> None:
    height = np.array([[0.0, np.nan]])
    with pytest.raises(InputError, match="not finite"):
        flood(height, np.array([[1, 0]]))
    with pytest.raises(InputError, match="one \\(Y, X\\) shape"):
        flood(height, np.zeros((2, 2), int))
    with pytest.raises(InputError, match="down to -1"):
        flood(np.zeros((1, 2)), np.array([[-1, 0]]))
