"""torch-fidelity, imported when it is used."""

import importlib
from types import ModuleType

from robench.errors import UserError


def fidelity(module: str) -> ModuleType:
    """Return a module of torch-fidelity.

    Raises:
        UserError: if it is not installed.
    """
    return imported(f"torch_fidelity.{module}", "torch-fidelity")


def imported(module: str, package: str) -> ModuleType:
    """Return a module of a package of the extra ``gan``.

    Raises:
        UserError: if it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(
            f"metrics of GANs need the package {package}: pip install 'robench[gan]'."
        ) from error
