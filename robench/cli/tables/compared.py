"""Tables of boards that are compared with one another."""

from collections.abc import Iterator

from robench.cli.tables.fitted import FittedColumn, FittedTable, Listing
from robench.cli.tables.words import plain
from robench.leaderboard.across import BoardComparison
from robench.leaderboard.across.differences import Differences
from robench.leaderboard.across.ranks import MeanRanks
from robench.leaderboard.across.wording import UNRANKED, Change, changes, left_out, tau_text


def comparison_parts(comparison: BoardComparison) -> Iterator[str | FittedTable | Listing]:
    """Yield the settings that differ, the tables of each two boards, and the mean ranks."""
    rows = [[plain(str(text)) for text in line] for line in comparison.settings.to_numpy()]
    if rows:
        yield Listing("settings that differ", ("setting", *map(plain, comparison.labels)), rows)
    else:
        yield "The boards have the same settings."
    for pair in comparison.pairs:
        yield _differences(pair)
        yield _agreement(pair)
        yield from left_out(pair)
    yield UNRANKED if comparison.ranks is None else _ranks(comparison.ranks)


def _differences(pair: Differences) -> FittedTable:
    headers = [FittedColumn("defense", "left"), *(FittedColumn(plain(c)) for c in pair.columns)]
    rows = [[plain(title), *map(_cell, own)] for title, own in changes(pair)]
    caption = (
        f"accuracy in % in {pair.labels[0]} → in {pair.labels[1]}, the difference in points and "
        f"its 95% interval; * marks one that is distinguishable from none. {' '.join(pair.notes)}"
    )
    title = f"{pair.labels[1]} against {pair.labels[0]}"
    return FittedTable(title, headers, rows, caption=caption)


def _cell(change: Change | None) -> str:
    if change is None:
        return "-"
    shown = f"[bold]{change.difference}[/bold]" if change.clear else change.difference
    return f"{change.both}\n{shown}\n[dim]{change.interval}[/dim]"


def _agreement(pair: Differences) -> FittedTable:
    headers = [
        FittedColumn("column", "left"),
        *map(FittedColumn, ("rows", "Kendall's tau", "reversed pairs")),
    ]
    rows = [
        [plain(str(line["column"])), str(line["rows"]), tau_text(line["tau"]),
         f"{line['reversed']} of {line['pairs']}"]
        for line in pair.agreement.to_dict("records")
    ]  # fmt: skip
    return FittedTable("order of the rows", headers, rows)


def _ranks(ranks: MeanRanks) -> FittedTable:
    names = [str(name) for name in ranks.table.columns[2:]]
    headers = [
        FittedColumn("defense", "left"),
        FittedColumn("mean rank"),
        *(FittedColumn(plain(name)) for name in names),
    ]
    rows = [
        [plain(str(title)), f"{mean:.2f}", *(f"{rank:g}" for rank in own)]
        for title, mean, *own in ranks.table.itertuples(index=False)
    ]
    return FittedTable("mean ranks", headers, rows, caption=" ".join(ranks.notes))
