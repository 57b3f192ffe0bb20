"""Each fault that was put into a set of pairs is found, named, and told what to do about."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy import ndimage

from unstained.errors import FileError
from unstained.images import Pairs, load_pairs, pairs_from_manifest
from unstained.images.check import _Wrong, check_pairs, mosaic
from unstained.images.correct import write_corrected
from unstained.images.duplicates import correlation, near_twins, thumbnail
from unstained.images.fields import Region
from unstained.images.findings import CheckReport, CheckSettings, Problem
from unstained.images.image import as_image
from unstained.images.ome_zarr_writer import write_ome_zarr
from unstained.images.register import move

SIZE = 192


def scene(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Label-free image and stain of one field, 16-bit."""
    rng = np.random.default_rng(seed)
    body = np.zeros((SIZE, SIZE))
    y, x = np.mgrid[:SIZE, :SIZE]
    for _ in range(25):
        cy, cx, r = *rng.uniform(0, SIZE, 2), rng.uniform(5, 10)
        body = np.maximum(body, ((y - cy) ** 2 + (x - cx) ** 2 < r**2) * rng.uniform(0.5, 1))
    stain = 200 + 1000 * ndimage.gaussian_filter(body, 1.2) + rng.normal(0, 15, body.shape)
    edges = ndimage.gaussian_filter(body, 4) - ndimage.gaussian_filter(body, 1)
    phase = 20000 + 9000 * edges + rng.normal(0, 250, body.shape)
    return phase.astype(np.uint16), stain.astype(np.uint16)


class Set:
    """Pairs in a folder, to be spoiled file by file."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder, self.rows = folder, []
        for i in range(count):
            phase, stain = scene(i)
            self.write(f"p{i}.png", phase)
            self.write(f"s{i}.png", stain)
            self.rows.append([f"p{i}.png", f"s{i}.png", "CD90", f"g{i}"])

    def write(self, name: str, pixels: np.ndarray) -> None:
        if name.endswith(".npy"):
            np.save(self.folder / name, pixels)
        else:
            cv2.imwrite(str(self.folder / name), pixels)

    def read(self, name: str) -> np.ndarray:
        return cv2.imread(str(self.folder / name), cv2.IMREAD_UNCHANGED)

    @property
    def manifest(self) -> Path:
        lines = ["phase,stain,marker,group", *(",".join(row) for row in self.rows)]
        path = self.folder / "pairs.csv"
        path.write_text("\n".join(lines) + "\n")
        return path

    @property
    def pairs(self) -> Pairs:
        return pairs_from_manifest(self.manifest)

    def check(self) -> CheckReport:
        return check_pairs(self.pairs)


@pytest.fixture
def make(tmp_path: Path) -> Callable[[int], Set]:
    return lambda count: Set(tmp_path, count)


def found(report: CheckReport, kind: str) -> list[Problem]:
    return [problem for problem in report.problems if problem.kind == kind]


def test_sound_pairs_are_usable_and_measured(make: Callable[[int], Set]) -> None:
    report = make(2).check()
    assert report.ok
    assert [p.kind for p in report.problems] == ["few fields"]
    assert report.verdict() == "Usable: nothing is wrong that this check can see."
    assert report.counts == {"rows": 2, "fields": 2, "groups": 2, "fields_of": {"CD90": 2}}
    assert len(report.table) == 2
    assert report.table["offset_sure"].all()
    assert np.hypot(report.table["offset_y_px"], report.table["offset_x_px"]).max() < 1
    assert report.table["background"].to_list() == pytest.approx([200, 200], abs=8)
    assert report.table["noise_sd"].to_list() == pytest.approx([15, 15], rel=0.1)


def test_a_stain_of_two_rows_is_reported_and_the_rest_looked_at(make: Callable[[int], Set]) -> None:
    spoiled = make(2)
    for name in ("p1.png", "s1.png"):
        spoiled.write(name, spoiled.read(name)[:2])
    report = spoiled.check()
    (problem,) = found(report, "size")
    assert (problem.severity, problem.where) == ("error", "s1.png")
    assert problem.found == "is 2 x 192 px, too small to be looked at"
    assert np.isfinite(report.table["noise_sd"]).tolist() == [True, False]


def test_a_shifted_stain_is_found_corrected_and_then_sound(make: Callable[[int], Set]) -> None:
    spoiled = make(2)
    spoiled.write("s1.png", move(spoiled.read("s1.png"), 6.5, -4.25))
    report = spoiled.check()
    (problem,) = found(report, "offset")
    assert problem.where == "s1.png"
    assert problem.severity == "error"
    assert "down" in problem.found
    assert "left" in problem.found
    row = report.table.set_index("stain").loc["s1.png"]
    assert (row["offset_y_px"], row["offset_x_px"]) == pytest.approx((6.5, -4.25), abs=0.4)

    target = spoiled.folder / "corrected"
    corrected = write_corrected(spoiled.pairs, report, target)
    assert len(corrected) == 2  # nothing is dropped
    sound, moved = corrected.fields()
    assert sound.region is None
    assert sound.stains["CD90"] == str(spoiled.folder / "s0.png")  # left where it was
    # rows from ceil(-6.5) < 0 to floor(192 - 6.5), columns from ceil(4.25) to 192
    assert moved.region == Region(0, 185, 5, 192)
    truth = scene(1)[1][moved.region.slices].astype(float)
    assert moved.read_stain("CD90").dtype == np.uint16
    assert correlation(moved.read_stain("CD90"), truth) > 0.99
    assert not found(check_pairs(corrected), "offset")
    assert sorted(p.name for p in target.iterdir()) == ["manifest.csv", "stains"]
    with pytest.raises(FileError, match="exists already"):
        write_corrected(spoiled.pairs, report, target)


def test_a_stain_of_another_field_gives_an_unknown_offset_not_a_shift(
    make: Callable[[int], Set],
) -> None:
    spoiled = make(1)
    spoiled.write("s0.png", scene(77)[1])
    report = spoiled.check()
    assert found(report, "offset unknown")
    assert not found(report, "offset")
    assert not report.table["offset_sure"].any()


SPOIL: dict[str, tuple[Callable[[Set], None], str, str]] = {
    "constant stain": (
        lambda s: s.write("s0.png", np.full((SIZE, SIZE), 7, np.uint16)),
        "constant",
        "CD90 is constant (7)",
    ),
    "constant phase": (
        lambda s: s.write("p0.png", np.full((SIZE, SIZE), 9, np.uint16)),
        "constant",
        "the image is constant (9)",
    ),
    "copy": (lambda s: s.write("s0.png", s.read("p0.png")), "copy", "CD90 is a copy of its label"),
    "inverted copy": (
        lambda s: s.write("s0.png", 65535 - s.read("p0.png")),
        "copy",
        "CD90 is a copy of its label",
    ),
    "shape": (
        lambda s: s.write("s0.png", s.read("s0.png")[::2, ::2]),
        "shape",
        "is 96 x 96 px, p0.png is 192 x 192 px; one is 2 times larger",
    ),
    "saturated": (
        lambda s: s.write("s0.png", np.where(s.read("s0.png") > 300, 65535, 200).astype(np.uint16)),
        "saturation",
        "of the CD90 image is saturated",
    ),
    "0 bytes": (lambda s: (s.folder / "s0.png").write_bytes(b""), "unreadable", "0 bytes"),
    "no image": (lambda s: (s.folder / "s0.png").write_text("hello"), "unreadable", ""),
}


@pytest.mark.parametrize("fault", SPOIL)
def test_a_fault_is_an_error_with_file_and_remedy_and_the_rest_is_still_seen(
    make: Callable[[int], Set], fault: str
) -> None:
    spoil, kind, text = SPOIL[fault]
    spoiled = make(2)
    spoil(spoiled)
    report = spoiled.check()
    (problem,) = found(report, kind)
    assert problem.severity == "error"
    assert problem.where in ("p0.png", "s0.png")
    assert text in problem.found
    assert problem.remedy
    assert not report.ok
    assert report.verdict().startswith("Not usable as it is: 1 error (")
    assert len(report.table) == 2
    assert report.table["offset_sure"].to_list()[1]


def test_nan_is_found_and_counted(make: Callable[[int], Set]) -> None:
    spoiled = make(1)
    pixels = spoiled.read("s0.png").astype(np.float32)
    pixels[3, :5] = np.nan
    spoiled.write("s0.npy", pixels)
    spoiled.rows[0][1] = "s0.npy"
    (problem,) = found(spoiled.check(), "nan")
    assert (problem.where, problem.found) == ("s0.npy", "5 pixels are NaN or infinite")


def test_an_empty_and_a_noisy_stain_are_told_apart(make: Callable[[int], Set]) -> None:
    spoiled = make(2)
    rng = np.random.default_rng(0)
    spoiled.write("s0.png", rng.normal(200, 15, (SIZE, SIZE)).astype(np.uint16))
    pixels = scene(1)[1] + rng.normal(3000, 500, (SIZE, SIZE))
    spoiled.write("s1.png", pixels.astype(np.uint16))
    report = spoiled.check()
    assert [p.where for p in found(report, "empty")] == ["s0.png"]
    (noisy,) = found(report, "noise")
    assert noisy.where == "s1.png"
    signal = scene(1)[1].astype(float).var()
    ceiling = np.sqrt(signal / (signal + 500**2))
    assert report.table.set_index("stain").loc["s1.png", "c_max"] == pytest.approx(
        ceiling, abs=0.06
    )
    assert report.ok  # warnings, not errors


def test_pixel_sizes_that_disagree_are_an_error(make: Callable[[int], Set]) -> None:
    from unstained.images import as_image
    from unstained.images.write import write_ome_tiff

    spoiled = make(1)
    for name, size in (("p0", 0.65), ("s0", 0.325)):
        image = as_image(spoiled.read(f"{name}.png"), "YX", pixel_size_um=size)
        write_ome_tiff(image, spoiled.folder / f"{name}.ome.tif")
    spoiled.rows[0][:2] = ["p0.ome.tif", "s0.ome.tif"]
    (problem,) = found(spoiled.check(), "scale")
    assert problem.found == "pixel sizes: p0.ome.tif 0.65 um, s0.ome.tif 0.325 um"


def test_a_field_that_occurs_in_two_groups_is_an_error(make: Callable[[int], Set]) -> None:
    spoiled = make(3)
    spoiled.write("p2.png", spoiled.read("p0.png"))
    (problem,) = found(spoiled.check(), "duplicate")
    assert (problem.severity, problem.where) == ("error", "p0 and p2")
    assert problem.found == "the same label-free image, in groups g0 and g2"
    spoiled.rows[2][3] = "g0"
    (problem,) = found(spoiled.check(), "duplicate")
    assert problem.severity == "warning"  # within a group no score is flattered


def test_a_field_that_was_imaged_twice_is_found_through_its_noise(
    make: Callable[[int], Set],
) -> None:
    spoiled = make(3)
    noise = np.random.default_rng(9).normal(0, 250, (SIZE, SIZE))
    spoiled.write("p2.png", (spoiled.read("p0.png") + noise).astype(np.uint16))
    (problem,) = found(spoiled.check(), "near duplicate")
    assert problem.where == "p0 and p2"
    assert "but for noise" in problem.found


def test_a_blurred_field_stands_out_among_eight(make: Callable[[int], Set]) -> None:
    spoiled = make(8)
    blurred = ndimage.gaussian_filter(spoiled.read("s5.png").astype(float), 6)
    noise = np.random.default_rng(2).normal(0, 15, blurred.shape)
    spoiled.write("s5.png", (blurred + noise).astype(np.uint16))
    assert [p.where for p in found(spoiled.check(), "focus")] == ["s5.png"]


def test_a_predicted_stain_is_no_stain_to_learn_from(make: Callable[[int], Set]) -> None:
    pairs = make(3)
    stain = as_image(pairs.read("s1.png"), "YX", channels=["CD90"])
    made = replace(stain, about={"predicted_by": ["1a2b"]})
    write_ome_zarr(made, pairs.folder / "s1.ome.zarr")
    write_ome_zarr(stain, pairs.folder / "s2.ome.zarr")
    pairs.rows[1][1], pairs.rows[2][1] = "s1.ome.zarr", "s2.ome.zarr"
    for settings in (CheckSettings(), CheckSettings(small_px=2 * SIZE)):  # alone, or all together
        (problem,) = found(check_pairs(pairs.pairs, settings), "predicted")
        assert (problem.severity, problem.where) == ("error", "s1.ome.zarr")


def test_one_group_is_a_warning(make: Callable[[int], Set]) -> None:
    alone = make(2)
    for row in alone.rows:
        row[3] = "donor 1"
    report = alone.check()
    assert found(report, "one group")[0].severity == "warning"
    assert report.ok
    assert report.verdict().startswith("Usable, with 1 warning (one group)")


def test_a_leaking_split_is_an_error(make: Callable[[int], Set]) -> None:
    leaking = make(3)
    pairs = leaking.pairs
    table = pairs.table.assign(group=["a", "a", "b"], split=["train", "test", "train"])
    (problem,) = found(check_pairs(Pairs(table, pairs.root)), "split")
    assert "a in test and train" in problem.found


@pytest.mark.parametrize(
    ("split", "severity", "words"),
    [
        (["train", "", "test"], "error", "1 of 3 rows have no split"),
        (["test", "test", "test"], "warning", "no row is of the split train"),
    ],
)
def test_a_split_that_training_would_refuse_is_told(
    make: Callable[[int], Set], split: list[str], severity: str, words: str
) -> None:
    (problem,) = found(check_pairs(make(3).pairs.with_split(split)), "split")
    assert (problem.severity, problem.found) == (severity, words)


def test_an_image_of_other_planes_than_the_others_is_an_error(make: Callable[[int], Set]) -> None:
    mixed = make(3)
    mixed.write("p1.npy", np.stack([scene(1)[0]] * 3))
    mixed.rows[1][0] = "p1.npy"
    (problem,) = found(mixed.check(), "planes")
    assert problem.where == "p1.npy"
    assert "has 3 label-free planes, most images 1" in problem.found


def test_a_region_and_labels_that_do_not_fit_are_told_and_the_rest_is_seen(
    make: Callable[[int], Set],
) -> None:
    some = make(3)
    some.write("labels.png", np.zeros((10, 10), np.uint16))
    (some.folder / "broken.tif").write_bytes(b"II*")
    table = some.pairs.table.assign(region=["", f"0:{SIZE + 1},0:{SIZE}", ""])
    table["labels"] = [
        str(some.folder / name) for name in ("broken.tif", "labels.png", "labels.png")
    ]
    report = check_pairs(Pairs(table, some.folder))
    (region,), (labels,) = found(report, "region"), found(report, "shape")
    assert "reaches outside the image of 192 x 192 px" in region.found
    assert "labels are 10 x 10 px, the image 192 x 192" in labels.found
    assert found(report, "unreadable")[0].where == "broken.tif"
    assert len(report.table) == 3


@pytest.mark.parametrize("small_px", [100, 300])  # registered one by one, and together
def test_a_region_outside_is_told_whatever_the_size(
    make: Callable[[int], Set], small_px: int
) -> None:
    some = make(2)
    table = some.pairs.table.assign(region=["", f"0:{SIZE + 1},0:{SIZE}"])
    pairs = Pairs(table, some.folder)
    assert len(found(check_pairs(pairs, CheckSettings(small_px=small_px)), "region")) == 1


def test_the_report_is_json_without_nan(make: Callable[[int], Set]) -> None:
    spoiled = make(1)
    spoiled.write("s0.png", np.full((SIZE, SIZE), 7, np.uint16))
    report = json.loads(spoiled.check().to_json())
    assert report["usable"] is False
    assert report["pairs"][0]["snr_var"] is None
    assert report["pairs"][0]["stain"] == "s0.png"
    assert str(spoiled.folder) not in json.dumps(report)
    assert {p["kind"] for p in report["problems"]} >= {"constant"}


def test_single_cells_of_a_montage_share_one_offset_and_padding_is_not_looked_at(
    tmp_path: Path,
) -> None:
    phase, stain = scene(4)
    stain = move(stain, 4.0, 0.0)
    stain[160:] = 65535  # padding
    cv2.imwrite(str(tmp_path / "p.png"), phase)
    cv2.imwrite(str(tmp_path / "s.png"), stain)
    lines = [
        f'p.png,s.png,DNA,day 1,"{y}:{y + 40},{x}:{x + 40}",{y}-{x}'
        for y in range(0, 160, 40)
        for x in range(0, 160, 40)
    ]
    path = tmp_path / "m.csv"
    path.write_text("\n".join(["phase,stain,marker,group,region,cell", *lines]) + "\n")
    report = check_pairs(pairs_from_manifest(path))
    assert len(report.table) == 1
    assert report.table["saturation"].iloc[0] == 0
    (problem,) = found(report, "offset")
    assert problem.where == "DNA, all of group day 1"
    assert report.table["offset_y_px"].iloc[0] == pytest.approx(4.0, abs=0.6)


def test_a_mosaic_holds_the_cells_alone() -> None:
    planes = np.arange(36).reshape(1, 6, 6)
    cells = [Region(y, y + 2, x, x + 2) for y in (0, 4) for x in (0, 4)]
    assert mosaic(planes, cells)[0].tolist() == [
        [0, 1, 4, 5],
        [6, 7, 10, 11],
        [24, 25, 28, 29],
        [30, 31, 34, 35],
    ]
    assert mosaic(planes, []) is planes


def test_thumbnails_of_one_field_are_alike_and_of_others_not() -> None:
    images = [scene(i)[0] for i in range(4)]
    images.append(images[1] + np.random.default_rng(0).normal(0, 250, images[1].shape))
    thumbnails = np.stack([thumbnail(image) for image in images])
    assert near_twins(thumbnails) == [(1, 4)]
    assert not thumbnail(np.full((50, 50), 3.0)).any()
    assert thumbnail(np.eye(20)).shape == (1024,)  # smaller than a thumbnail


def test_limits_are_settings(make: Callable[[int], Set]) -> None:
    report = check_pairs(make(2).pairs, CheckSettings(few_fields=1))
    assert report.problems == ()


def test_the_real_field_is_usable_and_a_shift_put_in_by_hand_is_found(
    data_set: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = data_set("isl")
    middle = np.s_[256:896, 128:768]
    phase, dapi = (
        cv2.imread(str(folder / name), cv2.IMREAD_UNCHANGED)
        for name in ("phase_z06.png", "dapi.png")
    )
    for name, image in (("phase", phase), ("dapi", dapi), ("moved", move(dapi, 7.5, -5.25))):
        cv2.imwrite(str(tmp_path / f"{name}.png"), image[middle])
    head = "phase,stain,marker,group\n"
    (tmp_path / "m.csv").write_text(head + "phase.png,dapi.png,DAPI,isl\n")
    (tmp_path / "n.csv").write_text(head + "phase.png,moved.png,DAPI,isl\n")
    sound = check_pairs(load_pairs(str(tmp_path / "m.csv")))
    moved = check_pairs(load_pairs(str(tmp_path / "n.csv")))
    assert sound.ok
    assert not found(sound, "offset")
    assert found(moved, "offset")
    shift = moved.table.loc[0, ["offset_y_px", "offset_x_px"]].to_numpy(float)
    shift -= sound.table.loc[0, ["offset_y_px", "offset_x_px"]].to_numpy(float)
    assert shift.tolist() == pytest.approx([7.5, -5.25], abs=0.3)


def test_a_finding_that_ends_the_look_at_a_pair_reads_as_one_line() -> None:
    wrong = _Wrong("nan", "3 pixels are NaN or infinite", "repair it", "a.tif")
    assert str(wrong) == "a.tif: 3 pixels are NaN or infinite; repair it"
    assert wrong.kind == "nan"
