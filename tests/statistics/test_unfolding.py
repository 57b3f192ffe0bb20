"""The mix of amounts is found from predictions alone."""

from __future__ import annotations

import numpy as np
import pytest

from unstained.errors import InputError
from unstained.statistics import Response, effective_number, unfold, unfolding


def _mix(rng: np.random.Generator, small: int, large: int) -> np.ndarray:
    """Amounts near 1 and near 2, (N, 1)."""
    kind = np.repeat([1.0, 2.0], [small, large])
    return (kind + 0.1 * rng.standard_normal(kind.size))[:, None]


def _predicted(rng: np.random.Generator, true: np.ndarray) -> np.ndarray:
    """Drawn to 1.5, as a model does that is not sure, with an error that blurs the two kinds."""
    return 1.5 + 0.6 * (true - 1.5) + 0.3 * rng.standard_normal(true.shape)


def test_nine_small_cells_in_ten_are_found_from_predictions_that_cannot_tell_single_cells() -> None:
    rng = np.random.default_rng(0)
    checked, known, new = _mix(rng, 150, 150), _mix(rng, 200, 200), _mix(rng, 900, 100)
    response = Response.fit(checked, _predicted(rng, checked))
    weights = unfold(_predicted(rng, new), known, response)
    share = weights[known[:, 0] < 1.5].sum() / weights.sum()
    # kinds 0.6 apart with an error of 0.3: a share of the 1000 has an error of some 0.02
    assert share == pytest.approx(0.9, abs=0.05)
    assert weights.mean() == pytest.approx(1)
    # predictions themselves, drawn to the middle, would say 1.5 + 0.6 (1.1 - 1.5) = 1.26
    assert np.average(known[:, 0], weights=weights) == pytest.approx(1.1, abs=0.05)


def test_the_same_mix_changes_nothing() -> None:
    rng = np.random.default_rng(1)
    checked, known, new = _mix(rng, 300, 300), _mix(rng, 200, 200), _mix(rng, 1000, 1000)
    weights = unfold(_predicted(rng, new), known, Response.fit(checked, _predicted(rng, checked)))
    assert weights[known[:, 0] < 1.5].mean() == pytest.approx(1, abs=0.1)
    assert effective_number(weights) > 0.9 * 400


def test_two_markers_are_unfolded_together() -> None:
    # kinds (1, 1), (1, 2), (2, 1), (2, 2); the new cells are all (1, 2)
    rng = np.random.default_rng(2)
    kinds = np.array([(a, b) for a in (1.0, 2.0) for b in (1.0, 2.0)])

    def cells(each: np.ndarray, n: int) -> np.ndarray:
        return np.repeat(each, n, axis=0) + 0.1 * rng.standard_normal((n * len(each), 2))

    checked, known, new = cells(kinds, 80), cells(kinds, 80), cells(kinds[1:2], 300)
    response = Response.fit(checked, _predicted(rng, checked))
    weights = unfold(_predicted(rng, new), known, response)
    of_kind = weights.reshape(4, 80).sum(axis=1) / weights.sum()
    assert of_kind.argmax() == 1
    assert of_kind[1] > 0.85


def test_blocks_of_new_cells_give_what_all_at_once_do(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    checked, known, new = _mix(rng, 60, 60), _mix(rng, 30, 30), _mix(rng, 70, 7)
    response, predicted = Response.fit(checked, _predicted(rng, checked)), _predicted(rng, new)
    whole = unfold(predicted, known, response)
    monkeypatch.setattr(unfolding, "_AT_ONCE", 10 * len(known))  # ten new cells at once
    assert unfold(predicted, known, response) == pytest.approx(whole)


def test_a_response_tells_bias_and_spread_where_they_are() -> None:
    # predictions are 3 too high below 50 and 3 too low above, with an SD of 0 there and 2 here
    true = np.arange(100.0)[:, None]
    away = np.where(true < 50, 3.0, -3.0 + 2.0 * (-1.0) ** true)
    response = Response.fit(true[::-1], (true + away)[::-1])
    mean, sd = response.at(np.array([[10.0], [90.0]]))
    assert mean[:, 0] == pytest.approx([13, 87])
    assert sd[0, 0] == pytest.approx(1e-3 * true.std())  # never quite 0
    assert sd[1, 0] == pytest.approx(2)


def test_effective_number_counts_what_weights_are_worth() -> None:
    assert effective_number([1, 1, 1, 1]) == 4
    assert effective_number([1, 0, 0, 0]) == 1
    assert effective_number([3, 1]) == pytest.approx(16 / 10)
    assert effective_number([0, 0]) == 0


def test_what_cannot_be_unfolded_is_refused() -> None:
    ten = np.arange(10.0)[:, None]
    with pytest.raises(InputError, match="10 known amounts; how predictions scatter takes 50"):
        Response.fit(ten, ten)
    with pytest.raises(InputError, match="all known amounts of a marker are equal"):
        Response.fit(np.ones((60, 1)), np.ones((60, 1)))
    with pytest.raises(InputError, match="not finite"):
        Response.fit(np.full((60, 1), np.nan), np.ones((60, 1)))
    many = np.arange(60.0)[:, None]
    response = Response.fit(many, many)
    with pytest.raises(InputError, match="0 predictions"):
        unfold(np.empty((0, 1)), many, response)
    with pytest.raises(InputError, match="iterations is 0"):
        unfold(many, many, response, iterations=0)
