"""Predicted stains as further planes of the images that are classified."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile
import torch

from unstained.colonies.classifier import ColonyClassifier
from unstained.colonies.comparison import Plan, compare, parse_arms
from unstained.colonies.detect_sources import FileOptions
from unstained.colonies.detection_folder import detect_files, read_crop
from unstained.colonies.examples import Examples, load_examples
from unstained.colonies.stains import STAIN, Stains, own_planes
from unstained.colonies.training import held_out, train_model
from unstained.errors import DataError, InputError, ModelError
from unstained.images.image import Image, as_image
from unstained.images.kept import Kept
from unstained.learning.loop import Progress
from unstained.learning.networks import NetworkSpec, build_network
from unstained.staining import Panel, PredictOptions, Predictor, StainPlanes
from unstained.staining.normalize import MarkerSpec, Normalization
from unstained.staining.panel import Member

BLUR = 9


@dataclass
class Blurred:
    """A stain that is the first plane, blurred over 9 px; what it was asked for is noted."""

    names: tuple[str, ...] = ("DNA",)
    fingerprint: str = "blurred"
    pixel_size_um: float | None = None
    learned_from: str = "other wells"
    taught_groups: frozenset[str] = frozenset()
    asked: list[float | None] = field(default_factory=list)

    def __call__(
        self,
        image: Image,
        window: tuple[slice, slice] | None = None,
        *,
        t: int = 0,
        frame: Hashable = None,
    ) -> np.ndarray:
        self.asked.append(image.pixel_size_um)
        return self.stain(image.planes(t))[:, *(window or (slice(None), slice(None)))]

    def stain(self, planes: np.ndarray) -> np.ndarray:
        return blurred(planes[0])[None]

    def save(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "model.json").write_text("{}")


def blurred(plane: np.ndarray) -> np.ndarray:
    return cv2.blur(plane.astype(np.float32), (BLUR, BLUR))


@dataclass
class LastPlane(Blurred):
    """A stain that shows what the last plane shows."""

    def stain(self, planes: np.ndarray) -> np.ndarray:
        return planes[-1:].astype(np.float32)


def write(folder: Path, n: int = 40, kind: type = np.uint16) -> Path:
    """Images of two planes: noise, and one that is bright in the class "bright" alone."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(n):
        class_ = "bright" if i % 2 else "dark"
        planes = rng.integers(90, 110, (2, 24, 24))
        planes[1] += 60 * (class_ == "bright")
        tifffile.imwrite(folder / f"{i}.tif", planes.astype(kind))
        rows.append({"image": f"{i}.tif", "label": class_, "group": f"w{i // 4}"})
    pd.DataFrame(rows).to_csv(folder / "images.csv", index=False)
    return folder / "images.csv"


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return write(tmp_path)


@pytest.fixture
def wells(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """A detection folder of one field with a colony inside and one at its corner; the field."""
    rng = np.random.default_rng(0)
    image = rng.normal(1000, 4, (320, 320))
    for y, x in ((0, 0), (180, 150)):
        image[y : y + 100, x : x + 90] += rng.normal(0, 150, (100, 90))
    tifffile.imwrite(tmp_path / "B3.tif", image.astype(np.uint16))
    detect_files([tmp_path / "B3.tif"], tmp_path / "wells", options=FileOptions(pixel_size_um=0.8))
    return tmp_path / "wells", image.astype(np.uint16)


# planes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("own", "kept"), [(None, [0, 1]), ((1,), [1]), ((1, 0), [1, 0]), ((), [])])
def test_the_classifier_gets_the_planes_it_was_given_and_then_the_stains(
    own: tuple[int, ...] | None, kept: list[int], manifest: Path
) -> None:
    plain = load_examples(manifest)
    pixels = plain.read(3).pixels
    found = plain.with_stains(Stains(Blurred(), own)).read(3).pixels
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [*pixels[kept], blurred(pixels[0])])


def test_an_image_is_predicted_once(manifest: Path) -> None:
    stainer = Blurred()
    examples = load_examples(manifest).with_stains(Stains(stainer))
    first = examples.read(5).pixels
    again = examples.take(np.array([5, 2])).read(0).pixels
    assert np.array_equal(first, again)
    assert len(stainer.asked) == 1


def test_a_plane_that_images_lack_is_named_with_the_image(manifest: Path) -> None:
    examples = load_examples(manifest).with_stains(Stains(Blurred(), (0, 2)))
    with pytest.raises(InputError, match=r"0\.tif.*plane 3 is asked for, and images have 2"):
        examples.read(0)


@pytest.mark.parametrize(
    ("text", "planes"), [(None, None), ("1", (0,)), ("2, 1", (1, 0)), ("none", ())]
)
def test_planes_are_counted_from_one(text: str | None, planes: tuple[int, ...] | None) -> None:
    assert own_planes(text) == planes


@pytest.mark.parametrize("text", ["0", "1,1", "1,01", "a", "", "1,", "-1", "1;2"])
def test_what_names_no_planes_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="planes"):
        own_planes(text)


def test_kept_values_are_the_last_used_that_fit() -> None:
    kept, made = Kept[bytes](10, len), []

    def ask(key: str) -> None:
        def make() -> bytes:
            made.append(key)
            return bytes(4)

        kept.get(key, make)

    for key in "abacab":  # c makes b go, which was used longer ago than a
        ask(key)
    assert "".join(made) == "abcb"


# colonies in their image ---------------------------------------------------------------------


def test_a_colony_gets_the_stains_of_its_place_in_the_frame(
    wells: tuple[Path, np.ndarray],
) -> None:
    folder, image = wells
    stainer = Blurred()
    examples = load_examples(folder).with_stains(Stains(stainer))
    assert len(examples) == 2
    whole = blurred(image)
    for index in range(2):
        row = examples.table.iloc[index]
        crop, cut = examples.read(index), read_crop(row, folder)
        box = (slice(row["y0"], row["y1"]), slice(row["x0"], row["x1"]))
        np.testing.assert_array_equal(crop.pixels[0], cut.pixels[0])
        np.testing.assert_array_equal(crop.pixels[1], whole[box])
        assert crop.mask is not None
        np.testing.assert_array_equal(crop.mask, cut.mask)
    assert set(stainer.asked) == {0.8}  # as it was detected


@pytest.mark.parametrize("model_um", [None, 0.8, 0.65, 1.3])
def test_a_panel_gives_colonies_the_stains_that_it_gives_the_whole_frame(
    model_um: float | None, wells: tuple[Path, np.ndarray]
) -> None:
    folder, image = wells
    torch.manual_seed(0)
    network = build_network(NetworkSpec("compact", 1, 1, 4, 3)).eval()
    panel = Panel(
        (MarkerSpec("DNA", 0.0, 1.0, "0000FF"),),
        (Member(network, ("DNA",)),),
        Normalization("background"),
        pixel_size_um=model_um,
    )
    options = PredictOptions(device="cpu", precision="float32", engine="torch")
    frame = as_image(image, "YX", pixel_size_um=0.8)
    whole = Predictor(panel, options)(frame).planes()
    examples = load_examples(folder).with_stains(Stains(StainPlanes(panel), ()))
    for index in range(2):
        row = examples.table.iloc[index]
        box = (slice(None), slice(row["y0"], row["y1"]), slice(row["x0"], row["x1"]))
        off = np.abs(examples.read(index).pixels - whole[box]).max()
        assert off < 1e-4 * np.ptp(whole)


# what a score rests on -----------------------------------------------------------------------


def test_notes_say_what_taught_the_stain_and_whether_it_saw_these_groups(manifest: Path) -> None:
    plain = load_examples(manifest)
    (note,) = plain.with_stains(Stains(Blurred())).notes
    assert "DNA are predicted by a model that learned from other wells" in note
    seen = plain.with_stains(Stains(Blurred(taught_groups=frozenset({"w3", "z9"}))))
    assert "saw stains of 1 of these groups, w3 for example" in seen.stained_in_training()[0]
    others = seen.take(np.flatnonzero(seen.table["group"] != "w3"))
    assert others.stained_in_training() == plain.stained_in_training() == []
    _, size = plain.with_stains(Stains(Blurred(pixel_size_um=0.5))).notes
    assert "0.5 um" in size


def test_the_pixel_size_is_that_of_the_manifest_before_that_of_the_file(manifest: Path) -> None:
    table = pd.read_csv(manifest).assign(pixel_size_um=0.7)
    table.loc[1, "pixel_size_um"] = np.nan
    table.to_csv(manifest, index=False)
    stainer = Blurred(pixel_size_um=0.5)
    examples = load_examples(manifest).with_stains(Stains(stainer))
    assert "0.5 um of the stain's model" in examples.notes[-1]  # image 1 does not say it
    for index in (0, 1):
        examples.read(index)
    assert stainer.asked == [0.7, None]
    for wrong in ("wide", "-1", "inf"):
        table.astype({"pixel_size_um": object}).assign(pixel_size_um=wrong).to_csv(manifest)
        with pytest.raises(DataError, match=r"row 1 has the pixel_size_um"):
            load_examples(manifest)


def test_bit_depths_are_told_apart_though_stains_make_floats(manifest: Path) -> None:
    odd = manifest.parent / "3.tif"
    tifffile.imwrite(odd, tifffile.imread(odd).astype(np.uint8))
    examples = load_examples(manifest).with_stains(Stains(Blurred()))
    with pytest.raises(DataError, match="has pixels of uint8"):
        ColonyClassifier("features").fit(examples, examples.codes(examples.classes))


def test_a_stain_is_learned_from(manifest: Path) -> None:
    """Own plane 1 is noise alike in both classes; only the stain, from plane 2, tells them."""
    plain = load_examples(manifest)
    y = plain.codes(plain.classes)
    shown = np.where(np.arange(y.size) < 20, y, -1)
    right = {}
    for stainer in (LastPlane(), Blurred()):
        examples = plain.with_stains(Stains(stainer, (0,)))
        found = ColonyClassifier("features").fit(examples, shown).predict(examples)
        right[type(stainer)] = (found == y)[20:].mean()
    assert right[LastPlane] == 1.0
    assert right[Blurred] < 0.8


# folders -------------------------------------------------------------------------------------


def trained(examples: Examples, out: Path, method: str = "features", **how: Any) -> None:
    changes = {"steps": 4, "batch": 4, "precision": "float32"} if method == "supervised" else {}
    train_model(examples, out, method, changes, labelled=0.6, **how)


def test_the_model_folder_has_the_stain_s_model_and_asks_for_its_planes(
    manifest: Path, tmp_path: Path
) -> None:
    examples = load_examples(manifest).with_stains(Stains(LastPlane(), (0,)))
    trained(examples, tmp_path / "model")
    assert (tmp_path / "model" / STAIN / "model.json").is_file()
    loaded = ColonyClassifier.load(tmp_path / "model")
    assert loaded.about["stains"] == {"markers": ["DNA"], "own": [0], "fingerprint": "blurred"}
    with pytest.raises(ModelError, match=r"trained on 2 planes.*predicted DNA among them"):
        loaded.predict_proba([np.zeros((24, 24))])
    with pytest.raises(ModelError, match=r"did not learn from planes like these.*predicted DNA"):
        loaded.predict_proba(load_examples(manifest))  # two planes as well
    # saved over itself it keeps the stain's model
    loaded.save(tmp_path / "model", replace=True)
    assert (tmp_path / "model" / STAIN / "model.json").is_file()
    # test images are known by their own pixels, with stains or without
    for some in (examples, load_examples(manifest)):
        assert "training set aside" in held_out(loaded, some, "test").notes[-1]


@dataclass
class Refusing(Blurred):
    """Takes other planes."""

    def stain(self, planes: np.ndarray) -> np.ndarray:
        raise DataError("has 2 planes, and the model takes 3", "give 3")


def test_a_training_goes_on_with_its_own_stains_alone(manifest: Path, tmp_path: Path) -> None:
    def broken(stage: str, progress: Progress) -> None:
        raise KeyboardInterrupt

    plain, out = load_examples(manifest), tmp_path / "model"
    right = Stains(LastPlane(), (0,))
    with pytest.raises(DataError, match="plane"):  # nothing is left of what could not begin
        trained(plain.with_stains(Stains(Refusing())), out)
    assert not out.exists()
    with pytest.raises(KeyboardInterrupt):
        trained(plain.with_stains(right), out, "supervised", report=broken)
    for other in (Stains(LastPlane(fingerprint="other"), (0,)), Stains(LastPlane()), None):
        with pytest.raises(InputError, match="other stains"):
            trained(plain.with_stains(other), out, "supervised", resume=True)
    trained(plain.with_stains(right), out, "supervised", resume=True)
    assert (out / STAIN).is_dir()


def test_a_comparison_is_of_one_stain(manifest: Path, tmp_path: Path) -> None:
    plain, plan = load_examples(manifest), Plan(2, (0.5,), common={"views": 1})
    arms = parse_arms(["features"])
    stained = plain.with_stains(Stains(LastPlane(), (0,)))
    found = compare(stained, arms, tmp_path / "out", plan)
    assert (found.predictions["true"] == found.predictions["predicted"]).mean() > 0.9
    for other in (plain, plain.with_stains(Stains(LastPlane()))):
        with pytest.raises(InputError, match="other stains"):
            compare(other, arms, tmp_path / "out", plan)
