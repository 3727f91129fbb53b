"""What is kept of one group of attacks: outcomes of finished samples, searches of the others."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Generator, Tensor

from robench.base import SearchKeeper
from robench.evaluation.counting import Counted
from robench.evaluation.partial import PartialFile, put, take
from robench.evaluation.victim import Victim


class KeptGroup(SearchKeeper):
    """The part of a :class:`PartialFile` that belongs to one group of attacks.

    Attributes:
        done: how many samples have outcomes, in the order in which they are attacked.
        finished: how many are finished, those of the unfinished batch included.
        before: how many an earlier session had finished.
    """

    def __init__(
        self,
        file: PartialFile,
        key: str,
        outcomes: Mapping[str, Mapping[str, Tensor]],
        victim: Victim,
    ) -> None:
        """Take up what an earlier session has done.

        Args:
            file: the file.
            key: the name of the group in it.
            outcomes: name of each attack -> its outcomes, overwritten with those that were kept.
            victim: the model under attack; its batch size is set to what it was.
        """
        self._file, self._prefix, self._victim = file, f"{key}/", victim
        self._searches = f"{key}/search/"
        self._outcomes = {
            f"{i}.{name}": tensor
            for i, columns in enumerate(outcomes.values())
            for name, tensor in columns.items()
        }
        numbers = torch.zeros(3, dtype=torch.int64)
        kept = {"numbers": numbers, **self._outcomes}
        self.done = self.finished = 0
        if take(file.arrays, self._prefix, kept):
            self.done, self.finished, victim.batch_size = map(int, numbers)
        else:
            file.forget(self._prefix)
        self.before = self.finished
        self._model: Victim | Counted = victim
        self._rngs: Sequence[Generator] = ()
        self._opened = 0

    def begin(self, model: Victim | Counted, rngs: Sequence[Generator], rows: Tensor) -> None:
        """Keep the searches of the attack that begins.

        Args:
            model: the model as the attack sees it.
            rngs: the generators of its samples.
            rows: its samples, (B,) int64.
        """
        if self._file.path is None:
            return
        same = torch.full_like(rows, -1)
        if not (take(self._file.arrays, self._prefix, {"rows": same}) and same.equal(rows)):
            self._file.forget(self._searches)
            put(self._file.arrays, self._prefix, {"rows": rows})
        self._model, self._rngs, self._opened = model, rngs, 0
        model.keeper = self

    def end(self, done: int) -> None:
        """Keep the outcomes of the first ``done`` samples; their searches are over."""
        self._file.forget(self._searches)
        self.done = self.finished = done
        if self._file.is_due:
            self._save()

    @contextmanager
    def saved_if_interrupted(self) -> Iterator[None]:
        """Write the file if an exception ends the block, Ctrl-C and SIGTERM included."""
        try:
            yield
        except BaseException:
            self._save()
            raise
        finally:
            self._victim.keeper = None
        self._put()

    def open(self, tensors: Mapping[str, Tensor]) -> tuple[int, list[Tensor] | None]:
        """Open the next search; see :class:`SearchKeeper`."""
        number, self._opened = self._opened, self._opened + 1
        prefix, arrays = f"{self._searches}{number}/", self._file.arrays
        if f"{prefix}counts" not in arrays:
            return number, None
        counts, states = self._counts(), self._states()
        if not take(arrays, prefix, self._state(counts, states, tensors)):
            self._file.forget(prefix)
            return number, None
        victim = self._victim
        self._opened, victim.forwards, victim.backwards, victim.batch_size = map(int, counts)
        for rng, state in zip(self._rngs, states, strict=True):
            rng.set_state(state.clone())  # torch crashes on a view
        lists = [name for name in arrays if name.startswith(f"{prefix}list.")]
        return number, [torch.from_numpy(arrays[f"{prefix}list.{i}"]) for i in range(len(lists))]

    def due(self) -> bool:
        """Return whether the file is due; see :class:`SearchKeeper`."""
        return self._file.is_due

    def keep(
        self, number: int, tensors: Mapping[str, Tensor], lists: Sequence[Tensor], write: bool
    ) -> None:
        """Copy the state of a search; see :class:`SearchKeeper`."""
        arrays = self._file.arrays
        searches = {name.split("/")[2] for name in arrays if name.startswith(self._searches)}
        for other in searches:
            if int(other) >= number:
                self._file.forget(f"{self._searches}{other}/")
        prefix = f"{self._searches}{number}/"
        # Lists first: if the state is complete, so are they, wherever an interrupt comes.
        put(arrays, prefix, {f"list.{i}": values for i, values in enumerate(lists)})
        put(arrays, prefix, self._state(self._counts(), self._states(), tensors))
        if write or self._file.is_due:
            self._save()

    def _counts(self) -> Tensor:
        victim = self._victim
        return torch.tensor([self._opened, victim.forwards, victim.backwards, victim.batch_size])

    def _states(self) -> Tensor:
        return torch.stack([rng.get_state() for rng in self._rngs])

    def _state(
        self, counts: Tensor, states: Tensor, tensors: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        own = {"counts": counts, "generators": states}
        if isinstance(self._model, Counted):
            own |= {"forwards": self._model.forwards, "backwards": self._model.backwards}
        return own | {f"state.{name}": tensor for name, tensor in tensors.items()}

    def _put(self) -> None:
        if self._file.path is not None:
            numbers = torch.tensor([self.done, self.finished, self._victim.batch_size])
            put(self._file.arrays, self._prefix, {"numbers": numbers, **self._outcomes})

    def _save(self) -> None:
        self._put()
        self._file.write()
