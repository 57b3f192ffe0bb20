"""Cells unlike those of the training are flagged; familiar ones seldom are."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from sklearn.covariance import LedoitWolf

from unstained.cell_table import OBS_COLUMNS, label_free_features, new_cells, values_of
from unstained.cells.familiar import Reference, fit_reference, flag_strange
from unstained.cells.measuring import Measuring
from unstained.errors import DataError, FileError, InputError


def table(area: np.ndarray) -> AnnData:
    """Cells of which the area is known and nothing else."""
    obs = pd.DataFrame({name: np.arange(area.size) for name in OBS_COLUMNS}).assign(image="a")
    var = pd.DataFrame({"kind": ["shape"], "unit": "um2"}, index=["area_um2"])
    return new_cells(obs, pd.DataFrame({"area_um2": area}), var)


def looks(rng: np.random.Generator, n: int, shift: float = 0.0) -> pd.DataFrame:
    """Three features of very unequal size, the first two of which go together."""
    a, b, c = rng.normal(size=(3, n))
    return pd.DataFrame(
        {"area": 1000 + 200 * (a + shift), "length": 50 + 5 * (a + 0.3 * b), "ratio": 2 + 0.1 * c}
    )


def test_at_most_the_promised_share_of_familiar_cells_is_flagged() -> None:
    rng = np.random.default_rng(0)
    flagged = []
    for _ in range(40):
        reference = fit_reference(looks(rng, 400), 0.05)
        flagged.append(reference.judge(looks(rng, 200)).outside.mean())
    # p = k / 201 < 0.05 for k up to 10: 10 / 201 = 0.0498 expected
    assert np.mean(flagged) == pytest.approx(0.0498, abs=0.012)


def test_cells_of_another_kind_are_flagged_though_each_feature_is_usual() -> None:
    # area and length are both within 1.5 sd, but never so together
    rng = np.random.default_rng(1)
    reference = fit_reference(looks(rng, 1000))
    odd = pd.DataFrame({"area": [1300.0], "length": [42.5], "ratio": [2.0]})
    assert reference.judge(odd).outside.tolist() == [True]
    usual = pd.DataFrame({"area": [1300.0], "length": [57.5], "ratio": [2.0]})
    assert reference.judge(usual).outside.tolist() == [False]


def test_the_distance_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(2)
    data = looks(rng, 300)
    reference = fit_reference(data, groups=np.arange(300) % 2)
    # one of the two groups was fitted on: the one whose median it has
    sides = [data[np.arange(300) % 2 == i] for i in (0, 1)]
    fitted = next(s for s in sides if np.allclose(s.median(), reference.median))
    z = (data.to_numpy() - reference.median) / reference.scale
    model = LedoitWolf().fit(z[fitted.index])
    expected = np.sqrt(model.mahalanobis(z))
    np.testing.assert_allclose(reference.distance(data), expected, rtol=1e-9)
    assert reference.held_out.size == 150


def test_p_counts_the_held_out_cells_that_are_as_far() -> None:
    # distance |z| in one feature; held out 1, 2, 3, 4
    one = np.array([[1.0]])
    zero = np.zeros(1)
    reference = Reference(("x",), zero, zero + 1, zero, one, np.arange(1.0, 5.0), 0.3)
    found = reference.judge(pd.DataFrame({"x": [0.0, -3.0, 9.0, np.nan]}))
    assert found.distance.tolist() == pytest.approx([0, 3, 9, np.nan], nan_ok=True)
    assert found.p.tolist() == pytest.approx([5 / 5, 3 / 5, 1 / 5, np.nan], nan_ok=True)
    assert found.outside.tolist() == [False, False, True, True]


def test_features_that_are_constant_or_often_absent_are_left_out() -> None:
    rng = np.random.default_rng(3)
    data = looks(rng, 400).assign(constant=1.0, nucleus=np.where(np.arange(400) < 10, np.nan, 1))
    data["nucleus"] *= rng.normal(size=400)
    assert fit_reference(data).features == ("area", "length", "ratio")


def test_a_reference_comes_back_from_json(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    measured = Measuring("outside", 3.0, 10.0, (0.5,))
    reference = replace(fit_reference(looks(rng, 300)), cells="training", measured=measured)
    back = Reference.read(reference.write(tmp_path / "reference.json"))
    new = looks(rng, 20)
    np.testing.assert_array_equal(back.distance(new), reference.distance(new))
    assert (back.level, back.cells, back.measured) == (0.01, "training", measured)
    with pytest.raises(FileError, match="cannot be read as a reference"):
        Reference.read(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"median": [0.0]}, r"3 features, .*'median': \(1,\)"),
        ({"precision": [[1.0]]}, r"3 features, .*precision \(1, 1\)"),
        # eigenvalues 3, 1 and -1; then 2, 1 and 0
        ({"precision": [[1, 2, 0], [2, 1, 0], [0, 0, 1]]}, "precision is not positive definite"),
        ({"precision": [[1, 1, 0], [1, 1, 0], [0, 0, 1]]}, "precision is not positive definite"),
        ({"precision": [[1, 0.5, 0], [0, 1, 0], [0, 0, 1]]}, "precision is not symmetric"),
        ({"scale": [1.0, 0.0, 1.0]}, "a scale is not above 0"),
        ({"held_out": [3.0, 2.0]}, "held_out is empty or does not ascend"),
        ({"held_out": []}, "held_out is empty or does not ascend"),
        ({"level": 3}, "level is 3, no share"),
        ({"features": "area"}, "features is 'area', not a list"),
    ],
)
def test_a_reference_with_values_that_none_has_is_refused(
    tmp_path: Path, changed: dict[str, object], said: str
) -> None:
    reference = fit_reference(looks(np.random.default_rng(0), 400))
    file = reference.write(tmp_path / "reference.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))
    with pytest.raises(FileError, match=rf"reference\.json: cannot be read .*({said})"):
        Reference.read(file)


def test_too_few_cells_for_the_level_are_refused() -> None:
    # p >= 1 / (1 + n) has to get below 0.01: n >= 100
    rng = np.random.default_rng(5)
    with pytest.raises(DataError, match="99 held out"):
        fit_reference(looks(rng, 198))
    assert fit_reference(looks(rng, 200)).held_out.size == 100
    with pytest.raises(DataError, match="no feature varies"):
        fit_reference(pd.DataFrame({"x": np.ones(300)}))
    with pytest.raises(DataError, match="no feature varies"):
        fit_reference(looks(rng, 1)[:0])
    with pytest.raises(InputError, match="level 5"):
        fit_reference(looks(rng, 300), 5)


def test_a_table_gets_distance_p_and_flag_of_each_cell() -> None:
    area = np.random.default_rng(6).normal(500, 20, 400)
    cells = table(area)
    reference = fit_reference(label_free_features(cells))
    strange = table(np.array([500.0, 510.0, 5000.0]))
    out = flag_strange(strange, reference)
    assert out.obs["outside"].tolist() == [False, False, True]
    assert out.obs["familiar_p"].iloc[2] == pytest.approx(1 / 201)
    assert out.obs["strangeness"].argmax() == 2
    assert "outside" not in strange.obs


def test_what_a_model_says_of_a_strange_cell_is_not_kept() -> None:
    cells = table(np.array([500.0, 5000.0]))
    marked = new_cells(
        cells.obs.reset_index(drop=True),
        pd.DataFrame({"CD105": [70.0, 80.0], "area_um2": [500.0, 5000.0]}),
        pd.DataFrame({"kind": ["marker", "shape"], "unit": ""}, index=["CD105", "area_um2"]),
        {"mean": np.full((2, 2), 7.0), "background": np.full((2, 2), 3.0)},
    )
    area = np.random.default_rng(6).normal(500, 20, 400)
    out = flag_strange(marked, fit_reference(label_free_features(table(area))))
    assert values_of(out, ["CD105"])[:, 0].tolist() == pytest.approx([70, np.nan], nan_ok=True)
    mean = values_of(out, ["CD105"], "mean")[:, 0].tolist()
    assert mean == pytest.approx([7, np.nan], nan_ok=True)
    assert values_of(out, ["CD105"], "background")[:, 0].tolist() == [3.0, 3.0]
    assert values_of(out, ["area_um2"])[:, 0].tolist() == [500.0, 5000.0]
    assert values_of(marked, ["CD105"])[:, 0].tolist() == [70.0, 80.0]


def test_grey_values_over_another_background_are_not_compared() -> None:
    rng = np.random.default_rng(8)
    measured = Measuring("none", 3.0, 10.0, (0.5,))
    grey = looks(rng, 300).rename(columns={"ratio": "image0 mean"})
    reference = replace(fit_reference(grey), measured=measured)
    other = replace(measured, background="outside")
    with pytest.raises(DataError, match="grey values were made of cells measured with"):
        reference.check(other)
    assert replace(fit_reference(looks(rng, 300)), measured=measured).check(other) == ()


def test_cells_without_the_features_of_the_reference_are_refused() -> None:
    reference = fit_reference(looks(np.random.default_rng(7), 300))
    with pytest.raises(DataError, match="the cells have no area, length, ratio"):
        flag_strange(table(np.arange(3.0)), reference)
