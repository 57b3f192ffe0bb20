import json

import numpy as np
import pytest

from unstained.errors import InputError
from unstained.statistics import class_codes, classification_scores, wilson_interval

NAMES = ("debris", "dense", "spread")
# rows true, columns predicted; row sums 10, 20, 70, column sums 20, 24, 56
MATRIX = np.array([[8, 1, 1], [2, 13, 5], [10, 10, 50]])


def rows(matrix):
    """True and predicted codes that make this confusion matrix."""
    true, predicted = np.indices(matrix.shape).reshape(2, -1)
    return np.repeat(true, matrix.ravel()), np.repeat(predicted, matrix.ravel())


def estimates(scores, name):
    return [getattr(scores.classes[c], name).estimate for c in scores.names]


def test_recall_divides_by_the_true_rows_not_by_the_predicted_ones():
    # public code calls diagonal / column sum "TPR": that would be 8/20, 13/24, 50/56
    found = classification_scores(*rows(MATRIX), NAMES)
    assert estimates(found, "recall") == pytest.approx([8 / 10, 13 / 20, 50 / 70])
    assert estimates(found, "precision") == pytest.approx([8 / 20, 13 / 24, 50 / 56])
    assert [found.classes[name].n for name in NAMES] == [10, 20, 70]


def test_all_scores_are_those_of_scikit_learn():
    from sklearn import metrics

    true, predicted = rows(MATRIX)
    found = classification_scores(true, predicted, NAMES)
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(true, predicted)
    assert estimates(found, "precision") == pytest.approx(list(precision))
    assert estimates(found, "recall") == pytest.approx(list(recall))
    assert estimates(found, "f1") == pytest.approx(list(f1))
    expected = {
        "recall": recall.mean(),
        "precision": precision.mean(),
        "f1": metrics.f1_score(true, predicted, average="macro"),
        "balanced_accuracy": metrics.balanced_accuracy_score(true, predicted),
        "mcc": metrics.matthews_corrcoef(true, predicted),
        "accuracy": metrics.accuracy_score(true, predicted),
    }
    assert {k: v.estimate for k, v in found.macro.items()} == pytest.approx(expected)
    assert np.array_equal(found.confusion, metrics.confusion_matrix(true, predicted))


def test_a_class_without_predictions_has_precision_zero():
    found = classification_scores([0, 0, 1, 2], [0, 0, 0, 2], NAMES)
    assert found.classes["dense"].precision.estimate == 0
    assert found.classes["dense"].recall.estimate == 0
    assert found.macro["precision"].estimate == pytest.approx((2 / 3 + 0 + 1) / 3)


def test_a_class_without_rows_does_not_count():
    # "spread" is predicted once but never true: recalls 1/2 and 1 of the two others
    found = classification_scores([0, 0, 1], [0, 2, 1], NAMES)
    assert np.isnan(found.classes["spread"].recall.estimate)
    assert np.isnan(found.classes["spread"].f1.estimate)
    assert found.classes["spread"].n == 0
    assert found.macro["recall"].estimate == pytest.approx((1 / 2 + 1) / 2)
    assert found.macro["precision"].estimate == pytest.approx(1.0)


def test_one_class_alone_has_mcc_0():
    assert classification_scores([1, 1], [1, 1], NAMES).macro["mcc"].estimate == 0


def test_names_and_codes_give_the_same():
    true, predicted = rows(MATRIX)
    by_name = classification_scores(np.array(NAMES)[true], np.array(NAMES)[predicted], NAMES)
    assert by_name.as_dict() == classification_scores(true, predicted, NAMES).as_dict()


def test_the_bootstrap_of_rows_has_the_binomials_width():
    # recall .5 of 400 rows: standard error sqrt(.25 / 400) = .025, 95 % interval +- .049
    true = np.repeat([0, 1], 400)
    predicted = np.concatenate([np.arange(400) % 2, np.ones(400, int)])
    found = classification_scores(true, predicted, ("a", "b")).classes["a"].recall
    assert (found.low, found.high) == pytest.approx((0.451, 0.549), abs=0.005)


def test_rows_of_one_group_count_as_one():
    # 100 groups of 10 rows, each wholly right or wholly wrong: se of accuracy sqrt(.25 / 100)
    true = np.zeros(1000, int)
    predicted = np.repeat(np.arange(100) % 2, 10)
    group = np.repeat(np.arange(100), 10)
    order = np.random.default_rng(0).permutation(1000)
    predicted, group = predicted[order], group[order]
    plain = classification_scores(true, predicted, ("a", "b")).macro["accuracy"]
    grouped = classification_scores(true, predicted, ("a", "b"), group)
    accuracy = grouped.macro["accuracy"]
    assert plain.high - plain.low == pytest.approx(2 * 1.96 * np.sqrt(0.25 / 1000), rel=0.1)
    assert accuracy.high - accuracy.low == pytest.approx(2 * 1.96 * np.sqrt(0.25 / 100), rel=0.1)
    assert grouped.groups == 100


def test_groups_of_single_rows_are_rows():
    # another way through the code (draws of groups, not of cells) to the same distribution
    true, predicted = rows(MATRIX)
    plain = classification_scores(true, predicted, NAMES, draws=20_000).macro["mcc"]
    grouped = classification_scores(
        true, predicted, NAMES, np.arange(true.size), draws=20_000
    ).macro["mcc"]
    assert (grouped.low, grouped.high) == pytest.approx((plain.low, plain.high), abs=0.01)


def test_one_group_has_no_interval():
    found = classification_scores([0, 1, 1], [0, 1, 0], NAMES, ["w", "w", "w"])
    assert found.macro["recall"].estimate == pytest.approx(0.75)
    assert np.isnan(found.macro["recall"].low)


def test_a_class_in_one_group_has_no_interval():
    # ten rows of class a, seven right, all in well 0: a draw of wells changes nothing of 7/10
    true = np.repeat([0, 1], [10, 30])
    predicted = np.r_[np.repeat([0, 1], [7, 3]), np.repeat([0, 1], [3, 27])]
    wells = np.r_[np.zeros(10, int), np.arange(30) % 3]
    found = classification_scores(true, predicted, ("a", "b"), wells).classes
    assert (found["a"].n, found["a"].groups, found["b"].groups) == (10, 1, 3)
    assert found["a"].recall.estimate == 0.7
    for score in (found["a"].recall, found["a"].precision, found["a"].f1):
        assert np.isnan([score.low, score.high]).all()
    assert found["b"].precision.low < found["b"].precision.high


def test_precision_from_predictions_in_one_group_has_no_interval():
    # a is true in both wells but predicted in the first alone: precision is 2/3 in every draw
    true, predicted = [0, 0, 1, 0, 1], [0, 0, 0, 1, 1]
    found = classification_scores(true, predicted, ("a", "b"), [0, 0, 0, 1, 1]).classes["a"]
    assert found.precision.estimate == pytest.approx(2 / 3)
    assert np.isnan([found.precision.low, found.precision.high]).all()
    # two of two right in one well, none of one in the other: two wells tell next to nothing
    assert found.recall.low < 0.01
    assert found.recall.high > 0.99


@pytest.mark.parametrize("wells", [3, 8])
def test_intervals_over_few_wells_hold_what_they_promise(wells):
    # recalls of the wells drawn around 0.9 (SD 0.06) and 0.7 (SD 0.1), ten rows of each class in
    # each; a bootstrap over the wells holds 0.7 and 0.85 of them
    rng = np.random.default_rng(wells)
    true = np.tile(np.repeat([0, 1], 10), wells)
    well = np.repeat(np.arange(wells), 20)
    held = np.zeros(3)
    for _ in range(200):
        right = np.column_stack([rng.beta(21.6, 2.4, wells), rng.beta(14, 6, wells)])
        hit = rng.random(true.size) < right[well, true]
        found = classification_scores(true, np.where(hit, true, 1 - true), ("a", "b"), well)
        spans = (found.classes["a"].recall, found.classes["b"].recall, found.macro["recall"])
        held += [s.low <= mean <= s.high for s, mean in zip(spans, (0.9, 0.7, 0.8), strict=True)]
    assert (held / 200 > 0.9).all()
    assert (held / 200 < 1).all()


def test_bounds_of_scores_over_few_wells_by_hand():
    # hits and misses of a and of b in three wells, of ten each
    hits = np.array([[9, 6], [7, 5], [4, 8]])
    true = np.tile(np.repeat([0, 1], 10), 3)
    right = np.concatenate([np.arange(10) < k for k in hits.ravel()])
    predicted = np.where(right, true, 1 - true)
    found = classification_scores(true, predicted, ("a", "b"), np.repeat(range(3), 20))

    def smooth(some):  # (2,) hits of so many wells -> a's recall, precision, F1; accuracy, MCC
        wells = len(some)
        (a, b), n = some.sum(axis=0) + 0.5, 10 * wells + 1
        fa, fb = n - a, n - b  # a taken for b, b taken for a
        mcc = (a * b - fa * fb) / np.sqrt((a + fb) * (b + fa) * n * n)
        return np.array([a / n, a / (a + fb), 2 * a / (n + a + fb), (a + b) / (2 * n), mcc])

    def scale(p):  # log odds, and of MCC Fisher's
        return np.append(np.log(p[:4] / (1 - p[:4])), np.arctanh(p[4]))

    without = np.array([scale(smooth(np.delete(hits, w, axis=0))) for w in range(3)])
    error = np.sqrt(2 / 3 * ((without - without.mean(axis=0)) ** 2).sum(axis=0))
    low = scale(smooth(hits)) - 4.3027 * error  # Student's t of two degrees of freedom
    expected = [*(1 / (1 + np.exp(-low[:4]))), np.tanh(low[4])]
    a, macro = found.classes["a"], found.macro
    lows = [a.recall.low, a.precision.low, a.f1.low, macro["accuracy"].low, macro["mcc"].low]
    assert lows == pytest.approx(expected, abs=1e-4)


def test_means_over_classes_go_by_the_class_that_the_fewest_wells_hold():
    # b in the wells 0 and 1 of 6 alone: one degree of freedom, and of nothing where it is in one
    true = np.r_[np.zeros(60, int), np.ones(20, int)]
    predicted = true.copy()
    predicted[[3, 14, 25, 36, 47, 58, 62, 63, 71]] = (
        1 - predicted[[3, 14, 25, 36, 47, 58, 62, 63, 71]]
    )
    wells = np.r_[np.repeat(range(6), 10), np.repeat([0, 1], 10)]
    two = classification_scores(true, predicted, ("a", "b"), wells).macro
    assert two["recall"].high - two["recall"].low > two["accuracy"].high - two["accuracy"].low
    one = classification_scores(true, predicted, ("a", "b"), np.where(true == 1, 0, wells)).macro
    assert np.isnan(one["recall"].low)
    assert np.isfinite(one["accuracy"].low)


def test_a_class_that_is_never_predicted_does_not_move_the_mean_precision():
    # of 8 wells of 10 rows of a and of b; a always right, b taken for c, which is not there
    true = np.tile(np.repeat([0, 1], 10), 8)
    predicted = np.where(true == 0, 0, 2)
    found = classification_scores(true, predicted, ("a", "b", "c"), np.repeat(range(8), 20))
    assert found.macro["precision"].estimate == 0.5
    assert found.macro["precision"].low < 0.5 <= found.macro["precision"].high < 0.52


def test_a_recall_of_1_is_not_held_for_certain():
    # 8 of 8 in each of 4 wells, no worse known than of 32 independent rows: with half a miss in 33
    # some 0.5 misses are expected, and 2 or 3 in one draw of forty (Poisson: 0.09 and 0.014)
    true = np.tile(np.repeat([0, 1], 8), 4)
    predicted = np.where(np.arange(64) % 16 == 15, 0, true)  # b has one wrong in each
    found = classification_scores(true, predicted, ("a", "b"), np.repeat(np.arange(4), 16))
    assert 1 - 3.5 / 32 < found.classes["a"].recall.low < 1 - 1.5 / 32
    assert found.classes["a"].recall.high == 1
    assert found.classes["b"].recall.low < 7 / 8 < found.classes["b"].recall.high


def test_the_dictionary_is_plain_json_with_intervals_beside_the_numbers():
    found = classification_scores([0, 0, 1], [0, 2, 1], NAMES).as_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["classes"]["debris"]["recall"] == 0.5
    assert found["classes"]["debris"]["n"] == 2
    assert found["classes"]["spread"]["recall"] is None
    low, high = found["classes"]["debris"]["recall_interval"]
    assert low <= 0.5 <= high
    assert found["macro"]["recall"] == 0.75
    assert found["confusion"] == [[1, 0, 1], [0, 1, 0], [0, 0, 0]]
    assert found["names"] == list(NAMES)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (["dense", "mystery"], "'mystery' is not one of debris, dense, spread"),
        ([0, 3], "class 3 of 3"),
        ([-1, 0], "class -1 of 3"),
        ([0.5, 1.0], "float64"),
    ],
)
def test_unknown_classes_are_named(values, reason):
    with pytest.raises(InputError, match=reason):
        class_codes(values, NAMES)


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(InputError, match="2 true and 1 predicted"):
        classification_scores([0, 1], [0], NAMES)
    with pytest.raises(InputError, match="one group a row"):
        classification_scores([0, 1], [0, 1], NAMES, ["w"])


def test_wilson_is_that_of_statsmodels():
    from statsmodels.stats.proportion import proportion_confint

    count, n = np.array([0, 1, 7, 20]), np.array([20, 20, 20, 20])
    low, high = wilson_interval(count, n, level=0.9)
    expected = proportion_confint(count, n, alpha=0.1, method="wilson")
    assert low == pytest.approx(expected[0])
    assert high == pytest.approx(expected[1])


def test_a_share_of_nothing_has_no_interval():
    assert np.isnan(wilson_interval(0, 0)).all()


@pytest.mark.parametrize("rows", [2, 40])
def test_a_level_in_percent_is_refused(rows):
    codes = np.arange(rows) % 2
    with pytest.raises(InputError, match="level 95"):
        classification_scores(codes, codes, ("a", "b"), level=95)


@pytest.mark.parametrize(("count", "n"), [(11, 10), ([3, -1], 4), (1, 0)])
def test_a_part_is_not_larger_than_its_whole(count: object, n: int) -> None:
    with pytest.raises(InputError, match=f" of {n} rows; give the part first"):
        wilson_interval(count, n)  # type: ignore[arg-type]


def test_a_sum_of_shares_may_be_its_whole_but_for_rounding() -> None:
    whole = 0.1 + 0.2  # 0.30000000000000004
    assert wilson_interval(whole, 0.3)[1] == 1
