"""Tiles cover the image once, are aligned, and carry their halo."""

from __future__ import annotations

import numpy as np
import pytest

from unstained.errors import InputError
from unstained.images.tiles import read_reflected, round_up, tiles

SHAPES = [(1, 1), (7, 300), (101, 257), (256, 256), (640, 333)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("tile", "halo", "stride"), [(32, 5, 8), (64, 40, 16), (50, 0, 1)])
def test_every_pixel_is_pasted_exactly_once(
    shape: tuple[int, int], tile: int, halo: int, stride: int
) -> None:
    count = np.zeros(shape, int)
    for t in tiles(shape, tile=tile, halo=halo, stride=stride):
        count[t.paste] += 1
    assert (count == 1).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_origins_are_aligned_and_the_halo_is_there_or_the_border_is(shape: tuple[int, int]) -> None:
    halo, stride = 40, 16
    for t in tiles(shape, tile=64, halo=halo, stride=stride):
        for outer, inner, paste, n in zip(t.outer, t.inner, t.paste, shape, strict=True):
            assert outer.start % stride == 0
            assert (outer.stop - outer.start) % stride == 0
            # kept pixels lie where they are pasted
            assert outer.start + inner.start == paste.start
            assert inner.stop - inner.start == paste.stop - paste.start
            assert outer.start == 0 or paste.start - outer.start >= halo
            frame = round_up(n, stride)
            assert outer.stop == frame or outer.stop - paste.stop >= halo


def test_all_tiles_have_one_outer_shape() -> None:
    assert len({t.outer_shape for t in tiles((1000, 777), tile=128, halo=32, stride=16)}) == 1


def test_shares_are_even() -> None:
    # 1300 in tiles of at most 1024: two of 650, rounded up to 16: 656 and 644
    cuts = tiles((1300, 16), tile=1024, halo=16, stride=16)
    assert [t.paste[0] for t in cuts] == [slice(0, 656), slice(656, 1300)]


def test_alignment_to_chunks() -> None:
    cuts = tiles((1300, 16), tile=1024, halo=16, stride=16, align=512)
    assert [t.paste[0].start for t in cuts] == [0, 1024]


def test_reading_reflects_as_numpy_does() -> None:
    image = np.arange(2 * 5 * 7).reshape(2, 5, 7)
    padded = np.pad(image, ((0, 0), (3, 9), (2, 11)), mode="reflect")
    block = read_reflected(lambda y, x: image[:, y, x], (slice(-3, 14), slice(-2, 18)), (5, 7))
    np.testing.assert_array_equal(block, padded)


def test_only_the_rows_needed_are_read() -> None:
    image = np.zeros((100, 100))
    asked = []

    def read(y: slice, x: slice) -> np.ndarray:
        asked.append((y, x))
        return image[y, x]

    read_reflected(read, (slice(90, 104), slice(10, 20)), (100, 100))
    # rows 100 ... 103 mirror rows 98 ... 95, which are among 90 ... 99
    assert asked == [(slice(90, 100), slice(10, 20))]


def test_an_alignment_that_breaks_the_stride_is_refused() -> None:
    with pytest.raises(InputError, match="multiple of the stride"):
        tiles((100, 100), tile=64, halo=8, stride=16, align=24)
