"""Figures of the docs keep their colors."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "cell_figures.py"


@pytest.mark.skipif(not SCRIPT.is_file(), reason="the benchmarks are not there")
def test_a_rare_color_of_a_legend_is_left_when_a_figure_is_made_small(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("cell_figures", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    # a heatmap of white to red, with the blue end of its color bar in a corner
    rng = np.random.default_rng(0)
    values = rng.uniform(0.5, 1, (400, 400))
    values[:8, :64] = np.linspace(0, 0.5, 64)
    drawn = (255 * colormaps["RdBu_r"](values)[..., :3]).astype(np.uint8)
    Image.fromarray(drawn).save(tmp_path / "a.png")
    script.shrink(tmp_path / "a.png", tmp_path / "b.png")
    shown = np.asarray(Image.open(tmp_path / "b.png").convert("RGB"))
    # a median cut of 64 colors is off by 100 and more of 255
    assert np.abs(shown.astype(int) - drawn).max() <= 32
