"""A file of results, one line per trial, so that a campaign that was interrupted goes on."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, Generic, TypeVar

from robench.system.provenance import code_version

Result = TypeVar("Result")


class Record(Generic[Result]):
    """Results of trials by number, in a file whose first line names the code and the seed.

    Attributes:
        done: number -> result of the trials that the file has.
    """

    def __init__(self, path: Path | None, seed: int, kind: type[Result]) -> None:
        """Read the file, or begin it.

        Args:
            path: the file; None to keep no record.
            seed: the seed of the campaign.
            kind: the dataclass of results.

        Raises:
            SystemExit: if it is the record of other code or of another seed.
        """
        self.path = path
        self.done: dict[int, Result] = {}
        if path is None:
            return
        head = {"code": code_version(), "seed": seed}
        lines = path.read_text().splitlines() if path.exists() else []
        if not lines:
            path.write_text(json.dumps(head) + "\n")
            return
        if json.loads(lines[0]) != head:
            sys.exit(f"{path} is the record of {lines[0]}, not of {json.dumps(head)}: remove it.")
        for line in lines[1:]:
            values: dict[str, Any] = json.loads(line)
            number = values.pop("trial")
            self.done[number] = kind(**values)

    def append(self, number: int, result: Result) -> None:
        """Add the result of a trial, in one write."""
        if self.path is None:
            return
        with self.path.open("a") as file:
            file.write(json.dumps({"trial": number, **asdict(result)}) + "\n")  # type: ignore[call-overload] # a dataclass
