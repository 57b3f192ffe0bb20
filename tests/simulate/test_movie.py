"""Movies: statistics as given, frames lazy and repeatable, truth beside the pixels."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import tifffile

from unstained.cli.main import main
from unstained.errors import FileError, InputError
from unstained.images import read_image
from unstained.simulate import MARKERS, Marker, Movie, MovieSettings, Optics, write_movie
from unstained.simulate.lineage import ornstein_uhlenbeck, persistent_walk

SMALL = {"frames": 4, "size": 128, "cells": 3, "markers": ("CD105", "CD29")}
FAST_CYCLE = {
    "frames": 300,
    "interval_s": 300.0,
    "size": 1024,
    "cells": 12,
    "cycle_h": 8.0,
    "mitosis_min": 30.0,
    "death_per_h": 0.0,
}


@pytest.fixture(scope="module")
def growing() -> Movie:
    """12 cells over 25 h with a cycle of 8 h."""
    return Movie(MovieSettings(**FAST_CYCLE))


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text("utf-8").splitlines()))


# statistics


def test_expression_forgets_itself_with_the_given_time_constants() -> None:
    # 400 cells of 300 frames of 2 min are 24000 min: of 600 (tau 40) and 1200 (tau 20) effective
    # samples per 24000 min a correlation at lag tau is known to some 0.01
    rng = np.random.default_rng(0)
    tau = np.array([40.0, 20.0])
    runs = [
        ornstein_uhlenbeck(300, 2.0, tau, np.eye(2), rng.standard_normal(2), rng)
        for _ in range(400)
    ]
    z = np.stack(runs)  # (cells, frames, markers)
    for i, lag in ((0, 20), (1, 10)):  # tau / 2 min frames
        rho = (z[:, :-lag, i] * z[:, lag:, i]).mean() / (z[..., i] ** 2).mean()
        assert rho == pytest.approx(math.exp(-1), abs=0.03)
    assert z.var(axis=(0, 1)) == pytest.approx([1, 1], abs=0.06)


def test_markers_of_different_tau_have_the_given_correlation() -> None:
    rng = np.random.default_rng(1)
    given = np.array([[1, 0.5, 0.2], [0.5, 1, -0.3], [0.2, -0.3, 1]])
    tau = np.array([60.0, 30.0, 10.0])
    start = np.linalg.cholesky(given)
    runs = [
        ornstein_uhlenbeck(200, 5.0, tau, given, start @ rng.standard_normal(3), rng)
        for _ in range(300)
    ]
    found = np.corrcoef(np.concatenate(runs).T)
    # about 300 * 200 * 5 / (2 * 60) = 2500 independent samples: an error of 0.02
    assert found == pytest.approx(given, abs=0.06)


def test_tracks_have_the_given_expression_within_and_between_cells() -> None:
    movie = Movie(
        MovieSettings(
            frames=200,
            size=2048,
            cells=150,
            tau_min={"CD105": 30.0, "CD29": 60.0},
            markers=("CD105", "CD29"),
            fluctuation_correlation=0.4,
            level_correlation=0.7,
            fluctuation_sd=0.2,
            cycle_h=1000.0,
            death_per_h=0.0,
        )
    )
    logs = np.stack([np.log(track.level) for track in movie.tracks])  # (cells, frames, 2)
    fluctuation = np.stack([track.fluctuation for track in movie.tracks])
    # the logarithm is level_sd * mean + 0.2 * fluctuation, less half of both variances
    level_sd = np.array([MARKERS[m].level_sd for m in ("CD105", "CD29")])
    means = np.stack([track.mean for track in movie.tracks])
    rebuilt = level_sd * means[:, None] + 0.2 * fluctuation - (level_sd**2 + 0.04) / 2
    assert logs == pytest.approx(rebuilt)
    within = np.corrcoef(fluctuation.reshape(-1, 2).T)[0, 1]
    assert within == pytest.approx(0.4, abs=0.08)
    # 150 cells: the error of r = 0.7 is (1 - 0.49) / sqrt(150) = 0.04
    assert np.corrcoef(means.T)[0, 1] == pytest.approx(0.7, abs=3 * 0.042)
    lag = 15  # 30 min
    rho = (fluctuation[:, :-lag] * fluctuation[:, lag:]).mean((0, 1)) / fluctuation.var((0, 1))
    # some 150 * 400 / 120 = 500 independent samples of the slower: (1 - 0.37) / sqrt(500) = 0.03
    assert rho == pytest.approx([math.exp(-1), math.exp(-0.5)], abs=3 * 0.03)


def test_daughters_are_like_their_mother_as_much_as_given() -> None:
    movie = Movie(
        MovieSettings(
            **{**FAST_CYCLE, "cells": 40, "size": 2048},
            mother_daughter=0.6,
            partition=0.5,
            level_correlation=0.0,
            fluctuation_correlation=0.0,
        )
    )
    of = {track.label: track for track in movie.tracks}
    born = [track for track in movie.tracks if track.parent]
    mother = np.concatenate([of[t.parent].fluctuation[-1] for t in born])
    own = np.concatenate([t.fluctuation[0] for t in born])
    # more than 200 daughters of 4 markers: (1 - 0.36) / sqrt(800 / 2) = 0.03
    assert len(born) > 200
    assert np.corrcoef(mother, own)[0, 1] == pytest.approx(0.6, abs=0.08)
    # sisters: c^2 - partition * (1 - c^2) = 0.36 - 0.5 * 0.64 = 0.04
    first, second = (np.concatenate([t.fluctuation[0] for t in born[k::2]]) for k in (0, 1))
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(0.04, abs=0.1)
    assert own.std() == pytest.approx(1, abs=0.08)


def test_the_walk_has_fuerths_mean_squared_displacement() -> None:
    # S = 0.5 um/min, P = 20 min: at 10 min 2 * 0.25 * 400 * (0.5 - 1 + 0.6065) = 21.3 um2
    # (ballistic would be 25), at 200 min 200 * (10 - 1 + 0.00005) = 1800 um2
    rng = np.random.default_rng(3)
    walks = np.stack([persistent_walk(101, 2.0, 0.5, 20.0, rng) for _ in range(2000)])
    square = (walks**2).sum(-1).mean(0)
    assert square[0] == 0
    # 2000 walks: sqrt(1 / 2000) = 2.2 %
    assert square[5] == pytest.approx(21.3, rel=0.08)
    assert square[100] == pytest.approx(1800, rel=0.08)


def test_the_walk_does_not_depend_on_the_interval() -> None:
    rng = np.random.default_rng(4)
    coarse = np.stack([persistent_walk(6, 40.0, 0.5, 20.0, rng)[-1] for _ in range(2000)])
    # 5 * 40 = 200 min, as above: 1800 um2
    assert (coarse**2).sum(-1).mean() == pytest.approx(1800, rel=0.08)


def test_lives_last_as_long_as_the_cycle(growing: Movie) -> None:
    # whole lives: born of a division in the first half, so that long ones are not cut off
    lives = [
        (track.end - track.begin + 1) * 5 / 60
        for track in growing.tracks
        if track.parent and track.begin < 150
    ]
    # 8 h with 15 %: the mean of 20 or more is known to 1.2 / sqrt(20) = 0.3 h
    assert len(lives) >= 20
    assert np.mean(lives) == pytest.approx(8, abs=0.8)


def test_deaths_come_at_the_given_rate() -> None:
    movie = Movie(
        MovieSettings(
            frames=100, interval_s=600.0, size=2048, cells=150, cycle_h=1e4, death_per_h=0.05
        )
    )
    # 16.7 h at 0.05 per h: exp(-0.833) = 43 % survive; binomial error sqrt(.43 .57 / 150) = 4 %
    alive = np.mean([track.fate == "lives" for track in movie.tracks])
    assert alive == pytest.approx(0.435, abs=0.12)


def test_tracks_join_without_gap_and_halve_their_volume(growing: Movie) -> None:
    of = {track.label: track for track in growing.tracks}
    assert sorted(of) == list(range(1, len(of) + 1))
    for track in growing.tracks:
        assert len(track.y_um) == track.end - track.begin + 1
        if track.parent:
            mother = of[track.parent]
            assert track.begin == mother.end + 1
            assert mother.fate == "divides"
            assert track.volume_um3[0] == pytest.approx(mother.volume_um3[-1] / 2)
            apart = math.hypot(track.y_um[0] - mother.y_um[-1], track.x_um[0] - mother.x_um[-1])
            assert apart < 25  # um
    table = growing.ctc_tracks()
    assert table.shape == (len(of), 4)
    daughters = np.bincount(table[:, 3], minlength=len(of) + 1)[1:]
    assert set(daughters) <= {0, 2}


# frames


def test_a_frame_alone_equals_that_frame_of_the_whole() -> None:
    whole = [Movie(MovieSettings(**SMALL)).frame(t) for t in range(4)]
    once = Movie(MovieSettings(**SMALL))
    for t in (2, 0, 3, 1):
        made = once.frame(t, workers=2)
        assert np.array_equal(made.phase, whole[t].phase)
        assert np.array_equal(made.labels, whole[t].labels)
        for name in ("CD105", "CD29"):
            assert np.array_equal(made.stains[name], whole[t].stains[name])


def test_frames_of_another_seed_differ_and_frames_differ_in_noise() -> None:
    one, other = (Movie(MovieSettings(**SMALL, seed=s)) for s in (0, 1))
    assert not np.array_equal(one.phase(0), other.phase(0))
    corner = [one.phase(t)[:20, :20].astype(float) for t in (0, 1)]
    assert not np.array_equal(*corner)


def test_every_cell_is_labelled_in_every_frame_of_its_track() -> None:
    movie = Movie(
        MovieSettings(
            frames=12, interval_s=1800.0, size=256, cells=5, cycle_h=3.0, markers=["BODY"]
        )
    )
    for t in range(12):
        there = {track.label for track in movie.tracks if track.begin <= t <= track.end}
        seen = set(np.unique(movie.structures(t).labels).tolist()) - {0}
        assert seen <= there
        assert len(there - seen) <= 0.1 * len(there)  # one may lie beneath another


def test_a_stains_brightness_follows_the_level() -> None:
    marker = Marker("diffuse", hidden=0.0, level_sd=0.0, background=0.0, photons=5000)
    movie = Movie(
        MovieSettings(
            frames=8, interval_s=2400, size=192, cells=1, markers={"M": marker}, fluctuation_sd=0.5,
            cycle_h=1e4, death_per_h=0.0, wave_amplitude=0.0,
        )
    )  # fmt: skip
    level = movie.tracks[0].level[:, 0]
    volume = movie.tracks[0].volume_um3
    light = []
    for t in range(8):
        made = movie.frame(t)
        shown = movie.structures(t).thickness_um.sum(dtype=float) / volume[t]  # part in the field
        light.append((made.stains["M"].astype(float) - 100).sum() / volume[t] / shown)
    assert np.corrcoef(light, level)[0, 1] > 0.999


@pytest.fixture(scope="module")
def resting() -> Movie:
    """One frame of 40 cells without a wave."""
    return Movie(
        MovieSettings(
            frames=1, size=1024, cells=40, seed=5, markers=("CD105", "CD44"), wave_amplitude=0.0
        )
    )


@pytest.mark.parametrize("marker", ["CD105", "CD44"])
def test_a_total_is_level_times_structure_times_a_power_of_the_elongation(
    resting: Movie, marker: str
) -> None:
    structures, stain = resting.structures(0), resting.frame(0).stains[marker]
    owner = structures.owner
    cut = set(np.concatenate([owner[[0, -1]].ravel(), owner[:, [0, -1]].ravel()]).tolist())
    whole = [track for track in resting.tracks if track.label not in cut]
    of = [track.label for track in whole]
    assert len(of) > 20
    # offset 100, background 20
    total, membrane = (
        np.bincount(owner.ravel(), weights=image.ravel())[of]
        for image in (stain - 120.0, structures.membrane)
    )
    level = np.array([track.level[0, list(resting.markers).index(marker)] for track in whole])
    elongation = {row["label"]: row["elongation"] for row in resting.shape(0)}
    shown = np.array([elongation[label] for label in of]) ** {"CD105": 0.25, "CD44": 0.0}[marker]
    assert np.corrcoef(np.log(total / membrane / shown), np.log(level))[0, 1] > 0.98
    # without it CD105 follows its level less: elongations of 1 to 6 are factors of 1 to 1.6
    assert (np.corrcoef(np.log(total / membrane), np.log(level))[0, 1] < 0.95) == (
        marker == "CD105"
    )


def test_a_nucleus_has_its_area_on_the_grid_in_dividing_cells_too() -> None:
    movie = Movie(
        MovieSettings(frames=34, interval_s=600, size=512, cells=5, cycle_h=4, death_per_h=0.0,
                      markers=("CD44",), seed=5)
    )  # fmt: skip
    found: dict[bool, list[float]] = {True: [], False: []}
    for t in (2, 7, 13, 17, 20, 32):
        nuclei, rows = movie.structures(t).nuclei, movie.shape(t)
        for row in rows:
            apart = [math.hypot(row["y_um"] - o["y_um"], row["x_um"] - o["x_um"]) for o in rows]
            if sorted(apart)[1] > 80 and 20 < min(row["y_um"], row["x_um"]) < 312:
                px = np.count_nonzero(nuclei == row["label"])
                found[row["roundness"] > 0.9].append(px * 0.65**2 / row["nucleus_area_um2"])
    assert len(found[True]) >= 4
    for ratio in found.values():
        assert ratio == pytest.approx(np.ones(len(ratio)), abs=0.15)


def test_the_lazy_image_has_the_frames_as_channels() -> None:
    movie = Movie(MovieSettings(**SMALL))
    image = movie.image()
    assert image.shape == (4, 3, 1, 128, 128)
    assert [c.name for c in image.channels] == ["phase", "CD105", "CD29"]
    assert (image.pixel_size_um, image.frame_interval_s) == (0.65, 120.0)
    made = movie.frame(2)
    assert np.array_equal(image.plane(2, 1), made.stains["CD105"])
    assert np.array_equal(movie.labels("nuclei")[2, 0, 0], made.nuclei)


def test_a_movie_larger_than_memory_is_made_at_once() -> None:
    # 100000 frames of 2048 x 2048 with 9 channels are 7.5 TB
    movie = Movie(MovieSettings(frames=100_000, size=2048, cells=1, cycle_h=1e6, death_per_h=0.0))
    assert np.prod(movie.image().shape) * 2 > 4e12
    assert len(movie.tracks[0].y_um) == 100_000


# files


def test_a_written_movie_is_read_back_with_its_truth(tmp_path: Path) -> None:
    shares: list[float] = []
    movie = Movie(MovieSettings(**SMALL))
    path = write_movie(movie, tmp_path / "m", progress=shares.append)
    image = read_image(path)
    assert image.shape == (4, 3, 1, 128, 128)
    assert image.frame_interval_s == 120.0
    assert np.array_equal(image.plane(3, 0), movie.phase(3))
    labels = read_image(path / "labels" / "cells")
    assert np.array_equal(labels.plane(3), movie.structures(3).labels)
    assert shares == [0.25, 0.5, 0.75, 1.0]
    tracks = np.loadtxt(tmp_path / "m" / "res_track.txt", int, ndmin=2)
    assert np.array_equal(tracks, movie.ctc_tracks())
    rows = table(tmp_path / "m" / "expression.csv")
    row = next(r for r in rows if (r["frame"], r["label"], r["marker"]) == ("2", "1", "CD29"))
    assert float(row["level"]) == pytest.approx(movie.tracks[0].level[2, 1], abs=1e-4)
    assert row["time_s"] == "240"
    shape = table(tmp_path / "m" / "shape.csv")
    assert float(shape[0]["area_um2"]) == pytest.approx(movie.shape(0)[0]["area_um2"], rel=1e-4)
    with pytest.raises(FileError, match="exists"):
        write_movie(movie, tmp_path / "m")


def test_the_commands_write_pairs_and_a_movie(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["simulate", "pairs", "--out", str(tmp_path / "p"), "--fields", "3", "--size", "64"]
    with pytest.raises(SystemExit) as left:
        main([*words, "--markers", "DAPI,CD44", "--modality", "dic"])
    assert left.value.code == 0
    assert "manifest.csv" in capsys.readouterr().out
    assert (tmp_path / "p" / "field02_cd44.tif").is_file()
    words = ["simulate", "movie", "--out", str(tmp_path / "m"), "--frames", "2", "--size", "64"]
    with pytest.raises(SystemExit) as left:
        main([*words, "--cells", "1", "--markers", "CD105", "--tau-min", "30"])
    assert left.value.code == 0
    assert "res_track.txt" in capsys.readouterr().out


def test_the_command_makes_cells_that_spread_less(tmp_path: Path) -> None:
    def cell_px(name: str, *spread: str) -> int:
        words = ["simulate", "pairs", "--out", str(tmp_path / name), "--fields", "3"]
        with pytest.raises(SystemExit) as left:
            main([*words, "--size", "128", "--markers", "BODY", *spread])
        assert left.value.code == 0
        return sum((tifffile.imread(f) > 0).sum() for f in (tmp_path / name).glob("*_labels.tif"))

    # lengths are half as long, so areas a quarter; some cells begin in the field, some end there
    assert cell_px("half", "--spread", "0.5") < 0.4 * cell_px("whole")


def test_the_command_sets_the_wave_that_travels_along_cells(tmp_path: Path) -> None:
    def stain(name: str, *wave: str) -> np.ndarray:
        words = ["simulate", "movie", "--out", str(tmp_path / name), "--frames", "2"]
        with pytest.raises(SystemExit) as left:
            main([*words, "--size", "96", "--cells", "2", "--markers", "CD29", *wave])
        assert left.value.code == 0
        return np.asarray(read_image(tmp_path / name / "movie.ome.zarr").data[1, 1, 0], float)

    of_settings = ["--wave-min", "30", "--wave-um", "15", "--wave-amplitude", "0.5"]
    shown = stain("set", *of_settings)
    settings = json.loads((tmp_path / "set" / "settings.json").read_text())
    assert [settings[f"wave_{name}"] for name in ("period_min", "period_um", "amplitude")] == [
        30, 15, 0.5,
    ]  # fmt: skip
    none, default = stain("none", "--wave-amplitude", "0"), stain("default")
    # 1 + a cos: a wave of 0.5 changes the stain by more than one of 0.15, and none is without
    change = [np.abs(one - none).mean() for one in (shown, default)]
    assert change[0] > 2 * change[1] > 0


def test_the_commands_refuse_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["simulate", "pairs", "--out", str(tmp_path / "p"), "--density", "-5"])
    assert left.value.code == 1
    assert capsys.readouterr().err == "unstained: -5.0 cells per mm2; give a number from 0 on\n"
    assert not (tmp_path / "p").exists()
    with pytest.raises(SystemExit) as left:
        main(["simulate", "movie", "--out", str(tmp_path / "m"), "--cells", "4000"])
    assert left.value.code == 1
    assert "do not fit" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"frames": 0}, "frames is 0; give 1 or more"),
        ({"tau_min": -1.0}, "tau_min is -1.0"),
        ({"tau_min": {"CD105": 0.0}}, "tau_min of CD105 is 0.0; give a positive number"),
        ({"tau_min": {"CD90": 20.0}}, "a tau_min for CD90; markers: CD105, CD29"),
        ({"interval_s": 0.0}, "interval_s is 0.0"),
        ({"interval_s": 1e300}, r"interval_s is 1e\+300; give at most 604800, a week"),
        ({"optics": Optics(pixel_size_um=0.001)}, "pixels of 0.001 um in the sample; give 0.05"),
        ({"death_per_h": -0.1}, "death_per_h is -0.1"),
        ({"mother_daughter": 1.5}, "mother_daughter is 1.5"),
        ({"fluctuation_correlation": 1.1}, "fluctuation_correlation is 1.1"),
        (
            {"level_correlation": -0.9, "markers": ("CD105", "CD29", "CD44")},
            "level_correlation is -0.9 between 3 markers; give -0.50 to 1",
        ),
        ({"shares": {"flat": 0.0}}, "shares"),
    ],
)
def test_what_no_movie_has_is_refused(values: dict[str, object], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        MovieSettings(**{**SMALL, **values})


@pytest.mark.parametrize(
    "values",
    [
        {"frames": 240, "interval_s": 1800.0, "cycle_h": 16.0},  # 7 generations
        {"frames": 60, "size": 64, "cells": 1, "cycle_h": 0.05},  # 30: 2^30 cells
    ],
)
def test_cells_that_divide_until_they_do_not_fit_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(
        InputError, match=r"in frame \d+ the \d+ cells or more do not fit"
    ) as caught:
        Movie(MovieSettings(**values))
    assert caught.value.remedy == "give fewer frames or cells, a larger field or a longer cycle"


def test_three_days_of_the_default_movie_fit() -> None:
    # 2160 frames of 2 min: 15 cells become 89
    assert len(Movie(MovieSettings(frames=2160)).tracks) > 150


def test_a_frame_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="no frame 4; there are 0 to 3"):
        Movie(MovieSettings(**SMALL)).frame(4)
    with pytest.raises(InputError, match="no labels 'tails'"):
        Movie(MovieSettings(**SMALL)).labels("tails")
