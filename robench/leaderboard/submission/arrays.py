"""Validate the outcomes of a submission: archives of plain arrays, sized before unpacking."""

import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from robench.errors import UserError
from robench.evaluation import Outcomes
from robench.evaluation.outcomes import DTYPES
from robench.leaderboard.audit.values import value_problems
from robench.leaderboard.submission import limits
from robench.leaderboard.submission.limits import shown

_DTYPES = {f"{name}.npy": dtype for name, dtype in DTYPES.items()}
_HEADER = 4096
"""Largest size of a header in bytes; ours take 128."""


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
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            names = [member.filename for member in members]
            if sorted(names) != sorted(_DTYPES):
                odd = sorted(set(names) ^ set(_DTYPES)) or names
                raise UserError(
                    f"{where} has other members than outcomes have, such as {shown(odd[0])}; "
                    f"write it with 'robench submit'."
                )
            lengths = {_check_member(archive, member, where) for member in members}
    except UserError:
        raise
    except Exception as error:  # zipfile and NumPy raise many types on damaged files
        raise UserError(
            f"{where} is not an intact archive of arrays ({type(error).__name__}); write it with "
            f"'robench submit'."
        ) from None
    if len(lengths) != 1:
        raise UserError(f"{where} is damaged: its arrays differ in length.")
    for problem in value_problems(Outcomes.load(path)):
        raise UserError(f"{where}: {problem}")


def _check_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, where: str) -> int:
    """Return the length of an array; only its header is read."""
    what, wanted = f"{shown(member.filename)} in {where}", _DTYPES[member.filename]
    if member.file_size > limits.SAMPLES * wanted.itemsize + _HEADER:
        raise UserError(
            f"{what} unpacks to {member.file_size} bytes; outcomes of at most {limits.SAMPLES} "
            f"images are allowed."
        )
    with archive.open(member) as file:
        shape, dtype = _header(file)
        if dtype != wanted or len(shape) != 1:
            raise UserError(f"{what} is {len(shape)}-dimensional {dtype}; {wanted} is needed.")
        if file.tell() + shape[0] * dtype.itemsize != member.file_size:
            raise UserError(f"{what} is damaged: its size is not that of {shape[0]} values.")
    return shape[0]


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise ValueError("unsupported version of .npy")
    shape, _, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=_HEADER)
    return shape, dtype
