"""Fractions as a biologist asks for them: what is written, left out, compared and refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from unstained.colonies.fraction_report import check_fractions, with_conditions, write_fractions
from unstained.errors import DataError, InputError

HOW = {"condition": "treatment", "control": "control"}


def colonies(*treatments: str, **columns: object) -> pd.DataFrame:
    """Ten colonies in each of two frames of a well for each treatment, half of them `a`."""
    rows = [
        {"well": f"w{w}", "frame": str(frame), "treatment": given, "class": "ab"[i % 2]}
        for w, given in enumerate(treatments)
        for frame in range(2)
        for i in range(10)
    ]
    return pd.DataFrame(rows).assign(**columns)


def test_colonies_without_a_pixel_size_have_shares_by_number_and_a_note(tmp_path: Path) -> None:
    words = write_fractions(colonies("control", area_um2=np.nan), tmp_path, **HOW)
    assert words[0].startswith("20 of 20 colonies have no area in um2: shares are by number")
    table = pd.read_csv(tmp_path / "fractions.csv")
    assert "area_fraction" not in table
    assert table["fraction"].tolist() == [0.5] * 4


def test_areas_that_are_all_known_have_shares_by_area(tmp_path: Path) -> None:
    # in text, as a manifest has them
    write_fractions(colonies("control", area_um2="100"), tmp_path, **HOW)
    assert pd.read_csv(tmp_path / "fractions.csv")["area_fraction"].tolist() == [0.5] * 4


def test_every_treatment_is_compared_with_the_control_and_holm_counts_all(tmp_path: Path) -> None:
    table = colonies(*["control", "low", "high"] * 3)
    table.loc[table["treatment"] == "high", "class"] = "a"
    write_fractions(table, tmp_path, **HOW)
    effects = pd.read_csv(tmp_path / "effects.csv")
    assert effects[["treated", "class"]].to_numpy().tolist() == [
        ["high", "a"],
        ["high", "b"],
        ["low", "a"],
        ["low", "b"],
    ]
    assert effects["share"].tolist() == pytest.approx([0.5, -0.5, 0, 0])
    # nothing differs between low and control: p is 1, and four tests are corrected for
    assert effects["p_holm"].tolist()[2:] == [1, 1]
    assert effects["p_holm"][0] == pytest.approx(min(1, 4 * effects["p"][0]))


def test_wells_of_a_blank_treatment_are_counted_but_not_compared(tmp_path: Path) -> None:
    words = write_fractions(colonies(*["control", "drug"] * 2, "", " "), tmp_path, **HOW)
    assert words[0] == "not compared, for their treatment is blank: wells w4, w5"
    assert set(pd.read_csv(tmp_path / "effects.csv")["treated"]) == {"drug"}
    assert pd.read_csv(tmp_path / "conditions.csv")["treatment"].nunique() == 2
    assert pd.read_csv(tmp_path / "fractions.csv")["well"].nunique() == 6


def test_treatments_that_are_all_blank_are_no_treatments(tmp_path: Path) -> None:
    words = write_fractions(colonies("", ""), tmp_path, **HOW)
    assert words == [
        f"no column 'treatment' with words in it: fractions of each well and hour are in {tmp_path}"
    ]


def test_a_control_that_no_well_has_is_named_with_its_option_and_file(tmp_path: Path) -> None:
    table = colonies("control", "drug")
    with pytest.raises(InputError, match=r"wells.csv: no well has .*'none'.*--control.*drug"):
        write_fractions(table, tmp_path, condition="treatment", control="none", file="wells.csv")
    assert (tmp_path / "fractions.csv").is_file()


def test_a_single_control_well_is_not_compared_and_a_note_says_so(tmp_path: Path) -> None:
    words = write_fractions(colonies("control", "drug", "drug"), tmp_path, **HOW)
    assert words[0].startswith(
        "drug was not compared with control (--control): 2 treated and 1 control wells"
    )
    assert words[1] == f"nothing was compared; fractions of each well and hour are in {tmp_path}"
    assert (tmp_path / "fractions.csv").is_file()


def test_nothing_of_an_earlier_comparison_stays(tmp_path: Path) -> None:
    write_fractions(colonies(*["control", "drug"] * 2), tmp_path, **HOW)
    assert (tmp_path / "effects.csv").is_file()
    write_fractions(colonies("", ""), tmp_path, **HOW)
    assert [path.name for path in tmp_path.iterdir()] == ["fractions.csv"]


def test_one_treatment_of_too_few_wells_leaves_the_others_compared(tmp_path: Path) -> None:
    words = write_fractions(colonies(*["control", "drug"] * 2, "rare"), tmp_path, **HOW)
    assert words[0].startswith("rare was not compared with control")
    assert set(pd.read_csv(tmp_path / "effects.csv")["treated"]) == {"drug"}


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"frame": "T0"}, "data.csv: row 1 has the frame 'T0'; write a number"),
        ({"time_h": "abc"}, "data.csv: row 1 has the time_h 'abc'; write a number"),
        ({"area_um2": "large"}, "data.csv: row 1 has the area_um2 'large'"),
        ({"frame": ["", *["0"] * 19]}, "data.csv: does not say frame of 1 rows"),
    ],
)
def test_times_that_are_no_numbers_are_named_with_file_and_row(
    columns: dict[str, object], reason: str
) -> None:
    with pytest.raises(DataError, match=reason):
        check_fractions(colonies("control", **columns), "data.csv")


def test_colonies_without_wells_or_frames_are_refused() -> None:
    table = colonies("control")
    with pytest.raises(DataError, match=r"data.csv: has no column well"):
        check_fractions(table.drop(columns="well"), "data.csv")
    with pytest.raises(DataError, match=r"data.csv: has neither frame nor time_h"):
        check_fractions(table.drop(columns="frame"), "data.csv")


def test_frames_are_the_time_where_some_hours_are_missing(tmp_path: Path) -> None:
    words = write_fractions(colonies("control", time_h=["", *["3"] * 19]), tmp_path, **HOW)
    assert words[0] == "1 rows have no time_h: time is counted in frames"
    assert pd.read_csv(tmp_path / "fractions.csv")["frame"].tolist() == [0, 0, 1, 1]


def test_wells_cannot_be_joined_to_colonies_that_have_none(tmp_path: Path) -> None:
    wells = tmp_path / "wells.csv"
    wells.write_text("well,treatment\nw0,control\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"wells.csv: .*the colonies have no column well"):
        with_conditions(colonies("control").drop(columns="well"), wells)


def followed(slope: float, step: float, hours: list[int], **columns: object) -> pd.DataFrame:
    """Wells of 1000 colonies; log odds of `a` go from -1 by `slope` an hour, treated by `step`."""
    rows = []
    for w in range(8):
        given = "drug" if w % 2 else "control"
        for hour in hours:
            own = 0.1 * (w // 2 - 1.5) + 0.002 * hour * (-1) ** (w // 2)  # wells differ a little
            odds = np.exp(-1 + own + (step + slope * hour if w % 2 else 0))
            a = round(1000 * odds / (1 + odds))
            of = {"well": f"w{w}", "frame": hour, "treatment": given, **columns}
            rows += [{**of, "class": "a"}] * a + [{**of, "class": "b"}] * (1000 - a)
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("slope", "step", "said"),
    # a slope about the mean hour, 12, leaves the level alone
    [(0.03, -0.36, "slope"), (0.0, 1.0, "level"), (0.03, 1.0, "level and slope")],
)
def test_level_slope_and_mixed_model_are_written_and_the_one_that_differs_is_said(
    slope: float, step: float, said: str, tmp_path: Path
) -> None:
    words = write_fractions(followed(slope, step, [0, 6, 12, 18, 24]), tmp_path, **HOW)
    effect = pd.read_csv(tmp_path / "effects.csv").iloc[0]
    level = step + 12 * slope
    # colonies are whole: log odds are right to 0.5 / (1000 * 0.27 * 0.73)
    assert effect["slope"] == pytest.approx(slope, abs=1e-3)
    assert effect["log_odds"] == pytest.approx(level, abs=3e-3)
    assert effect["slope_low"] < slope < effect["slope_high"]
    assert (effect["slope_p"] < 0.05) == ("slope" in said)
    assert (effect["log_odds_p"] < 0.05) == ("level" in said)
    # of wells with the same hours the mixed model says the same
    for name, of_wells in (("mixed_log_odds", "log_odds"), ("mixed_slope", "slope")):
        assert effect[name] == pytest.approx(effect[of_wells], abs=1e-3)
        assert effect[f"{name}_low"] < effect[name] < effect[f"{name}_high"]
        assert effect[f"{name}_p"] == pytest.approx(effect[f"{of_wells}_p"], rel=0.05, abs=1e-3)
    assert f"(Holm): differs in {said}; slope {effect['slope']:+.3g} [" in words[0]
    assert f"log odds per frame; mixed model {effect['mixed_log_odds']:+.3g} [" in words[0]


def test_one_hour_has_neither_slope_nor_mixed_model(tmp_path: Path) -> None:
    words = write_fractions(followed(0.0, 1.0, [0]), tmp_path, **HOW)
    effect = pd.read_csv(tmp_path / "effects.csv").iloc[0]
    assert effect[["slope", "slope_p", "mixed_log_odds", "mixed_slope"]].isna().all()
    assert words[0].endswith("(Holm): differs in level")
