"""Tables that keep every name and figure at any width: what does not fit goes into another part."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from robench.cli.options import UNBOUNDED

_SPACIOUS = 1.2
"""How much wider than its longest words a table must be to be read with ease."""

_NARROWEST = 8
"""The fewest characters to which a name is folded."""


@dataclass(frozen=True)
class FittedColumn:
    """A column: its header, whose lines may be broken by hand, and the side that it is set to."""

    header: str
    justify: Literal["left", "right"] = "right"


@dataclass(frozen=True)
class FittedTable:
    """A table that splits its figures into several parts where the console is too narrow for all.

    Every part repeats the first columns, the names of the rows. A name is folded onto several
    lines only where it would take more than half of the width; no figure ever is.

    Attributes:
        title: a line above.
        columns: all columns.
        rows: one cell per column, as text with Rich's markup.
        keys: number of columns that name a row and are repeated.
        caption: a paragraph below.
    """

    title: str
    columns: Sequence[FittedColumn]
    rows: Sequence[Sequence[str]]
    keys: int = 1
    caption: str = ""

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """Yield the title, the parts and the caption."""
        width = options.max_width
        yield Text(self.title, style="bold", overflow="fold")
        names, parts = self._layout(console, width)
        for part in parts:
            yield self._table(part, names, width)
        if self.caption:
            yield Text(self.caption, style="dim italic", overflow="fold")

    def _layout(self, console: Console, width: int) -> tuple[int, list[list[int]]]:
        """Return the width of the names, and the figures of each part.

        Names have up to half of the width; or a third, if that saves several parts.
        """
        wide, narrow = ((n, self._parts(console, n, width)) for n in (width // 2, width // 3))
        return narrow if len(narrow[1]) < len(wide[1]) - 1 else wide

    def _parts(self, console: Console, names: int, width: int) -> list[list[int]]:
        """Return the figures of each part, as many as fit into the width."""
        whole = console.options.update(width=UNBOUNDED)
        parts: list[list[int]] = [[]]
        for index in range(self.keys, len(self.columns)):
            wider = self._table([*parts[-1], index], names, width)
            if parts[-1] and Measurement.get(console, whole, wider).maximum > width:
                parts.append([])
            parts[-1].append(index)
        return parts

    def _table(self, figures: Sequence[int], names: int, width: int) -> Table:
        """Return the part with these figures; names are folded to the width ``names`` together."""
        shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        limits = self._folded(names)
        gaps = 2 * self.keys + 2
        for index in range(self.keys):
            shown.add_column(
                self.columns[index].header, justify=self.columns[index].justify, overflow="fold",
                min_width=limits[index], max_width=limits[index],
            )  # fmt: skip
        for index in figures:
            column = self.columns[index]
            fits = sum(limits) + gaps + self._width(index) <= width
            shown.add_column(column.header, justify=column.justify, overflow="fold", no_wrap=fits)
        for row in self.rows:
            shown.add_row(*(row[index] for index in (*range(self.keys), *figures)))
        return shown

    def _folded(self, budget: int) -> list[int]:
        """Return the widths of the names: the widest one is folded until all fit the budget."""
        widths = [self._width(index) for index in range(self.keys)]
        while sum(widths) > budget and max(widths) > _NARROWEST:
            widths[widths.index(max(widths))] -= 1
        return widths

    def _width(self, index: int) -> int:
        cells = [self.columns[index].header, *(row[index] for row in self.rows)]
        lines = [line for cell in cells for line in Text.from_markup(cell).plain.split("\n")]
        return max(Text(line).cell_len for line in lines)


@dataclass(frozen=True)
class Listing:
    """A list of names with texts: a table, or a paragraph per name where the table is too narrow.

    Attributes:
        title: a line above.
        columns: the headers, first that of the names.
        rows: one cell per column, as text with Rich's markup.
        caption: a paragraph below.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """Yield the title, the list and the caption."""
        yield Text(self.title, style="bold", overflow="fold")
        table = self._table()
        longest_words = Measurement.get(console, options.update(width=UNBOUNDED), table).minimum
        if longest_words * _SPACIOUS <= options.max_width:
            yield table
        else:
            yield from self._paragraphs()
        if self.caption:
            yield Text(self.caption, style="dim italic", overflow="fold")

    def _table(self) -> Table:
        shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for header in self.columns:
            shown.add_column(header, overflow="fold", no_wrap=header == self.columns[0])
        for row in self.rows:
            shown.add_row(*row)
        return shown

    def _paragraphs(self) -> Iterator[RenderableType]:
        for name, *texts in self.rows:
            described = "; ".join(text.replace("\n", "; ") for text in texts if text)
            yield Text.from_markup(f"[bold]{name}[/bold]", overflow="fold")
            if described:
                yield Padding(Text.from_markup(described, overflow="fold"), (0, 0, 0, 4))
