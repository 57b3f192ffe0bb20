import numpy as np
import pytest

from unstained.errors import InputError
from unstained.statistics import mcnemar, sign_flip_p


def test_signs_of_three_groups_by_hand():
    # +-3 +-2 +-1: of the 8 sums +-6, +-4, +-2, 0, 0 four are as far from 0 as 3 + 2 - 1 = 4
    assert sign_flip_p([3, 2, -1]) == pytest.approx(4 / 8)
    assert sign_flip_p([3, 2, 1]) == pytest.approx(2 / 8)


def test_equal_groups_do_not_count():
    assert sign_flip_p([3, 0, 2, 0, -1]) == sign_flip_p([3, 2, -1])
    assert sign_flip_p([0, 0]) == 1
    assert sign_flip_p(np.array([], int)) == 1


def test_groups_of_one_image_are_the_exact_mcnemar():
    # 8 images that only a got right, 2 that only b did
    true = np.zeros(10, int)
    exact = mcnemar(true, np.repeat([0, 1], [8, 2]), np.repeat([1, 0], [8, 2]))
    assert exact.test == "exact"
    assert sign_flip_p(np.repeat([1, -1], [8, 2])) == pytest.approx(exact.p)


def test_p_is_never_0():
    assert sign_flip_p(np.ones(2000, int)) > 0


def test_wells_whose_images_err_together_are_not_found_different():
    # each well favors one of two equal classifiers by 6 images of 10: at 0.05 the exact p of 12
    # such wells (sums of +-6) rejects from 10 against 2 on, 2 (1 + 12 + 66) / 4096 = 0.0386
    rng = np.random.default_rng(0)
    d = 6 * rng.choice([-1, 1], (2000, 12))
    assert np.mean([sign_flip_p(row) <= 0.05 for row in d]) == pytest.approx(0.0386, abs=0.015)


def test_differences_that_are_no_counts_are_refused():
    with pytest.raises(InputError, match="whole number"):
        sign_flip_p([0.5, 1.0])
