"""The parts of the page: texts, embedded data, shared manifests, commands."""

import base64
import gzip
import hashlib
import json
import math
import re
from dataclasses import replace
from html import unescape
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from page_boards import COLUMNS, Invented, invent

from robench.checks import Finding, Report
from robench.errors import UserError
from robench.evaluation.queries import median_queries, success_curve
from robench.expressions import radius_text
from robench.leaderboard.page import charts, sharing
from robench.leaderboard.page.cells import accuracy_columns, said
from robench.leaderboard.page.details import details, evidence
from robench.leaderboard.page.embedding import json_for_html, packed, policy
from robench.leaderboard.page.rows import group_places, table_rows
from robench.leaderboard.page.sharing import own, shared, thinned
from robench.leaderboard.page.wording import interval, percent, threat_model_text
from robench.leaderboard.page.write import render

LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
TREES = st.dictionaries(
    st.text(max_size=3),
    LEAVES | st.dictionaries(st.text(max_size=2), LEAVES, max_size=3),
    max_size=5,
)
ROWS = (Invented("first", {"clean": 0.8, "pgd-20": 0.6}), Invented("second"))


@given(st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_embedded_json_is_the_value_and_holds_no_markup(value: object) -> None:
    text = json_for_html({"value": value, "tag": "</script><!--"})
    assert not re.search(r"[<>&\u2028\u2029]", text)
    assert json.loads(text)["value"] == value
    assert json.loads(gzip.decompress(base64.b64decode(packed(value)))) == value


def test_what_is_not_finite_becomes_null() -> None:
    text = json_for_html([math.nan, np.float64("inf"), np.int64(3), {"a": np.float32(0.5)}])
    assert text == '[null,null,3,{"a":0.5}]'


@given(st.lists(TREES, min_size=1, max_size=4))
def test_merging_the_shared_and_the_own_part_gives_the_whole(trees: list[dict]) -> None:
    def merged(common: dict, rest: dict) -> dict:
        whole = dict(common)
        for key, value in rest.items():
            inner = isinstance(common.get(key), dict) and isinstance(value, dict)
            whole[key] = merged(common[key], value) if inner else value
        return whole

    common = shared(trees)
    assert [merged(common, own(tree, common)) for tree in trees] == trees


@given(st.lists(st.integers(), max_size=50), st.integers(2, 20))
def test_thinned_points_keep_their_order_and_their_ends(points: list[int], most: int) -> None:
    numbered = list(enumerate(points))
    kept = thinned(numbered, most)
    assert len(kept) == min(len(points), most)
    assert kept == sorted(set(kept))
    assert kept[:1] + kept[-1:] == numbered[:1] + numbered[-1:]


def test_figures_are_printed_as_percent_to_one_decimal() -> None:
    assert percent(0.28149) == "28.1"
    assert percent(math.nan) == percent(None) == "\N{EN DASH}"
    assert interval(0.254, 0.31) == "25.4\N{EN DASH}31.0"
    assert radius_text(8 / 255) == "8/255"
    assert radius_text(0.2) == "0.2"
    assert threat_model_text(("l2", 0.5)) == "L2 0.5"
    assert threat_model_text(None) == ""


def test_the_policy_names_every_script_that_is_on_the_page_and_no_other() -> None:
    page = render(invent(ROWS))
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    allowed = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert allowed
    assert allowed[1].replace("&#39;", "'") == policy(scripts)
    assert len(scripts) == 8
    assert "default-src 'none'" in policy(scripts)


@pytest.mark.parametrize("name", ["d3.min.js", "plot.umd.min.js", "dataTables.min.js"])
def test_the_libraries_are_the_released_files(name: str) -> None:
    folder = files("robench") / "templates/page/vendor"
    sums = dict(
        reversed(line.split("  ")) for line in (folder / "SHA256SUMS").read_text().splitlines()
    )
    content = (folder / name).read_bytes()
    assert hashlib.sha256(content).hexdigest() == sums[name]
    assert b"</script" not in content.lower()
    assert b"<!--" not in content


def test_the_licenses_of_the_libraries_are_in_the_page() -> None:
    page = render(invent(ROWS))
    for holder in ("SpryMedia", "Mike Bostock", "Observable, Inc"):
        assert re.search(rf"/\*[^/]*{holder}.*?(permission notice|WARRANTIES)", page, re.DOTALL)


def test_the_page_is_the_same_for_the_same_board() -> None:
    assert render(invent(ROWS)) == render(invent(ROWS))


def test_what_is_shared_keeps_its_order_whatever_the_process() -> None:
    names = [f"key{number}" for number in range(40)]
    trees = [{name: {"a": 1, "b": other} for name in names} for other in range(2)]
    assert list(sharing.shared(trees)) == names


def test_heads_and_figures_are_words_of_their_own_without_the_style() -> None:
    page = render(invent(ROWS))
    table = page[page.index('<table id="board"') : page.index("</table>")]
    cells = re.findall(r"<t[hd] [^>]*>(.*?)</t[hd]>", table, re.DOTALL)
    said = [" ".join(re.sub("<[^>]*>", "", cell).split()) for cell in cells]
    assert said[:5] == ["Rank", "Group", "Defense and flags", "clean %", "fgsm %"]
    assert said[8] == "Training time first = 1"
    assert re.fullmatch(r"1 1(.2)?", said[9])
    assert re.fullmatch(r"80\.0 ± 0\.0 \d\d\.\d.\d\d\.\d", said[12])


def test_whiskers_lie_on_one_scale_from_the_lowest_to_the_highest_end() -> None:
    rows = table_rows(invent(ROWS))
    whiskers = [f.whisker for row in rows for f in row.figures if f.whisker]
    assert len(whiskers) == len(rows)
    assert (min(w[0] for w in whiskers), max(w[2] for w in whiskers)) == (0, 100)
    assert all(low < mean < high for low, mean, high in whiskers)


def test_groups_are_sorted_by_their_letters_with_aa_behind_z() -> None:
    letters = ["b", "a b", "z aa", "aa", "z", "a", "a"]
    places = group_places(["", *letters])
    assert sorted(set(letters), key=lambda group: int(places[group])) == [
        "a", "a b", "b", "z", "z aa", "aa",
    ]  # fmt: skip
    assert places[""] == ""  # of a row without figures, which comes last


def test_columns_keep_the_order_of_the_board_not_that_of_the_files() -> None:
    board = invent(ROWS)
    shuffled = replace(board, columns=dict(sorted(board.columns.items(), reverse=True)))
    vars(shuffled)["table"] = board.table
    assert accuracy_columns(shuffled) == [*COLUMNS, "worst_case"]


def test_a_figure_of_a_seed_is_that_of_its_outcomes() -> None:
    board = invent(ROWS)
    accuracy = evidence(board)["rows"][0][1]["accuracy"]
    cell = next(c for c in board.cells if (c.row, c.seed) == ("first", 1))
    assert accuracy["pgd-20"] == pytest.approx(cell.outcomes["pgd-20"].accuracy)
    assert accuracy["worst_case"] <= accuracy["pgd-20"]


def test_a_finding_is_shown_with_its_best_effort() -> None:
    found = Finding("black_box", False, "Square fools 9 of 20.", best_effort=0.25)
    report = Report(20, (found,))
    assert (
        said(found, report) == "Square fools 9 of 20. Best effort: 25.0% of 20 images stay right."
    )
    assert said(replace(found, best_effort=None), report) == found.sentence


def test_the_curve_against_eps_is_the_mean_over_the_seeds() -> None:
    board = invent(ROWS)
    chart = charts.accuracy_against_eps(board)
    assert chart is not None
    for index, curve in chart["curves"].items():
        title = board.table["defense"][index]
        seeds = [cell.checks["curve"] for cell in board.cells if cell.row == title and cell.checks]
        means = np.mean([[point["accuracy"] for point in seed] for seed in seeds], axis=0)
        np.testing.assert_allclose([accuracy for _, accuracy in curve], means, atol=1e-4)
        assert curve == sorted(curve)
    assert chart["summary"] == "At Linf 8/255: 40.0% (first and second) correct."


def test_rows_that_diverged_have_no_end_and_left_no_check_out() -> None:
    lost = Invented("lost", {"clean": 0.1, "pgd-20": 0.1}, diverged=True)
    chart = charts.accuracy_against_iterations(invent([*ROWS, lost]))
    assert chart is not None
    assert len(chart["curves"]) == 3
    assert "lost" not in chart["summary"]
    board = invent([lost, replace(lost, title="also lost")])
    chart = charts.accuracy_against_iterations(board)
    assert chart is not None
    assert chart["summary"] == ""
    page = render(board)
    assert "Not available: no network could be checked." in page
    assert "the checks of this board were left out" not in page
    unchecked = render(invent([replace(row, checked=False) for row in ROWS]))
    assert "Not available: the checks of this board were left out." in unchecked


def test_a_training_that_collapsed_is_a_flag_with_a_sentence() -> None:
    board = invent([*ROWS, Invented("lost", collapsed=True)])
    flags = board.table.set_index("defense")["flags"]
    assert flags["lost"] == "collapsed"
    assert flags["first"] == ""
    [row] = [row for row in details(board) if row["flags"]]
    [(flag, text)] = row["flags"]
    assert flag == "collapsed"
    assert text.startswith("Seed 0, 1: Under PGD-10, accuracy on a few validation images fell")
    assert "training has collapsed." in text
    assert text in unescape(render(board))


def test_success_against_queries_starts_at_zero_and_never_falls() -> None:
    (chart,) = charts.success_against_queries(invent(ROWS))
    for points in chart["curves"].values():
        assert points[0] == [0, 0.0]
        assert points == sorted(points)
        assert len(points) <= charts.STEPS + 2


def test_quantiles_of_queries_are_those_of_all_steps_not_of_the_points_kept() -> None:
    board = invent([Invented("fooled")], samples=400, seeds=(0,))
    (chart,) = charts.success_against_queries(board)
    outcomes = board.cells[0].outcomes[chart["column"]]
    curve = success_curve(outcomes)
    assert len(curve) > charts.STEPS
    (found,) = chart["quantiles"].values()
    assert chart["shares"] == [0.25, 0.5, 0.75]
    assert found[1] == median_queries(outcomes)
    for share, queries in zip(chart["shares"], found, strict=True):
        success = curve.loc[curve["queries"] <= queries, "success"].round(9)
        assert success.iloc[-2] < share <= success.iloc[-1]
    assert set(found) - {point[0] for point in chart["curves"][0]}  # such a step was left out


def test_a_malformed_spectra_file_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "spectra.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="is not a table of spectra"):
        charts.spectra(invent(ROWS, folder=tmp_path))
    assert charts.spectra(invent(ROWS)) is None
