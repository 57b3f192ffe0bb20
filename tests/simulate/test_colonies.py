"""Simulated colonies: shares, rates and sizes as stated, truth that fits the pixels."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import typer
from scipy import linalg, ndimage
from typer.testing import CliRunner

from unstained.cli.simulate_colonies import colonies as colonies_command
from unstained.errors import FileError, InputError
from unstained.images import read_image, read_labels
from unstained.simulate.colony_fates import (
    CLASSES,
    COUNTS,
    EFFECT_ON,
    MIXTURES,
    STATES,
    Fate,
    default_rates,
    parse_rates,
    shares,
    simulate_fate,
    treated_rates,
)
from unstained.simulate.colony_shapes import (
    CLEARANCE_PX,
    draw_outline,
    outline_region,
    parted,
    place,
)
from unstained.simulate.colony_textures import Cells, draw_cells, matter
from unstained.simulate.colony_wells import (
    GROWTH,
    HALO_PX,
    MULTI_LABEL,
    OPTICS,
    ColonySettings,
    plan_well,
    render_frame,
)
from unstained.simulate.colony_writer import write_colonies
from unstained.simulate.optics import image_of
from unstained.simulate.streams import stream

HOURS = 200.0


@pytest.fixture(scope="module")
def fates() -> list[Fate]:
    return [simulate_fate(default_rates(), HOURS, stream(1, n)) for n in range(3000)]


@pytest.fixture(scope="module")
def treated_fates() -> list[Fate]:
    rates = treated_rates(default_rates(), 2.0)
    return [simulate_fate(rates, HOURS, stream(2, n)) for n in range(3000)]


def jumps_and_hours(fates: list[Fate]) -> tuple[np.ndarray, np.ndarray]:
    """Jumps from state to state and hours in each, until `HOURS`."""
    jumps, hours = np.zeros((6, 6)), np.zeros(6)
    for fate in fates:
        ends = np.minimum(fate.start_h[1:], HOURS)
        np.add.at(hours, fate.state, ends - fate.start_h[:-1])
        np.add.at(jumps, (fate.state[:-1], fate.state[1:]), 1)
    return jumps, hours


def test_shares_are_those_of_the_papers_counts() -> None:
    # 3587 debris, 3934 dense, 656 differentiated, 10506 spread: 18683 unmixed, 2659 mixed
    unmixed = shares()[:4] / shares()[:4].sum()
    assert CLASSES == ("debris", "dense", "differentiated", "spread")
    assert unmixed == pytest.approx([0.19, 0.21, 0.03, 0.56], abs=0.006)
    assert shares()[4:].sum() == pytest.approx(2659 / 21342)
    assert sum(COUNTS.values()) == 21342


@pytest.mark.parametrize("hour", [0.0, 48.0, 200.0])
def test_the_fractions_stay_those_of_the_paper(fates: list[Fate], hour: float) -> None:
    found = np.array([sum(fate.at(hour) == state for fate in fates) for state in STATES])
    expected = len(fates) * shares()
    # Pearson's chi2 of 5 degrees of freedom is below 20.5 but once in 1000 times
    assert ((found - expected) ** 2 / expected).sum() < 20.5


def test_simulated_jumps_have_the_given_rates(fates: list[Fate]) -> None:
    jumps, hours = jumps_and_hours(fates)
    rates = default_rates()
    assert np.array_equal(jumps > 0, rates > 0)
    # jumps of a rate over so many hours are Poisson numbers
    expected = rates * hours[:, None]
    z = ((jumps - expected) / np.sqrt(np.where(rates > 0, expected, 1)))[rates > 0]
    assert np.abs(z).max() < 3.5
    assert (expected[rates > 0] > 100).all()  # so that the errors are below 10 %


def test_states_a_day_later_follow_the_matrix_exponential() -> None:
    rates = default_rates()
    generator_matrix = rates - np.diag(rates.sum(axis=1))
    expected = 2000 * linalg.expm(24 * generator_matrix)[STATES.index("dense")]
    fates = [simulate_fate(rates, 24, stream(3, n), first="dense") for n in range(2000)]
    found = np.array([sum(fate.at(24) == state for fate in fates) for state in STATES])
    z = (found - expected) / np.sqrt(expected * (1 - expected / 2000))
    assert np.abs(z).max() < 3.5


def test_the_treatment_doubles_the_rates_it_acts_on_and_no_other(
    fates: list[Fate], treated_fates: list[Fate]
) -> None:
    (jumps, hours), (jumps_2, hours_2) = map(jumps_and_hours, (fates, treated_fates))
    acted = np.zeros((6, 6), bool)
    for a, b in EFFECT_ON:
        acted[STATES.index(a), STATES.index(b)] = True
    for i, j in np.argwhere(default_rates() > 0):
        log_ratio = np.log(jumps_2[i, j] / hours_2[i] * hours[i] / jumps[i, j])
        error = np.sqrt(1 / jumps_2[i, j] + 1 / jumps[i, j])
        assert log_ratio == pytest.approx(np.log(2) * acted[i, j], abs=3.5 * error)


def test_a_longer_life_begins_like_a_shorter_one() -> None:
    short, long = (simulate_fate(default_rates(), h, stream(4, 0)) for h in (10, 2000))
    n = short.state.size
    assert long.state.size > n
    assert np.array_equal(long.state[:n], short.state)
    assert np.array_equal(long.start_h[: n + 1], short.start_h)
    assert long.state[n] == short.next_state


def test_a_mixed_colony_turns_from_what_it_was_into_what_it_becomes() -> None:
    dense, mixed, spread = (STATES.index(s) for s in ("dense", "partly spread", "spread"))
    forth = Fate(np.array([0.0, 4.0, 8.0, 9.0]), np.array([dense, mixed, spread]), spread)
    assert [forth.at(h) for h in (3.9, 4.0, 8.0)] == ["dense", "partly spread", "spread"]
    # a quarter after 0 of 4 hours, three quarters after 4 of 4
    assert [forth.progress(h) for h in (4.0, 6.0, 7.0)] == pytest.approx([0.25, 0.5, 0.625])
    back = Fate(np.array([0.0, 4.0, 8.0]), np.array([dense, mixed]), dense)
    assert back.progress(6.0) == pytest.approx(0.25)


def boxes(region: np.ndarray) -> tuple[int, int]:
    rows, columns = np.nonzero(region)
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    return min(height, width), max(height, width)


@pytest.mark.parametrize("class_", CLASSES)
def test_sizes_stay_in_the_papers_range_however_small_or_large(class_: str) -> None:
    for n in range(12):
        outline = draw_outline(stream(5, n), 700)
        for side_px in (1.0, outline.side_px, 5000.0):
            points = outline.points(class_, side_px)
            short, long = boxes(outline_region(points, (660, 660), (1321, 1321)))
            assert 55 <= short <= 771
            assert 85 <= long <= 1298


def test_sizes_are_drawn_around_200_px() -> None:
    sides = [draw_outline(stream(6, n), 770).side_px for n in range(600)]
    # log-normal of median 200 and sd 0.5; cut at 68 and 770, 2.2 and 2.7 sd away, which moves
    # the median by less than 2 %; its error is 1.25 * 0.5 / sqrt(600) = 0.026 of 200
    assert np.median(sides) == pytest.approx(200, rel=0.1)
    assert np.log(sides).std() == pytest.approx(0.5, rel=0.15)


def test_the_parts_of_a_mosaic_are_one_piece_each_and_touch() -> None:
    for n in range(24):
        outline = draw_outline(stream(7, n), 400)
        region = outline_region(outline.points("spread", 150 + 10 * n), (300, 300), (600, 600))
        share = 0.25 + 0.5 * n / 23
        second = parted(region, share, 0.7 * n, 0.3 * n)
        first = region & ~second
        assert not (second & ~region).any()
        assert ndimage.label(first)[1] == ndimage.label(second)[1] == 1
        assert (ndimage.binary_dilation(first) & second).sum() > 20
        assert second.sum() / region.sum() == pytest.approx(share, abs=0.06)


@pytest.mark.parametrize("angle_rad", [np.pi / 2, -np.pi / 2])
def test_a_horseshoe_whose_ends_the_border_cuts_off_has_two_parts_all_the_same(
    angle_rad: float,
) -> None:
    region = np.zeros((120, 120), bool)
    region[10:110, 10:40] = region[10:100, 80:110] = True  # two legs
    region[10:40, 10:110] = True  # and what joins them
    share = 0.3 if angle_rad > 0 else 0.7  # either way the border crosses the legs
    second = parted(region, share, angle_rad, 0.0)
    assert ndimage.label(second)[1] == ndimage.label(region & ~second)[1] == 1


def test_colonies_keep_their_distance() -> None:
    size = 1400
    outlines = [draw_outline(stream(8, n), 300) for n in range(10)]
    reaches = [[o.points(c, o.side_px) for c in CLASSES] for o in outlines]
    centers = place(reaches, size, stream(8, 99))
    regions = [
        np.any([outline_region(points, center, (size, size)) for points in reach], axis=0)
        for reach, center in zip(reaches, centers, strict=True)
    ]
    assert np.sum(regions, axis=0).max() == 1
    for i, region in enumerate(regions):
        others = np.any(regions[:i] + regions[i + 1 :], axis=0)
        assert ndimage.distance_transform_edt(~others)[region].min() >= CLEARANCE_PX


def contrast_of(class_: str, n: int, side_px: float = 170.0) -> tuple[np.ndarray, ...]:
    """Region, delay and image of a colony of one class."""
    outline = draw_outline(stream(9, n), 400)
    shape = (360, 360)
    region = outline_region(outline.points(class_, side_px), (180, 180), shape)
    cells = draw_cells(class_, 180, stream(9, n, 1, CLASSES.index(class_)))
    object_ = matter(class_, region, (180, 180), cells, 0.0)
    image = image_of(object_.path_rad, OPTICS, absorption=object_.absorption)
    return region, object_.path_rad, image


@pytest.mark.parametrize("class_", CLASSES)
def test_the_mask_holds_all_of_a_colony_and_little_else(class_: str) -> None:
    region, path_rad, image = contrast_of(class_, 0)
    assert not path_rad[~region].any()
    # what is visible, closed over gaps of 20 px, fills the mask
    visible = ndimage.distance_transform_edt(np.abs(path_rad) < 0.05) < 10
    assert (visible & region).sum() > 0.9 * region.sum()
    away = ndimage.distance_transform_edt(~region) > HALO_PX
    assert np.abs(image[away] - 1).max() < 0.05
    assert image[region].std() > 0.15


def features(class_: str, n: int) -> list[float]:
    region, _, image = contrast_of(class_, n)
    inner = ndimage.binary_erosion(region, iterations=8)
    values = image[inner]
    fine = (image - ndimage.gaussian_filter(image, 2))[inner]
    return [values.std(), fine.std() / values.std(), (values < 0.55).mean(), (values > 1.8).mean()]


def test_four_local_features_tell_the_classes_apart() -> None:
    x = np.array([[features(class_, n) for n in range(8)] for class_ in CLASSES])
    x = (x - x.mean(axis=(0, 1))) / x.std(axis=(0, 1))
    centroids = x[:, :4].mean(axis=1)  # learned on four colonies of each class
    distance = ((x[:, 4:, None] - centroids) ** 2).sum(axis=-1)  # told on the other four
    right = distance.argmin(axis=-1) == np.arange(4)[:, None]
    assert right.mean() >= 15 / 16


def test_textures_are_as_the_paper_describes_them() -> None:
    region, _, dense = contrast_of("dense", 1)
    depth = ndimage.distance_transform_edt(region)
    rim = ndimage.distance_transform_edt(~region)
    # a bright smooth rim: the halo just outside is bright all around
    assert np.percentile(dense[(rim > 0.5) & (rim < 3)], 10) > 1.2
    inside, _, spread = contrast_of("spread", 1)
    # uniform: blurred over a few cells, dense is flatter than spread
    blurred = {k: ndimage.gaussian_filter(v, 12) for k, v in (("d", dense), ("s", spread))}
    deep = ndimage.distance_transform_edt(inside) > 30
    assert blurred["d"][depth > 30].std() < 0.5 * blurred["s"][deep].std()
    # fine-grained: the image decorrelates over a shorter way
    assert correlation(dense, depth > 20, 4) < correlation(spread, deep, 4) - 0.2
    # dark bodies: brighter than half the background is less than elsewhere
    darkest = {c: np.percentile(contrast_of(c, 1)[2][contrast_of(c, 1)[0]], 10) for c in CLASSES}
    assert darkest["differentiated"] < min(darkest["dense"], darkest["spread"])
    # bright-rimmed bubbles: the brightest of all
    brightest = {c: np.percentile(contrast_of(c, 1)[2][contrast_of(c, 1)[0]], 95) for c in CLASSES}
    assert brightest["debris"] > 1.5 * max(v for c, v in brightest.items() if c != "debris")


def correlation(image: np.ndarray, inside: np.ndarray, shift_px: int) -> float:
    both = inside[:, shift_px:] & inside[:, :-shift_px]
    return float(np.corrcoef(image[:, shift_px:][both], image[:, :-shift_px][both])[0, 1])


def test_colonies_of_a_class_differ_in_height_packing_and_focus() -> None:
    well = plan_well(ColonySettings(wells=1, colonies=40, size=3600), 0)
    looks = np.array([colony.look for colony in well.colonies])
    looks[:, :2] = np.log(looks[:, :2])
    # the error of a standard deviation from 40 values is 1 / sqrt(80) = 11 % of it
    assert looks.std(axis=0) == pytest.approx([0.15, 0.1, 4.0], rel=0.35)
    tight, loose = (draw_cells("dense", 200, stream(11, 0), packing=p) for p in (0.8, 1.25))
    # cells per area go as 1 / spacing^2: (1.25 / 0.8)^2 = 2.44
    assert len(tight.yx) / len(loose.yx) == pytest.approx(2.44, rel=0.1)


def test_variation_is_a_factor_on_how_colonies_differ() -> None:
    def looks(variation: float) -> np.ndarray:
        settings = ColonySettings(wells=1, colonies=40, size=3600, variation=variation)
        of_colonies = np.array([colony.look for colony in plan_well(settings, 0).colonies])
        of_colonies[:, :2] = np.log(of_colonies[:, :2])
        return of_colonies

    assert looks(3.0) == pytest.approx(3 * looks(1.0))
    assert (looks(0.0) == 0).all()


def test_cells_swing_about_their_places_and_do_not_jump() -> None:
    cells: Cells = draw_cells("spread", 200, stream(10, 0))
    steps = np.array([np.hypot(*(cells.at(h + 1) - cells.at(h)).T) for h in range(10)])
    assert 0.1 < steps.mean() < 3  # pixels in an hour; a cell is 25 px wide
    assert np.abs(cells.at(500.0) - cells.yx).max() <= 0.12 * 25 + 1e-9


SETTINGS = ColonySettings(wells=3, frames=3, size=800, colonies=3, seed=12, frame_interval_h=2.0)


def test_a_frame_alone_is_that_frame_of_the_whole() -> None:
    well = plan_well(SETTINGS, 1)
    frames = [render_frame(SETTINGS, well, t) for t in range(3)]
    longer = replace(SETTINGS, frames=9, wells=7)
    alone = render_frame(longer, plan_well(longer, 1), 2)
    assert np.array_equal(alone.image, frames[2].image)
    assert np.array_equal(alone.labels, frames[2].labels)
    assert alone.colonies == frames[2].colonies
    assert not np.array_equal(frames[1].image, frames[2].image)
    other = replace(SETTINGS, seed=13)
    assert not np.array_equal(render_frame(other, plan_well(other, 1), 2).image, alone.image)


def test_truth_fits_the_masks_and_colonies_keep_their_numbers_and_grow() -> None:
    well = plan_well(SETTINGS, 0)
    first, last = (render_frame(SETTINGS, well, t) for t in (0, 2))
    for state in last.colonies:
        inside = last.labels == state.colony
        y0, x0, y1, x1 = state.box
        assert inside[y0:y1, x0:x1].sum() == inside.sum()
        assert inside[y0].any()
        assert inside[:, x1 - 1].any()
        assert state.area_um2 == pytest.approx(inside.sum() * 0.64)  # 0.8 um squared
        center = ndimage.center_of_mass(inside)
        assert state.centroid_um == pytest.approx([(c + 0.5) * 0.8 for c in center])
        before = first.labels == state.colony
        assert (before & inside).sum() > 0.7 * before.sum()
        kinds = {CLASSES[k - 1] for k in np.unique(last.classes[inside])}
        assert kinds == set(MIXTURES.get(state.state, (state.state,)))
        assert state.class_ == (MULTI_LABEL if state.state in MIXTURES else state.state)
    assert np.array_equal(last.labels > 0, last.classes > 0)


def test_a_colony_that_stays_what_it_is_grows_towards_a_limit() -> None:
    settings = ColonySettings(
        wells=1, frames=3, size=640, colonies=1, frame_interval_h=48.0,
        rates_per_h=((0.0,) * 6,) * 6, seed=2,
    )  # fmt: skip
    well = plan_well(settings, 0)
    areas = [render_frame(settings, well, t).colonies[0].area_um2 for t in range(3)]
    # sides grow as 1.3 - 0.3 exp(-t / 36 h): after 48 h by 1.221, after 96 h by 1.279
    assert np.sqrt(areas[1] / areas[0]) == pytest.approx(1.221, rel=0.02)
    assert np.sqrt(areas[2] / areas[0]) == pytest.approx(1.279, rel=0.02)
    assert GROWTH == 1.3


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_colonies(tmp_path_factory.mktemp("colonies") / "a", SETTINGS, crops=True)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_two_workers_write_the_same_bytes(written: Path, tmp_path: Path) -> None:
    other = write_colonies(tmp_path / "b", SETTINGS, crops=True, workers=2)
    names = sorted(p.relative_to(written) for p in written.rglob("*") if p.is_file())
    assert names == sorted(p.relative_to(other) for p in other.rglob("*") if p.is_file())
    assert len(names) == 3 * 9 + 3 * 27 + 4  # frames, crops of 27 colonies, three tables, truth
    assert all((written / name).read_bytes() == (other / name).read_bytes() for name in names)


def test_the_tables_say_what_the_images_show(written: Path) -> None:
    rows = rows_of(written / "colonies.csv")
    assert len(rows) == 27
    for row in rows[::5]:
        stem = f"well{int(row['well']):02}_frame{int(row['frame']):03}"
        labels = tifffile.imread(written / "wells" / f"{stem}_labels.tif")
        inside = labels == int(row["colony"])
        assert float(row["area_um2"]) == pytest.approx(inside.sum() * 0.64, abs=0.01)
    image = read_image(written / "wells" / "well00_frame000.tif")
    assert image.pixel_size_um == pytest.approx(0.8)
    truth = json.loads((written / "truth.json").read_text())
    control, treated = truth["rates_per_h"]["control"], truth["rates_per_h"]["treated"]
    assert np.allclose(parse_rates(control), default_rates())
    assert treated["dense"]["partly spread"] == pytest.approx(2 * control["dense"]["partly spread"])
    assert truth["treated_wells"] == [1]
    assert {r["well"] for r in rows if r["treatment"] == "treated"} == {"1"}
    began = [r for r in rows_of(written / "transitions.csv") if r["time_h"] == "0.000000"]
    assert len(began) == 9  # each colony's first state


def test_crops_are_the_colonies_and_no_well_is_in_two_parts(written: Path) -> None:
    rows = rows_of(written / "manifest.csv")
    assert len(rows) == 27
    parts = {(row["well"], row["split"]) for row in rows}
    assert len(parts) == 3
    assert {part for _, part in parts} == {"train", "validation", "test"}
    for row in rows:
        assert row["label"] in ("", row["truth"])
        assert row["label"] or row["split"] == "train"
    hidden = [row for row in rows if not row["label"]]
    train = [row for row in rows if row["split"] == "train"]
    assert 0 < len(hidden) < len(train)
    assert {row["label"] for row in train} - {""} == {row["truth"] for row in train}
    boxes_ = rows_of(written / "colonies.csv")
    for row, box in list(zip(rows, boxes_, strict=True))[::7]:
        y0, x0, y1, x1 = (int(box[k]) for k in ("y0", "x0", "y1", "x1"))
        stem = written / "wells" / f"well{int(row['well']):02}_frame{int(row['frame']):03}"
        inside = tifffile.imread(f"{stem}_labels.tif")[y0:y1, x0:x1] == int(row["colony"])
        crop = np.asarray(read_image(written / row["image"]).data[0, 0, 0])
        mask = read_labels(written / row["mask"])
        assert np.array_equal(crop, tifffile.imread(f"{stem}.tif")[y0:y1, x0:x1])
        assert np.array_equal(mask, 255 * inside)


def test_a_tenth_of_the_colonies_is_labelled_where_there_are_many() -> None:
    from unstained.simulate.colony_wells import ColonyState
    from unstained.simulate.colony_writer import _manifest

    settings = ColonySettings(wells=20, frames=1, size=640, colonies=10)
    states = [
        ColonyState(w, 0, c, 0.0, CLASSES[c % 4], CLASSES[c % 4], False, 1.0, (0, 0, 1, 1), (0, 0))
        for w in range(20)
        for c in range(1, 11)
    ]
    rows = _manifest(settings, states, 0.1)
    # 2 wells of test, 2 of validation, 16 of training with 160 colonies, 16 of them labelled
    assert sum(row["split"] == "train" for row in rows) == 160
    assert sum(row["split"] == "train" and row["label"] != "" for row in rows) == 16
    assert sum(row["split"] == "test" for row in rows) == 20


def test_the_treated_share_holds_and_spreads_over_the_wells() -> None:
    settings = ColonySettings(wells=12, treated=0.25)
    assert [n for n in range(12) if settings.is_treated(n)] == [3, 7, 11]
    assert not any(ColonySettings(treated=0).is_treated(n) for n in range(9))
    assert all(ColonySettings(treated=1).is_treated(n) for n in range(9))


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"wells": 0}, "wells is 0"),
        ({"frames": 0}, "frames is 0"),
        ({"size": 200}, "200 px"),
        ({"colonies": 0}, "colonies is 0"),
        ({"frame_interval_h": 0.0}, "frame_interval_h is 0.0"),
        # 6 frames of 1e300 h with less than 0.1 changes an hour
        ({"frame_interval_h": 1e300}, r"6 frames, 1e\+300 h apart: up to .*e\+299 changes"),
        ({"effect": 1e300}, "changes of each colony"),
        ({"treated": 1.5}, "1.5"),
        ({"effect": -1.0}, "-1.0"),
        ({"effect": float("nan")}, "nan"),
        ({"variation": 7.0}, "7.0"),
        ({"variation": float("nan")}, "nan"),
        ({"seed": -1}, "-1"),
        ({"rates_per_h": ((1.0,),)}, "shape"),
        ({"rates_per_h": ((0.0, -0.5, *[0.0] * 4), *[(0.0,) * 6] * 5)}, "-0.5"),
    ],
)
def test_impossible_settings_are_refused(wrong: dict, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        ColonySettings(**wrong)
    assert caught.value.remedy


def test_more_colonies_than_fit_are_refused_and_nothing_is_left(tmp_path: Path) -> None:
    settings = ColonySettings(wells=1, frames=1, size=640, colonies=60)
    with pytest.raises(InputError, match="60 colonies do not fit into a well of 640 px"):
        write_colonies(tmp_path / "out", settings)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    two = replace(SETTINGS, wells=2)
    for settings, options, reason in (
        (two, {"crops": True}, "crops of 2 wells"),
        (SETTINGS, {"whole": False}, "neither"),
        (SETTINGS, {"labelled": 1.1}, "1.1"),
        (SETTINGS, {"workers": 0}, "0 workers"),
    ):
        with pytest.raises(InputError, match=reason):
            write_colonies(tmp_path / "out", settings, **options)
    with pytest.raises(FileError, match="exists already"):
        write_colonies(tmp_path, SETTINGS)


@pytest.mark.parametrize(
    "named", [[], {"dense": 1}, {"dense": {"sparse": 1}}, {"dense": {"spread": "x"}}]
)
def test_rates_in_another_form_are_refused(named: object) -> None:
    with pytest.raises(InputError):
        parse_rates(named)


def test_the_command_writes_what_it_reports(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(colonies_command)
    rates = tmp_path / "rates.json"
    rates.write_text('{"spread": {"debris": 0.5}}')
    words = ["--out", tmp_path / "out", "--wells", 3, "--frames", 1, "--size", 512, "--number", 1]
    words += ["--crops-only", "--treated", 0, "--rates", rates]
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    assert "3 wells (0 treated) x 1 frames" in result.output
    assert len(rows_of(tmp_path / "out" / "manifest.csv")) == 3
    assert not (tmp_path / "out" / "wells").exists()
    truth = json.loads((tmp_path / "out" / "truth.json").read_text())
    assert truth["rates_per_h"]["control"]["spread"] == {"debris": 0.5}
    rates.write_text("{")
    for no_rates in (rates, tmp_path, tmp_path / "absent.json"):
        result = CliRunner().invoke(app, [str(word) for word in (*words[:-1], no_rates)])
        assert isinstance(result.exception, FileError)
