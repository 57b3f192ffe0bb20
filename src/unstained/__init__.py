"""Virtual staining of label-free microscopy, with scores that say how far to trust it.

Subpackages come when first used, so that ``import unstained`` costs nothing:
``unstained.images``, ``unstained.datasets``, ``unstained.staining`` ...
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import (
        cell_table,
        cells,
        colonies,
        datasets,
        dynamics,
        errors,
        figures,
        heterogeneity,
        images,
        learning,
        simulate,
        staining,
        statistics,
    )

__all__ = [
    "__version__",
    "cell_table",
    "cells",
    "colonies",
    "datasets",
    "dynamics",
    "errors",
    "figures",
    "heterogeneity",
    "images",
    "learning",
    "simulate",
    "staining",
    "statistics",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name in __all__:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
