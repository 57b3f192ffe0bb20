"""Segmenters of others: called as they want it, absent with a remedy.

The fakes have the signatures of Cellpose 4.2.1.1, StarDist 0.9.2 and instanseg-torch 0.1.2, and
`benchmarks/adapters.py` runs the adapters with the packages themselves, where they are installed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from unstained.cells.adapters import ADAPTERS, Segmenter, cellpose, instanseg, stardist
from unstained.errors import InputError, MissingExtra, ModelError, NetworkError

IMAGE = np.arange(6 * 8, dtype=np.uint16).reshape(6, 8)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Modules in place of the packages; what they are called with is noted."""
    called: dict[str, Any] = {}

    class CellposeModel:
        def __init__(
            self, gpu=False, pretrained_model="cpsam_v2", model_type=None, diam_mean=None,
            device=None, nchan=None, use_bfloat16=True,
        ):  # fmt: skip
            called["cellpose"] = (gpu, pretrained_model, device)

        def eval(
            self, x, batch_size=8, resample=True, channels=None, channel_axis=None, z_axis=None,
            normalize=True, rescale=None, diameter=None, flow_threshold=0.4,
            cellprob_threshold=0.0, do_3D=False, anisotropy=None, flow3D_smooth=0,
            stitch_threshold=0.0, min_size=15, max_size_fraction=0.4, niter=None, augment=False,
            tile_overlap=0.1, bsize=None, compute_masks=True, progress=None,
        ):  # fmt: skip
            called["diameter"], called["normalize"] = diameter, normalize
            called["range"] = float(np.percentile(x, 1)), float(np.percentile(x, 99))
            return (x > 0.5).astype(np.uint16), [None, None, None], np.zeros(256)

    class StarDist2D:
        def __init__(self, config=None, name=None, basedir="."):
            called["stardist"] = (config, name, basedir)

        @classmethod
        def from_pretrained(cls, name_or_alias=None):
            if name_or_alias == "offline":  # Keras raises a plain Exception
                raise Exception("URL fetch failure")
            return None if name_or_alias == "unknown" else cls()

        def predict_instances(self, img, axes=None, normalizer=None, sparse=True):
            called["range"] = float(np.percentile(img, 1)), float(np.percentile(img, 99.8))
            assert axes == "YX"
            return (img > 0.5).astype(np.int32), {"prob": np.ones(1)}

    class InstanSeg:
        def __init__(
            self, model_type="brightfield_nuclei", device=None, image_reader="auto", verbosity=1,
            channels_last=True,
        ):  # fmt: skip
            if model_type == "offline":
                raise ConnectionError("no route to host")
            called["instanseg"] = (model_type, device)

        def eval_small_image(
            self, image, pixel_size=None, normalise=True, return_image_tensor=True,
            target="all_outputs", rescale_output=True,
        ):  # fmt: skip
            called["pixel_size"], called["normalize"] = pixel_size, normalise
            called["range"] = float(np.percentile(image, 0.1)), float(np.percentile(image, 99.9))
            labels = torch.as_tensor(image > 0.5).float()[None, None]
            both = labels if target == "cells" else labels.repeat(1, 2, 1, 1)
            return (both, image) if return_image_tensor else both

    models = SimpleNamespace(
        CellposeModel=CellposeModel, MODEL_NAMES=["cpsam_v2"], get_user_models=lambda: ["mine"]
    )
    monkeypatch.setitem(sys.modules, "cellpose", ModuleType("cellpose"))
    monkeypatch.setitem(sys.modules, "cellpose.models", models)
    monkeypatch.setitem(sys.modules, "stardist", ModuleType("stardist"))
    monkeypatch.setitem(sys.modules, "stardist.models", SimpleNamespace(StarDist2D=StarDist2D))
    monkeypatch.setitem(sys.modules, "instanseg", SimpleNamespace(InstanSeg=InstanSeg))
    return called


def test_cellpose_gets_a_diameter_in_pixels(fake: dict[str, Any]) -> None:
    segment = cellpose(device="cpu", diameter_um=20)
    labels = segment(IMAGE, 0.5)
    assert fake["diameter"] == 40  # 20 um / 0.5 um
    assert np.array_equal(labels, IMAGE > 23)  # half of 0 to 47
    assert labels.dtype == np.int32
    assert fake["cellpose"] == (False, "cpsam_v2", torch.device("cpu"))


def test_a_diameter_needs_a_pixel_size(fake: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="unknown pixel size"):
        cellpose(device="cpu", diameter_um=20)(IMAGE, None)
    cellpose(device="cpu")(IMAGE, None)
    assert fake["diameter"] is None


@pytest.mark.parametrize(
    "segmenter", [lambda: cellpose(device="cpu"), stardist, lambda: instanseg(device="cpu")]
)
def test_the_percentiles_of_each_become_0_and_1_and_it_does_not_scale_again(
    segmenter: Callable[[], Segmenter], fake: dict[str, Any]
) -> None:
    labels = segmenter()(IMAGE, 0.5)
    assert fake["range"] == pytest.approx((0, 1), abs=1e-6)
    assert not fake.get("normalize", False)
    # values 0 to 47: the percentiles 1 and 99.8 are 0.47 and 46.906, their middle is 23.688
    assert np.array_equal(labels, IMAGE > 23)


def test_a_tile_is_scaled_by_the_limits_of_the_whole(fake: dict[str, Any]) -> None:
    segment = stardist()
    dark = IMAGE[:3]  # 0 to 23: dark in the whole, half of it bright on its own
    assert not segment(dark, None, segment.limits(IMAGE)).any()
    assert segment(dark, None).sum() == 12


def test_an_image_without_contrast_has_no_cell(fake: dict[str, Any]) -> None:
    assert not stardist()(np.full((4, 5), 7, np.uint16), None).any()


def test_instanseg_gives_cells_at_the_image_s_own_size(fake: dict[str, Any]) -> None:
    labels = instanseg(device="cpu")(IMAGE, 0.5)
    assert np.array_equal(labels, IMAGE > 23)
    assert fake["instanseg"] == ("fluorescence_nuclei_and_cells", "cpu")
    assert fake["pixel_size"] == 0.5


def test_a_model_that_is_not_there_is_no_silent_default(fake: dict[str, Any]) -> None:
    # Cellpose warns and takes its default; StarDist prints and gives None
    with pytest.raises(ModelError, match="choose cpsam_v2, mine"):
        cellpose("cyto17", device="cpu")
    with pytest.raises(ModelError, match="no model 'unknown'"):
        stardist("unknown")


def test_weights_that_cannot_be_downloaded_are_told(fake: dict[str, Any]) -> None:
    with pytest.raises(NetworkError, match="no route to host"):
        instanseg("offline", device="cpu")
    with pytest.raises(NetworkError, match="URL fetch failure"):
        stardist("offline")


def test_models_of_one_s_own_are_files(fake: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "discs"
    folder.mkdir()
    (folder / "config.json").write_text("{}", encoding="utf-8")
    assert np.array_equal(stardist(str(folder))(IMAGE, None), IMAGE > 23)
    assert fake["stardist"] == (None, "discs", str(tmp_path))

    (folder / "instanseg.pt").touch()
    instanseg(str(folder), device="cpu")
    assert fake["instanseg"] == (str(folder.resolve()), "cpu")


def test_stardist_leaves_the_device_to_tensorflow(fake: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="CUDA_VISIBLE_DEVICES"):
        stardist(device="cuda")


@pytest.mark.parametrize("name", sorted(ADAPTERS))
def test_what_is_not_installed_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for module in (name, f"{name}.models"):
        monkeypatch.setitem(sys.modules, module, None)  # import raises ImportError
    with pytest.raises(MissingExtra, match=r"is not installed .*; pip install"):
        ADAPTERS[name]()
