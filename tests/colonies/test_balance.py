"""Balancing weights and estimates of the class prior, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from unstained.colonies.balance import (
    PriorEstimate,
    adaptive_thresholds,
    align,
    balancing_weights,
    em_prior,
)
from unstained.errors import InputError


def test_weights_are_inverse_to_shares() -> None:
    # 1 / 0.8 = 1.25 and 1 / 0.2 = 5; their mean over the items, 0.8 * 1.25 + 0.2 * 5, is 2
    assert balancing_weights([0.8, 0.2]) == pytest.approx([1.25 / 2, 5 / 2])


def test_counts_serve_as_well_as_shares() -> None:
    assert balancing_weights([80, 20]) == pytest.approx(balancing_weights([0.8, 0.2]))


def test_every_class_is_expected_equally_often() -> None:
    shares = np.array([0.7, 0.2, 0.1])
    assert shares * balancing_weights(shares) == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize(
    ("temperature", "floor", "cap"), [(0, 0, math.inf), (0.5, 0, 3), (2, 0.2, 4), (1, 1, 1)]
)
def test_the_expected_weight_of_an_item_is_one(
    temperature: float, floor: float, cap: float
) -> None:
    shares = np.array([0.62, 0.3, 0.08, 0.0])
    weights = balancing_weights(shares, temperature=temperature, floor=floor, cap=cap)
    assert shares @ weights == pytest.approx(1)


def test_temperature_0_draws_all_items_alike() -> None:
    assert balancing_weights([0.9, 0.1], temperature=0) == pytest.approx([1, 1])


def test_temperature_one_half_takes_the_root() -> None:
    # 0.8^-1/2 : 0.2^-1/2 = 1 : 2
    first, second = balancing_weights([0.8, 0.2], temperature=0.5)
    assert second / first == pytest.approx(2)


def test_shares_below_the_floor_count_as_the_floor() -> None:
    # 1 / 0.9 and 1 / 0.3 in place of 1 / 0.1
    first, second = balancing_weights([0.9, 0.1], floor=0.3)
    assert second / first == pytest.approx(3)


def test_no_weight_exceeds_the_cap_times_the_least() -> None:
    weights = balancing_weights([0.89, 0.1, 0.01], cap=4)
    assert weights / weights[0] == pytest.approx([1, 4, 4])


def test_a_class_without_pseudo_labels_is_never_drawn_and_harms_no_other() -> None:
    assert balancing_weights([0.5, 0.0, 0.5]).tolist() == [1, 0, 1]


def test_an_empty_class_does_not_set_the_cap() -> None:
    weights = balancing_weights([0.9, 0.0, 0.1], cap=2)
    assert weights[2] / weights[0] == pytest.approx(2)


def test_no_pseudo_labels_at_all_give_no_weight() -> None:
    assert balancing_weights([0, 0, 0]).tolist() == [0, 0, 0]


def test_the_shares_given_are_not_changed() -> None:
    shares = np.array([3.0, 1.0])
    balancing_weights(shares)
    assert shares.tolist() == [3, 1]


@pytest.mark.parametrize("shares", [[0.5, -0.1], [0.5, math.nan], [[0.5, 0.5]]])
def test_shares_that_cannot_be_are_refused(shares: list[float]) -> None:
    with pytest.raises(InputError, match="shares"):
        balancing_weights(shares)


@pytest.mark.parametrize("given", [{"temperature": -1}, {"floor": 1.5}, {"cap": 0.5}])
def test_settings_out_of_range_are_refused(given: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(given))):
        balancing_weights([1, 1], **given)


# the prior ---------------------------------------------------------------------------------

# p(x | class) of a feature with four values, in tenths
LIKELIHOOD = np.array([[7, 2, 1, 0], [1, 6, 2, 1], [0, 1, 3, 6]]) / 10
TRUE = np.array([0.8, 0.15, 0.05])


def calibrated(trained: np.ndarray) -> np.ndarray:
    """(1000, 3) posteriors under `trained` of images whose classes have the shares TRUE."""
    count = np.round(1000 * TRUE @ LIKELIHOOD).astype(int)  # of each value of x
    joint = LIKELIHOOD.T * trained  # (4, 3)
    return np.repeat(joint / joint.sum(axis=1, keepdims=True), count, axis=0)


@pytest.mark.parametrize("trained", [[1 / 3, 1 / 3, 1 / 3], [0.2, 0.3, 0.5]])
def test_em_finds_the_shares_from_calibrated_probabilities(trained: list[float]) -> None:
    p = calibrated(np.array(trained))
    found = em_prior(p, trained, rounds=2000)
    assert found == pytest.approx(TRUE, abs=2e-3)
    assert np.abs(p.mean(axis=0) - TRUE).max() > 0.1  # the plain mean does not


def test_em_stays_where_the_classifier_was_trained_under_the_true_shares() -> None:
    p = calibrated(TRUE)
    assert p.mean(axis=0) == pytest.approx(TRUE, abs=1e-3)
    assert em_prior(p, TRUE, rounds=2000) == pytest.approx(TRUE, abs=3e-3)


def test_a_running_mean_takes_the_first_shares_in_full_and_then_moves_by_its_rate() -> None:
    prior = PriorEstimate(np.full(2, 0.5), rate=0.25)
    assert prior.update([9, 1]) == pytest.approx([0.9, 0.1])
    assert prior.update([0.5, 0.5]) == pytest.approx([0.8, 0.2])  # 0.75 * 0.9 + 0.25 * 0.5


def test_alignment_moves_probabilities_by_the_ratio_of_shares() -> None:
    # 0.5 * 0.2 / 0.4 = 0.25 and 0.5 * 0.8 / 0.6 = 0.667, over their sum
    aligned = align([[0.5, 0.5]], target=[0.2, 0.8], running=[0.4, 0.6])
    assert aligned == pytest.approx(np.array([[0.25, 2 / 3]]) / (0.25 + 2 / 3))


def test_alignment_to_the_shares_that_are_there_changes_nothing() -> None:
    p = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])
    assert align(p, [0.2, 0.5, 0.3], [0.2, 0.5, 0.3]) == pytest.approx(p)


# thresholds --------------------------------------------------------------------------------


def test_a_class_with_half_as_many_confident_labels_has_a_third_of_the_threshold() -> None:
    labels = np.repeat([0, 1, 2], [10, 5, 4])
    confidence = np.where(labels == 2, 0.5, 0.95)  # of class 2 none is confident
    # b = 1, 1/2, 0; b / (2 - b) = 1, 1/3, 0; not below 1/K = 1/8
    needed = adaptive_thresholds(0.9, labels, confidence, 8)
    assert needed[:3] == pytest.approx([0.9, 0.3, 1 / 8])


def test_without_confident_labels_all_classes_keep_the_threshold() -> None:
    needed = adaptive_thresholds(0.9, np.array([0, 1]), np.array([0.5, 0.6]), 2)
    assert needed.tolist() == [0.9, 0.9]


def test_a_threshold_below_chance_is_not_raised() -> None:
    assert adaptive_thresholds(0.0, np.array([0]), np.array([0.9]), 3).tolist() == [0, 0, 0]
