"""One cell's frames out of labels and stains, and kymographs as tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from ..images.image import Array
from .kymographs import CellFrame, Kymograph

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from ..images.image import Image

__all__ = ["cell_frames", "cell_of_track", "kymograph_table"]


def cell_of_track(cells: AnnData, image: str, track: int) -> dict[int, int]:
    """Label of a followed cell in each of its frames, in their order.

    Raises
    ------
    DataError
        There is no such track in the image, or it has two cells in one frame.
    """
    obs = cells.obs
    rows = obs[(obs["image"].astype(str) == image) & (obs["track"] == track)]
    if rows.empty:
        here = obs[(obs["image"].astype(str) == image) & (obs["track"] > 0)]
        longest = here["track"].value_counts().head(5).index.tolist()
        raise DataError(
            f"image {image} has no track {track}",
            f"its longest ones are {', '.join(map(str, longest))}"
            if longest
            else "follow the cells: unstained cells track DIR",
        )
    rows = rows.sort_values("frame")
    if (twice := rows["frame"].duplicated()).any():
        raise DataError(
            f"track {track} of {image} has two cells in frame {rows['frame'][twice].iloc[0]}",
            "follow the cells anew",
        )
    return {int(t): int(label) for t, label in zip(rows["frame"], rows["label"], strict=True)}


def cell_frames(
    label_of: Mapping[int, int],
    labels: Callable[[int], Array],
    stains: Sequence[Image],
    *,
    background: Mapping[int, Array] | None = None,
    progress: Callable[[float], None] | None = None,
) -> Iterator[CellFrame]:
    """Cut one cell out of each of its frames; one frame of labels is in memory at a time.

    Parameters
    ----------
    label_of : mapping of int to int
        Label in each frame, from `cell_of_track`.
    labels : callable
        Gives the (Y, X) labels of a frame.
    stains : sequence of Image
        M markers with one channel each; only the cell's box is read.
    background : mapping of int to (M,) array, optional
        What is subtracted from the stains of a frame.
    progress : callable, optional
        Called with the share done.

    Raises
    ------
    DataError
        A label is not in its frame, or a stain does not have the size of the labels.
    """
    for i, (t, label) in enumerate(label_of.items()):
        plane = labels(t)
        for stain in stains:
            if (
                stain.shape[1:3] != (1, 1)
                or stain.shape[3:] != plane.shape
                or not 0 <= t < stain.shape[0]
            ):
                raise DataError(
                    f"a stain of shape {stain.shape} (T, C, Z, Y, X) for labels {plane.shape} of "
                    f"frame {t}",
                    "give stains of the movie that was segmented, one channel each",
                    file=stain.source,
                )
        inside = plane == label
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        if rows.size == 0:
            raise DataError(
                f"cell {label} is not in frame {t} of the labels",
                "give the segmentation that the cells were measured with",
            )
        y, x = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        light = np.stack([np.asarray(s.data[t, 0, 0, y, x], np.float64) for s in stains])
        if background is not None:
            light -= np.nan_to_num(background[t])[:, None, None]
        yield CellFrame(t, inside[y, x], light)
        if progress is not None:
            progress((i + 1) / len(label_of))


def kymograph_table(made: Kymograph) -> pd.DataFrame:
    """A kymograph as rows of time_min, position and one column for each marker.

    Places outside the cell are left out.
    """
    import pandas as pd

    time, position = np.meshgrid(made.time_min, made.position, indexing="ij")
    table = pd.DataFrame({"time_min": time.ravel(), f"position_{made.unit}": position.ravel()})
    for name, values in zip(made.markers, made.values, strict=True):
        table[name] = values.ravel()
    return table.dropna(subset=list(made.markers), how="all", ignore_index=True)
