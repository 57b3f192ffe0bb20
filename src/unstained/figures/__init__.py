"""One function per figure: arrays and tables in, a Matplotlib `Figure` out.

No figure goes through pyplot: nothing is shown, kept open or shared between threads.
"""

from .boxplots import score_boxplots
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
    "composite_figure",
    "impurity_bars",
    "learning_curve",
    "marker_colors",
    "noise_curve",
    "save_figure",
    "score_boxplots",
    "size_curve",
    "stain_panels",
]
