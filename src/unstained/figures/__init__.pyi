from .boxplots import score_boxplots
from .cells import bland_altman_figure, coverage_figure, totals_figure
from .colonies import (
    class_patches,
    class_shares,
    colony_with_patches,
    loss_curves,
    sampling_weights,
)
from .colonies_compare import (
    confusion_figure,
    fractions_figure,
    label_curve,
    methods_figure,
    mistakes_grid,
    reliability_figure,
)
from .composite import blend, composite_figure, marker_colors
from .curves import learning_curve
from .dynamics import autocorrelation_figure, correlation_graphs, spectrum_figure, trace_figure
from .dynamics_snapshots import snapshot_figure
from .heterogeneity import Heatmap, cluster_heatmap, distribution_figure
from .heterogeneity_components import Biplot, biplot, correlation_figure, explained_figure
from .heterogeneity_groups import effects_figure, levels_figure, shares_figure
from .kymographs import division_figure, kymograph_figure, validity_figure, wave_figure
from .panels import StainPanel, stain_panels
from .scatter import Amounts, amount_scatter
from .studies import impurity_bars, noise_curve, size_curve
from .style import save_figure

__all__ = [
    "Amounts",
    "Biplot",
    "Heatmap",
    "StainPanel",
    "amount_scatter",
    "autocorrelation_figure",
    "biplot",
    "bland_altman_figure",
    "blend",
    "class_patches",
    "class_shares",
    "cluster_heatmap",
    "colony_with_patches",
    "composite_figure",
    "confusion_figure",
    "correlation_figure",
    "correlation_graphs",
    "coverage_figure",
    "distribution_figure",
    "division_figure",
    "effects_figure",
    "explained_figure",
    "fractions_figure",
    "impurity_bars",
    "kymograph_figure",
    "label_curve",
    "learning_curve",
    "levels_figure",
    "loss_curves",
    "marker_colors",
    "methods_figure",
    "mistakes_grid",
    "noise_curve",
    "reliability_figure",
    "sampling_weights",
    "save_figure",
    "score_boxplots",
    "shares_figure",
    "size_curve",
    "snapshot_figure",
    "spectrum_figure",
    "stain_panels",
    "totals_figure",
    "trace_figure",
    "validity_figure",
    "wave_figure",
]
