"""Where entries come from: the suite's own modules, and the entry points of installed packages."""

import importlib
import pkgutil
from importlib.metadata import entry_points

from robench.errors import UserError


def import_entries(kind: str, source: str, group: str) -> None:
    """Import what registers entries of a kind.

    Args:
        kind: what an entry is, as messages call it.
        source: the package (or module) of the suite.
        group: the group of entry points of other packages.

    Raises:
        UserError: if an installed package does not load; the message names it.
    """
    module = importlib.import_module(source)
    for each in pkgutil.iter_modules(getattr(module, "__path__", [])):
        importlib.import_module(f"{source}.{each.name}")
    for point in entry_points(group=group):
        try:
            point.load()
        except Exception as error:
            raise UserError(
                f"the installed {kind} '{point.name}' ({point.value}) does not load: "
                f"{type(error).__name__}: {error}; fix or uninstall its package."
            ) from error
