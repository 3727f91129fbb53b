"""``python -m robench``.

Python puts the current folder first, where a ``torch.py`` of a stranger's folder would be executed
in the place of torch. The ``robench`` command has no such entry, and this one takes it out.
"""

import sys
from pathlib import Path

if not sys.flags.safe_path and sys.path[:1] == [str(Path.cwd())]:
    del sys.path[0]

from robench.cli import main

main()
