"""The docs show real images where they are at hand, and say how to get them where they are not."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    pytest.importorskip("mkdocs")
    spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "tools" / "docs_hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def page_of(hooks: ModuleType, name: str, pictures: list[str]) -> str:
    """A page of the docs as the hook leaves it, in a site that has these pictures."""
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    page = SimpleNamespace(file=SimpleNamespace(src_uri=name))
    files = SimpleNamespace(get_file_from_path=lambda path: path if path in pictures else None)
    return str(hooks.on_page_markdown(text, page, None, files))


def test_with_real_images_the_page_shows_them_with_licence_and_source(hooks: ModuleType) -> None:
    made = page_of(hooks, "simulation.md", [hooks.PICTURE])
    assert made.count(f"]({hooks.PICTURE})") == 1
    assert "Tsai et al., SoftwareX 9, 2019; MIT licence" in made
    assert "datasets bundle usiigaci" not in made


def test_without_real_images_the_page_says_how_to_get_them(hooks: ModuleType) -> None:
    made = page_of(hooks, "simulation.md", [])
    assert hooks.PICTURE not in made
    assert "unstained datasets bundle usiigaci" in made


def test_other_pages_stay_as_they_are(hooks: ModuleType) -> None:
    text = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    assert page_of(hooks, "index.md", [hooks.PICTURE]) == text


def test_without_bundle_and_cache_nothing_is_fetched(
    hooks: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNSTAINED_DATA", str(tmp_path))
    monkeypatch.setenv("UNSTAINED_CACHE", str(tmp_path / "cache"))
    assert hooks.real_folder() is None
    files: list[object] = []
    assert hooks.on_files(files, None) == []
    assert list(tmp_path.iterdir()) == []


def test_real_images_lie_above_the_simulated_ones(
    hooks: ModuleType, data_set: Callable[[str], Path]
) -> None:
    made = np.asarray(Image.open(io.BytesIO(hooks.picture(data_set("usiigaci")))))
    simulated = np.asarray(Image.open(ROOT / "docs" / "images" / "simulated.png"))
    # three parts of 400 px side by side, twice, with a line of 4 px between
    assert made.shape == (804, 1200)
    assert np.array_equal(made[404:], simulated)
    assert (made[400:404] == 255).all()
    # the median is 0.5 / 1.2 * 255 = 106 on the grey scale; each part's own lies near it
    for k in range(3):
        assert np.median(made[:400, 400 * k : 400 * (k + 1)]) == pytest.approx(106, abs=8)


def test_the_energy_distance_is_that_of_its_definition(hooks: ModuleType) -> None:
    # on a line X = {0, 2}, Y = {5, 6}: 2 E|X - Y| = 2 (5 + 6 + 3 + 4) / 4 = 9, E|X - X'| = 2,
    # E|Y - Y'| = 1: 9 - 2 - 1 = 6
    import realism

    place = np.array([0.0, 2.0, 5.0, 6.0])
    pairs = abs(place[:, None] - place)[..., None]
    assert realism._energy(pairs, np.array([0, 1]), np.array([2, 3])) == pytest.approx(6)
    # an image that is drawn twice is no pair of distance 0
    with_twin = realism._energy(pairs, np.array([0, 1, 1]), np.array([2, 3]))
    # E|X - Y| = (5 + 6 + 2 (3 + 4)) / 6 = 25 / 6, E|X - X'| = 2 still
    assert with_twin == pytest.approx(2 * 25 / 6 - 2 - 1)
