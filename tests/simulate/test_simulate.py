"""Simulated fields and pairs: repeatable, of the given cells, with a ceiling that holds."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from unstained.errors import FileError, InputError
from unstained.images.sources import pairs_from_manifest
from unstained.simulate import (
    DEFAULT_MARKERS,
    MARKERS,
    Camera,
    Dish,
    Marker,
    Optics,
    SimulatedField,
    image_of,
    simulate_field,
    write_pairs,
)
from unstained.simulate.cells import build_cell, crowd, outline_um, place_cells, polygon_area
from unstained.simulate.field import _levels, _spread, label_free
from unstained.simulate.stains import Stain, Wave, stain_of
from unstained.simulate.structures import render

MSC = ("CD105", "CD90", "CD73", "CD29", "CD146", "CD106", "STRO-1", "CD44")


@pytest.fixture(scope="module")
def field() -> SimulatedField:
    return simulate_field(256, seed=1)


def r(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def test_the_same_seed_gives_the_same_field_and_another_another(field: SimulatedField) -> None:
    again, other = simulate_field(256, seed=1), simulate_field(256, seed=2)
    assert np.array_equal(field.phase, again.phase)
    assert all(np.array_equal(field.stains[m], again.stains[m]) for m in DEFAULT_MARKERS)
    assert not np.array_equal(field.phase, other.phase)


def test_any_integer_is_a_seed() -> None:
    one, same = (simulate_field(64, markers=("BODY",), seed=s) for s in (3, np.int64(3)))
    assert np.array_equal(one.phase, same.phase)
    assert np.array_equal(one.stains["BODY"], same.stains["BODY"])


def test_workers_do_not_change_a_pixel() -> None:
    one = simulate_field(128, markers=MSC, seed=(4, 2))
    two = simulate_field(128, markers=MSC, seed=(4, 2), workers=2)
    assert np.array_equal(one.phase, two.phase)
    assert all(np.array_equal(one.stains[m], two.stains[m]) for m in MSC)


def test_a_marker_is_the_same_whichever_are_simulated_beside_it() -> None:
    alone = simulate_field(128, markers=("BODY",), seed=7)
    first = simulate_field(128, markers=("BODY", "CD44"), seed=7)
    assert np.array_equal(alone.stains["BODY"], first.stains["BODY"])
    assert np.array_equal(alone.phase, first.phase)


def test_images_are_16_bit_of_one_shape() -> None:
    made = simulate_field(96, markers=("DAPI", *MSC), seed=3)
    assert list(made.stains) == ["DAPI", *MSC]
    for image in (made.phase, *made.stains.values()):
        assert (image.dtype, image.shape) == (np.uint16, (96, 96))


@pytest.mark.parametrize("modality", ["brightfield", "dic"])
def test_other_modalities_image_the_same_cells(modality: str, field: SimulatedField) -> None:
    made = simulate_field(256, seed=1, optics=Optics(modality, defocus_um=5.0))
    assert np.array_equal(made.labels, field.labels)
    assert not np.array_equal(made.phase, field.phase)


def test_cells_are_brighter_than_background_in_every_stain(field: SimulatedField) -> None:
    for stain in field.stains.values():
        assert stain[field.labels > 0].mean() > 1.1 * stain[field.labels == 0].mean()


def test_an_empty_dish_is_even_but_for_noise() -> None:
    # 10000 photons: the noise is 1 %; no lamp, dust, debris or cell adds to it
    made = simulate_field(128, seed=0, density_per_mm2=0, dish=Dish(0.0, 0.0, 0.0, 0.0, 0.0))
    assert made.labels.max() == 0
    assert made.phase.mean() == pytest.approx(10_100, rel=1e-3)
    assert made.phase.std() == pytest.approx(100, rel=0.03)


# cells


def test_a_cell_has_its_volume_on_the_grid() -> None:
    rng = np.random.default_rng(0)
    for phenotype in ("spindle", "star", "flat"):
        cell = build_cell(1, phenotype, 90.0, 90.0, rng)
        made = render([cell], (280, 280), 0.65)
        volume = made.thickness_um.sum(dtype=float) * 0.65**2
        assert volume == pytest.approx(cell.volume_um3, rel=1e-3)


def test_the_label_has_the_outlines_area() -> None:
    cell = build_cell(5, "flat", 90.0, 95.0, np.random.default_rng(1))
    made = render([cell], (280, 280), 0.65)
    assert set(np.unique(made.labels)) == {0, 5}
    area = (made.labels == 5).sum() * 0.65**2
    assert area == pytest.approx(polygon_area(outline_um(cell)), rel=0.01)


def test_a_round_cell_is_a_ball_of_its_volume() -> None:
    # 4/3 pi r^3 = 1800 um3 is a radius of 7.55 um; the ball is 15.1 um thick and pi r^2 = 179 um2
    cell = build_cell(1, "spindle", 50.0, 50.0, np.random.default_rng(1))
    made = render([replace(cell, volume_um3=1800.0, roundness=1.0)], (160, 160), 0.65)
    assert made.thickness_um.max() == pytest.approx(15.1, rel=0.02)
    assert (made.labels > 0).sum() * 0.65**2 == pytest.approx(179, rel=0.05)


def test_a_round_cells_delay_is_imaged_above_the_dish_and_a_spread_ones_on_it() -> None:
    cell = build_cell(1, "spindle", 50.0, 50.0, np.random.default_rng(1))
    spread, ball = (render([replace(cell, roundness=x)], (160, 160), 0.65) for x in (0.0, 1.0))
    assert not spread.lifted_rad.any()
    assert spread.path_rad.max() > 0.5
    assert ball.lifted_rad.max() > 2
    # what its tips and granules add lies in the ball, too
    assert abs(ball.path_rad[ball.thickness_um > 1]).max() < 1e-4


def test_a_round_cell_is_imaged_7_um_beyond_the_focus() -> None:
    cell = build_cell(1, "spindle", 50.0, 50.0, np.random.default_rng(1))
    ball = render([replace(cell, roundness=1.0)], (160, 160), 0.65)
    dish = Dish(illumination=0, dust=0, debris_per_mm2=0, haze=0, floaters_per_mm2=0)
    bright = Camera(photons_per_unit=1e6, gain=0.01, offset=0.0, read_noise=0.0)
    taken = label_free(ball, Optics(), bright, dish, 1) / 1e4
    off = {
        z: abs(taken - image_of(ball.lifted_rad, Optics(), defocus_um=z)).mean()
        for z in (-7.0, 0.0, 7.0)  # its middle is above the dish, the objective below
    }
    assert off[-7.0] < 0.2 * min(off[0.0], off[7.0])


def test_flat_cells_delay_light_most_beside_the_nucleus() -> None:
    cell = build_cell(1, "flat", 90.0, 90.0, np.random.default_rng(3))
    made = render([cell], (277, 277), 0.65)
    per_um = made.path_rad / np.maximum(made.thickness_um, 0.1)
    near = (made.perinuclear_um > 0.5 * made.thickness_um) & (made.nuclei == 0)
    far = (made.perinuclear_um < 0.02 * made.thickness_um) & (made.thickness_um > 0.5)
    # index 0.044 against nearly 0.38 times that, of light of 0.55 um: 2 pi / 0.55 = 11.42
    assert np.median(per_um[near]) == pytest.approx(0.044 * 11.42, rel=0.1)
    assert np.median(per_um[far]) < 0.6 * np.median(per_um[near])


def test_a_cell_moved_by_whole_pixels_is_the_same_image_moved() -> None:
    cell = build_cell(1, "star", 80.0, 80.0, np.random.default_rng(2))
    there = replace(cell, y_um=cell.y_um + 10 * 0.5, x_um=cell.x_um - 6 * 0.5)
    before, after = (render([c], (320, 320), 0.5) for c in (cell, there))
    assert np.array_equal(np.roll(before.labels, (10, -6), (0, 1)), after.labels)
    shifted = np.roll(before.path_rad, (10, -6), (0, 1))
    assert abs(shifted - after.path_rad).max() < 1e-3


def test_a_cell_keeps_its_texture_and_granules_when_it_turns() -> None:
    cell = build_cell(1, "flat", 90.0, 90.0, np.random.default_rng(3))
    before = render([replace(cell, angle_rad=0.0)], (277, 277), 0.65)
    after = render([replace(cell, angle_rad=math.pi / 2)], (277, 277), 0.65)
    # the center is pixel 138 (90 / 0.65 - 0.5 = 137.96); from x towards y is clockwise on screen
    turned = np.rot90(before.path_rad, -1)
    assert r(turned, after.path_rad) > 0.98


def test_cells_that_spread_less_are_smaller_and_thicker() -> None:
    # lengths times 0.7, the area 0.49; volume 0.7^0.7 = exp(0.7 ln 0.7) = exp(-0.2497) = 0.7791:
    # the mean thickness is 0.7791 / 0.49 = 1.59 of what it was
    cells = crowd(40, (900.0, 900.0), 3, {"spindle": 0.5, "flat": 0.5})
    small = _spread(cells, 0.7)
    assert [b.volume_um3 for b in small] == pytest.approx(
        [0.7791 * a.volume_um3 for a in cells], rel=1e-4
    )
    areas = [sum(polygon_area(outline_um(c)) for c in group) for group in (small, cells)]
    assert areas[0] / areas[1] == pytest.approx(0.49, rel=0.03)


def test_nuclei_lie_inside_their_own_cells(field: SimulatedField) -> None:
    inside = field.nuclei > 0
    assert inside.any()
    assert np.array_equal(field.nuclei[inside], field.labels[inside])


def test_as_many_cells_are_placed_as_the_density_says() -> None:
    # 200 per mm2 on (400 + 2 * 60)^2 um2 = 0.2704 mm2: 54
    assert len(place_cells((400, 400), 200, 0)) == 54


def test_phenotypes_have_the_given_shares() -> None:
    # of 150 cells 60 % are stars: binomial with standard deviation sqrt(150 * 0.6 * 0.4) = 6
    cells = crowd(150, (1500.0, 1500.0), 1, {"star": 0.6, "spindle": 0.4})
    stars = sum(cell.phenotype == "star" for cell in cells)
    assert abs(stars - 90) < 3 * 6
    assert {cell.phenotype for cell in cells} == {"star", "spindle"}


def test_spindles_are_longer_for_their_area_than_flat_cells() -> None:
    rng = np.random.default_rng(0)

    def slenderness(phenotype: str) -> float:
        cell = build_cell(1, phenotype, 0.0, 0.0, rng)
        outline = outline_um(cell)
        length = np.hypot(*(outline[:, None] - outline[None]).transpose(2, 0, 1)).max()
        return float(length**2 / polygon_area(outline))

    mean = {p: np.mean([slenderness(p) for _ in range(20)]) for p in ("spindle", "star", "flat")}
    assert mean["spindle"] > 2 * mean["star"]
    assert mean["star"] > 1.2 * mean["flat"]


# stains


def light_of(marker: Marker, seed: int = 0, size: int = 300) -> Stain:
    """Photons of one marker over a field, without a camera."""
    cells = place_cells((size * 0.65, size * 0.65), 150, seed)
    made = render(cells, (size, size), 0.65)
    rng = np.random.default_rng(seed)
    z = rng.standard_normal(len(cells) + 1)
    levels = np.exp(marker.level_sd * z - marker.level_sd**2 / 2)
    return stain_of(marker, made, levels, np.ones(len(cells) + 1), rng, pixel_size_um=0.65)


def one_stain(marker: Marker) -> tuple[np.ndarray, np.ndarray]:
    made = simulate_field(256, markers={"M": marker})
    return made.stains["M"].astype(float), made.expected["M"].astype(float)


def test_the_ceiling_is_the_correlation_with_the_noise_free_expected_stain() -> None:
    made = simulate_field(256, markers=("DAPI", *MSC), seed=1)
    for marker, ceiling in made.ceiling.items():
        assert ceiling == pytest.approx(r(made.stains[marker], made.expected[marker]), abs=1e-4)
        assert 0.3 < ceiling < 0.999


def test_with_nothing_hidden_and_many_photons_the_ceiling_is_1() -> None:
    marker = Marker("membrane", photons=20_000, hidden=0.0, level_sd=0.0)
    stain, expected = one_stain(marker)
    assert r(stain, expected) > 0.9995
    # and the stain is the expected one: offset 100, gain 1, background 20
    assert stain.mean() == pytest.approx(expected.mean(), rel=1e-3)


@pytest.mark.parametrize("hidden", [{"hidden": 0.9}, {"level_sd": 0.9}, {"photons": 4.0}])
def test_each_thing_that_cannot_be_seen_lowers_the_ceiling(hidden: dict[str, float]) -> None:
    still = Marker("diffuse", hidden=0.0, level_sd=0.0, photons=2000)
    high = r(*one_stain(still))
    assert r(*one_stain(replace(still, **hidden))) < high - 0.05


def test_hidden_levels_have_mean_1_and_the_stated_spread() -> None:
    levels = _levels(Marker(level_sd=0.5), 100_000, np.random.default_rng(0))
    # a log-normal of mean 1: exp(0.25) - 1 = 0.284 is its variance; the mean's error is 0.0017
    assert levels.mean() == pytest.approx(1, abs=0.005)
    assert np.log(levels).std() == pytest.approx(0.5, rel=0.01)


def test_the_hidden_pattern_has_the_mean_that_is_expected_of_it() -> None:
    # 30 cells of 40 patches or so, each with a relative spread of sqrt(exp(1) - 1) = 1.3:
    # 1.3 / sqrt(1200) = 4 %
    marker = Marker("diffuse", background=0.0, hidden=1.0, level_sd=0.0)
    light = light_of(marker, 0, 400)
    assert light.photons.sum() / light.expected.sum() == pytest.approx(1, abs=3 * 0.04)
    assert r(light.photons, light.expected) < 0.9


def test_no_guess_from_the_structures_beats_the_ceiling_on_average() -> None:
    # the expected stain is the best function of the structures: bending it does not help
    gain = []
    for seed in range(4):
        made = simulate_field(256, markers=("BODY",), seed=seed)
        bent = (made.expected["BODY"] - 100.0) ** 1.3
        gain.append(r(made.stains["BODY"], bent) - made.ceiling["BODY"])
    assert np.mean(gain) < 0


def test_every_localization_lights_up_where_it_says() -> None:
    cell = build_cell(1, "flat", 60.0, 60.0, np.random.default_rng(4))
    made = render([cell], (185, 185), 0.65)
    ones = np.ones(2)

    def light(localization: str) -> np.ndarray:
        marker = Marker(localization, background=0.0, hidden=0.0)  # type: ignore[arg-type]
        rng = np.random.default_rng(0)
        return stain_of(marker, made, ones, ones, rng, pixel_size_um=0.65).photons

    nucleus = made.nuclei > 0
    cytoplasm = (made.labels > 0) & ~nucleus
    assert light("nuclear")[nucleus].mean() > 20 * light("nuclear")[cytoplasm].mean()
    near = cytoplasm & (made.perinuclear_um > np.quantile(made.perinuclear_um[cytoplasm], 0.8))
    assert light("perinuclear")[near].mean() > 2 * light("perinuclear")[nucleus].mean()
    assert r(light("diffuse"), made.thickness_um) > 0.97
    # two membranes lie over each point of a flat cell: nearly even, unlike its thickness
    even = light("membrane")[cytoplasm]
    thick = light("diffuse")[cytoplasm]
    assert even.std() / even.mean() < 0.6 * thick.std() / thick.mean()
    assert light("vesicles")[cytoplasm].max() > 5 * light("vesicles")[cytoplasm].mean()
    assert light("patches")[cytoplasm].std() > 2 * even.std()


def test_bleed_through_adds_its_share_of_the_other_stain() -> None:
    other = Marker("nuclear", hidden=0.0, level_sd=0.0, background=50.0, photons=1000)
    lone = Marker("diffuse", hidden=0.0, level_sd=0.0)
    leaky = replace(lone, bleed=(("O", 0.5),))
    plain = simulate_field(192, markers={"M": lone, "O": other}, seed=5)
    mixed = simulate_field(192, markers={"M": leaky, "O": other}, seed=5)
    # half of the dye's light, not of its channel's background of 50 and the offset of 100
    added = mixed.expected["M"] - plain.expected["M"]
    assert abs(added - 0.5 * (plain.expected["O"] - 150)).max() < 0.05


def test_speckles_and_film_add_their_mean() -> None:
    clean = Marker("nuclear", photons=1, hidden=0.0, level_sd=0.0)
    dirty = replace(clean, unspecific=10.0, speckles_per_mm2=400.0, speckle_photons=300.0)
    stains = [light_of(dirty, seed, 500) for seed in range(2)]
    # film 10; a speckle is a Gaussian of 0.8 um, 2 pi 0.64 um2 = 4.02 um2 wide, with 300 photons
    # at its peak: 400e-6 per um2 * 4.02 um2 * 300 = 0.483
    expected = stains[0].expected.mean()
    assert expected - light_of(clean, 0, 500).expected.mean() == pytest.approx(10.483, abs=0.01)
    assert np.mean([s.photons.mean() for s in stains]) == pytest.approx(expected, rel=0.05)


def test_elongation_is_visible_and_brightens_long_cells() -> None:
    cell = build_cell(1, "spindle", 60.0, 60.0, np.random.default_rng(4))
    made = render([cell], (185, 185), 0.65)
    marker = Marker("diffuse", background=0.0, elongation=0.5)
    light = [
        stain_of(
            marker, made, np.ones(2), np.array([1, e]), np.random.default_rng(0), pixel_size_um=0.65
        ).expected.sum()
        for e in (1.0, 4.0)
    ]
    assert light[1] / light[0] == pytest.approx(2, rel=1e-4)  # 4^0.5


def test_a_wave_has_its_period_along_the_cell() -> None:
    cell = build_cell(1, "spindle", 60.0, 60.0, np.random.default_rng(4))
    made = render([cell], (185, 185), 0.65)
    marker = Marker("diffuse", background=0.0, hidden=0.0)
    wave = Wave(0.5, 20.0, 0.25, np.array([0.0, 1.0]))
    rng = np.random.default_rng(0)
    flat, waved = (
        stain_of(marker, made, np.ones(2), np.ones(2), rng, pixel_size_um=0.65, wave=w).photons
        for w in (None, wave)
    )
    core = made.thickness_um > 2
    expected = 1 + 0.5 * np.cos(2 * np.pi * (made.along_um / 20 - 0.25) + 1)
    assert (waved / np.maximum(flat, 1e-9))[core] == pytest.approx(expected[core], abs=0.05)


# pairs


def test_written_pairs_are_read_back_with_their_split(tmp_path: Path) -> None:
    manifest = write_pairs(tmp_path / "pairs", fields=4, size=64, seed=5)
    pairs = pairs_from_manifest(manifest)
    assert pairs.markers == ("NUCLEUS", "BODY", "GRANULES")
    split = pairs.table.groupby("group")["split"].first().to_dict()
    assert split == {
        "field00": "train",
        "field01": "train",
        "field02": "validation",
        "field03": "test",
    }
    expected = simulate_field(64, seed=(5, 2))
    assert np.array_equal(pairs.fields()[2].read_phase(), expected.phase[None])
    assert np.array_equal(pairs.fields()[2].read_labels(), expected.labels)
    assert float(pairs.table["ceiling_r_s"][0]) == pytest.approx(
        simulate_field(64, seed=(5, 0)).ceiling["NUCLEUS"], abs=1e-4
    )


def test_many_fields_leave_a_sixth_for_validation_and_one_for_test(tmp_path: Path) -> None:
    pairs = pairs_from_manifest(
        write_pairs(tmp_path / "pairs", fields=7, size=64, markers=("BODY",))
    )
    assert pairs.table["split"].tolist() == ["train"] * 5 + ["validation", "test"]


def test_written_images_state_their_pixel_size(tmp_path: Path) -> None:
    folder = write_pairs(
        tmp_path / "pairs", fields=3, size=64, optics=Optics(pixel_size_um=0.5)
    ).parent
    with tifffile.TiffFile(folder / "field00_phase.tif") as file:
        over, under = file.pages.first.tags["XResolution"].value
    assert over / under == pytest.approx(10000 / 0.5, rel=1e-4)  # pixels per centimeter


def test_an_existing_folder_is_not_overwritten(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="exists"):
        write_pairs(tmp_path, fields=3, size=64)


# bad input


def test_two_fields_are_too_few_for_three_parts(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2 simulated fields"):
        write_pairs(tmp_path / "pairs", fields=2)


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["Phase"], "two images of a field would be named 'phase'; rename the marker 'Phase'"),
        (["labels"], "two images of a field would be named 'labels'"),
        (["CD1", "cd1"], "two images of a field would be named 'cd1'; rename the marker 'cd1'"),
        (["a/b"], "a marker 'a/b' is no part of a file's name; rename it"),
    ],
)
def test_marker_names_that_are_no_files_of_their_own_are_refused(
    names: list[str], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=reason):
        write_pairs(tmp_path / "pairs", size=64, markers={name: Marker() for name in names})
    assert not list(tmp_path.iterdir())


def test_a_folder_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match=r"x: its folder cannot be made: .*; choose"):
        write_pairs(tmp_path / "file" / "x", size=64)


def test_an_unknown_marker_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"CD999; there are NUCLEUS, BODY, GRANULES"):
        simulate_field(64, markers=("BODY", "CD999"))
    with pytest.raises(InputError, match="no simulated marker is named"):
        simulate_field(64, markers=())
    with pytest.raises(InputError, match="named 'phase'; give it another name"):
        simulate_field(64, markers={"phase": Marker()})


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"size": 63}, "63 px"),
        ({"density_per_mm2": -1.0}, "-1.0 cells per mm2"),
        ({"density_per_mm2": 3000.0}, "cells do not fit on 162 x 162 um"),
        ({"density_per_mm2": 1e13}, "cells do not fit on 162 x 162 um: the smallest would cover"),
        ({"shares": {"round": 1.0}}, "no phenotype round; there are spindle, star, flat"),
        ({"shares": {"star": -1.0}}, "shares"),
        ({"seed": -1}, "seed -1"),
        ({"seed": 1.5}, "seed 1.5; give whole numbers"),
        ({"optics": Optics(pixel_size_um=0.001)}, "pixels of 0.001 um in the sample; give 0.05"),
        ({"optics": Optics(pixel_size_um=1000.0)}, "pixels of 1000 um in the sample"),
        ({"workers": 0}, "0 workers; give at least 1"),
        ({"round_share": 1.5}, "round cells of 1.5"),
        ({"spread": 2.0}, "spread 2.0 times"),
        ({"markers": {"M": Marker(bleed=(("X", 0.1),))}}, "light of 'X' in the channel of M"),
    ],
)
def test_what_cannot_be_is_refused(arguments: dict[str, object], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        simulate_field(**{"size": 64, **arguments})


def test_a_dish_that_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match=r"dust is -1\.0; give 0 or more"):
        Dish(dust=-1.0)
    with pytest.raises(InputError, match=r"illumination is 1\.5; give 0 to below 1"):
        Dish(illumination=1.5)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"localization": "everywhere"}, "no localization 'everywhere'"),
        ({"hidden": 1.2}, "hidden is 1.2; give 0 to 1"),
        ({"photons": -5.0}, "photons is -5.0"),
        ({"photons": 0.0}, "photons is 0.0; give a number above 0"),
        ({"bleed": (("CD90", 2.0),)}, "share CD90 is 2.0"),
    ],
)
def test_what_no_marker_has_is_refused(values: dict[str, object], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        Marker(**values)


def test_the_presets_are_the_papers_eight_markers_and_four_more() -> None:
    assert set(MARKERS) == {"NUCLEUS", "BODY", "GRANULES", "DAPI", *MSC}
