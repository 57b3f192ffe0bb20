"""One function per figure: arrays and tables in, a Matplotlib `Figure` out.

No figure goes through pyplot: nothing is shown, kept open or shared between threads.

Names come from their modules when they are first used, so importing this package is quick.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
