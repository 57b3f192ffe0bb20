import numpy as np
import pandas as pd
import pytest

from unstained.colonies.fractions import class_fractions, compare_groups, group_fractions
from unstained.errors import DataError, InputError
from unstained.simulate.colony_fates import default_rates, simulate_fate, treated_rates
from unstained.statistics import wilson_interval


def colonies(classes, well=1, frame=0, **columns):
    return pd.DataFrame({"well": well, "frame": frame, "class": list(classes), **columns})


def experiment(effect, seed, wells=8, number=40):
    """Colonies of the simulator, dense at first, seen every 8 h; even wells are treated."""
    rng = np.random.default_rng(seed)
    hours = np.arange(0, 49, 8)
    rows = []
    for well in range(wells):
        given = "nicotine" if well % 2 == 0 else "control"
        rates = treated_rates(default_rates(), effect if given == "nicotine" else 1.0)
        for colony in range(number):
            fate = simulate_fate(rates, 48, rng, first="dense")
            rows += [(well, h, f"{well}/{colony}", given, fate.at(h)) for h in hours]
    table = pd.DataFrame(rows, columns=["well", "time_h", "track", "treatment", "class"])
    return table.assign(frame=table["time_h"] // 8)


def test_shares_by_number_are_counts_with_wilsons_interval():
    found = class_fractions(colonies("aabc")).set_index("class")
    assert found["count"].tolist() == [2, 1, 1]
    assert found["fraction"].tolist() == [0.5, 0.25, 0.25]
    low, high = wilson_interval([2, 1, 1], 4)
    assert found["low"].tolist() == pytest.approx(low)
    assert found["high"].tolist() == pytest.approx(high)


def test_shares_by_area_weigh_large_colonies_more():
    # a: 100 + 300, b: 600, of 1000
    found = class_fractions(colonies("aab", area_um2=[100.0, 300.0, 600.0])).set_index("class")
    assert found["area_fraction"].tolist() == pytest.approx([0.4, 0.6])
    assert found["fraction"].tolist() == pytest.approx([2 / 3, 1 / 3])
    assert (found["area_low"] <= found["area_fraction"]).all()
    assert (found["area_high"] >= found["area_fraction"]).all()


def test_every_well_and_hour_has_a_row_for_every_class():
    table = pd.concat([colonies("aa", well=1), colonies("ab", well=2), colonies("b", frame=1)])
    found = class_fractions(table)
    assert found[["well", "frame", "class", "count"]].to_numpy().tolist() == [
        [1, 0, "a", 2],
        [1, 0, "b", 0],
        [1, 1, "a", 0],
        [1, 1, "b", 1],
        [2, 0, "a", 1],
        [2, 0, "b", 1],
    ]


def test_frames_serve_where_the_hours_are_not_known():
    table = pd.concat([colonies("ab", time_h=np.nan), colonies("b", frame=1, time_h=np.nan)])
    assert class_fractions(table)["frame"].tolist() == [0, 0, 1, 1]


def test_rows_may_come_in_any_order():
    table = experiment(1.0, 0, wells=2, number=5).assign(area_um2=1000.0)
    shuffled = table.sample(frac=1, random_state=0)
    columns = ["well", "time_h", "class", "n", "count", "fraction", "area_fraction"]
    pd.testing.assert_frame_equal(
        class_fractions(table)[columns], class_fractions(shuffled)[columns]
    )


def test_probabilities_count_for_what_they_are():
    table = pd.DataFrame({"well": 1, "frame": 0, "p_a": [0.6, 0.6], "p_b": [0.4, 0.4]})
    # the arg max would say that all are a
    assert class_fractions(table)["fraction"].tolist() == pytest.approx([0.6, 0.4])


def test_several_rows_of_one_colony_are_no_new_colonies():
    # 10 colonies of 20 patches each, all of one class: the share is known as well as from 10
    classes = np.repeat(list("aaaaabbbbb"), 20)
    tracks = np.repeat(np.arange(1, 11), 20)
    rows = class_fractions(colonies(classes)).iloc[0]
    tracked = class_fractions(colonies(classes, track=tracks)).iloc[0]
    # standard errors sqrt(.25 / 200) = .035 and sqrt(.25 / 10) = .158
    assert rows["high"] - rows["low"] == pytest.approx(2 * 1.96 * 0.035, rel=0.1)
    assert tracked["high"] - tracked["low"] == pytest.approx(2 * 1.96 * 0.158, rel=0.15)


def test_shares_of_area_are_known_as_well_as_from_that_many_colonies_of_one_size():
    # ten of one size, half of them a: as by number, but that their variance is an estimate, with
    # nine degrees of freedom
    even = class_fractions(colonies("aaaaabbbbb", area_um2=7.0)).iloc[0]
    low, high = wilson_interval(4.5, 9)
    assert (even["area_low"], even["area_high"]) == pytest.approx((low, high))
    # one of 91 beside nine of 1: 100^2 / (91^2 + 9) = 1.2 colonies tell hardly anything
    odd = class_fractions(colonies("abbbbbbbbb", area_um2=[91.0] + 9 * [1.0])).iloc[0]
    low, high = wilson_interval(0.91 * 1.2063, 1.2063)
    assert (odd["area_low"], odd["area_high"]) == pytest.approx((low, high), rel=1e-3)


def test_a_class_that_no_colony_shows_is_not_certain_to_be_absent():
    table = pd.concat([colonies("aaaa", area_um2=5.0), colonies("b", well=2, area_um2=5.0)])
    absent = class_fractions(table).iloc[1]
    assert (absent["class"], absent["area_fraction"]) == ("b", 0)
    assert absent["area_high"] == pytest.approx(wilson_interval(0, 4)[1])
    assert absent["area_high"] > 0.4


@pytest.mark.parametrize("none", [np.nan, None, "", " ", 0, 0.0, "0"])
def test_colonies_without_a_track_are_colonies_of_their_own(none):
    # ten colonies that were not followed: Wilson's interval of 5 of 10, as without the column
    plain = class_fractions(colonies("aaaaabbbbb")).iloc[0]
    untracked = colonies("aaaaabbbbb", track=np.array([none] * 10, object), area_um2=1.0)
    found = class_fractions(untracked).iloc[0]
    assert (found["low"], found["high"]) == (plain["low"], plain["high"])
    # by area: standard error sqrt(.25 / 10) = .158
    assert found["area_high"] - found["area_low"] == pytest.approx(2 * 1.96 * 0.158, rel=0.15)


def test_conditions_are_averaged_over_wells():
    # wells of shares .5 and .75: mean .625, t(1) .975 = 12.7 x .177 / sqrt 2 = 1.6, cut to 0 ... 1
    table = pd.concat(
        [
            colonies("aabb", well=1, treatment="drug"),
            colonies("aaab", well=2, treatment="drug"),
            colonies("ab", well=3, treatment="none"),
        ]
    )
    found = group_fractions(class_fractions(table, keep=["treatment"]), "treatment")
    drug = found[(found["treatment"] == "drug") & (found["class"] == "a")].iloc[0]
    assert drug[["fraction", "low", "high", "wells"]].tolist() == [0.625, 0, 1, 2]
    assert found[found["treatment"] == "none"]["low"].isna().all()


def test_the_interval_of_a_condition_is_students():
    shares = [0.5, 0.6, 0.7, 0.6]  # mean .6, sd .0816, t(3) .975 = 3.182: half width .130
    table = pd.concat(
        [
            colonies("a" * round(10 * s) + "b" * round(10 - 10 * s), well=w, treatment="x")
            for w, s in enumerate(shares)
        ]
    )
    found = group_fractions(class_fractions(table, keep=["treatment"]), "treatment").iloc[0]
    assert found["high"] - found["fraction"] == pytest.approx(3.182 * 0.08165 / 2, rel=1e-3)


def test_a_simulated_treatment_effect_is_found():
    # the drug trebles every step away from pluripotency
    found = compare_groups(
        experiment(3.0, 0), condition="treatment", control="control", class_name="dense"
    )
    assert (found.treated, found.control) == ("nicotine", "control")
    assert (found.treated_wells, found.control_wells) == (4, 4)
    assert found.p < 0.01
    assert found.slope.high < 0  # dense colonies are lost faster
    assert found.share.high < 0
    assert found.mixed is not None
    assert found.mixed.level.p < 0.01


def test_an_absent_treatment_effect_is_not_found():
    # 30 experiments: 1.5 expected, binomial standard deviation 1.2; test_mixed.py counts more
    p = [
        compare_groups(
            experiment(1.0, seed, number=10),
            condition="treatment",
            control="control",
            class_name="dense",
        ).p
        for seed in range(30)
    ]
    assert (np.array(p) < 0.05).sum() <= 1.5 + 4 * 1.2


def test_wells_that_begin_with_more_of_a_class_show_no_effect_from_the_start():
    # treated wells begin with 6 of 10 "a", control wells with 4; what happens then is the same
    steps = ((1, 1), (-1, -1), (1, -1), (-1, 1))
    table = pd.concat(
        [
            colonies("a" * n + "b" * (10 - n), well=f"{given}{w}", treatment=given, time_h=12 * i)
            for given, start in (("drug", 6), ("control", 4))
            for w, (one, two) in enumerate(steps)
            for i, n in enumerate((start, start + one, start + two))
        ]
    )
    how = {"condition": "treatment", "control": "control", "class_name": "a"}
    plain = compare_groups(table, **how)
    assert plain.share.estimate == pytest.approx(0.2)
    assert plain.p < 0.05
    changed = compare_groups(table, **how, from_start=True)
    assert changed.share.estimate == pytest.approx(0, abs=1e-12)
    assert changed.p > 0.5
    late = (table["well"] == "drug0") & (table["time_h"] == 0)
    with pytest.raises(DataError, match="1 wells have no colony at the first hour"):
        compare_groups(table[~late], **how, from_start=True)


def test_one_hour_has_no_mixed_model():
    table = experiment(1.0, 0, number=10)
    found = compare_groups(
        table[table["time_h"] == 48],
        condition="treatment",
        control="control",
        class_name="dense",
    )
    assert found.mixed is None
    assert np.isnan(found.slope.p)
    assert found.p == found.level.p


def test_the_treated_side_is_named_where_there_are_several():
    table = pd.concat(
        [colonies("ab", well=w, drug=d) for w, d in enumerate(["none", "x", "y"] * 2)]
    )
    with pytest.raises(InputError, match="2 conditions beside none; say which is `treated`"):
        compare_groups(table, condition="drug", control="none", class_name="a")
    found = compare_groups(table, condition="drug", control="none", class_name="a", treated="y")
    assert (found.treated_wells, found.control_wells) == (2, 2)
    with pytest.raises(InputError, match="the table has none, x, y"):
        compare_groups(table, condition="drug", control="vehicle", class_name="a", treated="y")


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (colonies("ab").drop(columns="well"), "no column 'well'"),
        (colonies("ab").drop(columns="frame"), "neither time_h nor frame"),
        (colonies("ab").drop(columns="class"), "neither a column class nor probabilities"),
        (colonies("ab")[:0], "empty"),
        (colonies(["a", None]), "without class"),
        (colonies("ab", area_um2=[1.0, 0.0]), "an area of 0.0 um2"),
    ],
)
def test_tables_that_lack_something_are_refused(table, reason):
    with pytest.raises(DataError, match=reason):
        class_fractions(table)


def test_a_well_with_two_treatments_is_refused():
    with pytest.raises(DataError, match="well 1 has 2 values of drug"):
        class_fractions(colonies("ab", drug=["x", "y"]), keep=["drug"])
