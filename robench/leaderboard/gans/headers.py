"""Hold what is written in the header of published weights against their specification."""

from pathlib import Path

from pydantic import ValidationError

from robench.errors import UserError
from robench.gan.cell import METADATA_KEY
from robench.gan.spec import GanCell
from robench.system.json_files import parse_json
from robench.system.reading import Refused
from robench.system.tensor_files import read_metadata


def header_problem(path: Path, cell: GanCell) -> str | None:
    """Return why weights are not of a GAN, as the end of a sentence; None if they are.

    The training writes its whole specification into the file: weights that were filed as those of
    another defense or seed say so themselves.

    Args:
        path: a file that a stranger may have written.
        cell: the specification that they should be of.
    """
    try:
        stored = _stored(path)
    except UserError as error:
        return str(error).removesuffix(".")
    for name in GanCell.model_fields:
        if getattr(stored, name) != getattr(cell, name):
            return f"the header of {path.name} has another {name} than its specification"
    return None


def _stored(path: Path) -> GanCell:
    """Return the specification in a file.

    Raises:
        UserError: if it is no file of weights, or has none.
    """
    try:
        text = read_metadata(path).get(METADATA_KEY, "")
    except Refused as error:
        reason = error.reason
        raise UserError(f"{path.name} is not a complete safetensors file ({reason}).") from error
    try:
        return GanCell.model_validate(parse_json(text.encode()))
    except (ValidationError, ValueError):
        raise UserError(f"the header of {path.name} has no specification of a GAN.") from None
