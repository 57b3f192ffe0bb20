import numpy as np
import pytest

from unstained.errors import InputError
from unstained.statistics import (
    TOP_LABEL,
    apply_temperature,
    calibration_scores,
    fit_temperature,
    reliability_table,
)


def drawn(n=20_000, sharpness=1.0, seed=0):
    """Logits and classes drawn from softmax(logits); the logits given are `sharpness` x those."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n, 3))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    true = (rng.random(n)[:, None] > p.cumsum(axis=1)).sum(axis=1)
    return sharpness * logits, np.minimum(true, 2)


def test_logits_three_times_too_sharp_get_a_temperature_of_3():
    found = fit_temperature(*drawn(sharpness=3.0))
    # 20,000 rows: the standard error of T is about 3 / sqrt(20,000) = .02 times a small factor
    assert found.temperature == pytest.approx(3.0, rel=0.05)
    assert found.nll_after < found.nll_before


def test_the_temperature_is_where_the_slope_of_the_likelihood_is_0():
    # d NLL / d(1/T) = mean(sum_k p_k z_k - z_true)
    logits, true = drawn(500, 2.0)
    p = apply_temperature(logits, fit_temperature(logits, true).temperature)
    slope = (p * logits).sum(axis=1) - logits[np.arange(500), true]
    assert slope.mean() == pytest.approx(0, abs=1e-4)


def test_log_probabilities_serve_as_logits():
    logits, true = drawn(500, 2.0)
    log_p = np.log(apply_temperature(logits, 1.0))
    assert fit_temperature(log_p, true).temperature == pytest.approx(
        fit_temperature(logits, true).temperature, rel=1e-4
    )


def test_a_faultless_validation_part_ends_at_the_lowest_temperature():
    assert fit_temperature(np.eye(3) / 10, [0, 1, 2]).temperature == pytest.approx(0.05, rel=1e-3)


def test_softmax_by_hand():
    # softmax((ln 9, 0) / 2) = (3, 1) / 4
    assert apply_temperature([[np.log(9), 0.0]], 2.0) == pytest.approx(np.array([[0.75, 0.25]]))


def test_scores_of_four_rows_by_hand():
    # Top label: three rows say .8 (two right), one says .6 (wrong). With 5 bins (.6, .8] holds
    # the .8s and (.4, .6] the .6: (3 |.8 - 2/3| + |.6 - 0|) / 4 = (.4 + .6) / 4 = .25.
    # Class 0: p = .8 .8 .8 .6, class 0 in rows 0 and 1: the same bins, the same .25.
    # Class 1: p = .2 .2 .2 .4, class 1 in rows 2 and 3: (3 |.2 - 1/3| + |.4 - 1|) / 4 = .25.
    # Brier: (2 x .2^2) twice, 2 x .8^2, 2 x .6^2: (.08 + .08 + 1.28 + .72) / 4 = .54
    p = [[0.8, 0.2]] * 3 + [[0.6, 0.4]]
    found = calibration_scores(p, [0, 0, 1, 1], bins=5)
    assert found.ece == pytest.approx(0.25)
    assert found.class_ece == pytest.approx([0.25, 0.25])
    assert found.classwise_ece == pytest.approx(0.25)
    assert found.brier == pytest.approx(0.54)
    assert found.nll == pytest.approx(-(2 * np.log(0.8) + np.log(0.2) + np.log(0.4)) / 4)


def test_the_brier_score_is_that_of_scikit_learn():
    from sklearn.metrics import brier_score_loss, log_loss

    logits, true = drawn(300)
    p = apply_temperature(logits, 0.7)
    found = calibration_scores(p, true)
    # theirs is of one class; ours adds the classes up
    each = [brier_score_loss(true == k, p[:, k]) for k in range(3)]
    assert found.brier == pytest.approx(sum(each))
    assert found.nll == pytest.approx(log_loss(true, p, labels=[0, 1, 2]))


def test_a_rare_class_can_not_hide_in_the_class_wise_error():
    # class 2 is true in 5 % of rows and always given .0: top-label error sees little of it
    true = np.repeat([0, 1, 2], [475, 475, 50])
    p = np.tile([0.5, 0.5, 0.0], (1000, 1))
    p[:475], p[475:950] = [1, 0, 0], [0, 1, 0]
    found = calibration_scores(p, true)
    assert found.class_ece[2] == pytest.approx(0.05)
    assert found.ece < 0.05


def test_drawn_classes_are_calibrated_and_sharpened_ones_are_not():
    logits, true = drawn()
    assert calibration_scores(apply_temperature(logits, 1.0), true).ece < 0.02
    assert calibration_scores(apply_temperature(logits, 1 / 3), true).ece > 0.1


def test_the_reliability_table_counts_its_bins():
    # (0, .5] holds .5 and .2, (.5, 1] holds .8 and .9
    p = [[0.8, 0.2], [0.1, 0.9], [0.5, 0.5], [0.2, 0.8]]
    table = reliability_table(p, [0, 1, 1, 0], ("a", "b"), bins=2).set_index("class")
    top = table.loc[TOP_LABEL]
    assert top["n"].tolist() == [1, 3]
    assert top["confidence"].tolist() == pytest.approx([0.5, (0.8 + 0.9 + 0.8) / 3])
    assert top["frequency"].tolist() == pytest.approx([0, 2 / 3])
    a = table.loc["a"]
    assert a["n"].tolist() == [3, 1]
    assert a["frequency"].tolist() == pytest.approx([1 / 3, 1])
    assert (top["low"] <= top["frequency"]).all()
    assert (top["frequency"] <= top["high"]).all()


@pytest.mark.parametrize("p", [[[0.5, 0.6]], [[1.2, -0.2]], [[np.nan, 1.0]]])
def test_what_is_no_probability_is_refused(p):
    with pytest.raises(InputError, match="row 0"):
        calibration_scores(p, [0])


def test_logits_of_probabilities_of_0_are_refused():
    with pytest.raises(InputError, match="1 of them not finite"):
        fit_temperature([[0.0, -np.inf]], [0])


def test_a_prior_keeps_few_faultless_rows_from_certainty():
    # five rows, all right at 90 %: without a prior T falls to its lower end
    logits = np.tile(np.log([[0.9, 0.1]]), (5, 1))
    true = np.zeros(5, int)
    assert fit_temperature(logits, true).temperature < 0.07
    held = fit_temperature(logits, true, prior_sd=0.5)
    assert 0.7 < held.temperature < 1
    # many rows outweigh it
    many = np.tile(logits, (400, 1))
    wrong = np.arange(2000) % 4 == 0  # right in three of four, at 90 %
    free = fit_temperature(many, wrong.astype(int)).temperature
    assert fit_temperature(many, wrong.astype(int), prior_sd=0.5).temperature == pytest.approx(
        free, rel=0.02
    )
