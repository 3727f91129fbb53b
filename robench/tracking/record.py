"""What is kept of each logged run, so that the same command repeats and forgets nothing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robench.errors import UserError
from robench.system.files import write_json
from robench.system.json_files import read_json

FILE = "robench.json"
"""Its name, in the folder of the run: who removes that folder has the run logged anew."""


@dataclass(frozen=True)
class Record:
    """A run of a tracker.

    Attributes:
        target: where it was logged; see :class:`robench.tracking.tracker.Tracker`.
        identity: by what the tracker finds it again.
        finished: the digest of the result that was logged; empty while there is none.
    """

    target: str
    identity: str = ""
    finished: str = ""

    @classmethod
    def read(cls, folder: Path, target: str) -> "Record":
        """Return what is kept of a run; an empty record if it was never logged to this target."""
        empty = cls(target)
        try:
            values: Any = read_json(folder / FILE)
        except UserError:  # there is none, or it is damaged
            return empty
        if not isinstance(values, dict) or values.keys() != vars(empty).keys():
            return empty
        found = cls(**{name: str(value) for name, value in values.items()})
        return found if found.target == target else empty

    def write(self, folder: Path) -> None:
        """Keep it.

        Raises:
            UserError: if it cannot be written.
        """
        write_json(folder / FILE, vars(self))
