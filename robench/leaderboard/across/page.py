"""The page of a comparison of boards: one HTML file without scripts, which loads nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from robench.leaderboard.across.boards import BoardComparison
from robench.leaderboard.across.differences import Differences
from robench.leaderboard.across.ranks import MeanRanks
from robench.leaderboard.across.wording import UNRANKED, Change, changes, left_out, tau_text
from robench.leaderboard.diagram import LIGHT, diagram_svg
from robench.leaderboard.export import escape_latex, latex_table
from robench.leaderboard.page.downloads import Download, download, table_files
from robench.leaderboard.page.embedding import policy
from robench.leaderboard.page.wording import listed
from robench.leaderboard.page.write import page_environment, page_text
from robench.leaderboard.table import to_csv
from robench.system.files import write_text


@dataclass(frozen=True)
class PairSection:
    """Two boards on the page; all of it is text to be escaped."""

    pair: Differences
    rows: list[tuple[str, list[Change | None]]]
    agreement: list[tuple[str, str, str, str]]
    left_out: list[str]
    files: tuple[Download, ...]
    agreement_files: tuple[Download, ...]


@dataclass(frozen=True)
class RankSection:
    """The mean ranks on the page."""

    ranks: MeanRanks
    svg: Markup
    summary: str
    files: tuple[Download, ...]


def write_comparison(comparison: BoardComparison, path: Path) -> Path:
    """Write the page of a comparison.

    Raises:
        UserError: if it cannot be written.
    """
    write_text(path, render_comparison(comparison))
    return path


def render_comparison(comparison: BoardComparison) -> str:
    """Return the page as HTML; every value of the boards is escaped."""
    settings = comparison.settings
    return page_environment().get_template("compare.html.j2").render(
        policy=policy([]),
        style=Markup(page_text("page.css")),
        title=f"{listed(list(comparison.labels))} compared",
        labels=comparison.labels,
        settings=settings.to_numpy().tolist(),
        settings_files=_files(comparison, "settings", "the settings that differ", settings),
        pairs=[_pair(comparison, pair) for pair in comparison.pairs],
        ranks=_ranks(comparison),
        unranked=UNRANKED,
    )  # fmt: skip


def _pair(comparison: BoardComparison, pair: Differences) -> PairSection:
    name, rows = " against ".join(reversed(pair.labels)), changes(pair)
    shown = [[title, *(_latex_cell(change) for change in own)] for title, own in rows]
    about = f"{pair.labels[1]} against {pair.labels[0]}"
    caption = (
        f"{pair.labels[1]} minus {pair.labels[0]}, accuracy in percentage points with the 95% "
        f"interval; *: distinguishable. {' '.join(pair.notes)}"
    )
    latex = _latex(["defense", *pair.columns], shown, caption)
    agreement = [
        (str(line["column"]), str(line["rows"]), tau_text(line["tau"]),
         f"{line['reversed']} of {line['pairs']}")
        for line in pair.agreement.to_dict("records")
    ]  # fmt: skip
    return PairSection(
        pair=pair,
        rows=rows,
        agreement=agreement,
        left_out=left_out(pair),
        files=table_files(name, f"the differences, {about}", to_csv(pair.figures), latex),
        agreement_files=_files(comparison, f"order {name}", f"the order, {about}", pair.agreement),
    )


def _ranks(comparison: BoardComparison) -> RankSection | None:
    ranks = comparison.ranks
    if ranks is None:
        return None
    diagram = ranks.diagram
    name = f"ranks {' '.join(comparison.labels)}"
    svg = download(name, "svg", "the diagram of mean ranks", diagram_svg(diagram, LIGHT))
    files = (svg, *_files(comparison, "ranks", "the mean ranks", ranks.table))
    # Trusted: diagram_svg escapes the names.
    return RankSection(ranks, Markup(diagram_svg(diagram)), diagram.summary, files)


def _files(
    comparison: BoardComparison, what: str, about: str, table: pd.DataFrame
) -> tuple[Download, ...]:
    """Return a table as CSV and as LaTeX with four digits."""
    cells = [[f"{v:.4g}" if isinstance(v, float) else str(v) for v in line]
             for line in table.itertuples(index=False)]  # fmt: skip
    caption = f"{about[0].upper()}{about[1:]}: {listed(list(comparison.labels))}."
    latex = _latex([str(name) for name in table.columns], cells, caption)
    return table_files(f"{what} {' '.join(comparison.labels)}", about, to_csv(table), latex)


def _latex(heads: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> str:
    escaped = [[escape_latex(text) for text in row] for row in rows]
    columns = [escape_latex(head) for head in heads]
    return latex_table(pd.DataFrame(escaped, columns=columns), escape_latex(caption))


def _latex_cell(change: Change | None) -> str:
    return f"{change.difference} [{change.interval}]" if change else "--"
