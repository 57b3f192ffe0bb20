"""SS, RS and FC cells by rule and by eye."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from skimage.measure import regionprops
from sklearn.metrics import cohen_kappa_score

from unstained.errors import DataError, InputError
from unstained.heterogeneity.effects import differences, hedges_g, levels_by_class, one_sample
from unstained.heterogeneity.phenotypes import (
    RuleSettings,
    agreement,
    phenotype_rule,
    phenotypes_of_person,
)
from unstained.simulate import Movie, MovieSettings

OF_SIMULATOR = {"spindle": "SS", "star": "RS", "flat": "FC"}


def test_long_cells_are_spindles_and_the_rest_is_parted_by_area():
    # of 900, 1000 and 3000, 3600 the gap lies between 1000 and 3000: sqrt(1000 * 3000) = 1732
    found = phenotype_rule([3000, 900, 1000, 3000, 3600, np.nan], [4, 1, 2.4, 1, 2, 1])
    assert found.phenotype.tolist() == ["SS", "RS", "RS", "FC", "FC", None]
    assert found.area_um2 == pytest.approx(1732, abs=0.5)


def test_a_given_area_is_the_threshold():
    found = phenotype_rule([900, 950, 1000], [1, 1, 1], RuleSettings(area_um2=1000))
    assert found.phenotype.tolist() == ["RS", "RS", "FC"]


def test_areas_that_cannot_be_parted_are_refused():
    with pytest.raises(DataError, match="--area"):
        phenotype_rule([900.0, 900.0], [1.0, 1.0])
    with pytest.raises(DataError, match="no cell has an area"):
        phenotype_rule([np.nan], [1.0])
    with pytest.raises(InputError, match="aspect_ratio"):
        RuleSettings(aspect_ratio=0.5)


def test_the_rule_finds_most_of_the_simulators_phenotypes():
    truth, area, ratio = [], [], []
    for seed in range(2):
        movie = Movie(MovieSettings(frames=1, size=768, cells=30, seed=seed, markers=("CD105",)))
        kind = {track.label: track.build.phenotype for track in movie.tracks}
        labels = movie.structures(0).labels
        pixel_area = movie.settings.optics.pixel_size_um**2
        for cell in regionprops(labels):
            y0, x0, y1, x1 = cell.bbox
            if min(y0, x0) > 0 and max(y1, x1) < 768:
                truth.append(OF_SIMULATOR[kind[cell.label]])
                area.append(cell.area * pixel_area)
                ratio.append(cell.axis_major_length / cell.axis_minor_length)
    found = agreement(truth, phenotype_rule(area, ratio).phenotype)
    assert found.kappa.estimate > 0.7
    assert len(truth) > 25


def test_kappa_is_scikit_learns():
    rng = np.random.default_rng(0)
    a = rng.choice(["SS", "RS", "FC"], 100)
    b = np.where(rng.random(100) < 0.7, a, rng.choice(["SS", "RS", "FC"], 100))
    found = agreement(a, b)
    assert found.kappa.estimate == pytest.approx(cohen_kappa_score(a, b))
    assert found.kappa.low < found.kappa.estimate < found.kappa.high
    assert found.confusion.sum() == 100


def test_rows_of_the_confusion_are_the_persons():
    found = agreement(["SS", "SS", None, "RS"], ["FC", "SS", "RS", None])
    assert found.confusion.tolist() == [[1, 0, 1], [0, 0, 0], [0, 0, 0]]
    assert found.agreed == 0.5


def test_a_persons_table_is_joined_by_image_frame_and_label(make_table):
    cells = make_table({"A": [1.0, 2.0, 3.0]})
    table = pd.DataFrame(
        {"image": "a", "frame": 0, "label": [3, 1, 9], "phenotype": ["flat", "SS", "RS"]}
    )
    called, unknown = phenotypes_of_person(cells, table)
    assert called.tolist() == ["SS", None, "FC"]
    assert unknown == 1
    by_id = pd.DataFrame({"id": ["a/0/2"], "phenotype": ["rs"]})
    assert phenotypes_of_person(cells, by_id)[0].tolist() == [None, "RS", None]


def test_a_person_may_spell_an_image_as_its_file_does(make_table):
    cells = make_table({"A": [1.0, 2.0]}, image="Set-03")
    table = pd.DataFrame(
        {"image": ["Set 03", "Set-03"], "frame": 0, "label": [1, 2], "phenotype": ["SS", "RS"]}
    )
    assert phenotypes_of_person(cells, table)[0].tolist() == ["SS", "RS"]
    by_id = pd.DataFrame({"id": ["Set 03/0/2", "Set 03/0/9"], "phenotype": ["RS", "SS"]})
    called, unknown = phenotypes_of_person(cells, by_id)
    assert called.tolist() == [None, "RS"]
    assert unknown == 1
    twice = table.assign(label=1)
    with pytest.raises(DataError, match="Set-03/0/1 is there twice"):
        phenotypes_of_person(cells, twice)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"id": ["a/0/1"], "kind": ["SS"]}, "columns id, kind"),
        ({"id": ["a/0/1"], "phenotype": ["round"]}, "phenotype 'round'"),
        ({"id": ["b/0/1"], "phenotype": ["SS"]}, "none of 1 rows"),
        ({"id": ["a/0/1"] * 2, "phenotype": ["SS"] * 2}, "twice"),
    ],
)
def test_tables_that_do_not_fit_are_refused(make_table, table, said):
    with pytest.raises(DataError, match=said):
        phenotypes_of_person(make_table({"A": [1.0]}), pd.DataFrame(table))


def test_hedges_g_by_hand():
    # means 3 and 1, both variances 1: d = 2; df = 4, J = 1 - 3 / 15 = 0.8, so g = 1.6
    found = hedges_g([2, 3, 4], [0, 1, 2])
    assert found.g == pytest.approx(1.6)
    # sqrt(1/3 + 1/3 + 1.6^2 / 12) = 0.938; 1.96 times that is 1.84
    assert found.high - found.g == pytest.approx(1.84, abs=0.005)


def test_levels_are_relative_to_all_classed_cells():
    table = levels_by_class([[1.0], [3.0], [4.0], [99.0]], ["A"], ["x", "x", "y", None])
    # mean of the classed: 8 / 3; x: 2 / (8 / 3) = 0.75; y: 4 / (8 / 3) = 1.5
    assert table["relative"].tolist() == pytest.approx([0.75, 1.5])
    assert table["n"].tolist() == [2, 1]


def test_a_class_of_all_cells_is_at_1_for_certain():
    values = np.random.default_rng(0).lognormal(size=(40, 1))
    for groups in (None, np.arange(40) % 8):
        row = levels_by_class(values, ["A"], ["x"] * 40, groups=groups).iloc[0]
        assert (row["relative"], row["low"], row["high"]) == pytest.approx((1, 1, 1))


def test_donors_that_stain_differently_leave_the_ratio_of_classes():
    # donors 1 to 8, y three times x in each and as many: y / all = 3 / 2, whichever are drawn
    donor, kind = np.repeat(np.arange(1, 9), 4), np.tile(["x", "y"], 16)
    values = donor * np.where(kind == "y", 3.0, 1.0)
    table = levels_by_class(values[:, None], ["A"], kind, groups=donor).set_index("class")
    assert tuple(table.loc["y", ["relative", "low", "high"]]) == pytest.approx((1.5, 1.5, 1.5))


def test_the_relative_level_of_a_class_in_one_donor_has_no_interval():
    donor, kind = [1, 1, 1, 2, 2], ["x", "x", "y", "y", "y"]
    table = levels_by_class(np.arange(1.0, 6)[:, None], ["A"], kind, groups=donor)
    assert np.isnan(table["low"]).tolist() == [True, False]


def test_differences_between_phenotypes_are_counted_by_donors():
    rng = np.random.default_rng(0)
    donor, kind = np.repeat(np.arange(5), 40), np.tile(["RS", "SS"], 100)
    y = 10 * rng.normal(size=5)[donor] + 1.0 * (kind == "SS") + rng.normal(size=200)
    row = differences(y[:, None], ["A"], kind, groups=donor).iloc[0]
    assert (row["a"], row["b"], row["groups"]) == ("RS", "SS", 5)
    assert row["low"] < -1 < row["high"] < 0
    # cells alone see the donors' spread of 10 as noise
    assert abs(differences(y[:, None], ["A"], kind).iloc[0]["effect"]) < 0.5
    with pytest.raises(DataError, match="all cells are SS"):
        differences(y[:, None], ["A"], np.full(200, "SS"))


def test_groups_whose_differences_tie_have_neither_interval_nor_p():
    effect = one_sample([0.3, 0.1 + 0.2], 0.95)
    assert effect[0] == pytest.approx(0.3)
    assert np.isnan(effect[1:]).all()
    assert one_sample([0.0, 0.0], 0.95) == (0, 0, 0, 1)


def test_a_relative_level_goes_by_the_donors_that_hold_the_class():
    # x in the donors 0 and 1 of six alone: one degree of freedom, 12.706, not five, 2.571
    rng = np.random.default_rng(0)
    donor = np.repeat(range(6), 10)
    kind = np.where((donor < 2) & (np.arange(60) % 2 == 0), "x", "y").astype(object)
    value = rng.uniform(1, 2, 60)
    row = levels_by_class(value[:, None], ["A"], kind, groups=donor).set_index("class").loc["x"]

    def relative(kept):
        return value[kept & (kind == "x")].mean() / value[kept].mean()

    without = np.log([relative(donor != d) for d in range(6)])
    error = np.sqrt(5 / 6 * ((without - without.mean()) ** 2).sum())
    assert np.log(row["high"] / row["relative"]) == pytest.approx(12.706 * error, rel=1e-4)
