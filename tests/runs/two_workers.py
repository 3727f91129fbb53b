"""An executor of tests that runs two pieces at a time."""

from typing import Self

from robench.runs.pieces import Piece


class TwoWorkers:
    """Which pieces are taken, and when; what each ends with is up to the test."""

    def __init__(self) -> None:
        self.running: list[Piece] = []

    @property
    def free(self) -> bool:
        return len(self.running) < 2

    def takes(self, piece: Piece) -> bool:
        return self.free

    def submit(self, piece: Piece) -> None:
        self.running.append(piece)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass
