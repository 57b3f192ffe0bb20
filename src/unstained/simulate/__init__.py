"""Simulated experiments with known truth: cells and colonies, their optics, stains, movies.

They show that a method runs and learns, not that it works on real cells.

Names come from their modules when they are first used, so importing this package is quick.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
