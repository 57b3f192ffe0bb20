"""One function per figure: arrays and tables in, a Matplotlib `Figure` out.

No figure goes through pyplot: nothing is shown, kept open or shared between threads.
"""

from .boxplots import score_boxplots
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
from .panels import StainPanel, stain_panels
from .scatter import Amounts, amount_scatter
from .studies import impurity_bars, noise_curve, size_curve
from .style import save_figure

__all__ = [
    "Amounts",
    "StainPanel",
    "amount_scatter",
    "blend",
    "class_patches",
    "class_shares",
    "colony_with_patches",
    "composite_figure",
    "confusion_figure",
    "fractions_figure",
    "impurity_bars",
    "label_curve",
    "learning_curve",
    "loss_curves",
    "marker_colors",
    "methods_figure",
    "mistakes_grid",
    "noise_curve",
    "reliability_figure",
    "sampling_weights",
    "save_figure",
    "score_boxplots",
    "size_curve",
    "stain_panels",
]
