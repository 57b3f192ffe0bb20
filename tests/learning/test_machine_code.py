from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from unstained.colonies import features
from unstained.learning.machine_code import machine_code, one_blas_thread


def _twice(number: int) -> int:
    return 2 * number


def test_machine_code_does_what_the_function_does() -> None:
    assert machine_code(_twice, "int64(int64)")(21) == 42
    assert machine_code(_twice)(21) == 42


def _njit_that_refuses_to_keep_code(reason: str) -> Callable[..., Any]:
    real = numba.njit

    def njit(signature: str | None, cache: bool = False, **given: bool) -> Any:
        if cache:
            raise RuntimeError(reason)
        return real(signature, **given)

    return njit


def test_without_a_folder_for_the_code_there_is_a_warning_and_a_function(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refusing = _njit_that_refuses_to_keep_code("cannot cache function '_twice': no locator")
    monkeypatch.setattr(numba, "njit", refusing)
    with pytest.warns(UserWarning, match="NUMBA_CACHE_DIR"):
        twice = machine_code(_twice, "int64(int64)")
    assert twice(21) == 42


def test_another_error_of_the_compiler_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba, "njit", _njit_that_refuses_to_keep_code("out of registers"))
    with pytest.raises(RuntimeError, match="out of registers"):
        machine_code(_twice)


def _blas_threads() -> set[int]:
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}


def test_products_of_matrices_run_on_one_thread_while_it_is_asked_for() -> None:
    before = _blas_threads()
    with one_blas_thread():
        assert _blas_threads() == {1}
    assert _blas_threads() == before


def test_features_of_patches_are_calculated_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    features.feature_names(1)  # else measured first, of one blank patch
    seen: list[set[int]] = []
    real = features._smoothed

    def watched(x: np.ndarray, sigma: float) -> np.ndarray:
        seen.append(_blas_threads())
        return real(x, sigma)

    monkeypatch.setattr(features, "_smoothed", watched)
    with threadpool_limits(2, user_api="blas"):  # whatever the machine has
        features.patch_features(np.zeros((1, 1, 8, 8), np.float32))
    assert seen
    assert set.union(*seen) == {1}
