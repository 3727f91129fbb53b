"""A format of files: valid files, how they are changed, and how commands read them."""

import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from campaigns.fuzzing import mutations

Change = Callable[[random.Random, bytes], bytes]


class Form(ABC):
    """A format of files.

    Args:
        home: the folder to make valid files in; each trial changes one of them.
    """

    change: Change = staticmethod(mutations.change_bytes)
    """Changes what the bytes mean; any bytes are changed in a third of the trials."""

    def __init__(self, home: Path) -> None:
        self.home = home
        home.mkdir(parents=True)
        self.files = self.make()
        self.valid = {path: path.read_bytes() for path in self.files}
        self.changed = self.files[0]

    @abstractmethod
    def make(self) -> list[Path]:
        """Write the valid files, and return those that are changed."""

    @abstractmethod
    def read(self, rng: random.Random) -> None:
        """Read the files as a command does; which one is drawn if there are several."""

    def warm_up(self) -> None:
        """Read the valid files, so that what is loaded once is not charged to a trial."""
        for path, content in self.valid.items():  # as a process that died has left them
            path.write_bytes(content)
        for number in range(max(8, len(self.files))):
            self.changed = self.files[number % len(self.files)]
            self.read(random.Random(number))
        self.changed = self.files[0]

    def write(self, rng: random.Random) -> None:
        """Change one file; the one that was changed before is made valid again."""
        self.changed.write_bytes(self.valid[self.changed])
        self.changed = rng.choice(self.files)
        by_meaning = self.change_of(self.changed)
        change = mutations.change_bytes if rng.random() < 0.34 else by_meaning
        self.changed.write_bytes(change(rng, self.valid[self.changed]))

    def change_of(self, path: Path) -> Change:
        """Return what changes the meaning of a file."""
        return self.change
