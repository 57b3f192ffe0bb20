"""Studies: nested sizes, less light, dirt; run once, and gone on with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from unstained.errors import DataError, FileError, InputError
from unstained.images import Pairs, load_pairs
from unstained.images.fields import Region
from unstained.images.impurities import add_dust
from unstained.images.splits import split_pairs
from unstained.staining import TrainSettings
from unstained.staining.studies import impurity_study, noise_study, size_study
from unstained.staining.studies import size as size_module
from unstained.staining.studies.changed import changed
from unstained.staining.studies.impurities import _losses, _words
from unstained.staining.studies.noise import _change, _scales
from unstained.staining.studies.runs import Run, _read_scores, _step_seconds, begin_study, groups_of


def silent(*_: object) -> None:
    """Neither progress nor sentences."""


@pytest.fixture
def brief(tiny: TrainSettings) -> TrainSettings:
    return replace(tiny, steps=2, width=2)


def test_size_study_trains_each_size_once_and_says_what_more_would_bring(
    pairs: Pairs, brief: TrainSettings, tmp_path: Path
) -> None:
    said: list[str] = []
    study = size_study(
        pairs, tmp_path / "s", brief, sizes=(0.25, 0.5, 1), report=silent, say=said.append
    )
    assert sorted(study.table["size"].unique()) == [0.25, 0.5, 1.0]
    assert set(study.table["marker"]) == set(pairs.markers)
    assert any("3 of 3 trainings left" in text for text in said)
    assert all(path.stat().st_size > 0 for path in study.files)
    trained = [path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("model.json"))]
    assert len(trained) == 3
    said.clear()
    again = size_study(
        pairs, tmp_path / "s", brief, sizes=(0.25, 0.5, 1), report=silent, say=said.append
    )
    pd.testing.assert_frame_equal(again.table, study.table)
    assert not said  # nothing is left to train
    assert trained == [path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("model.json"))]
    with pytest.raises(InputError, match=r"other settings \(width 3, was 2\)"):
        size_study(
            pairs, tmp_path / "s", replace(brief, width=3), sizes=(1.0,), report=silent, say=silent
        )
    # scores that were cut are not averaged
    scores = next((tmp_path / "s" / "scores").glob("*.csv"))
    whole = scores.read_text(encoding="utf-8")
    for text in ("", whole.partition("\n")[0], whole[: len(whole) - 3], whole.replace("0.", "x.")):
        scores.write_text(text, encoding="utf-8")
        with pytest.raises(FileError, match=r"csv: is not what was scored .*; remove it"):
            size_study(
                pairs, tmp_path / "s", brief, sizes=(0.25, 0.5, 1), report=silent, say=silent
            )


def test_a_group_may_be_called_na(pairs: Pairs, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(
        "pair,group,marker,r_s,r_lap,snr_rms,snr_var,c_max,test,run\n"
        "p1,NA,null,0.5,,1,1,1,t,r\np2,,null,0.25,0.5,1,1,1,t,r\n",
        encoding="utf-8",
    )
    table = _read_scores(tmp_path / "r.csv", Run("r", pairs, {"t": pairs}, 0))
    assert table["group"].tolist()[0] == "NA"
    assert table["group"].isna().tolist() == [False, True]  # which has none
    assert table["marker"].tolist() == ["null", "null"]
    assert table["r_lap"].isna().tolist() == [True, False]


def test_larger_training_sets_contain_the_smaller(pairs: Pairs) -> None:
    def regions(share: float) -> list[Region]:
        kept = size_module._subset(pairs, share, seed=3).of_split("train")
        return [f.region for f in kept.fields() if f.region is not None]

    for small, large in zip(regions(0.25), regions(0.5), strict=True):
        assert small.shape[0] * small.shape[1] * 2 == large.shape[0] * large.shape[1]
        assert large.y0 <= small.y0 < small.y1 <= large.y1
        assert large.x0 <= small.x0 < small.x1 <= large.x1
    ids = [
        {f.id for f in size_module._subset(pairs, n, seed=3).of_split("train").fields()}
        for n in (1.5, 2)
    ]
    assert len(ids[1]) == 2
    assert ids[0] < ids[1]
    # validation is never thinned, the test part never in it
    table = size_module._subset(pairs, 0.25, seed=3).table
    assert set(table["split"]) == {"train", "validation"}
    assert len(table[table["split"] == "validation"]) == len(pairs.of_split("validation"))


def test_a_known_curve_is_found_and_extended() -> None:
    n = np.array([20, 80, 320, 1280])
    growth = size_module.fit_growth(n, 0.8 - 1.5 * n**-0.5)
    assert growth is not None
    assert growth.limit == pytest.approx(0.8, abs=0.005)
    assert growth.rate == pytest.approx(0.5, rel=0.05)
    assert growth.at(5000) == pytest.approx(0.8 - 1.5 * 5000**-0.5, abs=0.003)
    assert size_module.fit_growth(n, 0.8 + 1.5 * n**-0.5) is None  # falls
    assert size_module.fit_growth(n[:2], [0.1, 0.2]) is None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({20: 0.5}, "1 size is too few for a curve of r_s (three at least)"),
        ({20: 0.5, 80: 0.6}, "2 sizes are too few for a curve of r_s (three at least)"),
        ({20: 0.5, 80: 0.6, 320: np.nan}, "2 sizes are too few for a curve of r_s"),
        ({20: 0.7, 80: 0.6, 320: 0.5}, "r_s does not rise steadily"),
        ({20: 0.5, 80: 0.6, 320: 0.65}, "Extended, the curve gives r_s"),
    ],
)
def test_a_curve_needs_three_sizes(values: dict[float, float], said: str) -> None:
    scores = pd.DataFrame(
        [
            {
                "pair": "p",
                "group": "g",
                "marker": "A",
                "size": size,
                "repeat": 0,
                "r_s": value,
                "r_lap": 0.1,
            }
            for size, value in values.items()
        ]
    )
    table = size_module._table(scores, list(values))
    words = size_module._words(table, scores, list(values), "training images")
    assert words[1].startswith(said)


def of_trainings(levels: dict[float, list[float]]) -> pd.DataFrame:
    """Scores of six test pairs, which differ by 0 ... 0.05, of trainings of these levels."""
    return pd.DataFrame(
        [
            {
                "pair": f"p{i}",
                "group": "g",
                "marker": "A",
                "size": size,
                "repeat": repeat,
                "r_s": level + 0.01 * i,
                "r_lap": level,
            }
            for size, trainings in levels.items()
            for repeat, level in enumerate(trainings)
            for i in range(6)
        ]
    )


def test_a_step_is_tested_over_trainings_not_over_test_pairs() -> None:
    # every pair is better by 0.01, 0.02, 0.03 in the second size: over pairs p would be 2 / 2^6
    scores = of_trainings({20: [0.5, 0.5, 0.5], 80: [0.51, 0.52, 0.53]})
    table = size_module._table(scores, [20, 80])
    step = table[(table["score"] == "r_s") & (table["size"] == 80)].iloc[0]
    # t = 0.02 / (0.01 / sqrt(3)) = 2 sqrt(3); with 2 degrees of freedom p = 1 - t / sqrt(2 + t^2)
    t = 2 * np.sqrt(3)
    assert step["p"] == pytest.approx(1 - t / np.sqrt(2 + t**2))
    assert step["stars"] == "ns"
    words = size_module._words(table, scores, [20, 80], "training images")
    assert not any("No test" in sentence for sentence in words)


def test_fewer_than_three_trainings_are_not_tested() -> None:
    for trainings, count in (([0.6], "1 training"), ([0.6, 0.61], "2 trainings")):
        scores = of_trainings({20: [level - 0.05 for level in trainings], 80: trainings})
        table = size_module._table(scores, [20, 80])
        assert table["p"].isna().all()
        assert set(table["stars"]) == {""}
        words = size_module._words(table, scores, [20, 80], "training images")
        assert words[-1].startswith(f"No test between sizes: {count} of each")


def test_sizes_above_all_there_are_are_said_to_be_cut(
    pairs: Pairs, brief: TrainSettings, tmp_path: Path
) -> None:
    most = int(pairs.of_split("train").table["marker"].value_counts().min())
    said: list[str] = []
    size_study(pairs, tmp_path / "s", brief, sizes=(40, 80), report=silent, say=said.append)
    assert said[0] == (
        f"{most} training images of each marker are all there are: 40, 80 became {most}"
    )


def test_sizes_that_mean_nothing_are_refused(
    pairs: Pairs, brief: TrainSettings, tmp_path: Path
) -> None:
    refused: tuple[tuple[tuple[float, ...], str], ...] = (
        ((0.0,), "size 0"),
        ((2.5,), "size 2.5"),
        ((float("inf"),), "size inf"),
        ((float("nan"), 2.0), "size nan"),
        ((0.5, 2.0), "mix"),
    )
    for sizes, reason in refused:
        with pytest.raises(InputError, match=reason):
            size_study(pairs, tmp_path / "s", brief, sizes=sizes, report=silent, say=silent)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("gain", "offset", "reason"),
    [
        (0.0, None, "gain 0"),
        (-2.0, 100.0, "gain -2"),
        (float("nan"), 100.0, "gain nan"),
        (2.0, float("nan"), "offset nan"),
    ],
)
def test_a_scale_of_photons_that_is_none_is_refused_before_anything_is_made(
    pairs: Pairs,
    brief: TrainSettings,
    tmp_path: Path,
    gain: float,
    offset: float | None,
    reason: str,
) -> None:
    out = tmp_path / "n"
    with pytest.raises(InputError, match=reason):
        noise_study(pairs, out, brief, gain=gain, offset=offset, report=silent, say=silent)
    assert not out.exists()


@pytest.mark.parametrize("per_mpx", [-1.0, float("nan"), float("inf")])
def test_a_density_that_is_none_is_refused_before_anything_is_made(
    pairs: Pairs, brief: TrainSettings, tmp_path: Path, per_mpx: float
) -> None:
    with pytest.raises(InputError, match=f"{per_mpx:g} grains"):
        impurity_study(pairs, tmp_path / "i", brief, per_mpx=per_mpx, report=silent, say=silent)
    assert not (tmp_path / "i").exists()


def test_with_less_light_the_ceiling_falls(
    pairs: Pairs, brief: TrainSettings, tmp_path: Path
) -> None:
    study = noise_study(
        pairs, tmp_path / "n", brief, levels=3, gain=1.0, offset=100.0, report=silent, say=silent
    )
    same = study.table[study.table["test"] == "same"]
    for _, part in same.groupby("marker"):
        assert part["light"].tolist() == [1.0, 0.5, 0.25]
        assert part["c_max"].is_monotonic_decreasing
        assert part["snr_rms"].is_monotonic_decreasing
    # on stains of full light the ceiling is that of full light
    full = study.table[study.table["test"] == "full"]
    for _, part in full.groupby("marker"):
        assert part["c_max"].nunique() == 1
    assert any("snr_rms falls" in sentence for sentence in study.words)
    # what a level was trained on is a manifest like any other
    level = tmp_path / "n" / "data" / "light-0.5"
    half, split = load_pairs(level), split_pairs(pairs, seed=brief.seed)
    assert half.table["split"].tolist() == split.table["split"].tolist()
    assert {Path(stain).parent for stain in half.table["stain"]} == {level}
    assert half.table["phase"].tolist() == split.table["phase"].tolist()


def test_the_users_own_series_takes_the_place_of_thinning(
    pairs: Pairs, brief: TrainSettings, tmp_path: Path
) -> None:
    levels = [pairs.table.assign(level=light) for light in ("2", "1")]
    own = Pairs(pd.concat(levels, ignore_index=True), pairs.root, "own")
    said: list[str] = []
    study = noise_study(
        own, tmp_path / "n", brief, levels=9, gain=2.0, report=silent, say=said.append
    )
    assert sorted(study.table["light"].unique()) == [1.0, 2.0]
    assert said[0] == "the column level says what light there is: levels, gain not used"
    # the light of the levels is the same here, in the user's words, and no share of another
    assert any("from level 2 to 1, snr_rms stays at" in sentence for sentence in study.words)
    assert any("the model of level 1 scores" in sentence for sentence in study.words)
    assert not any("full light" in sentence for sentence in study.words)
    assert not (tmp_path / "n" / "data").exists()
    # old scores are not those of corrected levels
    corrected = replace(own, table=own.table.assign(level=own.table["level"].replace("1", "0.5")))
    with pytest.raises(InputError, match="other pairs"):
        noise_study(corrected, tmp_path / "n", brief, report=silent, say=silent)


@pytest.mark.parametrize("level", ["0", "-1", "inf", "bright", ""])
def test_levels_of_light_are_positive_numbers(
    pairs: Pairs, brief: TrainSettings, tmp_path: Path, level: str
) -> None:
    levels = [pairs.table.assign(level=light) for light in ("2", level)]
    own = Pairs(pd.concat(levels, ignore_index=True), pairs.root, "own")
    row = len(pairs) + 1  # the first of the second level
    with pytest.raises(DataError, match=f"row {row} has level '{level}'"):
        noise_study(own, tmp_path / "n", brief, report=silent, say=silent)
    assert not (tmp_path / "n").exists()


def test_a_score_is_said_to_fall_only_where_it_falls() -> None:
    assert _change("r_s", 0.8, 0.75) == "r_s falls from 0.800 to 0.750"
    assert _change("r_s", 0.8, 0.85) == "r_s rises from 0.800 to 0.850"
    assert _change("r_s", 0.8, 0.8001) == "r_s stays at 0.800"
    assert _change("snr", np.inf, 2.0, 1) == "snr goes from what cannot be measured to 2.0"


def test_a_folder_of_another_study_is_refused_before_its_copies_are_used(
    pairs: Pairs, brief: TrainSettings, tmp_path: Path
) -> None:
    impurity_study(pairs, tmp_path / "i", brief, per_mpx=50, report=silent, say=silent)
    with pytest.raises(InputError, match=r"other parameters \(per_mpx 500, was 50\)"):
        impurity_study(pairs, tmp_path / "i", brief, per_mpx=500, report=silent, say=silent)
    with pytest.raises(InputError, match="another study: impurities"):
        size_study(pairs, tmp_path / "i", brief, sizes=(1.0,), report=silent, say=silent)


def test_a_study_s_folder_that_is_none_or_tells_nothing_is_named(
    pairs: Pairs, brief: TrainSettings, tmp_path: Path
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file")
    for out in (taken, taken / "below"):
        with pytest.raises(FileError, match="folder cannot be made") as error:
            begin_study(out, "size", pairs, brief)
        assert error.value.file == str(out)
    note = tmp_path / "s" / "study.json"
    note.parent.mkdir()
    for text in ('{"study": "si', "7"):
        note.write_text(text)
        with pytest.raises(FileError, match="cannot be read") as error:
            begin_study(note.parent, "size", pairs, brief)
        assert error.value.file == str(note)
    note.write_text('{"study": "size", "settings": null}')
    with pytest.raises(InputError, match="a study of other pairs and settings"):
        begin_study(note.parent, "size", pairs, brief)


def test_dust_lies_over_all_planes_of_a_field(pairs: Pairs, tmp_path: Path) -> None:
    # two files of two planes each, joined: 4 label-free planes of one field
    planes = np.full((2, 128, 128), 1000, np.float32) + np.arange(128, dtype=np.float32)
    for name in ("a", "b"):
        tifffile.imwrite(tmp_path / f"{name}.ome.tif", planes, metadata={"axes": "CYX"})
    joined = ";".join(str(tmp_path / f"{name}.ome.tif") for name in ("a", "b"))
    one = Pairs(pairs.table.iloc[:1].assign(phase=joined))

    def dust(image: np.ndarray, marker: str, rng: np.random.Generator) -> np.ndarray:
        return add_dust(image, rng, per_mpx=500)

    dusty = changed(one, tmp_path / "dusty", column="phase", change=dust, seed=0)
    found = dusty.fields()[0].read_phase()
    assert found.shape == (4, 128, 128)
    assert np.abs(found[0] - planes[0]).max() > 1
    for plane in found[1:]:
        np.testing.assert_array_equal(plane, found[0])


def test_dirt_is_put_where_it_is_said(pairs: Pairs, brief: TrainSettings, tmp_path: Path) -> None:
    study = impurity_study(pairs, tmp_path / "i", brief, report=silent, say=silent)
    assert set(zip(study.table["impurity"], study.table["dirty"], strict=True)) == {
        (kind, where)
        for kind in ("dust", "speckles")
        for where in ("none", "training", "test", "both")
    }
    assert len(list((tmp_path / "i" / "models").iterdir())) == 3
    # the label-free images of the speckled set are the clean ones
    assert {p.name for p in (tmp_path / "i" / "data").iterdir()} == {"dust", "speckles"}
    assert all("phase" in p.name for p in (tmp_path / "i" / "data" / "dust").glob("*.tif"))
    assert not any("phase" in p.name for p in (tmp_path / "i" / "data" / "speckles").glob("*.tif"))


def dirty_scores(training: list[float], test: list[float]) -> pd.DataFrame:
    """Scores of a study in which dust costs so much r_s in each image, and speckles nothing."""
    zero = [0.0] * len(test)
    both = [a + b for a, b in zip(training, test, strict=True)]
    losses = {
        ("clean", "clean"): zero,
        ("dust", "clean"): training,
        ("clean", "dust"): test,
        ("dust", "dust"): both,
        ("speckles", "clean"): zero,
        ("clean", "speckles"): zero,
        ("speckles", "speckles"): zero,
    }
    # the level of the images differs far more than dust does
    return pd.DataFrame(
        [
            {
                "run": run,
                "test": on,
                "pair": f"{on} {i}",
                "group": "g",
                "marker": "A",
                "r_s": 0.1 * i + 0.3 - loss,
            }
            for (run, on), values in losses.items()
            for i, loss in enumerate(values)
        ]
    )


def test_images_are_to_be_cleaned_where_their_dirt_costs_more_than_chance() -> None:
    # training: mean (0.10 - 0.10 + 0.14 - 0.14 + 0.05) / 5 = 0.01, of either sign;
    # test: mean (0.01 + 0.02 + 0.03 + 0.02 + 0.02) / 5 = 0.02, always a loss
    by_chance, sure = [0.10, -0.10, 0.14, -0.14, 0.05], [0.01, 0.02, 0.03, 0.02, 0.02]
    dust, speckles, *_ = _words(_losses(dirty_scores(by_chance, sure)))
    assert "cost r_s 0.010 (-" in dust
    assert "0.020 (+0.0" in dust
    assert dust.endswith("clean the test images first.")
    assert speckles.endswith("costs more than chance.")
    # the surer loss is named, not the larger by chance
    larger = [5 * loss for loss in by_chance]
    assert _words(_losses(dirty_scores(larger, sure)))[0].endswith("clean the test images first.")
    assert _words(_losses(dirty_scores(sure, larger)))[0].endswith("the training images first.")


def test_of_few_test_images_no_advice_is_drawn() -> None:
    dust = _words(_losses(dirty_scores([0.1] * 2, [0.2] * 2)))[0]
    assert "cost r_s 0.100 in the training set, 0.200 in the test set, 0.300 in both" in dust
    assert dust.endswith("3 test images at least are needed to tell this from chance.")


def test_a_size_counts_the_images_of_the_rarest_marker(pairs: Pairs) -> None:
    training = pairs.of_split("train")
    rows = training.table
    one = rows.index[rows["marker"] == pairs.markers[0]][:1]
    rest = rows.index[rows["marker"] != pairs.markers[0]]
    rare = replace(training, table=rows.loc[one.append(rest)].reset_index(drop=True))
    assert len(rare.fields()) > 1  # of all markers
    assert size_module._sizes((80,), rare) == (1.0,)


def test_three_groups_or_more_are_what_intervals_count() -> None:
    assert groups_of(pd.DataFrame({"group": list("ababab")})) is None
    assert groups_of(pd.DataFrame({"group": list("abcabc")})) is not None


def test_a_patch_that_no_stride_divides_is_timed_as_it_is_trained(brief: TrainSettings) -> None:
    odd = replace(brief, patch=33)  # strides are even
    assert _step_seconds(odd, planes=1, outputs=1) > 0


def test_a_given_gain_leaves_the_offset_to_be_estimated(pairs: Pairs) -> None:
    estimated, given = _scales(pairs, None, None, silent), _scales(pairs, 2.5, None, silent)
    for marker in pairs.markers:
        assert given[marker].gain == 2.5
        assert given[marker].offset == estimated[marker].offset != 0
