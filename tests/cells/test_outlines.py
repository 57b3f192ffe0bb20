import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
from roifile import ROI_SUBTYPE, ROI_TYPE, ImagejRoi
from skimage.draw import polygon2mask

from unstained.cells.measure_files import measure_segmentation
from unstained.cells.outline_files import read_outlines, write_geojson, write_imagej
from unstained.cells.outline_folder import export_outlines, segmentation_from_outlines
from unstained.cells.outlines import Outline, fill_outlines, polygon_area, trace_outlines
from unstained.cells.painted import check_painted
from unstained.cells.segmentation_folder import read_segmentation
from unstained.cells.segmentation_sources import SourceOptions
from unstained.cli.cells_outline import export, outline
from unstained.datasets import fetch
from unstained.errors import DataError, FileError, InputError, NetworkError
from unstained.images import read_labels, write_ome_tiff, write_ome_zarr
from unstained.images.image import Channel, Image


def box(y0, x0, y1, x1, name="1", frame=None):
    return Outline(name, (np.array([(y0, x0), (y0, x1), (y1, x1), (y1, x0)], float),), frame)


def some_labels():
    """Three cells: one with a hole, one in two pieces, one of a pixel."""
    labels = np.zeros((40, 50), np.int32)
    labels[3:20, 4:25] = 2
    labels[8:12, 9:14] = 0
    labels[25:30, 30:44] = labels[33:38, 6:20] = 5
    labels[30, 44] = 5  # touches its piece at a corner
    labels[0, 49] = 11
    return labels


def save_roi(path, **attributes):
    roi = ImagejRoi.frompoints(np.array([(2, 3), (12, 3), (12, 8), (2, 8)]), name="cell")
    for name, value in attributes.items():
        setattr(roi, name, value)
    roi.tofile(path)
    return path


def image_file(path, frames=1, size=(40, 50)):
    pixels = np.zeros((frames, 1, 1, *size), np.uint8)
    write_ome_tiff(Image(pixels, (Channel("phase"),), frame_interval_s=60.0), path)
    return path


# Area --------------------------------------------------------------------------------------


def test_the_area_of_a_polygon_counts_the_edge_that_closes_it_wherever_it_lies():
    triangle = np.array([(0.0, 0.0), (0.0, 6.0), (4.0, 6.0)])  # 6 x 4 / 2
    assert polygon_area(triangle) == 12
    # without the closing edge the sum would change with the origin
    for shift in ((100.0, -7.0), (1e6, 1e6)):
        assert polygon_area(triangle + shift) == pytest.approx(12)
    for start in range(3):
        assert polygon_area(np.roll(triangle, start, axis=0)) == 12
    assert polygon_area(triangle[::-1]) == 12
    assert polygon_area(np.concatenate([triangle, triangle[:1]])) == 12


def test_the_area_of_a_traced_outline_is_the_number_of_pixels():
    labels = some_labels()
    by_name = {outline.name: outline for outline in trace_outlines(labels)}
    assert polygon_area(by_name["11"].rings[0]) == 1
    outer, hole = by_name["2"].rings
    assert polygon_area(outer) - polygon_area(hole) == (labels == 2).sum() == 17 * 21 - 4 * 5


# Filling -----------------------------------------------------------------------------------


def test_a_pixel_is_inside_where_its_center_is():
    # centers at 0.5, 1.5 ...: rows 1 and 2, columns 2 to 4
    labels = fill_outlines([box(0.6, 1.6, 2.6, 4.9)], (5, 7)).labels
    assert np.argwhere(labels).tolist() == [[y, x] for y in (1, 2) for x in (2, 3, 4)]


def test_outlines_that_share_an_edge_through_pixel_centers_share_no_pixel():
    filled = fill_outlines([box(0.5, 0.5, 3.5, 2.5), box(0.5, 2.5, 3.5, 4.5, "2")], (5, 6))
    assert filled.overlap_px == 0
    assert filled.labels[1].tolist() == [1, 1, 2, 2, 0, 0]


def test_polygons_are_filled_as_scikit_image_does():
    rng = np.random.default_rng(1)
    for _ in range(20):
        points = rng.uniform(-5, 45, (9, 2))  # crosses itself, reaches out
        ours = fill_outlines([Outline("1", (points,))], (40, 42)).labels
        theirs = polygon2mask((40, 42), points - 0.5)  # they count from the pixel's center
        assert np.array_equal(ours == 1, theirs)


def test_where_outlines_overlap_the_smallest_gets_the_pixels_in_any_order():
    large, small = box(0, 0, 10, 10, "7"), box(2, 2, 4, 5, "3")
    for order in ([large, small], [small, large]):
        filled = fill_outlines(order, (12, 12))
        assert (filled.labels == 3).sum() == 6
        assert (filled.labels == 7).sum() == 94
        assert filled.overlap_px == 6


def test_outlines_without_a_pixel_and_beyond_the_edge_are_named():
    tiny, wide = box(3.1, 3.1, 3.3, 3.3, "tiny"), box(6, 6, 9, 19, "wide")
    filled = fill_outlines([tiny, wide], (10, 10))
    assert filled.empty == ("tiny",)
    assert filled.clipped == ("wide",)
    assert (filled.labels > 0).sum() == 3 * 4


def test_an_outline_outside_the_image_is_refused():
    with pytest.raises(DataError, match=r"'9' at y 2 to 5, x 30 to 40 lies outside .* 20 x 30"):
        fill_outlines([box(2, 30, 5, 40, "9")], (20, 30))


def test_names_that_are_no_different_numbers_give_labels_in_their_order():
    boxes = [box(0, 0, 2, 2, "0012-0034"), box(4, 4, 6, 6, "5")]
    assert np.unique(fill_outlines(boxes, (8, 8)).labels).tolist() == [0, 1, 2]
    twice = [box(0, 0, 2, 2, "5"), box(4, 4, 6, 6, "5")]
    assert np.unique(fill_outlines(twice, (8, 8)).labels).tolist() == [0, 1, 2]


# Files -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("write", "name"), [(write_imagej, "o.zip"), (write_geojson, "o.geojson")])
def test_labels_come_back_from_a_file_with_holes_pieces_and_numbers(tmp_path, write, name):
    labels = some_labels()
    path = write(trace_outlines(labels), tmp_path / name)
    back = read_outlines(path)
    assert [outline.name for outline in back] == ["2", "5", "11"]
    assert np.array_equal(fill_outlines(back, labels.shape).labels, labels)


@pytest.mark.parametrize(("write", "name"), [(write_imagej, "o.zip"), (write_geojson, "o.geojson")])
def test_sub_pixel_points_and_frames_come_back_from_a_file(tmp_path, write, name):
    outline = box(1.25, 2.5, 7.75, 9.125, "4", frame=6)
    (back,) = read_outlines(write([outline], tmp_path / name))
    assert back.frame == 6
    (ring,), (given,) = back.rings, outline.rings
    assert {tuple(point) for point in ring} == {tuple(point) for point in given}
    assert fill_outlines([back], (10, 10)).labels.max() == 4


def test_geojson_has_closed_rings_with_x_first_and_holes_inside_their_piece(tmp_path):
    path = write_geojson(trace_outlines(some_labels()), tmp_path / "o.geojson")
    with_hole, pieces, pixel = json.loads(path.read_text(encoding="utf-8"))["features"]
    assert with_hole["geometry"]["type"] == "Polygon"
    outer, hole = with_hole["geometry"]["coordinates"]
    assert outer[0] == outer[-1] == [4.0, 3.0]
    assert hole[0] == hole[-1]
    assert pieces["geometry"]["type"] == "MultiPolygon"
    assert len(pieces["geometry"]["coordinates"]) == 2
    assert pixel["properties"]["name"] == "11"


def test_the_roi_manager_finds_polygons_and_composites(tmp_path):
    path = write_imagej(trace_outlines(some_labels(), frame=2), tmp_path / "o.zip")
    rois = ImagejRoi.fromfile(path)
    assert [roi.name for roi in rois] == ["2", "5", "11"]
    assert [roi.composite for roi in rois] == [True, True, False]
    assert {roi.position for roi in rois} == {3}
    assert zipfile.ZipFile(path).namelist()[0] == "t0003-2.roi"


@pytest.mark.parametrize(
    ("kind", "pixels"), [(ROI_TYPE.RECT, 50), (ROI_TYPE.OVAL, 40), (ROI_TYPE.TRACED, 50)]
)
def test_rectangle_oval_and_traced_rois_are_read(tmp_path, kind, pixels):
    # 10 x 5 px; the oval has 10 x 5 x pi / 4 = 39.3
    path = save_roi(tmp_path / "cell.roi", roitype=kind, right=12, bottom=8)
    (outline,) = read_outlines(path)
    assert outline.name == "cell"
    assert (fill_outlines([outline], (12, 14)).labels > 0).sum() == pytest.approx(pixels, abs=2)


@pytest.mark.parametrize("kind", ["LINE", "POLYLINE", "FREELINE", "ANGLE", "POINT"])
def test_a_roi_without_an_area_is_refused_by_name_and_type(tmp_path, kind):
    path = save_roi(tmp_path / "axis.roi", roitype=ROI_TYPE[kind])
    with pytest.raises(DataError, match=f"'axis' is of type {kind.lower()}"):
        read_outlines(path)


def test_a_text_is_refused(tmp_path):
    path = save_roi(tmp_path / "note.roi", roitype=ROI_TYPE.RECT, subtype=ROI_SUBTYPE.TEXT)
    with pytest.raises(DataError, match="'note' is of type text"):
        read_outlines(path)


def test_what_is_no_file_of_outlines_is_refused(tmp_path):
    for name, content, words in (
        ("a.roi", b"not a roi" * 20, "not an ImageJ ROI"),
        ("a.zip", b"PK no zip", "no zip of ImageJ ROIs"),
        ("a.geojson", b"{", "no JSON"),
        ("b.geojson", b'{"type": "Topology"}', "entry 1 is no Feature"),
        ("a.txt", b"1 2", "holds no outlines"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FileError, match=words):
            read_outlines(tmp_path / name)
    with pytest.raises(FileError, match="does not exist"):
        read_outlines(tmp_path / "none.zip")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    with pytest.raises(DataError, match="has no outline"):
        read_outlines(tmp_path / "empty.zip")


@pytest.mark.parametrize(
    ("geometry", "words"),
    [
        ({"type": "LineString", "coordinates": [[0, 0], [5, 5]]}, "'c1' is a LineString"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [5, 5], [0, 0]]]}, "'c1' encloses no area"),
        ({"type": "Polygon", "coordinates": [[[0, "a"], [5, 5]]]}, "'c1' has coordinates"),
        (None, "'c1' is a None"),
    ],
)
def test_a_geojson_object_that_is_no_cell_is_refused_by_name(tmp_path, geometry, words):
    feature = {"type": "Feature", "geometry": geometry, "properties": {"name": "c1"}}
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    with pytest.raises(DataError, match=words):
        read_outlines(path)


# Real outlines -----------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "cells"), [("set18", 52), ("set22", 43)])
def test_published_outlines_fill_the_published_labels(name, cells):
    try:
        folder = fetch("usiigaci") / "train" / name
    except NetworkError as error:
        pytest.skip(str(error))
    outlines = read_outlines(folder / "outlines_roi.zip")
    truth = read_labels(folder / "instances.png")
    assert len(outlines) == cells == len(np.unique(truth)) - 1
    ours = fill_outlines(outlines, truth.shape)
    assert (ours.empty, ours.clipped) == ((), ())
    overlaps = []
    for number in range(1, cells + 1):
        counts = np.bincount(ours.labels[truth == number], minlength=cells + 1)
        best = int(counts[1:].argmax()) + 1
        union = ((ours.labels == best) | (truth == number)).sum()
        overlaps.append(counts[best] / union)
    assert min(overlaps) > 0.95
    assert np.mean(overlaps) > 0.985
    # the publisher took ImageJ's pixel corners for centers: half a pixel on, all are his
    moved = [Outline(o.name, tuple(ring + 0.5 for ring in o.rings)) for o in outlines]
    assert np.array_equal(fill_outlines(moved, truth.shape).labels > 0, truth > 0)


# Folders -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["imagej", "geojson"])
def test_a_movie_exported_and_brought_back_has_the_same_labels(tmp_path, kind):
    movie = image_file(tmp_path / "m.ome.tif", frames=3)
    frames = [some_labels(), np.roll(some_labels(), (1, -2), (0, 1)), np.zeros((40, 50), int)]
    drawn = [o for t, labels in enumerate(frames) for o in trace_outlines(labels, t)]
    rois = write_imagej(drawn, tmp_path / "m.zip")
    first = segmentation_from_outlines([movie], [rois], tmp_path / "one", SourceOptions(0.5))
    assert first.cells == {"m": (3, 3, 0)}
    files = export_outlines(tmp_path / "one", tmp_path / "out", kind).files
    segmentation_from_outlines([movie], files, tmp_path / "two")
    (one,), (two,) = read_segmentation(tmp_path / "one"), read_segmentation(tmp_path / "two")
    assert one.pixel_size_um == 0.5
    assert Path(one.image_path) == movie
    for t, labels in enumerate(frames):
        assert np.array_equal(one.labels(t), labels)
        assert np.array_equal(two.labels(t), labels)


def test_files_of_outlines_find_their_images_by_name_not_by_order(tmp_path):
    images = [image_file(tmp_path / f"well{n}.ome.tif") for n in (1, 10)]
    few = write_imagej([box(1, 1, 5, 5)], tmp_path / "well1.zip")
    many = write_geojson([box(1, 1, 5, 5), box(7, 7, 9, 9, "2")], tmp_path / "well10_me.geojson")
    drawn = segmentation_from_outlines(images, [many, few], tmp_path / "out")
    assert drawn.cells == {"well1": (1,), "well10": (2,)}


def test_a_file_of_outlines_beside_the_only_image_of_a_folder_belongs_to_it(tmp_path):
    files = []
    for n in (1, 2):
        (tmp_path / f"set{n}").mkdir()
        image_file(tmp_path / f"set{n}" / "raw.ome.tif")
        boxes = [box(9 * i, 1, 9 * i + 5, 5, str(i + 1)) for i in range(n)]
        files.append(write_imagej(boxes, tmp_path / f"set{n}" / "outlines_roi.zip"))
    images = [tmp_path / f"set{n}" / "raw.ome.tif" for n in (1, 2)]
    drawn = segmentation_from_outlines(images, files[::-1], tmp_path / "out")
    assert list(drawn.cells.values()) == [(1,), (2,)]


def test_an_image_of_labels_is_taken_as_it_is(tmp_path):
    image = image_file(tmp_path / "a.ome.tif")
    np.save(tmp_path / "a_labels.npy", some_labels())
    segmentation_from_outlines([image], [tmp_path / "a_labels.npy"], tmp_path / "out")
    (entry,) = read_segmentation(tmp_path / "out")
    assert np.array_equal(entry.labels(), some_labels())


def test_a_stack_of_labels_gives_the_frames_of_a_movie(tmp_path):
    movie = image_file(tmp_path / "m.ome.tif", frames=2)
    stack = np.stack([some_labels(), 2 * some_labels()]).astype(np.uint16)
    tifffile.imwrite(tmp_path / "m_labels.tif", stack)
    drawn = segmentation_from_outlines([movie], [tmp_path / "m_labels.tif"], tmp_path / "out")
    assert drawn.cells == {"m": (3, 3)}
    (entry,) = read_segmentation(tmp_path / "out")
    assert np.array_equal(entry.labels(1), stack[1])


def test_overlaps_and_outlines_without_a_pixel_are_noted(tmp_path):
    image = image_file(tmp_path / "a.ome.tif")
    boxes = [box(0, 0, 9, 9), box(2, 2, 5, 5, "2"), box(20.1, 20.1, 20.2, 20.2, "3")]
    rois = write_geojson(boxes, tmp_path / "a.geojson")
    drawn = segmentation_from_outlines([image], [rois], tmp_path / "out")
    assert drawn.notes == (
        "a: 9 px lie in several outlines; the smallest got them",
        "a: no pixel is left for 3",
    )


def test_outlines_of_a_movie_that_name_no_frame_or_a_wrong_one_are_refused(tmp_path):
    movie = image_file(tmp_path / "m.ome.tif", frames=2)
    for frame, words in ((None, "is of no frame"), (5, "is of frame 5, and m has 2")):
        rois = write_imagej([box(1, 1, 5, 5, frame=frame)], tmp_path / "m.zip")
        with pytest.raises(DataError, match=words):
            segmentation_from_outlines([movie], [rois], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_labels_that_lie_inside_their_image_are_its_own(tmp_path):
    stores = {1: tmp_path / "a.ome.zarr", 2: tmp_path / "b.ome.zarr"}
    for cells, store in stores.items():  # one cell in a, two in b
        labels = np.zeros((1, 1, 1, 32, 40), np.int32)
        for k in range(cells):
            labels[..., 4:10, 4 + 12 * k : 10 + 12 * k] = 1 + k
        image = Image(np.zeros(labels.shape, np.uint8), (Channel("phase"),))
        write_ome_zarr(image, store, labels={"cells": labels})
    inside = [stores[n] / "labels" / "cells" for n in (2, 1)]
    segmentation_from_outlines(list(stores.values()), inside, tmp_path / "out")
    found = {
        entry.image: list(entry.cells_per_frame) for entry in read_segmentation(tmp_path / "out")
    }
    assert found == {"a": [1], "b": [2]}


def test_nuclei_that_are_given_are_measured_with_their_cells(tmp_path):
    # a cell of 10 x 10 px of 0.5 um with a nucleus of 4 x 4 px, two frames
    labels, nuclei = np.zeros((2, 2, 1, 1, 40, 40), np.int32)
    labels[..., 8:18, 8:18] = 3
    nuclei[..., 10:14, 10:14] = 7
    image = Image(np.ones(labels.shape, np.uint8), (Channel("phase"),), pixel_size_um=0.5)
    store = tmp_path / "a.ome.zarr"
    write_ome_zarr(image, store, labels={"cells": labels, "nuclei": nuclei})
    inside = store / "labels"
    outline(
        [str(store)], [inside / "cells"], tmp_path / "seg", nuclei=[inside / "nuclei"], interval=60
    )
    (entry,) = read_segmentation(tmp_path / "seg")
    assert np.array_equal(entry.nuclei(1), nuclei[1, 0, 0])
    cells = measure_segmentation(tmp_path / "seg").cells
    # 16 px of 0.25 um2; 16 / 100
    assert cells[:, "nucleus_area_um2"].X[:, 0] == pytest.approx([4, 4])
    assert cells[:, "nucleus_to_cell_ratio"].X[:, 0] == pytest.approx([0.16, 0.16])


def test_nuclei_for_one_of_two_images_are_refused(tmp_path):
    images = [image_file(tmp_path / f"well{n}.ome.tif") for n in (1, 2)]
    rois = [write_imagej([box(1, 1, 5, 5)], tmp_path / f"well{n}.zip") for n in (1, 2)]
    with pytest.raises(InputError, match="2 images and 1 files of nuclei"):
        segmentation_from_outlines(images, rois, tmp_path / "out", nuclei=rois[:1])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_phase_image_is_no_image_of_labels(tmp_path, dtype):
    image = image_file(tmp_path / "a.ome.tif")
    grey = np.random.default_rng(0).normal(120, 20, (40, 50)).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", grey)
    with pytest.raises(DataError, match=r"a\.tif: frame 0 has \d+ labels.* looks like grey values"):
        segmentation_from_outlines([image], [tmp_path / "a.tif"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_hundred_dots_are_no_cells_but_a_hundred_crowded_squares_are(tmp_path):
    dots = np.zeros((40, 40), np.int32)
    dots[::4, ::4] = np.arange(1, 101).reshape(10, 10)
    with pytest.raises(DataError, match="100 of them of one or two pixels"):
        check_painted(dots, "dots.tif")
    # of 4 neighbors to the right, 3 are in the same square of 4 x 4 px
    check_painted(np.kron(np.arange(1, 101).reshape(10, 10), np.ones((4, 4), int)), "squares.tif")


def test_images_and_outlines_that_do_not_match_are_refused(tmp_path):
    images = [image_file(tmp_path / f"well{n}.ome.tif") for n in (1, 2)]
    rois = [write_imagej([box(1, 1, 5, 5)], tmp_path / f"{n}.zip") for n in ("a", "b")]
    with pytest.raises(InputError, match="0 files of outlines fit the image well1"):
        segmentation_from_outlines(images, rois, tmp_path / "out")
    with pytest.raises(InputError, match="2 images and 1 files"):
        segmentation_from_outlines(images, rois[:1], tmp_path / "out")
    with pytest.raises(InputError, match="format 'svg'"):
        export_outlines(tmp_path, tmp_path / "out", "svg")


def test_the_commands_say_what_they_made(tmp_path, capsys):
    image = image_file(tmp_path / "a.ome.tif")
    rois = write_imagej(trace_outlines(some_labels()), tmp_path / "a.zip")
    outline([str(image)], [rois], tmp_path / "seg", pixel_size=0.5)
    assert capsys.readouterr().out.splitlines() == [
        "a: 3 cells",
        f"segmentation: {tmp_path / 'seg'}",
    ]
    export(tmp_path / "seg", tmp_path / "out", kind="geojson")
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / "out" / "a.geojson")]


def test_an_image_without_a_cell_is_left_out_and_named(tmp_path):
    images = [image_file(tmp_path / f"{name}.ome.tif") for name in "ab"]
    for name, labels in (("a", some_labels()), ("b", np.zeros((40, 50), int))):
        np.save(tmp_path / f"{name}_labels.npy", labels)
    labels = [tmp_path / f"{name}_labels.npy" for name in "ab"]
    segmentation_from_outlines(images, labels, tmp_path / "seg")
    made = export_outlines(tmp_path / "seg", tmp_path / "out")
    assert made.files == (tmp_path / "out" / "a.zip",)
    assert made.notes == ("b has no cell, so no file of outlines",)
    segmentation_from_outlines(images[1:], labels[1:], tmp_path / "none")
    with pytest.raises(DataError, match="no image has a cell"):
        export_outlines(tmp_path / "none", tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_endings_that_say_what_a_file_shows_do_not_hinder_the_match(tmp_path):
    images = [image_file(tmp_path / f"field{n}_phase.ome.tif") for n in (1, 10)]
    labels = [tmp_path / f"field{n}_labels.npy" for n in (10, 1)]
    np.save(labels[0], some_labels())
    np.save(labels[1], np.minimum(some_labels(), 1))
    drawn = segmentation_from_outlines(images, labels, tmp_path / "out")
    assert drawn.cells == {"field1_phase": (1,), "field10_phase": (3,)}


def test_a_folder_stands_for_the_outlines_in_it(tmp_path):
    for name in ("images", "labels", "none"):
        (tmp_path / name).mkdir()
    for n in (1, 2):
        image_file(tmp_path / "images" / f"Set 0{n}.ome.tif")
    np.save(tmp_path / "labels" / "Set 01.npy", some_labels())
    write_imagej([box(1, 1, 5, 5)], tmp_path / "labels" / "Set 02.zip")
    (tmp_path / "labels" / "read me.txt").write_text("no outlines")
    images, labels = [tmp_path / "images"], [tmp_path / "labels"]
    drawn = segmentation_from_outlines(images, labels, tmp_path / "seg", nuclei=labels)
    assert drawn.cells == {"Set-01": (3,), "Set-02": (1,)}
    with pytest.raises(DataError, match="none: is a folder without outlines"):
        segmentation_from_outlines(images, [tmp_path / "none"], tmp_path / "out")


@pytest.mark.parametrize("kind", ["imagej", "geojson"])
def test_outlines_of_images_with_spaces_come_back_under_their_plain_names(tmp_path, kind):
    images = [image_file(tmp_path / f"{name}.ome.tif") for name in ("Set 03", "Feld A1 (kopie)")]
    drawn = [[box(1, 1, 5, 5)], [box(1, 1, 5, 5), box(7, 7, 9, 9, "2")]]
    files = [
        # one is named as its image, one as the folder spells it, with what was done to it
        write_imagej(drawn[0], tmp_path / "Set 03.zip"),
        write_imagej(drawn[1], tmp_path / "Feld-A1-kopie_mended.zip"),
    ]
    made = segmentation_from_outlines(images, files[::-1], tmp_path / "seg")
    assert made.cells == {"Set-03": (1,), "Feld-A1-kopie": (2,)}
    exported = export_outlines(tmp_path / "seg", tmp_path / "rois", kind).files
    back = segmentation_from_outlines(images, exported, tmp_path / "back")
    assert back.cells == made.cells


def test_a_folder_of_frames_is_exported_and_brought_back_as_one_movie(tmp_path):
    frames = tmp_path / "film"
    frames.mkdir()
    for t in range(2):
        tifffile.imwrite(frames / f"t{t}.tif", np.zeros((40, 50), np.uint8))
    drawn = [o for t in range(2) for o in trace_outlines(some_labels(), t)]
    rois = write_imagej(drawn, tmp_path / "f.zip")
    outline([str(frames)], [rois], tmp_path / "seg", movie=True)
    (entry,) = read_segmentation(tmp_path / "seg")
    assert (entry.image, entry.frames) == ("film", 2)


def test_a_number_does_not_match_a_longer_one(tmp_path):
    images = [image_file(tmp_path / f"well{n}.ome.tif") for n in (1, 2)]
    rois = [write_imagej([box(1, 1, 5, 5)], tmp_path / f"well{n}.zip") for n in (10, 2)]
    with pytest.raises(InputError, match="0 files of outlines fit the image well1"):
        segmentation_from_outlines(images, rois, tmp_path / "out")
