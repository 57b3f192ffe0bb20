"""Segmentation folders of a few square cells, with their stains in ``stains`` beside them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from unstained.cells.segmentation_folder import create_segmentation
from unstained.images import as_image, write_ome_zarr


def squares(shift: int = 0) -> np.ndarray:
    """Cells 1 and 2 of 16 x 16 px on 64 x 64 px; the first `shift` px to the right."""
    labels = np.zeros((64, 64), np.int32)
    labels[12:28, 12 + shift : 28 + shift] = 1
    labels[37:53, 37:53] = 2
    return labels


@pytest.fixture
def make_film(tmp_path: Path) -> Callable[[float | None], Path]:
    """``make_film(interval_s)`` gives the folder of a movie ``film`` of two cells.

    Three frames, 0.5 um a pixel. Stain CD105: background 10; cell 1 is 20 above it in frame 0, 22
    and 24 in the next; cell 2 always 40. Phase: 2 above its background.
    """

    def make(interval_s: float | None = 120.0) -> Path:
        labels = np.stack([squares(t) for t in range(3)])
        above = np.array([20.0, 22.0, 24.0])[:, None, None]
        stain = (10 + above * (labels == 1) + 40 * (labels == 2)).astype(np.float32)
        phase = np.where(labels > 0, 7, 5).astype(np.uint16)
        movie = as_image(
            phase, "TYX", channels=["phase"], pixel_size_um=0.5, frame_interval_s=interval_s
        )
        (tmp_path / "stains").mkdir()
        write_ome_zarr(movie, tmp_path / "film.ome.zarr")
        predicted = as_image(stain, "TYX", channels=["CD105"], pixel_size_um=0.5)
        write_ome_zarr(predicted, tmp_path / "stains" / "film.ome.zarr")
        with create_segmentation(tmp_path / "cells", {"name": "truth"}) as writer:
            writer.add("film", movie, tmp_path / "film.ome.zarr", iter(labels))
        return tmp_path / "cells"

    return make


@pytest.fixture
def stills(tmp_path: Path) -> Path:
    """Folder of images ``s0`` and ``s1`` of 1 um a pixel, with ``stains/s0_CD44.tif`` ...

    CD44 is 3 above its background in the cells of ``s0``, 4 in those of ``s1``.
    """
    (tmp_path / "stains").mkdir()
    labels = squares()
    phase = as_image(np.full((64, 64), 3, np.uint8), "YX", channels=["C0"], pixel_size_um=1.0)
    with create_segmentation(tmp_path / "cells", {"name": "truth"}) as writer:
        for i in range(2):
            tifffile.imwrite(tmp_path / f"s{i}.tif", phase.plane())
            stain = np.where(labels > 0, 5 + i, 2).astype(np.uint16)
            tifffile.imwrite(tmp_path / "stains" / f"s{i}_CD44.tif", stain)
            writer.add(f"s{i}", phase, tmp_path / f"s{i}.tif", [labels])
    return tmp_path / "cells"


@pytest.fixture
def segmented(tmp_path: Path) -> Callable[[dict[str, str]], Path]:
    """``segmented({name: path, ...})`` gives a folder of images of two cells, 1 um a pixel."""

    def make(images: dict[str, str]) -> Path:
        plane = as_image(np.zeros((64, 64), np.uint8), "YX", pixel_size_um=1.0)
        with create_segmentation(tmp_path / "cells", {"name": "truth"}) as writer:
            for name, path in images.items():
                writer.add(name, plane, path, [squares()])
        return tmp_path / "cells"

    return make
