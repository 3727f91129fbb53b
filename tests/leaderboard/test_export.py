"""Export to Markdown and LaTeX, from two tables that were once published here."""

import itertools
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from robench.board.board import Board
from robench.board.loading import read_board
from robench.errors import UserError
from robench.leaderboard import export
from robench.leaderboard.export import to_latex, to_markdown
from robench.leaderboard.safe_csv import read_safe_csv

BOARDS = Path(__file__).parent / "tables"
TEXT = ("group", "defense", "training", "recipe", "backbone", "dataset", "seeds", "flags",
        "version", "digest")  # fmt: skip
ATTACKS = ["noise", "fgsm", "pgd-10", "pgd-20", "simba(samples=50)"]
HOSTILE = [
    r"a_b%$\input{x}", "<script>alert(1)</script>", "x | y", "[link](http://e.org)", "**b** *i*",
    "`code` ~~s~~ &lt; @me #1", "![i](j)", "* x", "[3pt] x", "a\nb\r\n\n| c |", "--- `` ''", "\\|",
    "www.e.org http://e.org", r"\\", "$x$ $$y$$", 'quo"te', "ünï ✓", "1. x", "# x", "\\cr & \\\\",
]  # fmt: skip


def shipped(name: str) -> tuple[pd.DataFrame, Board]:
    folder = BOARDS / name
    text = (folder / "leaderboard.csv").read_bytes().decode()
    return read_safe_csv(text, TEXT), read_board(folder / "board.toml")


def named(name: str) -> tuple[pd.DataFrame, Board]:
    """Return the quick board with another name for its first defense and in its title."""
    table, board = shipped("quick")
    table.loc[0, "defense"] = name
    return table, board.model_copy(update={"title": name})


def read_markdown(text: str) -> tuple[list[list[str]], str]:
    """Return the cells and the caption as they are shown; fail if anything else is shown."""

    def shown(token: Token) -> str:
        words = []
        for child in token.children or []:
            assert child.type in ("text", "text_special", "strong_open", "strong_close"), child.type
            words.append(child.content)
        return "".join(words)

    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    kinds = {token.type.removesuffix("_open") for token in tokens if token.nesting == 1}
    assert kinds == {"table", "thead", "tbody", "tr", "th", "td", "paragraph"}
    rows: list[list[str]] = []
    for token, after in itertools.pairwise(tokens):
        if token.type == "tr_open":
            rows.append([])
        elif token.type in ("th_open", "td_open"):
            rows[-1].append(shown(after))
    return rows, shown(tokens[-2]).removeprefix("Table: ")


def read_latex(text: str) -> tuple[list[list[str]], str]:
    """Return the cells and the caption as they are shown; fail if LaTeX would read commands."""
    wanted = [r"\begin{table}", r"\centering", r"\caption", r"\label", r"\begin{tabular}",
              r"\toprule", r"\midrule", r"\bottomrule", r"\end{tabular}",
              r"\end{table}"]  # fmt: skip
    positions = [text.index(word) for word in wanted]
    assert positions == sorted(positions)
    lines = text.splitlines()
    assert all(text.count(word) == 1 for word in wanted[5:8])
    top, bottom = lines.index(r"\toprule"), lines.index(r"\bottomrule")
    body = [line for line in lines[top + 1 : bottom] if line != r"\midrule"]
    assert lines[top + 2] == r"\midrule"
    rows = []
    for line in body:
        assert line.endswith(r" \\")
        rows.append([plain(cell) for cell in re.split(r"(?<!\\)&", line.removesuffix(r"\\"))])
    (caption,) = (line for line in lines if line.startswith(r"\caption{"))
    (shape,) = re.findall(r"\\begin\{tabular\}\{(l?r*)\}", text)
    assert {len(row) for row in rows} == {len(shape)}
    return rows, plain(caption.removeprefix(r"\caption{").removesuffix("}"))


SIGNS = {r"\textbackslash{}": "\\", r"\textasciitilde{}": "~", r"\textasciicircum{}": "^",
         r"\textless{}": "<", r"\textgreater{}": ">", r"\textbar{}": "|", r"\symbol{34}": '"',
         r"\symbol{96}": "`", r"$\pm$": "±", r"$^\dagger$": "†", r"$^\ddagger$": "‡", "{[}": "[",
         "{]}": "]", "{*}": "*", "-{}": "-", r"\{": "{", r"\}": "}", r"\%": "%", r"\&": "&",
         r"\$": "$", r"\#": "#", r"\_": "_"}  # fmt: skip
TOKEN = re.compile("|".join(map(re.escape, SIGNS)) + r"|\\textbf\{([0-9.]+)\}|(.)", re.DOTALL)


def plain(text: str) -> str:
    """Return what LaTeX prints for text with our commands; fail on any other special character."""

    def shown(found: re.Match[str]) -> str:
        if found[2] is not None:
            assert found[2] not in "\\{}%&$#_~^[]*\n", f"{found[2]!r} in {text!r}"
            return found[2]
        return found[1] if found[1] is not None else SIGNS[found[0]]

    return TOKEN.sub(shown, text.strip())


Write = Callable[[pd.DataFrame, Board], str]
Read = Callable[[str], tuple[list[list[str]], str]]
READERS: list[tuple[Write, Read]] = [(to_markdown, read_markdown), (to_latex, read_latex)]


@pytest.mark.parametrize("board", ["quick", "cifar10-linf-small"])
@pytest.mark.parametrize(("write", "read"), READERS, ids=["markdown", "latex"])
def test_every_figure_of_the_table_is_printed_in_percent(
    write: Write, read: Read, board: str
) -> None:
    table, spec = shipped(board)
    (head, *rows), _ = read(write(table, spec))
    assert head == ["defense", "clean", *ATTACKS]
    assert [row[0] for row in rows] == list(table["defense"])
    for index, column in enumerate(head[1:], start=1):
        figures = [float(row[index].removesuffix(" †")) for row in rows]
        assert figures == pytest.approx(list(100 * table[f"{column}_mean"]), abs=0.0501)
        assert all(re.fullmatch(r"\d+\.\d( †)?", row[index]) for row in rows)


def test_markdown_and_latex_show_the_same() -> None:
    for name in ("quick", "cifar10-linf-small"):
        table, board = shipped(name)
        assert read_markdown(to_markdown(table, board)) == read_latex(to_latex(table, board))


def test_the_caption_says_what_the_figures_were_computed_on() -> None:
    _, caption = read_markdown(to_markdown(*shipped("cifar10-linf-small")))
    for words in (
        "resnet18 of width 16 on cifar10-jpeg; seed 0; 1000 test images.",
        "Threat models: Linf, eps = 8/255: noise, fgsm, pgd-10, pgd-20; unbounded: simba(samples",
        "simba(samples=50) on the first 50 images.",
        "Trained differently: oni_paper: lr=0.01.",
        "robench, commit d25b693ee2de, 179450618a2f.",
        "†: not distinguishable from the best in pgd-20",
    ):
        assert words in caption
    assert "Linf, eps = 0.2:" in read_markdown(to_markdown(*shipped("quick")))[1]


def test_the_best_is_bold_and_what_is_not_distinguishable_from_it_is_marked() -> None:
    table, board = shipped("cifar10-linf-small")
    rows = to_markdown(table, board).splitlines()[2:8]
    cells = [row.strip("| ").split(" | ") for row in rows]
    assert [row[5] for row in cells] == [
        "**28.1**", "26.9 †", "26.8 †", "26.2 †", "23.9", "14.1",
    ]  # fmt: skip
    assert [row[6] for row in cells] == ["0.0", "2.0", "2.0", "2.0", "**4.0**", "0.0"]
    assert r"\textbf{28.1}" in to_latex(table, board)
    quick = to_markdown(*shipped("quick"))
    assert quick.count("**89.9**") == 2  # equal as printed
    assert "†" not in quick


def test_several_seeds_have_a_spread_and_a_row_without_figures_has_none() -> None:
    table, board = shipped("quick")
    table["seeds"], table["pgd-20_std"] = "0 1 2", 0.0123
    for column in ("clean", *ATTACKS):
        table.loc[4, f"{column}_mean"] = table.loc[4, f"{column}_std"] = None
    table.loc[4, "flags"], table.loc[4, "group"] = "diverged", ""
    for write, read, none in ((to_markdown, read_markdown, "–"), (to_latex, read_latex, "--")):  # noqa: RUF001
        (_, *rows), caption = read(write(table, board).replace("-{}-", "--"))
        assert rows[0][5] == "89.9 ± 1.2"
        assert rows[4] == ["batchnorm, trained normally ‡", *[none] * 6]
        assert "standard deviation over seeds" in caption
        assert "seeds 0 1 2;" in caption
        assert "‡: flagged, batchnorm, trained normally: diverged." in caption


def one_line(text: str) -> str:
    return re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", text).strip()


@pytest.mark.parametrize(("write", "read"), READERS, ids=["markdown", "latex"])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_shown_as_they_are(write: Write, read: Read, name: str) -> None:
    (head, *rows), caption = read(write(*named(name)))
    assert len(head) == 7
    assert rows[0][0] == one_line(name)
    assert one_line(name) in caption


@settings(max_examples=60, deadline=None)
@given(name=st.text(st.characters(exclude_categories=["Cs", "Cn"]), max_size=20)
       | st.text(st.sampled_from("\\|<>&$%#_*[]{}~^`\"'-@:!/w. a"), max_size=20))  # fmt: skip
@example(name="-" * 9)
def test_any_text_survives_escaping(name: str) -> None:
    head = "| a |\n| --- |\n| "
    (_, (cell,)), _ = read_markdown(f"{head}{export.escape_markdown(name)} |\n\nTable")
    assert cell == one_line(name)
    assert plain(export.escape_latex(name)) == one_line(name)
    assert not re.search("--|``", export.escape_latex(name))


def test_a_table_of_another_board_is_refused() -> None:
    table, board = shipped("quick")
    with pytest.raises(UserError, match="has no column 'fgsm_mean'"):
        to_markdown(table.drop(columns="fgsm_mean"), board)
