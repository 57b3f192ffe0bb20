"""Pictures of what a network is shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from unstained.colonies import ColonyClassifier, Examples, load_examples
from unstained.colonies.patch_figures import patch_figures
from unstained.images.write import write_png


@pytest.fixture
def examples(tmp_path: Path) -> Examples:
    """Stripes along and across, nine of each, and one image with both halves."""
    wave = 120 + 100 * np.sin(np.arange(48))
    along, across = np.tile(wave, (48, 1)), np.tile(wave[:, None], (1, 48))
    both = np.where(np.arange(48)[:, None] < 24, along, across)
    rng = np.random.default_rng(0)
    rows = [(f"{n}{i}", n, im) for i in range(9) for n, im in (("a", along), ("b", across))]
    rows.append(("both", "multi-label", both))
    for name, _, image in rows:
        noisy = np.clip(image + rng.normal(0, 5, image.shape), 0, 255)
        write_png(noisy.astype(np.uint8), tmp_path / f"{name}.png")
    table = pd.DataFrame({"image": [f"{r[0]}.png" for r in rows], "label": [r[1] for r in rows]})
    table["group"] = [f"well{i}" for i in range(len(table))]
    table.to_csv(tmp_path / "manifest.csv", index=False)
    return load_examples(tmp_path / "manifest.csv")


@pytest.fixture
def classifier(examples: Examples) -> ColonyClassifier:
    known = examples.take(np.arange(18))
    made = ColonyClassifier("features", patch=16, views=2)
    return made.fit(known, known.codes(["a", "b"]), classes=["a", "b"])


def test_classes_and_a_colony_of_several_are_drawn(
    examples: Examples, classifier: ColonyClassifier, tmp_path: Path
) -> None:
    written = patch_figures(examples, classifier, tmp_path / "figures")
    assert [path.name for path in written] == ["patches.png", "several.png"]


def test_without_images_of_several_classes_there_is_one_picture(
    examples: Examples, classifier: ColonyClassifier, tmp_path: Path
) -> None:
    plain = replace(examples, table=examples.table[examples.table["label"] != "multi-label"])
    written = patch_figures(plain, classifier, tmp_path / "figures")
    assert [path.name for path in written] == ["patches.png"]
