"""Fixtures that all tests share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from unstained.images import Pairs
    from unstained.staining import TrainSettings

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


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Manifest of four small simulated fields with two markers."""
    folder = tmp_path_factory.mktemp("simulated") / "pairs"
    from unstained.simulate import MARKERS, write_pairs

    return write_pairs(folder, fields=4, size=128, markers=tuple(MARKERS)[:2], seed=0)


@pytest.fixture
def pairs(simulated: Path) -> Pairs:
    """The simulated pairs, split by field."""
    from unstained.images import load_pairs

    return load_pairs(simulated)


@pytest.fixture
def tiny() -> TrainSettings:
    """A training of a second or two."""
    from unstained.staining import TrainSettings

    return TrainSettings.preset(
        "fast", width=4, depth=2, steps=12, batch=2, patch=64, validate_every=4, warmup_steps=2
    )
