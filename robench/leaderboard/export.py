"""Export of a leaderboard: Markdown for a README, LaTeX with booktabs for a paper."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from robench.base import Attack, ThreatModel
from robench.board.board import Board
from robench.board.plan import build_attacks
from robench.errors import UserError
from robench.expressions import radius_text
from robench.leaderboard.order import shown_columns
from robench.runs.records import EvaluatedColumn

Columns = Mapping[str, EvaluatedColumn]

_NONE = "–"  # noqa: RUF001
_LATEX_NONE = "--"


@dataclass(frozen=True)
class _Markup:
    """The parts of the markup that differ between the formats.

    Attributes:
        escape: makes any text appear literally, on one line.
        bold: template of a bold figure.
        plus_minus: separator of mean and standard deviation.
        tied: mark of a figure that is not distinguishable from the best.
        flagged: mark of a row with flags.
        none: placeholder of a missing figure.
    """

    escape: Callable[[str], str]
    bold: str
    plus_minus: str
    tied: str
    flagged: str
    none: str


def to_markdown(table: pd.DataFrame, board: Board, recorded: Columns | None = None) -> str:
    """Return a leaderboard as a Markdown table (GitHub's flavor), with its caption below.

    The table has one row per defense, best first, one column for the clean images and one per
    attack: accuracy in percent, with the standard deviation if there are several seeds. The best
    figure of a column is bold; figures that are not distinguishable from the best are marked in the
    ranking column, the only one that is compared.

    Args:
        table: ``leaderboard.csv``, as :attr:`robench.Leaderboard.table`.
        board: its specification.
        recorded: the columns as published, :attr:`robench.Leaderboard.columns`, whose threat models
            the caption has if an attack of the board is not registered here.

    Raises:
        UserError: if the table lacks a column that the board names, or an attack of the board is
            not registered and its column is not recorded.
    """
    caption = _caption(table, board, _MARKDOWN, recorded)
    return markdown_table(_cells(table, board, _MARKDOWN, recorded), caption)


def to_latex(table: pd.DataFrame, board: Board, recorded: Columns | None = None) -> str:
    r"""Return a leaderboard as a LaTeX table; needs ``\usepackage{booktabs}``.

    See :func:`to_markdown` for rows, columns, arguments and errors. Non-Latin letters are left
    unchanged and need LuaLaTeX or XeLaTeX.
    """
    caption = _caption(table, board, _LATEX, recorded)
    return latex_table(_cells(table, board, _LATEX, recorded), caption)


def markdown_table(cells: pd.DataFrame, caption: str) -> str:
    """Return escaped cells, headers and caption as Markdown; the first column is text."""
    lines = [list(cells.columns), ["---", *["---:"] * (cells.shape[1] - 1)], *cells.values.tolist()]
    rows = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{rows}\n\nTable: {caption}\n"


def latex_table(cells: pd.DataFrame, caption: str) -> str:
    """Return escaped cells, headers and caption as LaTeX; the first column is text."""
    return str(
        cells.style.hide(axis="index").to_latex(
            hrules=True,
            column_format="l" + "r" * (cells.shape[1] - 1),
            position="t",
            position_float="centering",
            caption=caption,
            label="tab:robench",
        )
    )


def _cells(
    table: pd.DataFrame, board: Board, markup: _Markup, recorded: Columns | None
) -> pd.DataFrame:
    names = [
        markup.escape(name) + (markup.flagged if flags else "")
        for name, flags in zip(table["defense"], _flags(table), strict=True)
    ]
    heads, columns = ["defense"], [names]
    tied = _tied(table)
    for column in _columns(table, board, recorded):
        means = [None if pd.isna(v) else f"{100 * v:.1f}" for v in table[f"{column}_mean"]]
        best = max((m for m in means if m is not None), key=float, default=None)
        cells = []
        for index, (mean, std) in enumerate(zip(means, table[f"{column}_std"], strict=True)):
            # Figures that print alike are equal: digits that are not shown must not decide.
            text = markup.none if mean is None else markup.bold % mean if mean == best else mean
            if mean is not None and not pd.isna(std):
                text += f"{markup.plus_minus}{100 * std:.1f}"
            if column == board.evaluation.ranking_column and mean != best and tied[index]:
                text += markup.tied
            cells.append(text)
        heads.append(markup.escape(column))
        columns.append(cells)
    return pd.DataFrame(list(zip(*columns, strict=True)), columns=heads)


def _columns(table: pd.DataFrame, board: Board, recorded: Columns | None) -> list[str]:
    columns = shown_columns(board, table, recorded)
    for column in columns:
        if f"{column}_mean" not in table:
            raise UserError(f"the table has no column '{column}_mean': it is from another board.")
    return columns


def _tied(table: pd.DataFrame) -> list[bool]:
    """Return for each row whether it shares a group's letter with the best, itself included."""
    letters = [set(str(group).split()) for group in table["group"]]
    best = [own for own, rank in zip(letters, table["rank"], strict=True) if rank == 1]
    return [any(own & other for other in best) for own in letters]


def _flags(table: pd.DataFrame) -> list[str]:
    return ["" if pd.isna(flags) else str(flags) for flags in table["flags"]]


def _caption(table: pd.DataFrame, board: Board, markup: _Markup, recorded: Columns | None) -> str:
    """Return the caption: what the figures were computed on."""
    several = any(len(str(seeds).split()) > 1 for seeds in table["seeds"])
    spread = ", mean and standard deviation over seeds" if several else ""
    networks = _listed(
        backbone if pd.isna(width) else f"{backbone} of width {width:g}"
        for backbone, width in zip(table["backbone"], table["width"], strict=True)
    )
    seeds = _listed(" ".join(str(seeds).split()) for seeds in table["seeds"])
    ranking = board.evaluation.ranking_column
    recipes = [
        f"{name}: {recipe}"
        for name, recipe in zip(table["defense"], table["recipe"], strict=True)
        if not pd.isna(recipe) and recipe
    ]
    flags = [
        f"{name}: {own}" for name, own in zip(table["defense"], _flags(table), strict=True) if own
    ]
    sentences = [
        f"{board.title}. Accuracy in percent{spread}; {networks} on {_listed(table['dataset'])}; "
        f"{'seeds' if several else 'seed'} {seeds}; {_listed(table['samples'])} test images.",
        *_threats(board, recorded),
        f"Best figures are bold, ranked by {ranking}.",
        *([f"Trained differently: {'; '.join(recipes)}."] if recipes else []),
        f"robench, commit {_listed(table['version'])}.",
    ]
    text = " ".join(markup.escape(sentence) for sentence in sentences)
    if any(tied and rank != 1 for tied, rank in zip(_tied(table), table["rank"], strict=True)):
        why = f": not distinguishable from the best in {ranking} (5%, Holm's correction)."
        text += f" {markup.tied.strip()}{markup.escape(why)}"
    if flags:
        which = f": flagged, {'; '.join(flags)}."
        text += f" {markup.flagged.strip()}{markup.escape(which)}"
    return text


def _threats(board: Board, recorded: Columns | None) -> list[str]:
    """Return sentences on the attacks' threat models, and on those that see fewer images."""
    models: dict[str, list[str]] = {}
    fewer = []
    try:
        attacks = build_attacks(board.evaluation)
    except UserError:
        if recorded is None:
            raise
        attacks = {}
        for name in board.evaluation.attacks:
            models.setdefault(_threat_text(recorded[name]), []).append(name)
    for name, attack in attacks.items():
        models.setdefault(_threat_text(attack), []).append(name)
        if attack.samples is not None and attack.samples < board.evaluation.samples:
            fewer.append(f"{name} on the first {attack.samples} images.")
    threats = [f"{within}: {', '.join(names)}" for within, names in models.items()]
    return [*([f"Threat models: {'; '.join(threats)}."] if threats else []), *fewer]


def _threat_text(column: Attack | EvaluatedColumn) -> str:
    if column.proves:
        return f"proved, {_ball_text(column.proves)}"
    return _ball_text(column.threat_model) if column.threat_model else "unbounded"


def _ball_text(ball: ThreatModel) -> str:
    return f"{_NORMS.get(ball[0], ball[0])}, eps = {radius_text(ball[1])}"


_NORMS = {"linf": "Linf", "l2": "L2"}


def _listed(values: Iterable[object]) -> str:
    return ", ".join(dict.fromkeys(str(value) for value in values))


def _one_line(text: str) -> str:
    """Return text with each run of whitespace and control characters as one space."""
    return re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", text).strip()


def escape_markdown(text: str) -> str:
    """Escape what Markdown or HTML would interpret; the rest stays readable."""
    text = re.sub(r"[\\`<>&|$~#@]", lambda found: f"&#{ord(found[0])};", _one_line(text))
    text = re.sub(r"[*_\[\]]", r"\\\g<0>", text)
    # GitHub turns bare URLs into links.
    return re.sub(r":(?=//)|(?<=www)\.", lambda found: f"&#{ord(found[0])};", text, flags=re.I)


LATEX_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "%": r"\%",
    "&": r"\&",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\symbol{34}",
    "`": r"\symbol{96}",
    # After the \\ of the row above, these would be parsed as its arguments.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
}
"""What LaTeX would interpret -> how it is written."""


def escape_latex(text: str) -> str:
    """Escape what LaTeX would interpret; two hyphens stay two."""
    safe = "".join(LATEX_SPECIAL.get(char, char) for char in _one_line(text))
    return re.sub(r"-(?=-)", "-{}", safe)


_MARKDOWN = _Markup(escape_markdown, "**%s**", " ± ", " †", " ‡", _NONE)
_LATEX = _Markup(
    escape_latex, r"\textbf{%s}", r" $\pm$ ", r" $^\dagger$", r" $^\ddagger$", _LATEX_NONE
)  # fmt: skip
