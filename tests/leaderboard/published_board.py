"""A published board that tests may change."""

from dataclasses import dataclass
from pathlib import Path

from support import TINY_BOARD

from robench.leaderboard.evidence import read_sums, write_sums

BOARD = (
    TINY_BOARD.replace("checks = false", "check_samples = 20")
    .replace("epochs = 2", "epochs = 1")
    .replace("resnet8", "resnet18")
)

FIRST = "1"
"""A seed that draws the first row, which is faster to attack."""


@dataclass(frozen=True)
class Published:
    """A copy of the board's folder that a test may change, and the run store."""

    folder: Path
    store: Path

    def change(self, name: str, old: str, new: str, *, sums: bool) -> None:
        """Replace text in the first file that matches; make the checksums agree, or not."""
        path = next(iter(sorted(self.folder.glob(name))))
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        if sums:
            self.sum_up()

    def sum_up(self) -> None:
        """Rewrite the checksums, as a forger would."""
        write_sums(self.folder, [self.folder / n for n in read_sums(self.folder)])
