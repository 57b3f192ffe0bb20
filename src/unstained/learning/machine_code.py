"""Python loops compiled to machine code by numba, and the threads that calculate."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

__all__ = ["machine_code", "one_blas_thread", "processors"]

Function = TypeVar("Function", bound=Callable[..., Any])


def machine_code(function: Function, signature: str | None = None) -> Function:
    """Compile a function; other threads run while it does.

    The code is kept between processes, beside the function's file or in ``NUMBA_CACHE_DIR``;
    where neither can be written, a warning says that each start compiles it again.

    Parameters
    ----------
    function : callable
        What it calls and reads must stand in its own file: numba does not see that a function
        of another file, which kept code calls, has changed.
    signature : str, optional
        Types of the result and the arguments, as numba writes them: it is compiled, or loaded,
        at once. Where not given, at its first call, for what it is called with.

    Returns
    -------
    callable
        The same function, faster.
    """
    import numba

    try:
        return cast(Function, numba.njit(signature, nogil=True, cache=True)(function))
    except RuntimeError as error:
        if "cannot cache" not in str(error):  # numba has no class for it
            raise
    warnings.warn(
        "no folder to keep compiled code in can be written, so each start compiles it "
        "again: set the environment variable NUMBA_CACHE_DIR to one",
        stacklevel=3,
    )
    return cast(Function, numba.njit(signature, nogil=True)(function))


def processors() -> int:
    """Processors that this process may use; a job queue may grant fewer than there are."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Products of matrices run on one thread while it lasts, in the whole process.

    For thousands of small ones: after each, threads wait for one another, and where other work
    keeps the processors busy they wait for most of the time.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        yield
