"""Validate the outcomes of a submission: archives of plain arrays, sized before unpacking."""

from pathlib import Path

from robench.errors import UserError
from robench.evaluation import Outcomes
from robench.evaluation.outcomes import DTYPES
from robench.leaderboard.audit.values import value_problems
from robench.leaderboard.submission import limits
from robench.leaderboard.submission.limits import shown
from robench.system.array_files import npz_headers, npz_members
from robench.system.reading import Refused

_DTYPES = {f"{name}.npy": dtype for name, dtype in DTYPES.items()}
_UNPACKED = limits.SAMPLES * sum(dtype.itemsize for dtype in _DTYPES.values()) + 8 * 4096
"""Largest size of all arrays and their headers in bytes."""


def check_outcomes(path: Path, name: str) -> None:
    """Check an ``.npz`` of outcomes; arrays are read only once their sizes are known to be small.

    Args:
        path: the path of the file.
        name: its path relative to the submission's folder.

    Raises:
        UserError: if it holds anything but the eight arrays of outcomes, or their values are
            impossible.
    """
    where = shown(name)
    try:
        names = npz_members(path, unpacked=_UNPACKED)
        if sorted(names) != sorted(_DTYPES):
            odd = sorted(set(names) ^ set(_DTYPES)) or names
            raise UserError(
                f"{where} has other members than outcomes have, such as {shown(odd[0])}; write it "
                f"with 'robench submit'."
            )
        headers = npz_headers(path, unpacked=_UNPACKED)
    except Refused as error:
        raise UserError(
            f"{where} is not an intact archive of arrays ({error.reason}); write it with 'robench "
            f"submit'."
        ) from None
    for member, (shape, dtype) in headers.items():
        what, wanted = f"{shown(member)} in {where}", _DTYPES[member]
        if dtype != wanted or len(shape) != 1:
            raise UserError(f"{what} is {len(shape)}-dimensional {dtype}; {wanted} is needed.")
        if shape[0] > limits.SAMPLES:
            raise UserError(
                f"{what} has {shape[0]} values; outcomes of at most {limits.SAMPLES} images are "
                f"allowed."
            )
    if len({shape for shape, _ in headers.values()}) != 1:
        raise UserError(f"{where} is damaged: its arrays differ in length.")
    for problem in value_problems(Outcomes.load(path)):
        raise UserError(f"{where}: {problem}")
