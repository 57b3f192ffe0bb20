"""Images to classify from folders, manifests, detections and data sets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from unstained.colonies.crops import Crops
from unstained.colonies.detection_folder import detect_files, read_crop
from unstained.colonies.examples import load_examples
from unstained.errors import DataError, FileError, InputError

CLASSES = ("dense", "spread")


def image(value: int = 0, shape: tuple[int, ...] = (6, 8)) -> np.ndarray:
    """Grey values that tell where they are, and from which image."""
    return (np.arange(np.prod(shape)).reshape(shape) + 100 * value).astype(np.uint16)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """a.tif, b.tif, c.png, and a mask of a.tif."""
    for i, name in enumerate(("a", "b")):
        tifffile.imwrite(tmp_path / f"{name}.tif", image(i))
    cv2.imwrite(str(tmp_path / "c.png"), image(2).astype(np.uint8))
    mask = np.zeros((6, 8), np.uint8)
    mask[1:3, 2:5] = 1
    tifffile.imwrite(tmp_path / "mask.tif", mask)
    return tmp_path


def manifest(folder: Path, *lines: str) -> Path:
    path = folder / "images.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


# folders -------------------------------------------------------------------------------------


def test_a_folder_per_class(tmp_path: Path) -> None:
    for name in ("dense/1.tif", "dense/2.tif", "spread/1.tif", "Unlabelled/x.tif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / name, image())
    (tmp_path / "multi-label").mkdir()
    tifffile.imwrite(tmp_path / "multi-label" / "m.tif", image(7))
    (tmp_path / "dense" / "notes.txt").write_text("no image")
    found = load_examples(tmp_path)
    assert isinstance(found, Crops)
    assert found.classes == CLASSES
    assert sorted(found.table["image"]) == sorted(
        ["dense/1.tif", "dense/2.tif", "spread/1.tif", "Unlabelled/x.tif", "multi-label/m.tif"]
    )
    code = dict(zip(found.table["image"], found.codes(CLASSES), strict=True))
    assert [code[name] for name in ("dense/2.tif", "spread/1.tif")] == [0, 1]
    assert [code["Unlabelled/x.tif"], code["multi-label/m.tif"]] == [-1, -2]
    assert not found.grouped
    assert len(set(found.groups())) == 5
    mixed = found.table["image"].tolist().index("multi-label/m.tif")
    assert np.array_equal(found.read(mixed).pixels, image(7)[None])


def test_masks_and_images_outside_class_folders_are_left_out_with_a_note(tmp_path: Path) -> None:
    names = ("dense/1.tif", "dense/1_mask.tif", "spread/1.tif", "spread/1_seg.tif")
    for name in (*names, "loose.tif", "dense/more/2.tif", ".hidden/x.tif", "dense/._1.tif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / name, image())
    found = load_examples(tmp_path)
    assert found.table["image"].tolist() == ["dense/1.tif", "spread/1.tif"]
    masks, others = found.notes
    assert masks == "2 files were left out: their names say that they hold labels or masks"
    assert others.startswith("2 images were left out, dense/more/2.tif for example")


@pytest.mark.parametrize("name", ["Multi-Label", "multilabel", "dense+spread"])
def test_folders_of_several_classes_are_known_in_any_spelling(name: str, tmp_path: Path) -> None:
    for inner in ("dense", "spread", name):
        (tmp_path / inner).mkdir()
        tifffile.imwrite(tmp_path / inner / "1.tif", image())
    found = load_examples(tmp_path)
    assert found.classes == CLASSES
    assert sorted(found.codes(CLASSES)) == [-2, 0, 1]


def test_a_folder_without_folders_of_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no folders with images"):
        load_examples(tmp_path)


def test_what_names_no_images_is_refused() -> None:
    with pytest.raises(InputError, match=r"'nothing' names no images; .*mlcp"):
        load_examples("nothing")


# manifests -----------------------------------------------------------------------------------


def test_a_manifest_with_groups_and_a_mask(images: Path) -> None:
    found = load_examples(
        manifest(images, "image,label,group,mask", "a.tif,dense,w1,mask.tif", "b.tif,spread,w2,")
    )
    assert found.codes(CLASSES).tolist() == [0, 1]
    assert found.groups().tolist() == ["w1", "w2"]
    crop = found.read(0)
    assert np.array_equal(crop.pixels, image()[None])
    assert crop.mask is not None
    assert np.argwhere(crop.mask).tolist() == [[1, 2], [1, 3], [1, 4], [2, 2], [2, 3], [2, 4]]
    assert found.read(1).mask is None


def test_a_manifest_without_groups_makes_each_image_its_own(images: Path) -> None:
    found = load_examples(manifest(images, "image,label", "a.tif,dense", "b.tif,spread"))
    assert not found.grouped
    assert found.groups().tolist() == ["image 0", "image 1"]


def test_wells_serve_as_groups(images: Path) -> None:
    found = load_examples(manifest(images, "image,label,well", "a.tif,dense,B3", "b.tif,dense,B4"))
    assert found.groups().tolist() == ["B3", "B4"]


@pytest.mark.parametrize("label", ["", " ", "unlabelled", "unlabeled", "Unlabelled", "UNLABELED "])
def test_unlabelled_in_any_spelling_is_unknown(label: str, images: Path) -> None:
    found = load_examples(manifest(images, "image,label", f"a.tif,{label}", "b.tif,dense"))
    assert found.codes(CLASSES).tolist() == [-1, 0]
    assert found.classes == ("dense",)


def test_spaces_around_labels_do_not_make_classes(images: Path) -> None:
    found = load_examples(manifest(images, "image,label", "a.tif, dense", "b.tif,dense "))
    assert found.classes == ("dense",)


@pytest.mark.parametrize(
    "label", ["multi-label", "Multi-Label ", "MultiLabel", "dense+Multi-label"]
)
def test_several_classes_in_an_image_are_no_class(label: str, images: Path) -> None:
    found = load_examples(manifest(images, "image,label", f"a.tif,{label}", "b.tif,dense"))
    assert found.codes(CLASSES).tolist() == [-2, 0]
    assert found.classes == ("dense",)


@pytest.mark.parametrize(
    "names", [("CD105+", "CD105-"), ("CD44+CD105-", "CD44-CD105+"), ("CD44+CD105-", "CD44+CD90-")]
)
def test_a_plus_in_the_name_of_a_class_joins_nothing(names: tuple[str, ...], images: Path) -> None:
    rows = [f"{file}.tif,{name}" for file, name in zip("ab", names, strict=True)]
    assert load_examples(manifest(images, "image,label", *rows)).classes == tuple(sorted(names))


def test_links_that_lead_back_are_not_followed(tmp_path: Path) -> None:
    for name in CLASSES:
        (tmp_path / name).mkdir()
        tifffile.imwrite(tmp_path / name / "1.tif", image())
        try:
            (tmp_path / name / "up").symlink_to("..")
        except OSError:
            pytest.skip("no links on this system")
    assert load_examples(tmp_path).table["image"].tolist() == ["dense/1.tif", "spread/1.tif"]


def test_planes_of_different_sizes_are_refused_by_name(images: Path) -> None:
    tifffile.imwrite(images / "wide.tif", image(0, (6, 9)))
    found = load_examples(manifest(images, "image,label", "a.tif;wide.tif,dense"))
    with pytest.raises(DataError, match=r"a\.tif;wide\.tif have the shapes \(6, 8\) and \(6, 9\)"):
        found.read(0)


@pytest.mark.parametrize("separator", [";", "; "])
def test_files_joined_by_semicolons_are_planes(separator: str, images: Path) -> None:
    row = f"a.tif{separator}b.tif,dense"
    pixels = load_examples(manifest(images, "image,label", row)).read(0).pixels
    assert np.array_equal(pixels, np.stack([image(0), image(1)]))


def test_a_semicolon_in_the_name_of_a_file_joins_nothing(images: Path) -> None:
    tifffile.imwrite(images / "a;1.tif", image(5))
    found = load_examples(manifest(images, "image,label", "a;1.tif,dense", "b.tif,x"))
    assert found.read(0).pixels.shape == (1, 6, 8)
    assert found.read(0).pixels[0, 0, 0] == 500
    assert found.names()[0] == "a;1.tif"


def test_a_manifest_is_at_home_where_its_folder_really_is(images: Path) -> None:
    (images / "in").mkdir()
    manifest(images / "in", "image,label", "../b.tif,dense")
    (images / "elsewhere").mkdir()
    try:
        (images / "elsewhere" / "link").symlink_to(images / "in", target_is_directory=True)
        # as git-annex keeps files: a link in place of each
        moved = images / "store.csv"
        (images / "in" / "images.csv").rename(moved)
        (images / "in" / "images.csv").symlink_to(moved)
    except OSError:
        pytest.skip("no links on this system")
    found = load_examples(images / "elsewhere" / "link" / "images.csv")
    assert found.read(0).pixels[0, 0, 0] == 100


def test_a_region_cuts_image_and_mask(images: Path) -> None:
    row = 'a.tif,dense,"1:4,2:7",mask.tif'
    crop = load_examples(manifest(images, "image,label,region,mask", row)).read(0)
    assert np.array_equal(crop.pixels[0], image()[1:4, 2:7])
    assert crop.mask is not None
    assert crop.mask.shape == (3, 5)
    assert np.argwhere(crop.mask)[0].tolist() == [0, 0]


@pytest.mark.parametrize("name", ["stack.tif", "stack.npy"])
def test_an_index_takes_a_page_of_a_stack(name: str, tmp_path: Path) -> None:
    stack = np.stack([image(i) for i in range(5)])
    if name.endswith("npy"):
        np.save(tmp_path / name, stack)
    else:
        tifffile.imwrite(tmp_path / name, stack, photometric="minisblack")
    lines = [f'{name},dense,{i},"0:6,1:7"' for i in (3, 0)]
    found = load_examples(manifest(tmp_path, "image,label,index,region", *lines))
    assert np.array_equal(found.read(0).pixels, image(3)[None, :, 1:7])
    assert np.array_equal(found.read(1).pixels, image(0)[None, :, 1:7])
    assert found.name_at(0) == f"{name} 0:6,1:7 3"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('stack.npy,5,"0:6,1:7"', "has 5 pages, and page 5 is asked for"),
        ('stack.npy,0,"0:7,1:7"', "region 0:7,1:7 reaches outside the image of 6 x 8 px"),
        ('a.tif,,"0:7,1:7"', "region 0:7,1:7 reaches outside"),
    ],
)
def test_pages_and_regions_that_are_not_there_are_refused(
    row: str, message: str, images: Path
) -> None:
    np.save(images / "stack.npy", np.stack([image(i) for i in range(5)]))
    found = load_examples(manifest(images, "image,index,region,label", f"{row},dense"))
    with pytest.raises(DataError, match=message):
        found.read(0)


@pytest.mark.parametrize(
    ("lines", "error", "message"),
    [
        (("image,class", "a.tif,x"), DataError, "has the columns image, class"),
        (("image,label",), DataError, "has no images"),
        (("image,label", "a.tif,x", "z.tif,x"), FileError, r"z\.tif in row 2"),
        (("image,label,mask", "a.tif,x,m.tif"), FileError, r"'mask' .* m\.tif in row 1"),
        (("image,label", "a.tif;z.tif,x"), FileError, r"z\.tif in row 1"),
        (
            ("image,label", "a.tif,x", "b.tif,x", "a.tif,y"),
            DataError,
            r"1 images twice, the first again in row 3: a\.tif",
        ),
        (("image,label", "a.tif,x", "./a.tif,x"), DataError, "1 images twice"),
        (("image,label,index", "a.tif,x,1", "a.tif,y,01"), DataError, "1 images twice"),
        (("image,label", "a.tif,x", ",y"), DataError, "row 2 names no image"),
        (("image,label,index", "a.tif,x,one"), DataError, "row 1 has the index 'one'"),
        (
            ("image,label", "a.tif,Dense", "b.tif,dense"),
            DataError,
            r"images\.csv: .* capitals alone",
        ),
        (("image,region,label", "a.tif,1-4,x"), DataError, r"images\.csv: row 1: region '1-4'"),
        (("image,region,label", 'a.tif,"4:1,0:2",x'), DataError, "row 1: region .* is empty"),
    ],
)
def test_manifests_that_cannot_be_used_say_why(
    lines: tuple[str, ...], error: type[Exception], message: str, images: Path
) -> None:
    with pytest.raises(error, match=message):
        load_examples(manifest(images, *lines))


def test_a_page_is_another_image_than_its_neighbor(tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", np.zeros((2, 6, 8)))
    found = load_examples(manifest(tmp_path, "image,label,index", "s.npy,a,0", "s.npy,b,1"))
    assert len(found) == 2


def test_some_of_the_examples_keep_their_files(images: Path) -> None:
    found = load_examples(manifest(images, "image,label", "a.tif,x", "b.tif,y", "c.png,"))
    some = found.take(np.array([2, 0]))
    assert some.codes(("x", "y")).tolist() == [-1, 0]
    assert np.array_equal(some.read(1).pixels, image()[None])


# detections ----------------------------------------------------------------------------------


def test_a_detection_folder_gives_each_colony_with_its_mask(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for well in ("B3", "B4"):
        field = rng.normal(1000, 4, (320, 320))
        for y, x in ((40, 40), (180, 150)):
            field[y : y + 100, x : x + 90] += rng.normal(0, 150, (100, 90))
        tifffile.imwrite(tmp_path / "images" / f"{well}.tif", field.astype(np.uint16))
    detect_files([tmp_path / "images"], tmp_path / "out")
    found = load_examples(tmp_path / "out")
    assert found.detected
    assert found.groups().tolist() == ["B3", "B3", "B4", "B4"]
    assert found.codes(CLASSES).tolist() == [-1] * 4  # nobody has voted yet
    for index in range(4):
        crop, cut = found.read(index), read_crop(found.table.iloc[index], tmp_path / "out")
        assert np.array_equal(crop.pixels, cut.pixels)
        assert crop.mask is not None
        assert np.array_equal(crop.mask, cut.mask)
        assert crop.mask.sum() == found.table["area_px"].iloc[index]
    assert found.name_at(3) == "B4_f000_c002"


# data sets -----------------------------------------------------------------------------------


def test_mlcp_has_the_issues_three_classes_and_their_counts(
    data_set: Callable[[str], Path],
) -> None:
    data_set("mlcp")
    found = load_examples("mlcp")
    count = np.bincount(found.codes(found.classes))
    # G1, S, G2 merged; prophase; metaphase, anaphase, telophase merged: 2700, 607, 115 tiles, of
    # which six show a cell that another tile shows
    assert dict(zip(found.classes, count.tolist(), strict=True)) == {
        "interphase": 2700,
        "prophase": 606,
        "M-A-T": 110,
    }
    assert found.read(0).pixels.shape[0] == 1


def test_darkfield_is_a_second_plane_and_seven_phases_are_seven_classes(
    data_set: Callable[[str], Path],
) -> None:
    data_set("mlcp")
    two = load_examples("mlcp-7+darkfield")
    one = load_examples("mlcp")
    assert len(two.classes) == 7
    assert two.read(5).pixels.shape[0] == 2
    assert np.array_equal(two.read(5).pixels[:1], one.read(5).pixels)
