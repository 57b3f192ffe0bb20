"""A model in its folder, and the images that it outlines."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from scipy import ndimage

from unstained.cells.model import CellModel
from unstained.cells.normalize import measure_statistics
from unstained.cells.partition import PartitionSettings
from unstained.cells.segmentation_folder import read_segmentation
from unstained.cells.segmenting import model_segmenter, segment_files
from unstained.errors import DataError, FileError, InputError, ModelError
from unstained.images import as_image
from unstained.learning.networks import NetworkSpec, build_network


def disc_field(shape: tuple[int, int], seed: int, radius: float = 7) -> np.ndarray:
    """Bright discs on a grid of 24 px, shifted at random; some touch."""
    rng = np.random.default_rng(seed)
    y, x = np.indices(shape)
    image = np.zeros(shape)
    for cy in range(12, shape[0], 24):
        for cx in range(12, shape[1], 24):
            dy, dx = rng.uniform(-5, 5, 2)
            image[np.hypot(y - cy - dy, x - cx - dx) <= radius] = 1000
    return (ndimage.gaussian_filter(image, 1) + rng.normal(0, 20, shape)).astype(np.float32)


def untaught(views: int = 4, *, outputs: int = 2) -> CellModel:
    """A network with fresh weights: its maps mean nothing, but depend on all that it sees."""
    torch.manual_seed(0)
    network = build_network(NetworkSpec("compact", 1, outputs, 4, 2)).train()
    with torch.no_grad():
        for _ in range(50):  # batch norms get to know what they are to bring to one scale
            network(torch.randn(2, 1, 32, 32))
    network.eval()
    return CellModel(network, PartitionSettings(0.5, 0.05, 1.0, 10), views, 20)


def test_tiles_give_the_maps_of_the_whole_image() -> None:
    model = untaught()
    image = disc_field((250, 203), seed=0)
    whole = model.maps(image)
    assert whole.std(axis=(1, 2)).min() > 1e-3  # else all would be equal
    tiled = model.maps(image, tile=64)
    np.testing.assert_allclose(tiled, whole, atol=1e-5)


def test_a_part_with_the_statistics_of_the_whole_has_the_whole_s_maps_inside() -> None:
    model = untaught(views=1)
    image = disc_field((256, 256), seed=1)
    halo = model.network.halo
    part = model.maps(image[:192], measure_statistics(image))
    np.testing.assert_allclose(part[:, : 192 - halo], model.maps(image)[:, : 192 - halo], atol=1e-5)


@pytest.mark.parametrize("views", [2, 4, 8])
def test_averaged_views_turn_with_the_image(views: int) -> None:
    # mirrored along X, the views of a mirrored image are the same set
    model = untaught(views)
    image = disc_field((64, 64), seed=2)
    mirrored = model.maps(image[:, ::-1])[:, :, ::-1]
    np.testing.assert_allclose(mirrored, model.maps(image), atol=1e-5)


def test_a_model_comes_back_from_its_folder(tmp_path: Path) -> None:
    model = replace(untaught(), pixel_size_um=0.65, about={"train_groups": ["a"]})
    model.save(tmp_path / "model")
    again = CellModel.load(tmp_path / "model", device="cpu")
    image = disc_field((64, 64), seed=3)
    np.testing.assert_array_equal(again.maps(image), model.maps(image))
    assert (again.cuts, again.views, again.cell_px) == (model.cuts, model.views, model.cell_px)
    assert (again.pixel_size_um, again.about) == (0.65, {"train_groups": ["a"]})


def test_a_loaded_model_runs_where_the_command_would_run_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    untaught().save(tmp_path / "model")
    for there, device in ((False, "cpu"), (True, "cuda")):
        monkeypatch.setattr("torch.cuda.is_available", lambda there=there: there)
        assert CellModel.load(tmp_path / "model").device == device
        assert CellModel.load(tmp_path / "model", device="cpu").device == "cpu"


def test_nuclei_carry_the_numbers_of_their_cells() -> None:
    model = untaught(outputs=3)
    image = disc_field((96, 96), seed=4)
    both = model.segment_both(image)
    assert both.nuclei is not None
    probability = model.maps(image)[2]
    expected = np.where(probability >= 0.5, both.labels, 0)
    np.testing.assert_array_equal(both.nuclei, expected)


def test_a_model_without_nuclei_tells_none() -> None:
    assert untaught().segment_both(disc_field((64, 64), seed=4)).nuclei is None


def test_labels_of_a_coarser_image_have_its_own_size() -> None:
    model = replace(untaught(), pixel_size_um=0.5)
    labels = model.segment(disc_field((50, 70), seed=5), pixel_size_um=1.0)
    assert labels.shape == (50, 70)


def test_an_image_of_other_pixels_is_brought_to_the_model_s() -> None:
    model = replace(untaught(), pixel_size_um=0.5)
    image = disc_field((64, 64), seed=6)
    fine = np.repeat(np.repeat(image, 2, axis=0), 2, axis=1)  # 0.25 um: means of 2 x 2 are `image`
    labels = model.segment(fine, pixel_size_um=0.25, statistics=measure_statistics(image))
    np.testing.assert_array_equal(labels[::2, ::2], model.segment(image))


@pytest.mark.parametrize(
    ("image", "error", "said"),
    [
        (np.zeros((32, 32)), DataError, "constant"),
        (np.full((32, 32), np.nan), DataError, "not finite"),
        (np.zeros((3, 32, 32)), InputError, "one .Y, X. plane"),
        (as_image(np.zeros((32, 32)), "YX"), InputError, "one .Y, X. plane"),
    ],
)
def test_an_image_that_shows_nothing_is_refused(
    image: Any, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        untaught().segment(image)


def test_rows_of_numbers_are_an_image() -> None:
    image, model = disc_field((32, 32), seed=0), untaught()
    np.testing.assert_array_equal(model.segment(image.tolist()), model.segment(image))  # type: ignore[arg-type]


def test_a_pixel_size_of_zero_is_refused() -> None:
    model = replace(untaught(), pixel_size_um=0.5)
    with pytest.raises(InputError, match="pixel size"):
        model.segment(disc_field((32, 32), seed=0), pixel_size_um=0.0)


def test_a_folder_that_is_no_model_says_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no model"):
        CellModel.load(tmp_path)
    (tmp_path / "training").mkdir()
    with pytest.raises(ModelError, match="not finished"):
        CellModel.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "colonies"}, "is a model of colonies, not of cells"),
        ({"format": 99}, "update unstained"),
        ({"network": None}, "not what unstained wrote"),
        ({"cuts": {"depth": 1}}, "not what unstained wrote"),
        ({"cuts": {"interior": "0.5"}}, "cuts.interior is '0.5'"),
        ({"views": 3}, "not what unstained wrote"),
        ({"pixel_size_um": "0.65"}, "pixel_size_um is '0.65'"),
    ],
)
def test_a_foreign_or_damaged_model_is_refused(
    change: dict[str, object], said: str, tmp_path: Path
) -> None:
    untaught().save(tmp_path / "model")
    file = tmp_path / "model" / "model.json"
    told = json.loads(file.read_text(encoding="utf-8")) | change
    file.write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(ModelError, match=said):
        CellModel.load(tmp_path / "model")


def test_a_size_in_model_json_that_no_memory_holds_is_refused(tmp_path: Path) -> None:
    untaught().save(tmp_path / "model")
    file = tmp_path / "model" / "model.json"
    told = json.loads(file.read_text(encoding="utf-8"))
    told["network"]["width"] = 10**7
    file.write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(ModelError, match=r"model\.safetensors: .*width is 1e\+07.*copy it again"):
        CellModel.load(tmp_path / "model")


def test_a_dark_frame_of_a_movie_has_no_cells_and_does_not_end_it(tmp_path: Path) -> None:
    frames = np.stack([disc_field((96, 96), seed=0), np.zeros((96, 96), np.float32)])
    tifffile.imwrite(tmp_path / "movie.ome.tif", frames, metadata={"axes": "TYX"})
    segmenter = model_segmenter(untaught(views=1), {})
    made = segment_files([tmp_path / "movie.ome.tif"], tmp_path / "out", segmenter)
    (entry,) = read_segmentation(tmp_path / "out")
    assert entry.cells_per_frame[0] > 0
    assert entry.cells_per_frame[1] == 0
    assert "1 of 2 frames have no cell" in made.notes


def test_a_dark_frame_has_nuclei_only_where_the_model_knows_nuclei() -> None:
    dark = np.zeros((32, 32), np.float32)
    for network, parts in ((untaught(), 1), (untaught(outputs=3), 2)):
        found = model_segmenter(network, {}).begin(dark, None)(dark)
        assert (len(found) if isinstance(found, tuple) else 1) == parts


def test_a_tile_with_a_pixel_that_is_no_number_is_refused() -> None:
    # the whole was measured on every other row and column, which did not meet it
    tile = disc_field((64, 64), seed=0)
    statistics = measure_statistics(tile)
    tile[3, 3] = np.nan
    with pytest.raises(DataError, match="not finite"):
        untaught().segment(tile, statistics=statistics)


def test_the_halo_is_told_in_pixels_of_the_image() -> None:
    model = replace(untaught(), pixel_size_um=0.5)
    # an image of 0.25 um has twice the pixels of the model across a cell
    assert model.halo_px(0.25) == pytest.approx(2 * model.halo_px(0.5), abs=1)
