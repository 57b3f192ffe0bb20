"""Prediction: tiles are the whole, units are the stain's, and nothing half-done is left."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

from unstained.errors import DataError, FileError, InputError
from unstained.images import Pairs
from unstained.images.image import Channel, Image, as_image
from unstained.images.ome_zarr_writer import write_ome_zarr
from unstained.images.read import read_image
from unstained.images.tiles import round_up
from unstained.images.write import write_png
from unstained.learning.augment import ALL_MOTIONS, IDENTITY, Symmetry
from unstained.learning.networks import NetworkSpec, apply_whole, build_network
from unstained.staining import member_engines
from unstained.staining.card import score_with_panel
from unstained.staining.normalize import MarkerSpec, Normalization
from unstained.staining.panel import Member, Panel
from unstained.staining.predict_plan import Grid, grid_of, stride_of, tile_bytes
from unstained.staining.prediction import (
    PredictOptions,
    Predictor,
    estimate,
    open_planes,
    predict,
    predict_files,
)

RED, GREEN = MarkerSpec("CD90", 100.0, 50.0, "FF0000"), MarkerSpec("CD29", 7.0, 3.0, "00FF00")


def panel(
    markers: Sequence[MarkerSpec] = (RED, GREEN),
    *,
    name: str = "compact",
    planes: int = 1,
    shared: bool = True,
    depth: int = 2,
    pixel_size_um: float | None = None,
    symmetries: tuple[Symmetry, ...] = ALL_MOTIONS,
    seed: int = 0,
    about: Mapping[str, Any] | None = None,
) -> Panel:
    torch.manual_seed(seed)
    groups = [tuple(markers)] if shared else [(marker,) for marker in markers]
    members = []
    for group in groups:
        net = build_network(NetworkSpec(name, planes, len(group), width=8, depth=depth))
        for layer in net.modules():
            if isinstance(layer, nn.BatchNorm2d) and layer.running_mean is not None:
                assert layer.running_var is not None
                layer.running_mean.normal_(0, 0.2)
                layer.running_var.uniform_(0.5, 2)
        members.append(Member(net.eval(), tuple(marker.name for marker in group)))
    return Panel(
        markers=tuple(markers),
        members=tuple(members),
        symmetries=symmetries,
        pixel_size_um=pixel_size_um,
        about=about or {},
    )


def picture(y: int, x: int, planes: int = 1, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(500, 4000, (planes, y, x)).astype(np.uint16)


def whole(model: Panel, planes: np.ndarray) -> np.ndarray:
    """(M, Y, X), straight through the networks in one piece."""
    statistics = model.input_statistics(lambda y, x: planes[:, y, x], planes.shape[-2:])
    batch = model.normalize(planes, statistics)[None]
    with torch.inference_mode():
        out = [apply_whole(member.network, batch)[0] for member in model.members]
    return model.offset[:, None, None] + model.scale[:, None, None] * np.concatenate(out)


@pytest.fixture(autouse=True)
def _on_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where there is a GPU: numbers and engines here are the processor's."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


EXACT = PredictOptions(precision="float32")  # `auto` is bf16 on processors that multiply it


def off(prediction: Image, expected: np.ndarray) -> float:
    got = np.asarray(prediction.data)[0, :, 0]
    return float(np.abs(got - expected).max() / np.ptp(expected))


@pytest.mark.parametrize(
    ("name", "depth", "shape"),
    [
        ("unet", 2, (173, 117)),
        ("compact", 2, (173, 117)),
        ("compact", 3, (5, 411)),
        ("paper", 4, (103, 159)),
        ("compact", 2, (1, 1)),
    ],
)
def test_tiles_are_the_whole_at_odd_sizes(name: str, depth: int, shape: tuple[int, int]) -> None:
    model = panel(name=name, depth=depth)
    planes = picture(*shape)
    if shape == (1, 1):
        planes = np.stack([planes[0], planes[0]])[:1]
        with pytest.raises(DataError, match="constant"):
            predict(model, planes)
        return
    tiled = predict(model, planes, PredictOptions(tile=32, precision="float32"))
    assert off(tiled, whole(model, planes)) < 1e-4


def test_without_its_halo_a_tile_would_not_be_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    # guards the test above: it can fail
    model, planes = panel(), picture(150, 170)
    monkeypatch.setattr("unstained.staining.predict_plan.halo_of", lambda panel: 0)
    tiled = predict(model, planes, PredictOptions(tile=32, precision="float32"))
    assert off(tiled, whole(model, planes)) > 1e-2


def test_tiles_are_the_whole_in_bf16_within_a_hundredth() -> None:
    model, planes = panel(), picture(101, 97)
    tiled = predict(model, planes, PredictOptions(tile=32, precision="bf16"))
    one = predict(model, planes, PredictOptions(tile=512, precision="bf16"))
    assert off(tiled, whole(model, planes)) > 0
    assert off(tiled, np.asarray(one.data)[0, :, 0]) < 1e-2


def test_separate_members_are_put_together_in_the_order_of_the_markers() -> None:
    model, planes = panel(shared=False), picture(64, 80)
    assert len(model.members) == 2
    image = predict(model, planes, EXACT)
    assert image.channels == (Channel("CD90", "FF0000"), Channel("CD29", "00FF00"))
    assert off(image, whole(model, planes)) < 1e-4


def test_values_are_in_the_units_of_the_stain(monkeypatch: pytest.MonkeyPatch) -> None:
    model = panel([RED])

    class Twos:
        name, precision = "twos", "float32"

        def __call__(self, batch: np.ndarray) -> np.ndarray:
            return np.full((1, 1, *batch.shape[-2:]), 2.0, np.float32)

    monkeypatch.setattr(member_engines, "make_engine", lambda *a, **k: Twos())
    image = predict(model, picture(40, 40))
    # 100 + 50 x 2
    assert (np.asarray(image.data) == 200).all()
    assert image.dtype == np.float32


def test_16_bit_neither_wraps_nor_hides_that_it_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    model = panel([MarkerSpec("X", 0.0, 1.0, "FFFFFF")])

    class Extremes:
        name, precision = "extremes", "float32"

        def __call__(self, batch: np.ndarray) -> np.ndarray:
            out = np.full((1, 1, *batch.shape[-2:]), 65534.6, np.float32)
            out[0, 0, 0, :3] = -5, 70000, 12.4
            return out

    monkeypatch.setattr(member_engines, "make_engine", lambda *a, **k: Extremes())
    told: list[str] = []
    image = predict(model, picture(16, 16), PredictOptions(dtype="uint16"), notify=told.append)
    values = np.asarray(image.data)[0, 0, 0]
    assert values.dtype == np.uint16
    assert values[0, :4].tolist() == [0, 65535, 12, 65535]  # 65534.6 rounds up
    assert any("2 predicted values" in text for text in told)


def test_twice_the_same_input_gives_the_same_output() -> None:
    model, planes = panel(), picture(90, 70)
    predictor = Predictor(model)
    first, second = predictor(planes), predictor(planes)
    np.testing.assert_array_equal(np.asarray(first.data), np.asarray(second.data))


def test_a_movie_is_its_frames() -> None:
    model = panel()
    frames = np.stack([picture(40, 50, seed=k) for k in range(3)])  # (T, P, Y, X)
    movie = predict(model, frames, PredictOptions(tile=16))
    assert movie.shape == (3, 2, 1, 40, 50)
    single = predict(model, frames[2], PredictOptions(tile=16))
    np.testing.assert_array_equal(np.asarray(movie.data)[2], np.asarray(single.data)[0])


# Symmetries ---------------------------------------------------------------------------------


def test_averaging_over_symmetries_commutes_with_them() -> None:
    # the mean over a group of motions does not care how the image lay under the microscope
    model, planes = panel(), picture(48, 64)  # multiples of the stride: nothing is reflected
    options = PredictOptions(tta=True, precision="float32")
    upright = np.asarray(predict(model, planes, options).data)[0, :, 0]
    lying = np.rot90(planes, axes=(1, 2)).copy()
    turned = np.asarray(predict(model, lying, options).data)[0, :, 0]
    np.testing.assert_allclose(np.rot90(upright, axes=(1, 2)), turned, atol=1e-2)
    plain = np.asarray(predict(model, planes).data)[0, :, 0]
    assert np.abs(upright - plain).max() > 0.1


def test_a_stack_is_averaged_over_the_symmetries_as_an_image_is() -> None:
    model, planes = panel(), picture(48, 64)
    alone = predict(model, planes, PredictOptions(tta=True, precision="float32")).planes()
    stacked = model.predict_stack(planes[None], tta=True)
    for i, name in enumerate(model.names):
        np.testing.assert_allclose(stacked[name][0], alone[i], atol=1e-2)
    assert np.abs(stacked["CD90"] - model.predict_stack(planes[None])["CD90"]).max() > 0.1


def test_only_the_symmetries_of_the_training_images_are_used() -> None:
    told: list[str] = []
    model = panel(symmetries=(IDENTITY,))
    options = PredictOptions(tta=True)
    image = predict(model, picture(48, 64), options, notify=told.append)
    np.testing.assert_array_equal(
        np.asarray(image.data), np.asarray(predict(model, picture(48, 64)).data)
    )
    assert any("1 of 8 symmetries" in text for text in told)


def test_averaged_tiles_are_the_averaged_whole() -> None:
    model, planes = panel(), picture(101, 75)
    tiled = predict(model, planes, PredictOptions(tta=True, tile=32, precision="float32"))
    one = predict(model, planes, PredictOptions(tta=True, tile=512, precision="float32"))
    assert off(tiled, np.asarray(one.data)[0, :, 0]) < 1e-4


# Pixel sizes --------------------------------------------------------------------------------


def test_another_pixel_size_is_resampled_with_a_notice_and_brought_back() -> None:
    told: list[str] = []
    model = panel(pixel_size_um=0.5)
    image = as_image(picture(90, 101)[0], "YX", pixel_size_um=0.8)
    out = predict(model, image, notify=told.append)
    assert out.shape[-2:] == (90, 101)
    assert out.pixel_size_um == 0.8
    assert any("resampled" in text and "0.8" in text and "0.5" in text for text in told)


def test_pairs_of_another_pixel_size_are_resampled_when_scored(tmp_path: Path) -> None:
    # the "stain" is what the model says of the image at its true size: only so is r_s 1
    model = panel([RED], pixel_size_um=0.5)
    phase = gaussian_filter(picture(120, 120)[0].astype(float), 2).astype(np.uint16)
    stain = predict(model, as_image(phase, "YX", pixel_size_um=0.8)).planes()[0]
    np.save(tmp_path / "phase.npy", phase)
    np.save(tmp_path / "stain.npy", stain)
    files = {name: str(tmp_path / f"{name}.npy") for name in ("phase", "stain")}
    row = {**files, "marker": "CD90", "group": "a", "split": "test"}

    def r_s(pixel_size_um: float) -> float:
        table = pd.DataFrame([{**row, "pixel_size_um": pixel_size_um}])
        scored = score_with_panel(model, Pairs(table), split="test")
        return float(scored.summary()["CD90"]["r_s"]["mean"])

    assert r_s(0.8) > 0.9999
    assert r_s(0.5) < 0.99


def test_a_region_is_predicted_with_what_surrounds_it(tmp_path: Path) -> None:
    # the "stain" is the prediction of the whole image: a region scores 1 where it sees around
    model, planes = panel([RED]), picture(160, 160)
    np.save(tmp_path / "phase.npy", planes[0])
    np.save(tmp_path / "stain.npy", predict(model, planes, EXACT).planes()[0])
    files = {name: str(tmp_path / f"{name}.npy") for name in ("phase", "stain")}
    row = {**files, "marker": "CD90", "group": "a", "split": "test", "region": "51:112,63:100"}
    scored = score_with_panel(model, Pairs(pd.DataFrame([row])), split="test", options=EXACT)
    assert scored.pairs["r_s"][0] > 0.9999
    assert scored.pairs["n"][0] == 61 * 37


def test_resampled_tiles_are_the_resampled_whole() -> None:
    model = panel(pixel_size_um=0.5)
    for size in (0.8, 0.3):
        image = as_image(picture(150, 171)[0], "YX", pixel_size_um=size)
        one = predict(model, image, PredictOptions(tile=1024, precision="float32"))
        tiled = predict(model, image, PredictOptions(tile=32, precision="float32"))
        assert off(tiled, np.asarray(one.data)[0, :, 0]) < 1e-4


@pytest.mark.parametrize("size", [0.1, 0.3, 0.8, 2.0])
def test_what_is_brought_back_lies_a_halo_inside_its_tile(
    size: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = panel(pixel_size_um=0.5)
    halo = 2 * stride_of(model)  # a multiple, so that rounding up leaves nothing to spare
    monkeypatch.setattr("unstained.staining.predict_plan.halo_of", lambda panel: halo)
    grid = grid_of((300, 300), size, 0.5)
    frame = round_up(grid.model_yx[0], stride_of(model))
    covered = []
    for tile in grid.tiles(model, 32):
        own, weights = grid.to_image(tile.paste[0], 0)
        covered.append((own.start, own.stop))
        outer = tile.outer[0]
        assert outer.start == 0 or weights.start - outer.start >= halo
        assert outer.stop == frame or outer.stop - weights.stop >= halo
    # neighbors meet, from the first pixel to the last
    rows = sorted(set(covered))
    assert [row[0] for row in rows] == [0, *(row[1] for row in rows[:-1])]
    assert rows[-1][1] == 300


def test_resampling_keeps_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    # a network that hands its input on: a smooth bump must come back where it was
    model = panel([MarkerSpec("X", 0.0, 1.0, "FFFFFF")], pixel_size_um=0.5)

    class Same:
        name, precision = "same", "float32"

        def __call__(self, batch: np.ndarray) -> np.ndarray:
            return batch

    monkeypatch.setattr(member_engines, "make_engine", lambda *a, **k: Same())
    y, x = np.mgrid[:80, :90]
    bump = 1000 * np.exp(-((y - 31.3) ** 2 + (x - 52.6) ** 2) / (2 * 8**2))
    out = predict(model, as_image(bump, "YX", pixel_size_um=0.8), PredictOptions(tile=32))
    back = np.asarray(out.data)[0, 0, 0]
    back -= back.min()
    total = back.sum()
    assert (back * y).sum() / total == pytest.approx((bump * y).sum() / bump.sum(), abs=0.1)
    assert (back * x).sum() / total == pytest.approx((bump * x).sum() / bump.sum(), abs=0.1)


def test_an_unknown_pixel_size_is_asked_for() -> None:
    with pytest.raises(InputError, match="--pixel-size"):
        predict(panel(pixel_size_um=0.5), picture(40, 40))
    told = predict(panel(pixel_size_um=0.5), picture(40, 40), PredictOptions(pixel_size_um=0.5))
    assert told.pixel_size_um == 0.5


def test_a_pixel_size_that_contradicts_the_file_is_taken_with_a_notice() -> None:
    image = as_image(picture(40, 40)[0], "YX", pixel_size_um=0.65)
    for given, told in ((0.652, 0), (0.5, 1)):  # less than a hundredth apart; more
        said: list[str] = []
        predict(
            panel(pixel_size_um=0.5), image, PredictOptions(pixel_size_um=given), notify=said.append
        )
        assert sum("says 0.65 um per pixel; the 0.5 um that were given" in s for s in said) == told


def test_a_model_without_a_pixel_size_takes_any() -> None:
    image = as_image(picture(40, 40)[0], "YX", pixel_size_um=3.0)
    assert predict(panel(), image).pixel_size_um == 3.0


def test_another_magnification_is_refused() -> None:
    image = as_image(picture(40, 40)[0], "YX", pixel_size_um=6.5)
    with pytest.raises(InputError, match="magnification"):
        predict(panel(pixel_size_um=0.5), image)


# What does not fit ---------------------------------------------------------------------------


def test_another_number_of_planes_is_refused() -> None:
    with pytest.raises(InputError, match=r"has 3 planes .*takes 1"):
        predict(panel(), picture(40, 40, planes=3))


def test_the_label_free_channel_of_a_file_is_taken_by_its_name() -> None:
    planes = picture(40, 40, planes=3)
    image = as_image(planes, "CYX", channels=["DAPI", "Phase contrast", "MAP2"])
    said: list[str] = []
    taken = predict(panel(), image, EXACT, notify=said.append)
    assert off(taken, whole(panel(), planes[1:2])) < 1e-4
    assert any("Phase contrast is taken, by its name; DAPI, MAP2 is left out" in s for s in said)
    two = as_image(planes, "CYX", channels=["PH2", "Phase contrast", "MAP2"])
    with pytest.raises(
        InputError, match=r"3 planes \(channels PH2, Phase contrast, MAP2; 1 in z\)"
    ):
        predict(panel(), two)


@pytest.mark.parametrize("value", [np.nan, -np.inf, 1e300])  # networks compute in 32 bits
def test_what_is_no_number_of_32_bits_is_refused_with_its_place(value: float) -> None:
    image = picture(90, 90)[0].astype(np.float64)
    image[70, 81] = value
    with pytest.raises(DataError, match=r"not finite.*frame 0, row 70, column 81"):
        predict(panel(), image, PredictOptions(tile=32))


@pytest.mark.parametrize("wrong", [{"tile": 0}, {"engine": "fast"}, {"dtype": "uint8"}])
def test_options_are_checked(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        PredictOptions(**wrong)  # type: ignore[arg-type]


# Time and memory -----------------------------------------------------------------------------


def test_the_estimate_counts_tiles_and_does_not_grow_in_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter(range(100))  # a second from look to look: each measured tile takes one
    monkeypatch.setattr(member_engines.time, "perf_counter", lambda: next(clock))
    options = PredictOptions(tile=128, engine="torch")
    small, large = (estimate(panel(), (side, side), options) for side in (1024, 4096))
    # 1024 / 128 = 8 and 4096 / 128 = 32 tiles along each axis
    assert (small.n_tiles, large.n_tiles) == (64, 1024)
    assert (small.seconds, large.seconds) == (64, 1024)
    assert small.memory_bytes == large.memory_bytes


def test_engines_are_compared_on_a_piece_whatever_the_tile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[tuple[int, ...]] = []

    class Slow:
        name, precision = "slow", "float32"

        def __call__(self, batch: np.ndarray) -> np.ndarray:
            return batch

    def make(*_: object, engine: str, calibration: Sequence[np.ndarray], **__: object) -> Slow:
        compared.extend(tile.shape for tile in calibration if engine == "auto")
        return Slow()

    clock = iter(range(1000))  # each measured tile takes a second
    monkeypatch.setattr(member_engines.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(member_engines, "make_engine", make)
    one = panel([MarkerSpec("X", 0.0, 1.0, "FFFFFF")])
    told = estimate(one, (8192, 8192), PredictOptions(tile=1024))
    assert told.n_tiles == 64  # 8 x 8, of a minute: worth a comparison
    assert compared == [(1, 1, 768, 768)]


def test_the_tile_fits_the_memory_allowed() -> None:
    model, grid = panel(), Grid((8192, 8192))

    def side(memory_gb: float) -> int:
        return Predictor(model, PredictOptions(memory_gb=memory_gb)).side(grid)

    assert side(0.32) < side(2)
    assert tile_bytes(model, grid, side(0.32)) <= 0.32e9
    with pytest.raises(InputError, match="allow more memory"):
        side(0.1)


class Endless:
    """A plane too large to be held, that knows how much of it was read at once."""

    def __init__(self, side: int) -> None:
        self.shape = (1, 1, 1, side, side)
        self.dtype = np.dtype(np.uint16)
        self.largest = 0

    def __getitem__(self, index: tuple[object, ...]) -> np.ndarray:
        y, x = (range(self.shape[3])[s] for s in index[-2:])  # type: ignore[index]
        self.largest = max(self.largest, len(y) * len(x))
        values = (np.array(y)[:, None] * 7919 + np.array(x) * 104729) % 4093
        return values.astype(np.uint16)[None, None]


def test_what_is_read_and_written_at_once_depends_on_the_tile_only() -> None:
    written = []

    class Sink:
        def write(self, t: int, c: int, z: int, y0: int, x0: int, block: np.ndarray) -> None:
            written.append(block.size)

    largest = []
    for side in (256, 512):
        data = Endless(side)
        ready = Predictor(panel([RED]), PredictOptions(tile=64))
        ready.run(ready.checked(Image(data, (Channel("P"),))), Sink())
        largest.append(data.largest)
        assert sum(written) == side**2
        assert max(written) == 64**2
        written.clear()
    # statistics read 256 x 256; a tile with its halo is smaller
    assert largest == [256**2, 256**2]


# Files ---------------------------------------------------------------------------------------


def test_files_and_folders_become_ome_zarr_and_composites(tmp_path: Path) -> None:
    write = tmp_path / "in"
    for k, name in enumerate(("a", "b")):
        image = as_image(picture(70, 90, seed=k)[0], "YX", pixel_size_um=0.5)
        write_ome_zarr(image, write / f"{name}.ome.zarr")
    told: list[str] = []
    shares: list[float] = []
    model = panel(pixel_size_um=0.5)
    done = predict_files(
        model, [write], tmp_path / "out", EXACT, notify=told.append, progress=shares.append
    )
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["a.ome.zarr", "a.png", "b.ome.zarr", "b.png"]
    assert [prediction.zarr.name for prediction in done] == ["a.ome.zarr", "b.ome.zarr"]
    assert shares[-1] == 1.0
    assert shares == sorted(shares)
    assert any("s and" in text and "GB" in text and "tile" in text for text in told)
    back = read_image(done[1].zarr)
    assert [channel.name for channel in back.channels] == ["CD90", "CD29"]
    assert [channel.color for channel in back.channels] == ["FF0000", "00FF00"]
    assert back.pixel_size_um == 0.5
    expected = whole(model, picture(70, 90, seed=1))
    assert off(back, expected) < 1e-4


def test_what_macos_leaves_beside_an_image_is_not_predicted(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "a.npy", picture(30, 40)[0])
    (tmp_path / "in" / "._a.npy").write_bytes(b"Mac OS X")
    done = predict_files(panel(), [tmp_path / "in"], tmp_path / "out", EXACT)
    assert [one.zarr.name for one in done] == ["a.ome.zarr"]


def test_several_models_make_one_image(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", picture(40, 40)[0])
    done = predict_files([panel([RED]), panel([GREEN])], [tmp_path / "x.npy"], tmp_path / "out")
    assert [c.name for c in read_image(done[0].zarr).channels] == ["CD90", "CD29"]


def test_planes_of_the_stacks_in_a_folder_are_chosen(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for k, name in enumerate(("a", "b")):
        np.save(tmp_path / "in" / f"{name}.npy", picture(30, 40, planes=5, seed=k))
    done = predict_files(panel(planes=2), [f"{tmp_path}/in/#z=2:4"], tmp_path / "out", EXACT)
    assert [one.zarr.name for one in done] == ["a_z2-4.ome.zarr", "b_z2-4.ome.zarr"]
    expected = whole(panel(planes=2), picture(30, 40, planes=5, seed=1)[2:4])
    assert off(read_image(done[1].zarr), expected) < 1e-4


def test_joined_paths_are_the_planes_of_one_image(tmp_path: Path) -> None:
    planes = picture(30, 40, planes=3)
    for k in range(3):
        np.save(tmp_path / f"z{k}.npy", planes[k])
    joined = ";".join(str(tmp_path / f"z{k}.npy") for k in range(3))
    np.testing.assert_array_equal(open_planes(joined).planes(), planes)
    done = predict_files(panel(planes=3), [joined], tmp_path / "out", EXACT)
    assert off(read_image(done[0].zarr), whole(panel(planes=3), planes)) < 1e-4


def test_a_prediction_that_is_there_is_kept_or_replaced_as_asked(tmp_path: Path) -> None:
    out, ones = tmp_path / "out", tmp_path / "in"
    ones.mkdir()
    np.save(ones / "a.npy", picture(30, 40)[0])
    (done,) = predict_files(panel(), [ones], out, EXACT)
    first = read_image(done.zarr).planes()
    np.save(ones / "a.npy", picture(30, 40, seed=1)[0])
    np.save(ones / "b.npy", picture(30, 40, seed=2)[0])
    with pytest.raises(FileError, match=r"a\.ome\.zarr: exists already; .*--overwrite.*--resume"):
        predict_files(panel(), [ones], out, EXACT)
    assert not (out / "b.ome.zarr").exists()  # refused before anything is predicted
    told: list[str] = []
    going_on = predict_files(panel(), [ones], out, EXACT, existing="keep", notify=told.append)
    assert told[0] == "1 of 2 images have a prediction already"
    assert [one.zarr.name for one in going_on] == ["b.ome.zarr"]
    np.testing.assert_array_equal(read_image(done.zarr).planes(), first)
    predict_files(panel(), [ones], out, EXACT, existing="replace")
    assert off(read_image(done.zarr), whole(panel(), picture(30, 40, seed=1))) < 1e-4


def test_a_prediction_says_which_models_made_it(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", picture(40, 40)[0])
    told = {"data": {"name": "day 1"}}
    red, green = panel([RED], about=told), panel([GREEN], seed=1)
    red.save(tmp_path / "red")
    (done,) = predict_files([red, green], [tmp_path / "x.npy"], tmp_path / "out")
    back = read_image(done.zarr)
    assert back.predicted
    assert repr(back).startswith("<Prediction of CD90, CD29")
    assert back.about["predicted_by"] == [red.fingerprint, green.fingerprint]
    assert back.about["learned_from"] == ["day 1", None]
    # the part of a panel that is asked for goes by the name of the whole
    assert Panel.load(tmp_path / "red").fingerprint == red.fingerprint
    apart = panel(shared=False)
    assert apart.of_markers(["CD29"]).origins == (apart.fingerprint,)
    both = Panel.join([red, green])
    assert both.of_markers(["CD29"]).origins == both.origins
    in_memory = predict(red, picture(40, 40), EXACT)
    assert in_memory.about["predicted_by"] == [red.fingerprint]


@pytest.mark.parametrize(
    ("other", "options", "said"),
    [
        (1, EXACT, "was predicted by another model"),
        (0, replace(EXACT, dtype="uint16"), "was predicted with other options"),
    ],
)
def test_going_on_beside_predictions_of_another_kind_is_refused(
    tmp_path: Path, other: int, options: PredictOptions, said: str
) -> None:
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", picture(30, 40)[0])
    (done,) = predict_files(panel(seed=0), [tmp_path / "a.npy"], tmp_path / "out", EXACT)
    before = read_image(done.zarr).planes()
    images = [tmp_path / "a.npy", tmp_path / "b.npy"]
    with pytest.raises(FileError, match=rf"a\.ome\.zarr: {said}; .*--overwrite"):
        predict_files(panel(seed=other), images, tmp_path / "out", options, existing="keep")
    np.testing.assert_array_equal(read_image(done.zarr).planes(), before)
    assert not (tmp_path / "out" / "b.ome.zarr").exists()
    # a faster engine is no other prediction
    fast = replace(EXACT, tile=64, memory_gb=1.0)
    predict_files(panel(seed=0), images, tmp_path / "out", fast, existing="keep")


def test_a_prediction_without_its_picture_was_broken_off(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", picture(30, 40)[0])
    (done,) = predict_files(panel(), [tmp_path / "x.npy"], tmp_path / "out", EXACT)
    done.composite.unlink()
    again = predict_files(panel(), [tmp_path / "x.npy"], tmp_path / "out", EXACT, existing="keep")
    assert again == [done]
    assert done.composite.exists()


def test_a_picture_without_a_prediction_is_another_ones(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", picture(30, 40)[0])
    mine = write_png(picture(40, 40)[0], tmp_path / "out" / "x.png")
    before = mine.read_bytes()
    for existing in ("refuse", "keep"):
        with pytest.raises(FileError, match=r"x\.png: exists already"):
            predict_files(panel(), [tmp_path / "x.npy"], tmp_path / "out", existing=existing)
    assert mine.read_bytes() == before


def test_an_interrupted_run_leaves_nothing_under_the_final_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "x.npy", picture(300, 40)[0])
    seen: list[float] = []

    def stop(share: float) -> None:
        seen.append(share)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_files(
            panel(), [tmp_path / "x.npy"], tmp_path / "out", PredictOptions(tile=32), progress=stop
        )
    assert 0 < seen[-1] < 1
    assert list((tmp_path / "out").iterdir()) == []


def test_two_images_of_one_name_are_refused_before_the_work(tmp_path: Path) -> None:
    for folder in ("p", "q"):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "x.npy", picture(40, 40)[0])
    with pytest.raises(InputError, match="several images are called x"):
        predict_files(panel(), [tmp_path / "p", tmp_path / "q"], tmp_path / "out")
    # which are one file on Windows and macOS
    (tmp_path / "q" / "x.npy").rename(tmp_path / "q" / "X.npy")
    with pytest.raises(InputError, match="several images are called X, x"):
        predict_files(panel(), [tmp_path / "p", tmp_path / "q"], tmp_path / "out")


def test_an_image_is_not_replaced_by_its_prediction(tmp_path: Path) -> None:
    write_ome_zarr(as_image(picture(40, 40)[0], "YX"), tmp_path / "x.ome.zarr")
    with pytest.raises(InputError, match="replace the image"):
        predict_files(panel(), [tmp_path / "x.ome.zarr"], tmp_path)


def test_a_file_of_two_names_is_known_as_one(tmp_path: Path) -> None:
    # as a.png and A.PNG are one file on Windows and macOS
    write_png(picture(40, 40)[0], tmp_path / "other.png")
    (tmp_path / "out").mkdir()
    os.link(tmp_path / "other.png", tmp_path / "out" / "a.png")
    os.link(tmp_path / "other.png", tmp_path / "a.png")
    with pytest.raises(InputError, match="would replace the image"):
        predict_files(panel(), [tmp_path / "a.png"], tmp_path / "out")


def test_a_folder_whose_name_has_a_semicolon_is_one_folder(tmp_path: Path) -> None:
    write_png(picture(40, 40)[0], tmp_path / "x;y" / "a.png")
    done = predict_files(panel(), [tmp_path / "x;y"], tmp_path / "out", EXACT)
    assert [one.zarr.name for one in done] == ["a.ome.zarr"]
    with pytest.raises(InputError, match="would replace the image"):
        predict_files(panel(), [tmp_path / "x;y"], tmp_path / "x;y", EXACT)


@pytest.mark.parametrize("source", ["a.png", "a.png;b.png", "b.png;a.png"])
def test_a_prediction_never_replaces_an_image_that_it_is_made_from(
    tmp_path: Path, source: str
) -> None:
    for name in ("a", "b"):
        write_png(picture(64, 64)[0], tmp_path / f"{name}.png")
    before = [(tmp_path / f"{name}.png").read_bytes() for name in ("a", "b")]
    joined = ";".join(str(tmp_path / part) for part in source.split(";"))
    with pytest.raises(InputError, match="would replace the image"):
        predict_files(panel(planes=source.count(";") + 1), [joined], tmp_path)
    assert [(tmp_path / f"{name}.png").read_bytes() for name in ("a", "b")] == before


def test_int8_holds_for_every_network_of_a_panel() -> None:
    pytest.importorskip("nncf")
    predictor = Predictor(panel(shared=False), PredictOptions(precision="int8"))
    predictor(picture(128, 128))
    assert predictor._engines.precisions == ("int8", "int8")


def test_an_estimate_takes_two_axes_or_three_and_any_normalization() -> None:
    bright = replace(panel(), normalization=Normalization("background"))
    assert estimate(bright, (64, 64)).n_tiles == 1
    for shape in ((64,), (1, 1, 1, 64, 64), (0, 64)):
        with pytest.raises(InputError, match=r"give \(Y, X\) or \(T, Y, X\)"):
            estimate(bright, shape)


@pytest.mark.parametrize(
    "images",
    [
        np.ones((2, 16, 16)),
        np.ones((2, 3, 16, 16)),
        [np.ones((1, 16, 16)), np.ones((1, 16, 20))],
        [],
    ],
    ids=["no planes", "other planes", "unequal", "none"],
)
def test_a_stack_that_does_not_fit_is_refused(images: Any) -> None:
    with pytest.raises(InputError, match=r"give \(N, 1, Y, X\)"):
        panel().predict_stack(images)


def test_no_marker_and_no_model_are_refused_as_such() -> None:
    with pytest.raises(InputError, match="no marker is named; choose from CD90"):
        panel().of_markers([])
    with pytest.raises(InputError, match="no models to join"):
        Panel.join([])


def test_an_array_with_its_planes_last_is_refused_in_a_line() -> None:
    with pytest.raises(InputError, match=r"200 planes \(channels C0, C1, \.\.\., C199; ") as caught:
        predict(panel(), np.ones((200, 64, 13)))
    assert "give an array as (1, Y, X)" in str(caught.value)


def test_what_is_no_array_of_numbers_is_no_image(tmp_path: Path) -> None:
    for image in ("image.tif", tmp_path / "image.tif", None, np.ones((8, 8), complex)):
        with pytest.raises(InputError, match=r"files are opened by images\.read_image"):
            predict(panel(), image)  # type: ignore[arg-type]


def test_a_saved_panel_has_its_card(tmp_path: Path) -> None:
    model = replace(panel(), about={"data": {"name": "day 1"}})
    model.save(tmp_path / "model")
    assert "`day 1`" in (tmp_path / "model" / "CARD.md").read_text(encoding="utf-8")
    model.save(tmp_path / "own", card="# Mine")
    assert (tmp_path / "own" / "CARD.md").read_text(encoding="utf-8") == "# Mine"
