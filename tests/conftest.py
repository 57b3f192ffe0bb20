"""Fixtures that all tests share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

# the networks of the tests are too small to share among threads
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("MPLBACKEND", "Agg")

# resolved before any test changes its folder
if "UNSTAINED_DATA" in os.environ:
    os.environ["UNSTAINED_DATA"] = str(Path(os.environ["UNSTAINED_DATA"]).resolve())


@pytest.fixture(scope="session")
def data_set() -> Callable[[str], Path]:
    """Folder of a registered data set; skips the test where no bundle is at hand.

    Only what is there is used: a bundle in ``UNSTAINED_DATA``, or a complete cache. Tests
    download nothing.
    """
    from unstained import datasets

    def folder(name: str) -> Path:
        bundles = os.environ.get("UNSTAINED_DATA")
        bundled = bundles is not None and (Path(bundles) / f"{name}.zip").is_file()
        if not bundled and not datasets.is_cached(name):
            pytest.skip(f"data set {name}: no {name}.zip in UNSTAINED_DATA and not in the cache")
        return datasets.fetch(name)

    return folder
