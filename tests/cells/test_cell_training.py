"""Learning to outline discs, in seconds."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from unstained.cells.labelled import LabelledImage, load_labelled, split_images
from unstained.cells.matching import average_precision
from unstained.cells.model import CellModel
from unstained.cells.normalize import measure_statistics
from unstained.cells.samples import Samples, make_scene
from unstained.cells.settings import CellSettings
from unstained.cells.targets import BORDER, HEIGHT, INTERIOR
from unstained.cells.task import cell_losses
from unstained.cells.tiling import label_tiles
from unstained.cells.training import fit_cuts, train_cells, write_release
from unstained.cli.main import main
from unstained.errors import DataError, FileError, InputError, ModelError
from unstained.images import write_png
from unstained.images.splits import SplitWarning
from unstained.learning.loop import Progress

TINY = CellSettings(
    border_weight=4.0,
    width=16,
    depth=2,
    dropout=0.0,
    views=1,
    steps=60,
    batch=4,
    patch=64,
    warmup_steps=5,
    validate_every=30,
    learning_rate=1e-2,
    ema=0.9,
    precision="float32",
    device="cpu",
)


def disc_field(seed: int, side: int = 96, *, nuclei: bool = False) -> LabelledImage:
    """Discs of radius 6 to 8 px, gray with a bright rim, two in each cell of a 48 x 24 px grid.

    The two of a pair touch.
    """
    rng = np.random.default_rng(seed)
    y, x = np.indices((side, side))
    labels = np.zeros((side, side), np.int32)
    middles = np.zeros((side, side), bool)
    for top in range(0, side - 23, 24):
        for left in range(0, side - 47, 48):
            cy, cx = top + 12 + rng.uniform(-3, 3), left + 24 + rng.uniform(-5, 5)
            reach = rng.uniform(6, 8)
            for sign in (-1, 1):
                away = np.hypot(y - cy, x - cx - sign * reach)
                labels[(away <= reach) & (labels == 0)] = labels.max() + 1
                middles |= away <= 3
    rim = ndimage.maximum_filter(labels, 3) != ndimage.minimum_filter(labels, 3)
    image = 1000 + 300 * (labels > 0) + 500 * rim + 600 * middles + rng.normal(0, 40, labels.shape)
    known = middles & (labels > 0) if nuclei else None
    return LabelledImage(f"field {seed}", f"group {seed}", image, labels, known)


@pytest.fixture(scope="module")
def fields() -> list[LabelledImage]:
    return [disc_field(seed) for seed in range(4)]


@pytest.fixture(scope="module")
def taught(fields: list[LabelledImage], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("taught") / "model"
    train_cells(fields, folder, TINY)
    return folder


def test_touching_discs_of_a_new_field_are_found_apart(taught: Path) -> None:
    field = disc_field(99)
    found = CellModel.load(taught, device="cpu").segment(field.image)
    assert average_precision(field.labels, found)[0] > 0.9


def test_tiles_with_the_halo_that_the_model_asks_for_cut_no_cell(taught: Path) -> None:
    model = CellModel.load(taught, device="cpu")
    image = disc_field(5, side=480).image
    whole = model.segment(image)
    statistics = measure_statistics(image)
    tiled = label_tiles(
        lambda part: model.segment(part, statistics=statistics),
        image,
        tile=128,
        halo=model.halo_px(),
    )
    assert whole.max() > 300
    assert (tiled.cells, tiled.cut) == (whole.max(), 0)
    # the same cells under other numbers: as many pairs of numbers as there are numbers
    pairs = np.unique(np.stack([whole.ravel(), tiled.labels.ravel()]), axis=1)
    assert pairs.shape[1] == whole.max() + 1


def test_the_folder_tells_who_taught_and_how_good_it_is(taught: Path) -> None:
    said = json.loads((taught / "model.json").read_text(encoding="utf-8"))
    about = said["about"]
    groups = [*about["train_groups"], *about["validation_groups"]]
    assert sorted(groups) == [f"group {i}" for i in range(4)]
    assert len(about["validation_groups"]) == 1  # 15 % of 4, at least one
    assert about["validation"]["ap50"] > 0.9
    assert about["settings"]["steps"] == 60
    assert sorted(p.name for p in taught.iterdir()) == [
        "history.jsonl",
        "model.json",
        "model.safetensors",
        "training",
    ]
    assert [p.name for p in (taught / "training").iterdir()] == ["run.json"]


def test_thresholds_are_those_that_find_the_cells(taught: Path) -> None:
    model = CellModel.load(taught, device="cpu")
    field = disc_field(98)
    # discs have 100 px and more: with 1000 as the least, none is found
    cuts = fit_cuts(model, [field], [1000, 40])
    assert cuts.min_area_px == 40
    assert not replace(model, cuts=cuts._replace(min_area_px=1000)).segment(field.image).any()


def test_a_resumed_training_ends_with_the_weights_of_an_unbroken_one(
    fields: list[LabelledImage], tmp_path: Path
) -> None:
    # broken off after step 110, behind the checkpoint of step 100
    settings = replace(TINY, width=4, depth=1, patch=32, batch=2, steps=130, validate_every=65)

    class Broken(Exception):
        pass

    def break_off(progress: Progress) -> None:
        if progress.step == 110:
            raise Broken

    whole = train_cells(fields, tmp_path / "whole", settings)
    with pytest.raises(Broken):
        train_cells(fields, tmp_path / "broken", settings, report=break_off)
    steps: list[int] = []
    resumed = train_cells(
        fields, tmp_path / "broken", settings, resume=True, report=lambda p: steps.append(p.step)
    )
    assert steps[0] == 101
    for name, weight in whole.network.state_dict().items():
        assert torch.equal(weight, resumed.network.state_dict()[name]), name


def test_other_settings_or_data_do_not_resume(fields: list[LabelledImage], tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_cells(fields, tmp_path / "model", TINY, report=stop)
    with pytest.raises(InputError, match="interrupted"):
        train_cells(fields, tmp_path / "model", TINY)
    with pytest.raises(InputError, match="other settings"):
        train_cells(fields, tmp_path / "model", replace(TINY, seed=0, steps=61), resume=True)
    with pytest.raises(InputError, match="other data"):
        train_cells([*fields, disc_field(9)], tmp_path / "model", TINY, resume=True)


def test_a_finished_training_is_resumed_to_what_it_is(
    taught: Path, fields: list[LabelledImage]
) -> None:
    def no_step(progress: Progress) -> None:
        raise AssertionError("trained again")

    model = train_cells(fields, taught, TINY, resume=True, report=no_step)
    assert model.about == CellModel.load(taught, device="cpu").about
    with pytest.raises(InputError, match="other settings"):
        train_cells(fields, taught, replace(TINY, steps=61), resume=True)
    with pytest.raises(InputError, match="other data"):
        train_cells([*fields, disc_field(9)], taught, TINY, resume=True)


def test_a_finished_model_is_not_written_over(taught: Path, fields: list[LabelledImage]) -> None:
    with pytest.raises(InputError, match="finished model"):
        train_cells(fields, taught, TINY)


def test_a_release_is_the_model_and_its_hash(taught: Path, tmp_path: Path) -> None:
    first = write_release(taught, tmp_path / "disc-cells.zip")
    (taught / ".DS_Store").write_bytes(b"Finder")  # as it leaves where one looks in
    second = write_release(taught, tmp_path / "again" / "disc-cells.zip")
    (taught / ".DS_Store").unlink()
    assert first.sha256 == second.sha256 == sha256(first.file.read_bytes()).hexdigest()
    told = (tmp_path / "disc-cells.zip.sha256").read_text(encoding="utf-8")
    assert told == f"{first.sha256}  disc-cells.zip\n"
    with zipfile.ZipFile(first.file) as archive:
        archive.extractall(tmp_path)
    image = disc_field(7).image
    unpacked = CellModel.load(tmp_path / "disc-cells", device="cpu")
    np.testing.assert_array_equal(
        unpacked.segment(image), CellModel.load(taught, device="cpu").segment(image)
    )


def test_a_release_outlines_cells_as_its_model_does(taught: Path, tmp_path: Path) -> None:
    file = write_release(taught, tmp_path / "disc-cells.zip").file
    image = disc_field(50).image
    of_file, of_folder = CellModel.load(file, device="cpu"), CellModel.load(taught, device="cpu")
    assert np.array_equal(of_file.segment(image), of_folder.segment(image))
    # one byte more than what its hash was taken of
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(ModelError, match=r"disc-cells\.zip\.sha256 says"):
        CellModel.load(file)


def test_a_zip_is_no_model_without_one_and_writes_nothing_outside(tmp_path: Path) -> None:
    bad = tmp_path / "in" / "bad.zip"
    bad.parent.mkdir()
    for members in (["notes.txt"], ["../../model.json", "../../model.safetensors", "x/model.json"]):
        with zipfile.ZipFile(bad, "w") as archive:
            for name in members:
                archive.writestr(name, "{}")
        with pytest.raises(ModelError, match=r"bad\.zip: holds [02] model\.json"):
            CellModel.load(bad)
    with zipfile.ZipFile(bad, "w") as archive:
        for name in ("../../model.json", "../../model.safetensors"):
            archive.writestr(name, "{}")
    with pytest.raises(ModelError, match=r"bad\.zip: is not what unstained wrote"):
        CellModel.load(bad)
    assert [p.name for p in tmp_path.rglob("*")] == ["in", "bad.zip"]
    bad.write_bytes(b"no zip")
    with pytest.raises(FileError, match="cannot be read as a zip"):
        CellModel.load(bad)


def test_nuclei_are_learned_where_some_images_have_them(tmp_path: Path) -> None:
    some = [disc_field(0, nuclei=True), disc_field(1, nuclei=True), disc_field(2), disc_field(3)]
    splits = ("train", "validation", "train", "train")
    some = [replace(field, split=split) for field, split in zip(some, splits, strict=True)]
    model = train_cells(some, tmp_path / "model", replace(TINY, steps=120))
    assert model.map_names == ("interior", "height", "nuclei")
    field = disc_field(50, nuclei=True)
    nuclei = model.segment_both(field.image).nuclei
    assert nuclei is not None
    assert field.nuclei is not None
    shared = ((nuclei > 0) & field.nuclei).sum()
    assert shared / ((nuclei > 0) | field.nuclei).sum() > 0.5


def test_unknown_nuclei_do_not_count_in_the_loss() -> None:
    outputs = torch.zeros(2, 3, 4, 4)
    targets = torch.zeros(2, 4, 4, 4)
    targets[1, 2] = float("nan")  # the second patch has no nuclei drawn
    loss = cell_losses(outputs, targets, TINY)["nuclei"]
    assert loss.item() == pytest.approx(np.log(2))  # of a probability of one half


def test_pixels_between_touching_cells_weigh_more() -> None:
    outputs = torch.zeros(1, 2, 4, 4)
    targets = torch.zeros(1, 3, 4, 4)
    even = cell_losses(outputs, targets, TINY)["interior"].item()
    targets[:, BORDER] = 1
    assert cell_losses(outputs, targets, TINY)["interior"].item() == pytest.approx(5 * even)


def test_patches_depend_on_their_place_alone(fields: list[LabelledImage]) -> None:
    scenes = [make_scene(field, nuclei=False) for field in fields]
    samples = Samples(scenes, TINY, 64)
    first, other = samples.sample(3, 1), samples.sample(3, 2)
    samples.sample(8, 0)
    np.testing.assert_array_equal(samples.sample(3, 1)[0], first[0])
    assert not np.array_equal(other[0], first[0])


def test_patches_on_cells_have_a_cell_in_reach_of_their_middle() -> None:
    labels = np.zeros((600, 600), np.int32)
    labels[500:510, 40:50] = 7
    image = np.random.default_rng(0).normal(size=labels.shape)
    scene = make_scene(LabelledImage("a", "a", image, labels), nuclei=False)
    samples = Samples([scene], replace(TINY, on_cells=1.0, warped=0.0), 64)
    seen = [samples.sample(step, 0)[1][INTERIOR].any() for step in range(40)]
    assert np.mean(seen) > 0.8  # of patches anywhere it is 1.5 %


def test_targets_move_with_the_image() -> None:
    # the image is its own interior, so that both must lie alike in any patch
    field = disc_field(3)
    scene = make_scene(replace(field, image=(field.labels > 0) * 1.0), nuclei=False)
    still = replace(TINY, contrast=0.0, brightness=0.0, noise=0.0, blur_px=0.0, warped=1.0)
    image, targets = Samples([scene], still, 64).sample(0, 0)
    grey = (image[0] - image.min()) / np.ptp(image)
    assert np.corrcoef(grey.ravel(), targets[INTERIOR].ravel())[0, 1] > 0.99
    assert targets[HEIGHT].max() <= 1


def test_whole_groups_are_taken_for_validation() -> None:
    def field(group: str) -> LabelledImage:
        return LabelledImage("a", group, np.zeros((2, 2)), np.ones((2, 2), np.int32))

    images = [field("a"), field("a"), field("b"), field("b")]
    split = split_images(images, 0.15, seed=0)
    assert {i.group for i in split.train}.isdisjoint(i.group for i in split.validation)
    assert (len(split.train), len(split.validation)) == (2, 2)


@pytest.mark.parametrize(
    ("splits", "groups", "said"),
    [
        (("", ""), "aa", "1 group"),
        (("train", "validation"), "aa", "in training and in validation"),
        (("validation", "test"), "ab", "0 images to train on"),
        (("test", "test"), "ab", "0 group"),
    ],
)
def test_a_split_that_cannot_be_is_refused(splits: Sequence[str], groups: str, said: str) -> None:
    images = [
        LabelledImage("a", g, np.zeros((2, 2)), np.ones((2, 2), np.int32), split=s)
        for g, s in zip(groups, splits, strict=True)
    ]
    with pytest.raises(DataError, match=said):
        split_images(images, 0.15, seed=0)


def test_a_group_of_the_test_part_may_not_teach() -> None:
    images = [
        LabelledImage("a", g, np.zeros((2, 2)), np.ones((2, 2), np.int32), split=s)
        for g, s in zip("abca", ("", "", "", "test"), strict=True)
    ]
    with pytest.raises(DataError, match="group 'a' is in the test part and not"):
        split_images(images, 0.15, seed=0)


def test_a_manifest_of_training_and_test_parts_gives_validation_from_training() -> None:
    images = [
        LabelledImage("a", g, np.zeros((2, 2)), np.ones((2, 2), np.int32), split=s)
        for g, s in zip("abcd", ("train", "train", "train", "test"), strict=True)
    ]
    taught, asked = split_images(images, 0.3, seed=0)
    assert len(asked) == 1
    assert len(taught) == 2


def test_a_constant_image_is_named(fields: list[LabelledImage], tmp_path: Path) -> None:
    flat = replace(fields[0], image=np.full((96, 96), 5.0), name="flat.tif", split="train")
    rest = [replace(field, split="validation") for field in fields[1:]]
    with pytest.raises(DataError, match=r"flat\.tif.*constant"):
        train_cells([flat, *rest], tmp_path / "model", TINY)
    assert not (tmp_path / "model").exists()


def test_pixel_sizes_that_differ_are_refused(fields: list[LabelledImage], tmp_path: Path) -> None:
    sized = [replace(f, pixel_size_um=s) for f, s in zip(fields, (1, 1, 2, 2), strict=True)]
    with pytest.raises(DataError, match="pixel sizes from 1 to 2"):
        train_cells(sized, tmp_path / "model", TINY)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"width": "many"}, "width is 'many'"),
        ({"colour": 1}, "not known"),
        ({"views": 3}, "views is 3"),
        ({"steps": 0}, "steps is 0"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"contrast": float("nan")}, "finite"),
    ],
)
def test_settings_that_cannot_be_are_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        CellSettings().changed(change)


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(list(words))
    return int(left.value.code or 0)


def _written(folder: Path, field: LabelledImage, name: str) -> None:
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    write_png(field.image.astype(np.uint16), folder / "images" / f"{name}.png")
    write_png(field.labels.astype(np.uint8), folder / "labels" / f"{name}_labels.png")


def test_folders_of_images_and_labels_meet_by_name(tmp_path: Path) -> None:
    for name in ("b", "a"):
        _written(tmp_path, disc_field(ord(name)), name)
    images = load_labelled(tmp_path)
    assert [Path(image.name).stem for image in images] == ["a", "b"]
    np.testing.assert_array_equal(images[0].labels, disc_field(ord("a")).labels)
    alone = load_labelled(tmp_path / "images", tmp_path / "labels")
    np.testing.assert_array_equal(alone[1].labels, images[1].labels)


def test_what_macos_leaves_beside_images_and_labels_is_not_learned(tmp_path: Path) -> None:
    _written(tmp_path, disc_field(0), "a")
    for hidden in ("images/._a.png", "labels/._a_labels.png"):
        (tmp_path / hidden).write_bytes(b"Mac OS X")
    assert [Path(image.name).name for image in load_labelled(tmp_path)] == ["a.png"]


def test_a_manifest_names_groups_and_splits(tmp_path: Path) -> None:
    _written(tmp_path, disc_field(0), "a")
    text = "image,labels,group,split,nuclei\nimages/a.png,labels/a_labels.png,donor 1,train,\n"
    (tmp_path / "m.csv").write_text(text, encoding="utf-8")
    (image,) = load_labelled(tmp_path / "m.csv")
    assert (image.group, image.split, image.nuclei) == ("donor 1", "train", None)


def test_a_manifest_of_excel_s_is_read(tmp_path: Path) -> None:
    _written(tmp_path, disc_field(0), "a")
    text = "image;labels;group\r\nimages/a.png;labels/a_labels.png;donor 1\r\n"
    (tmp_path / "m.csv").write_text(text, encoding="utf-8-sig")
    assert [image.group for image in load_labelled(tmp_path / "m.csv")] == ["donor 1"]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("a.png,a_labels.png\nb.png,", "row 2 names no labels"),
        (",a_labels.png", "row 1 names no image"),
        ("a.png,a_labels.png\nb.png,b_labels.png\na.png,b_labels.png", "rows 1 and 3 name one"),
    ],
)
def test_a_manifest_with_blanks_or_an_image_twice_is_refused_by_row(
    rows: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "m.csv").write_text(f"image,labels\n{rows}\n", encoding="utf-8")
    with pytest.raises(DataError, match=rf"m\.csv: {said}"):
        load_labelled(tmp_path / "m.csv")


def test_a_step_of_a_single_pixel_is_refused_and_leaves_no_folder(
    fields: list[LabelledImage], tmp_path: Path
) -> None:
    settings = CellSettings(steps=1, batch=1, patch=4, width=4, depth=3)
    with pytest.raises(
        InputError, match=r"batch=1 with patches of .* patch=\d+ and images as large"
    ):
        train_cells(fields, tmp_path / "model", settings)
    assert not (tmp_path / "model").exists()


def test_data_that_is_not_there_or_does_not_fit_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no data set"):
        load_labelled("nowhere")
    with pytest.raises(FileError, match="images and labels"):
        load_labelled(tmp_path)
    _written(tmp_path, disc_field(0), "a")
    write_png(np.zeros((4, 4), np.uint8), tmp_path / "images" / "b.png")
    with pytest.raises(FileError, match=r"b\.png.*no labels"):
        load_labelled(tmp_path)
    write_png(np.zeros((4, 5), np.uint8), tmp_path / "labels" / "b.png")
    with pytest.raises(DataError, match=r"labels are \(4, 5\), the image is \(4, 4\)"):
        load_labelled(tmp_path)
    (tmp_path / "m.csv").write_text("image,mask\na,b\n", encoding="utf-8")
    with pytest.raises(DataError, match="no column 'labels'"):
        load_labelled(tmp_path / "m.csv")


def test_images_without_any_cell_cannot_teach(tmp_path: Path) -> None:
    empty = replace(disc_field(0), labels=np.zeros((96, 96), np.int32))
    _written(tmp_path, empty, "a")
    with pytest.raises(DataError, match="no image has a labelled cell"):
        load_labelled(tmp_path)


def test_usiigaci_has_fourteen_groups(data_set: object) -> None:
    data_set("usiigaci")  # type: ignore[operator]
    images = load_labelled("usiigaci")
    assert len({image.group for image in images}) == 14
    assert images[0].image.shape == (1022, 1024)
    assert np.unique(images[0].labels).size == 55  # 54 cells and the background


def test_images_and_labels_in_one_folder_are_not_taken_for_each_other(tmp_path: Path) -> None:
    field = disc_field(0)
    write_png(field.image.astype(np.uint16), tmp_path / "a.png")
    write_png(field.labels.astype(np.uint8), tmp_path / "a_labels.png")
    with pytest.raises(DataError, match="2 images called 'a'"):
        load_labelled(tmp_path, tmp_path)


def test_a_release_that_cannot_be_named_so_is_refused_before_training(tmp_path: Path) -> None:
    from unstained.cli.cells_train import train

    with pytest.raises(InputError, match=r"ends in \.zip"):
        train("nowhere", tmp_path / "model", release=tmp_path / "model.tar")


def test_a_release_that_is_missing_is_written_by_a_training_that_is_finished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "ab":
        _written(tmp_path, disc_field(0), name)
    out, file = tmp_path / "model", tmp_path / "model.zip"
    small = ("steps=2", "width=4", "depth=1", "batch=1", "patch=64", "views=1", "device=cpu")
    words = ["cells", "train", str(tmp_path), "--out", str(out), "--group", ".+"]
    words += [word for setting in small for word in ("--set", setting)]
    assert run(*words) == 0
    capsys.readouterr()
    assert run(*words, "--resume", "--release", str(file)) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"nothing is left to train: {out} is finished"
    assert [line.startswith(f"release: {file}, SHA-256 ") for line in said[1:]] == [True]


def test_images_in_which_the_pattern_finds_the_same_text_are_one_group(tmp_path: Path) -> None:
    for name in ("well3_t001", "well3_t002", "well11_t001"):
        _written(tmp_path, disc_field(0), name)
    images = load_labelled(tmp_path, group="well[0-9]+")
    # in the order of the numbers in their names: well3_t001, well3_t002, well11_t001
    assert [image.group for image in images] == ["well3", "well3", "well11"]
    inner = load_labelled(tmp_path, group="well([0-9]+)")
    assert [image.group for image in inner] == ["3", "3", "11"]


@pytest.mark.parametrize("names", [("t1", "t2"), ("well_x0_y0_phase", "well_x0_y1_phase")])
def test_frames_and_tiles_without_a_group_are_told(names: tuple[str, str], tmp_path: Path) -> None:
    for name in names:
        _written(tmp_path, disc_field(0), name)
    with pytest.warns(SplitWarning, match="2 images look like frames or tiles of 1 sequences"):
        load_labelled(tmp_path)
    load_labelled(tmp_path, group=".+")  # a warning would be an error


def test_a_pattern_that_cannot_group_is_refused(tmp_path: Path) -> None:
    _written(tmp_path, disc_field(0), "a")
    with pytest.raises(InputError, match=r"finds nothing in a\.png"):
        load_labelled(tmp_path, group="well")
    with pytest.raises(InputError, match="no regular expression"):
        load_labelled(tmp_path, group="well(")
    text = "image,labels,group\nimages/a.png,labels/a_labels.png,donor 1\n"
    (tmp_path / "m.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="are named in the data"):
        load_labelled(tmp_path / "m.csv", group=".+")
