"""Virtual staining: train panels, predict stains, and say how far to trust them.

Names come from their modules when they are first used, so importing this package is quick.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
