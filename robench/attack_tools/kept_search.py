"""Searches that an interrupted evaluation goes on with, instead of starting them again.

An attack opens its search once its state is initial, and passes it to
:func:`robench.attack_tools.batching.run_batched`, which keeps it from time to time::

    search = KeptSearch(model, state)
    run_batched(model, samples, advance, search)

or, without continuous batching, keeps it itself after each part of its work::

    search = KeptSearch(model, state)
    for number, part in enumerate(parts):
        rows = (state.parts == number).nonzero().squeeze(1)  # nothing, if that part is done
        ...
        search.keep()

The state must hold all that the attack's later work depends on, apart from its arguments and the
states of their generators. Then the result is the same to the bit, wherever it was interrupted.
"""

from dataclasses import fields

from torch import Tensor

from robench.attack_tools.sample_state import Table
from robench.attack_tools.victims import as_victim
from robench.base import LogitsModel


class KeptSearch:
    """The state of one search, kept with the evaluation; does nothing if that keeps nothing.

    Args:
        model: the model under attack; a bare callable keeps nothing.
        tables: the state, dataclasses of tensors. If the search was kept before, they are
            overwritten with what they were.
    """

    def __init__(self, model: LogitsModel, *tables: Table) -> None:
        self._keeper = as_victim(model).keeper
        self._tables = tables
        self._number, self._lists = 0, None
        if self._keeper is not None:
            self._number, self._lists = self._keeper.open(self._tensors())

    @property
    def is_kept(self) -> bool:
        """Whether the evaluation keeps it."""
        return self._keeper is not None

    def take_lists(self) -> list[Tensor] | None:
        """Return, once, the lists that were kept with the search; None if it is a new one."""
        lists, self._lists = self._lists, None
        return lists

    def keep(self, *lists: Tensor) -> None:
        """Keep the state as it is now, after a part of the work that is long.

        Args:
            lists: tensors of any length to keep with it.
        """
        if self._keeper is not None:
            self._keeper.keep(self._number, self._tensors(), lists, write=False)

    def keep_if_due(self, *lists: Tensor, now: bool = False) -> None:
        """Keep the state if it is time to, or at once; after a part of the work that is short."""
        if self._keeper is not None and (now or self._keeper.due()):
            self._keeper.keep(self._number, self._tensors(), lists, write=True)

    def _tensors(self) -> dict[str, Tensor]:
        # Looked up each time: an attack may replace the tensors of its state.
        return {
            f"{i}.{field.name}": getattr(table, field.name)
            for i, table in enumerate(self._tables)
            for field in fields(table)
        }
