from .choice import Choice, ChosenCells, choose_cells
from .clusters import Clusters, ClusterSettings, Stability, cluster_cells, cut_stability
from .components import Components, principal_components
from .effects import HedgesG, differences, hedges_g, levels_by_class
from .factors import compare_factor, trend_of_factor
from .marker_shape import Orthogonality, correlations, orthogonality
from .marker_spread import distributions
from .phenotypes import (
    PHENOTYPES,
    Agreement,
    Rule,
    RuleSettings,
    agreement,
    phenotype_rule,
    phenotypes_of_person,
)
from .variance import variance_shares

__all__ = [
    "PHENOTYPES",
    "Agreement",
    "Choice",
    "ChosenCells",
    "ClusterSettings",
    "Clusters",
    "Components",
    "HedgesG",
    "Orthogonality",
    "Rule",
    "RuleSettings",
    "Stability",
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
