"""Tables of cells whose truth is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from unstained.cell_table import new_cells

UNITS = {"area_um2": "um2", "aspect_ratio": "1", "cohesion": "1", "perimeter_um": "um"}


@pytest.fixture(scope="session")
def make_table() -> Callable[..., AnnData]:
    """``make_table({name: values}, column=values)``; names of `UNITS` are shape features."""

    def make(columns: dict[str, object], **obs: object) -> AnnData:
        values = pd.DataFrame(columns)
        n = len(values)
        given = pd.DataFrame(
            {
                "image": "a",
                "frame": 0,
                "time_s": 0.0,
                "label": np.arange(1, n + 1),
                "track": 0,
                "parent": 0,
                "y_um": 0.0,
                "x_um": 0.0,
                "border": False,
                "neighbors": 0,
            }
        ).assign(**obs)
        kind = ["shape" if name in UNITS else "marker" for name in values]
        unit = [UNITS.get(name, "grey") for name in values]
        return new_cells(
            given, values, pd.DataFrame({"kind": kind, "unit": unit}, index=list(values))
        )

    return make


@pytest.fixture(scope="session")
def three_kinds(make_table: Callable[..., AnnData]) -> AnnData:
    """150 cells: 60 spindles, 50 stars, 40 flat ones, of five donors with four wells each.

    Spindles have twice the CD29 of others; CD105 and CD73 share a cause that no shape shows.
    """
    rng = np.random.default_rng(1)
    kind = np.repeat([0, 1, 2], [60, 50, 40])
    donor, well = np.arange(150) % 5, np.arange(150) // 5 % 4
    common = rng.normal(0, 0.3, 150)

    def around(values: object, spread: float) -> np.ndarray:
        return np.exp(np.log(np.asarray(values, float)) + rng.normal(0, spread, 150))

    return make_table(
        {
            "CD105": 1000 * np.exp(common) * around(np.ones(150), 0.1),
            "CD73": 500 * np.exp(common) * around(np.ones(150), 0.1),
            "CD29": around(np.array([800, 400, 400])[kind], 0.2),
            "area_um2": around(np.array([900, 1100, 3300])[kind], 0.12),
            "aspect_ratio": 1 + around(np.array([5.0, 0.6, 0.4])[kind], 0.2),
            "cohesion": np.clip(np.array([0.5, 0.7, 0.9])[kind] + rng.normal(0, 0.03, 150), 0, 1),
        },
        donor=[f"D{d}" for d in donor],
        well=[f"W{w}" for w in well],
        medium=np.array(["basal", "rich"])[well % 2],
        truth=np.array(["spindle", "star", "flat"])[kind],
    )
