"""robench: adversarial-robustness benchmark for normalization layers.

The public Python interface is listed in ``__init__.pyi``, each name once. Names are imported when
they are first used, so that ``import robench`` and ``robench --help`` do not wait for torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
