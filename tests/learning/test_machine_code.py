from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import pytest

from unstained.learning.machine_code import machine_code


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
