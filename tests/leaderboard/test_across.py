"""Boards compared with one another: differences, settings, what cannot be compared, the page."""

import io
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from browser import chromium
from page_boards import COLUMNS, EPS, Invented, invent
from scipy.stats import binomtest
from test_export import read_latex

from robench.errors import UserError
from robench.leaderboard.across import compare_boards, write_comparison
from robench.leaderboard.across.page import render_comparison
from robench.leaderboard.across.wording import UNRANKED, changes, left_out, points
from robench.leaderboard.comparison import matched
from robench.leaderboard.published import Leaderboard
from robench.runs.records import EvaluatedColumn

HOSTILE = "</td><script>alert(1)</script>"
WEAK = [Invented(name, {"clean": 0.8, "pgd-20": at}) for name, at in (("a", 0.5), ("b", 0.4))]
STRONG = [Invented(name, {"clean": 0.9, "pgd-20": at}) for name, at in (("a", 0.6), ("b", 0.7))]


def board(rows: list[Invented], name: str, *, hash_: str = "", **more: object) -> Leaderboard:
    """Return an invented board in a folder of its own; ``hash_`` stands for other images."""
    made = invent(rows, name=name, folder=Path("/nonexistent") / name, **more)
    if not hash_:
        return made
    cells = tuple(
        replace(c, file=c.file.model_copy(
            update={"cell": c.file.cell.model_copy(update={"data_hash": hash_})}
        ))
        for c in made.cells
    )  # fmt: skip
    return replace(made, cells=cells)


def line(figures: pd.DataFrame, defense: str, column: str) -> "pd.Series[object]":
    (found,) = [
        row for _, row in figures.iterrows() if (row["defense"], row["column"]) == (defense, column)
    ]
    return found


def hits(share: float, samples: int, seeds: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((seeds, samples)) < share


def test_two_networks_on_the_same_images_are_compared_by_mcnemar() -> None:
    one, two = hits(0.6, 500, 1, 0), hits(0.7, 500, 1, 1)
    found = matched([(one, two)]).iloc[0]
    lost, won = int((one & ~two).sum()), int((two & ~one).sum())
    assert found["p"] == pytest.approx(binomtest(min(won, lost), won + lost).pvalue)
    assert found["difference"] == pytest.approx((won - lost) / 500)
    assert found["low"] < found["difference"] < found["high"]
    assert found["method"] == "McNemar"


def test_exchanging_the_two_turns_the_sign() -> None:
    one, two = hits(0.6, 400, 2, 0), hits(0.7, 400, 3, 1)
    forth, back = matched([(one, two)]).iloc[0], matched([(two, one)]).iloc[0]
    assert forth["difference"] == pytest.approx(-back["difference"])
    assert forth["low"] == pytest.approx(-back["high"], abs=0.01)
    assert forth["method"] == "t-test"


def test_pairing_narrows_the_interval_of_networks_that_err_alike() -> None:
    one = hits(0.6, 1000, 1, 0)
    two = one | hits(0.05, 1000, 1, 1)
    pair, apart = (matched([(one, two)], paired=p).iloc[0] for p in (True, False))
    width = apart["high"] - apart["low"]
    assert pair["high"] - pair["low"] < 0.5 * width
    share = one.mean(), two.mean()
    expected = 2 * 1.96 * np.sqrt(sum(p * (1 - p) / 1000 for p in share))
    assert width == pytest.approx(expected, rel=0.05)


def test_images_that_are_not_the_same_may_be_of_different_number() -> None:
    found = matched([(hits(0.6, 300, 1, 0), hits(0.6, 900, 1, 1))], paired=False).iloc[0]
    assert found["low"] < 0 < found["high"]
    assert found["method"] == "t-test"


def test_a_single_run_against_several_is_one_of_them_by_chance() -> None:
    rng, wrong = np.random.default_rng(0), 0
    for _ in range(100):  # boards of four equal rows, whose runs vary by 2 points
        runs = [rng.random((6, 2000)) < rng.normal(0.6, 0.02, (6, 1)) for _ in range(4)]
        wrong += (matched([(row[:1], row[1:]) for row in runs])["p"] < 0.05).sum()
    assert 1 <= wrong <= 28  # of 400, where 20 are expected; 84 if the single one were exact


def test_rows_are_matched_by_title_and_differences_are_second_minus_first() -> None:
    found = compare_boards([board(WEAK, "weak"), board(STRONG, "strong", samples=100)])
    (pair,) = found.pairs
    assert pair.labels == ("weak", "strong")
    own = line(pair.figures, "b", "pgd-20")
    assert own["difference"] == pytest.approx(own["second"] - own["first"])
    assert own["difference"] > 0.2
    assert line(pair.figures, "b", "worst_case")["distinguishable"]
    assert (pair.figures["p_holm"] >= pair.figures["p"]).all()
    assert set(pair.figures["images"]) == {100}  # the first ones, which both have
    notes = " ".join(pair.notes)
    assert "Paired: both boards evaluate the same images" in notes
    assert "the first 100 images" in notes
    assert "The order by pgd-20 in strong reverses 1 of 1 pair" in notes
    agreed = pair.agreement.set_index("column").loc["pgd-20"]
    assert (agreed["tau"], agreed["reversed"], agreed["pairs"]) == (-1, 1, 1)


def prefix_first(name: str, samples: int, *, hash_: str = "") -> Leaderboard:
    """Return a board on the first ``samples`` of 200 images: "a" is right on the first 100."""
    made = board(
        [Invented("a"), Invented("b")], name, hash_=hash_, samples=samples, seeds=(0,)
    )  # fmt: skip
    right = {"a": np.arange(200) < 100, "b": np.arange(200) >= 80}
    for cell in made.cells:
        outcomes = cell.result.outcomes
        assert isinstance(outcomes, dict)
        found = right[cell.row][:samples]
        outcomes["pgd-20"] = replace(outcomes["pgd-20"], correct=found, robust=found)
    return made


def test_the_order_is_that_of_the_images_that_are_compared() -> None:
    few, all_ = prefix_first("few", 100), prefix_first("all", 200)
    found = compare_boards([few, all_])
    (pair,) = found.pairs
    at = pair.figures[pair.figures["column"] == "pgd-20"].set_index("defense")
    assert at["first"].to_dict() == at["second"].to_dict() == {"a": 1.0, "b": 0.2}
    agreed = pair.agreement.set_index("column").loc["pgd-20"]
    assert (agreed["tau"], agreed["reversed"]) == (1, 0)
    notes = " ".join(pair.notes)
    assert "The order by pgd-20 in all reverses no pair" in notes
    assert "Compared on the first 100 images, which both have." in notes
    # All of a board rank its rows, here in the other order, and it is said.
    assert found.ranks is not None
    assert found.ranks.table.set_index("defense")["all"].to_dict() == {"a": 2, "b": 1}
    extent = "Each board ranks over all of its images: 100 in few, 200 in all."
    assert extent in found.ranks.notes


def test_other_images_are_compared_over_all_of_each_board() -> None:
    other = prefix_first("other", 200, hash_="0" * 64)
    (pair,) = compare_boards([prefix_first("few", 100), other]).pairs
    assert pair.agreement.set_index("column").loc["pgd-20"]["reversed"] == 1
    assert "the order of the rows are over all images of each board" in " ".join(pair.notes)


def test_other_images_are_not_paired_and_a_single_seed_is_said() -> None:
    (pair,) = compare_boards(
        [board(WEAK, "weak"), board(STRONG, "strong", hash_="0" * 64, seeds=(0,))]
    ).pairs
    assert not pair.figures["paired"].any()
    assert set(pair.figures["method"]) == {"t-test"}
    notes = " ".join(pair.notes)
    assert "Not paired" in notes
    assert "A row of strong is a single training run, which is taken to vary as" in notes


def test_settings_that_differ_are_those_of_the_boards_and_of_their_rows() -> None:
    other = [replace(STRONG[0], method="standard"), STRONG[1]]
    found = compare_boards(
        [board(WEAK, "weak", samples=100), board(other, "strong", seeds=(0, 1, 2))]
    ).settings
    values = {row["setting"]: (row["weak"], row["strong"]) for _, row in found.iterrows()}
    assert values == {
        "seeds": ("0, 1", "0, 1, 2"),
        "evaluation.samples": ("100", "200"),
        "a: training.method": ("free", "standard"),
    }


def test_many_columns_of_one_attack_are_counted_and_their_difference_is_seen() -> None:
    def severities(level: int) -> dict[str, EvaluatedColumn]:
        calls = (f"corruption(kind='fog{i}', severity={level})" for i in range(8))
        return {**COLUMNS, **dict.fromkeys(calls, EvaluatedColumn(corrupts=True))}

    found = compare_boards([
        board(WEAK, "weak", columns=severities(1)), board(STRONG, "strong", columns=severities(2))
    ])  # fmt: skip
    attacks = found.settings.set_index("setting").loc["evaluation.attacks"]
    assert attacks["weak"] == "fgsm, pgd-20, simba(samples=50), corruption(...), 8 times"
    assert "corruption" in found.pairs[0].other  # the mean over others
    assert "corruption(kind='fog0', severity=1)" not in found.pairs[0].columns_of_one[0]


def test_without_two_rows_on_all_boards_there_are_no_ranks() -> None:
    found = compare_boards([board(WEAK, "weak"), board([STRONG[0]], "strong")])
    assert found.ranks is None
    assert found.to_json()["ranks"] is None
    assert UNRANKED in render_comparison(found)


def test_a_column_of_another_ball_is_not_compared() -> None:
    wide = {**COLUMNS, "pgd-20": EvaluatedColumn(("linf", 2 * EPS))}
    (pair,) = compare_boards([board(WEAK, "weak"), board(STRONG, "wide", columns=wide)]).pairs
    assert "pgd-20" not in pair.columns
    assert pair.other["pgd-20"] == ("Linf 8/255", "Linf 16/255")
    others = {"pgd-10" if name == "fgsm" else name: column for name, column in COLUMNS.items()}
    (pair,) = compare_boards([board(WEAK, "weak"), board(STRONG, "others", columns=others)]).pairs
    assert "pgd-20" in pair.columns
    assert (
        "worst_case is not compared: over fgsm and pgd-20 (Linf 8/255) in weak, over pgd-10 and "
        "pgd-20 (Linf 8/255) in others."
    ) in left_out(pair)


def test_what_only_one_board_has_is_named_and_a_diverged_row_has_no_figures() -> None:
    few = {name: column for name, column in COLUMNS.items() if name != "fgsm"}
    rows = [*STRONG, Invented("new"), Invented("lost", diverged=True)]
    weak = [*WEAK, Invented("lost"), Invented("old")]
    (pair,) = compare_boards([board(weak, "weak"), board(rows, "strong", columns=few)]).pairs
    assert pair.rows_of_one == (("old",), ("new",))
    assert "fgsm" in pair.columns_of_one[0]
    assert "Only strong has the row new." in left_out(pair)
    assert set(pair.figures["defense"]) == {"a", "b"}


def test_boards_that_cannot_be_compared_are_refused() -> None:
    weak = board(WEAK, "weak")
    with pytest.raises(UserError, match="weak is named twice"):
        compare_boards([weak, board(STRONG, "weak")])
    with pytest.raises(UserError, match="no row in common: one has a, b, the other c"):
        compare_boards([weak, board([Invented("c")], "other")])
    with pytest.raises(UserError, match="needs two boards"):
        compare_boards([weak])
    lost = [Invented("a", diverged=True)]
    with pytest.raises(UserError, match="no row has figures"):
        compare_boards([weak, board(lost, "lost")])


def test_boards_of_one_name_are_told_apart_by_their_folders() -> None:
    second = replace(board(STRONG, "x"), name="weak")
    assert compare_boards([board(WEAK, "weak"), second]).labels == (
        "/nonexistent/weak", "/nonexistent/x",
    )  # fmt: skip


def test_boards_may_be_named_like_the_columns_of_the_tables() -> None:
    names = ["defense", "mean_rank", "setting"]
    found = compare_boards([board(WEAK, name, seeds=(i,)) for i, name in enumerate(names)])
    labels = ["defense (board)", "mean_rank (board)", "setting (board)"]
    assert found.labels == tuple(labels)
    assert list(found.settings.columns) == ["setting", *labels]
    assert found.ranks is not None
    assert list(found.ranks.table.columns) == ["defense", "mean_rank", *labels]
    assert "mean_rank (board)" in render_comparison(found)


def test_signs_are_printed_and_zero_has_none() -> None:
    assert [points(v) for v in (0.0123, -0.2, 0.0001, -0.0001)] == ["+1.2", "−20.0", "0.0", "0.0"]  # noqa: RUF001


def test_the_page_is_complete_without_script_and_its_files_parse() -> None:
    rows = [Invented(HOSTILE), *STRONG]
    found = compare_boards([board([*WEAK, Invented(HOSTILE)], "weak"), board(rows, HOSTILE)])
    page = render_comparison(found)
    assert "<script" not in page
    assert "script-src 'none'" in page.replace("&#39;", "'")
    assert "http" not in re.sub(r'xmlns="[^"]*"|href="data:[^"]*"|http-equiv', "", page)
    links = re.findall(r'<a download="[^"]+\.(\w+)" href="([^"]+)"', page)
    assert [ending for ending, _ in links].count("csv") == page.count("</table>")
    assert [ending for ending, _ in links].count("tex") == page.count("</table>")
    for ending, uri in links:
        text = unquote(uri.replace("&amp;", "&").partition(",")[2])
        if ending == "csv":
            assert len(pd.read_csv(io.StringIO(text)))
        elif ending == "tex":
            read_latex(text)
        else:
            assert ElementTree.fromstring(text).tag.endswith("svg")
    (inline,) = re.findall(r"<svg.*?</svg>", page)
    assert "mean rank over 2 boards" in inline
    for _, own in changes(found.pairs[0]):
        assert all(change and change.both in page for change in own)


def test_the_page_is_accessible_in_both_themes_and_fits_a_phone(tmp_path: Path) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is missing")
    path = tmp_path / "page.html"
    write_comparison(compare_boards([board(WEAK, "weak"), board(STRONG, HOSTILE)]), path)
    with chromium() as browser:
        for scheme in ("light", "dark"):
            shown = browser.new_page(viewport={"width": 360, "height": 740}, color_scheme=scheme)
            shown.goto(path.as_uri())
            found = axe.Axe().run(shown).response["violations"]
            assert [(f["id"], [n["html"][:120] for n in f["nodes"]]) for f in found] == []
            assert shown.evaluate("document.documentElement.scrollWidth") == 360
        with shown.expect_download() as coming:
            shown.get_by_role("link", name="SVG of the diagram of mean ranks").click()
        assert coming.value.suggested_filename.endswith(".svg")
