from __future__ import annotations

from pathlib import Path

import pytest

from unstained.images import Pairs, load_pairs
from unstained.simulate import write_pairs
from unstained.staining.settings import TrainSettings


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Manifest of four small simulated fields with two markers."""
    folder = tmp_path_factory.mktemp("simulated") / "pairs"
    from unstained.simulate import MARKERS

    return write_pairs(folder, fields=4, size=128, markers=tuple(MARKERS)[:2], seed=0)


@pytest.fixture
def pairs(simulated: Path) -> Pairs:
    return load_pairs(simulated)


@pytest.fixture
def tiny() -> TrainSettings:
    """A training of a second or two."""
    return TrainSettings.preset(
        "fast", width=4, depth=2, steps=12, batch=2, patch=64, validate_every=4, warmup_steps=2
    )
