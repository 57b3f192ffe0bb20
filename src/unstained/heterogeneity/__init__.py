"""How cells differ: distributions, clusters, components, phenotypes, factors.

Names come from their modules when they are first used, so importing this package is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .choice import Choice, choose_cells
    from .clusters import ClusterSettings, cluster_cells, cut_stability
    from .components import Components, principal_components
    from .effects import HedgesG, differences, hedges_g, levels_by_class
    from .factors import compare_factor, trend_of_factor
    from .marker_shape import Orthogonality, correlations, orthogonality
    from .marker_spread import distributions
    from .phenotypes import (
        PHENOTYPES,
        RuleSettings,
        agreement,
        phenotype_rule,
        phenotypes_of_person,
    )
    from .variance import variance_shares

_MODULES = {
    "choice": (
        "Choice",
        "choose_cells",
    ),
    "clusters": (
        "ClusterSettings",
        "cluster_cells",
        "cut_stability",
    ),
    "components": (
        "Components",
        "principal_components",
    ),
    "effects": (
        "HedgesG",
        "differences",
        "hedges_g",
        "levels_by_class",
    ),
    "factors": (
        "compare_factor",
        "trend_of_factor",
    ),
    "marker_shape": (
        "Orthogonality",
        "correlations",
        "orthogonality",
    ),
    "marker_spread": ("distributions",),
    "phenotypes": (
        "PHENOTYPES",
        "RuleSettings",
        "agreement",
        "phenotype_rule",
        "phenotypes_of_person",
    ),
    "variance": ("variance_shares",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "PHENOTYPES",
    "Choice",
    "ClusterSettings",
    "Components",
    "HedgesG",
    "Orthogonality",
    "RuleSettings",
    "agreement",
    "choose_cells",
    "cluster_cells",
    "compare_factor",
    "correlations",
    "cut_stability",
    "differences",
    "distributions",
    "hedges_g",
    "levels_by_class",
    "orthogonality",
    "phenotype_rule",
    "phenotypes_of_person",
    "principal_components",
    "trend_of_factor",
    "variance_shares",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULE_OF])
