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
    weights = unfold(_predicted(rng, new), known, response).weights
    share = weights[known[:, 0] < 1.5].sum() / weights.sum()
    # kinds 0.6 apart with an error of 0.3: a share of the 1000 has an error of some 0.02
    assert share == pytest.approx(0.9, abs=0.05)
    assert weights.mean() == pytest.approx(1)
    # predictions themselves, drawn to the middle, would say 1.5 + 0.6 (1.1 - 1.5) = 1.26
    assert np.average(known[:, 0], weights=weights) == pytest.approx(1.1, abs=0.05)


def test_the_same_mix_changes_nothing() -> None:
    rng = np.random.default_rng(1)
    checked, known, new = _mix(rng, 300, 300), _mix(rng, 200, 200), _mix(rng, 1000, 1000)
    response = Response.fit(checked, _predicted(rng, checked))
    weights = unfold(_predicted(rng, new), known, response).weights
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
    weights = unfold(_predicted(rng, new), known, response).weights
    of_kind = weights.reshape(4, 80).sum(axis=1) / weights.sum()
    assert of_kind.argmax() == 1
    assert of_kind[1] > 0.85


def test_blocks_of_new_cells_give_what_all_at_once_do(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    checked, known, new = _mix(rng, 60, 60), _mix(rng, 30, 30), _mix(rng, 70, 7)
    response, predicted = Response.fit(checked, _predicted(rng, checked)), _predicted(rng, new)
    whole = unfold(predicted, known, response).weights
    monkeypatch.setattr(unfolding, "_AT_ONCE", 10 * len(known))  # ten new cells at once
    assert unfold(predicted, known, response).weights == pytest.approx(whole)


def test_a_response_follows_a_model_that_draws_all_to_the_middle() -> None:
    # predicted = 50 + (true - 50) / 2, and turns of +-3 above 80: mean 75 at 100, where an offset
    # of the tenth of the cells around 97.5 would say 100 - 23.75
    true = np.linspace(0, 100, 201)[:, None]
    error = np.where(true > 80, 3 * (-1.0) ** np.arange(201)[:, None], 0.0)
    response = Response.fit(true[::-1], (50 + (true - 50) / 2 + error)[::-1])
    mean, sd = response.at(np.array([[0.0], [30.0], [100.0]]))
    assert mean[:, 0] == pytest.approx([25, 40, 75], abs=0.5)
    assert sd[:2, 0] == pytest.approx(1e-3 * true.std())  # never quite 0
    # 20 turns of +-3 around a line with two parameters: 3 sqrt(20 / 18)
    assert sd[2, 0] == pytest.approx(3 * np.sqrt(20 / 18), rel=0.02)


def test_equal_amounts_have_their_own_mean_and_spread() -> None:
    # 40 cells of 10, predicted 12, and 40 of 20, predicted 17 +- 1
    true = np.repeat([10.0, 20.0], 40)[:, None]
    predicted = np.where(true == 10, 12.0, 17 + (-1.0) ** np.arange(80)[:, None])
    mean, sd = Response.fit(true, predicted).at(np.array([[10.0], [20.0]]))
    assert mean[:, 0] == pytest.approx([12, 17])
    assert sd[1, 0] == pytest.approx(np.sqrt(20 / 18))


def test_errors_that_all_markers_share_count_once() -> None:
    # eight markers of one signal whose errors are nearly the same: no more than one marker says
    rng = np.random.default_rng(4)

    def cells(n: int) -> tuple[np.ndarray, np.ndarray]:
        true = rng.normal(10, 2, (n, 1)) + rng.normal(0, 0.5, (n, 8))
        return true, true + 2 * rng.standard_normal((n, 1)) + rng.standard_normal((n, 8))

    checked, known, new = cells(1000), cells(1000)[0], cells(1000)[1]
    weights = unfold(new, known, Response.fit(*checked)).weights
    assert effective_number(weights) > 600  # the same mix; independent errors would leave 113


def test_what_is_like_no_known_cell_has_no_say() -> None:
    rng = np.random.default_rng(5)
    checked, known, new = _mix(rng, 150, 150), _mix(rng, 100, 100), _mix(rng, 100, 100)
    response, predicted = Response.fit(checked, _predicted(rng, checked)), _predicted(rng, new)
    alone = unfold(predicted, known, response)
    assert alone.familiar.all()
    with_clumps = unfold(np.vstack([predicted, [[1e6], [-1e6]]]), known, response)
    assert with_clumps.familiar.tolist() == [True] * 200 + [False] * 2
    assert with_clumps.weights == pytest.approx(alone.weights)
    with pytest.raises(InputError, match="none of 1 predictions is near a known amount"):
        unfold(np.array([[1e6]]), known, response)


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
