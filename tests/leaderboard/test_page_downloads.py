"""What a page offers to save: each table as CSV and LaTeX, each chart as a standalone SVG."""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import pandas as pd
import pytest
from browser import Opened, chromium, opened
from page_boards import COLUMNS, Invented, invent
from test_export import read_latex

from robench.leaderboard.csv_files import read_csv
from robench.leaderboard.export import to_latex
from robench.leaderboard.page.downloads import accuracy_files, download, ranking_files
from robench.leaderboard.page.write import render, write_page
from robench.leaderboard.published import Leaderboard
from robench.runs.records import EvaluatedColumn

ROOT = Path(__file__).resolve().parents[2]
SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = '=cmd|"a & b_c", <i>50%</i>'
ROWS = (
    Invented("slow", {"clean": 0.8, "pgd-20": 0.6}, seconds=30.0),
    Invented(HOSTILE, {"clean": 0.9, "pgd-20": 0.5}),
)
SPECTRA = """network,layer,operator,channel_condition_median,condition,norm
slow,net.conv1,convolution,5.4,17.6,5.3
slow,net.conv2,convolution,1.6,951.8,2.8
"""


def content(uri: str) -> str:
    return unquote(uri.partition(",")[2])


def test_the_ranking_is_the_published_file_byte_by_byte_and_the_exported_table() -> None:
    folder = ROOT / "leaderboards" / "quick"
    board = Leaderboard.read(folder)
    csv, latex = ranking_files(board)
    assert (csv.file, latex.file) == ("quick-leaderboard.csv", "quick-leaderboard.tex")
    assert content(csv.uri).encode() == (folder / "leaderboard.csv").read_bytes()
    assert content(latex.uri) == to_latex(board.table, board.board)
    page = render(board)
    assert all(f'download="{found.file}"' in page for found in (csv, latex))


def test_every_table_that_needs_no_script_has_its_links() -> None:
    for name in ("paper-table6-cpu", "corruptions-cifar10-cpu"):
        page = render(Leaderboard.read(ROOT / "leaderboards" / name))
        tables = page.count("</table>")
        links = re.findall(r'<a download="([^"]+)\.(csv|tex)" href="(data:[^"]+)"', page)
        assert len(links) == 2 * tables
        assert len({(stem, ending) for stem, ending, _ in links}) == len(links)
        for _, ending, uri in links:
            text = content(uri.replace("&amp;", "&"))
            if ending == "csv":
                assert pd.read_csv(io.StringIO(text)).columns[0] in ("rank", "defense")
            else:
                read_latex(text.replace("±", "x"))


def test_a_hostile_name_stays_in_its_link() -> None:
    made = download("../a b", "csv", "it", HOSTILE + "\n#?'\u2028")
    assert made.file == "a-b.csv"
    assert not re.search(r"""[\s"'<>#?&]""", made.uri.partition(",")[2])
    assert content(made.uri) == HOSTILE + "\n#?'\u2028"


def test_accuracies_are_exact_in_csv_and_in_percent_in_latex() -> None:
    table = pd.DataFrame(
        {"defense": [HOSTILE], "fog_mean": [0.123456], "snow_mean": [float("nan")]}
    )
    csv, latex = accuracy_files("board", "Accuracy under each", table, ["fog", "snow"])
    assert content(csv.uri).splitlines()[1].endswith(",0.123456,")
    (head, row), caption = read_latex(content(latex.uri))
    assert head == ["defense", "fog", "snow"]
    assert row == [HOSTILE, "12.3", "--"]
    assert caption == "Accuracy under each, in percent."


def test_an_attack_that_is_not_registered_here_keeps_the_recorded_ball() -> None:
    columns = {**COLUMNS, "their_own": EvaluatedColumn(("l2", 0.5))}
    board = invent((Invented("first"), Invented("second")), columns=columns)
    _, latex = ranking_files(board)
    assert "L2, eps = 0.5: their{}_own".replace("{}", "\\") in content(latex.uri)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("board")
    (folder / "spectra.csv").write_text(SPECTRA)
    return write_page(invent(ROWS, folder=folder), folder / "page.html")


def saved(seen: Opened, place: str, label: str) -> tuple[str, str]:
    """Return name and content of what a click saves."""
    with seen.page.expect_download() as coming:
        seen.page.locator(f"{place} .downloads >> text={label}").first.click()
    path = Path(coming.value.path())
    return str(coming.value.suggested_filename), path.read_text(encoding="utf-8")


def standalone(text: str) -> ElementTree.Element:
    root = ElementTree.fromstring(text)
    assert root.tag == f"{SVG}svg"
    assert "var(" not in text
    assert "currentColor" not in text
    assert not re.search(r"<style|href=|url\(", text)
    assert root.find(f"{SVG}rect").get("fill") == "#fff"  # light, whatever the theme
    assert len(root.findtext(f"{SVG}desc")) > 20
    return root


def test_every_chart_is_saved_as_svg_and_csv_and_its_table_as_csv_and_latex(
    browser: Any, page_file: Path
) -> None:
    with opened(browser, page_file, color_scheme="dark", accept_downloads=True) as seen:
        name, text = saved(seen, "#ranking", "CSV")
        assert name == "tests-leaderboard.csv"
        assert read_csv(text, "leaderboard.csv")["defense"].tolist() == ["slow", HOSTILE]
        charts = seen.page.locator("#charts figure").evaluate_all("all => all.map((f) => f.id)")
        assert len(charts) == 5
        for chart in charts:
            seen.page.click(f"#{chart} summary")
        seen.page.wait_for_timeout(300)  # the window may get a scroll bar, and the charts follow
        for number, chart in enumerate(charts):
            if number in (2, 4):
                seen.page.wait_for_timeout(1100)  # Chromium drops more than ten a second
            name, text = saved(seen, f"#{chart} >", "SVG")
            root = standalone(text)
            assert name.startswith("tests-")
            drawn = root.findall(f"{SVG}svg")
            assert len(drawn) == (3 if chart == "chart-spectra" else 1)
            assert {word.text for word in root.iter(f"{SVG}text")} >= {"slow", HOSTILE}  # legend
            _, text = saved(seen, f"#{chart} >", "CSV")
            points = pd.read_csv(io.StringIO(text))
            assert points.columns[0] in ("defense", "network")
            assert len(points.columns) > 1
            _, text = saved(seen, f"#{chart} details", "CSV")
            shown = pd.read_csv(io.StringIO(text))
            _, text = saved(seen, f"#{chart} details", "LaTeX")
            for sign in ("$-$", r"$\times$", "ε"):
                text = text.replace(sign, "x")
            (head, *rows), _ = read_latex(text)
            assert len(rows) == len(shown)
            assert len(head) <= len(shown.columns)
        assert (seen.complaints, seen.requests) == ([], [])


def test_the_figures_of_a_chart_are_exact_and_follow_the_filter(
    browser: Any, page_file: Path
) -> None:
    means = invent(ROWS).table.set_index("defense")
    with opened(browser, page_file, accept_downloads=True) as seen:
        seen.page.fill("#filter", "cmd")
        assert seen.shows(HOSTILE)
        _, text = saved(seen, "#chart-cost >", "CSV")
    (line,) = pd.read_csv(io.StringIO(text)).to_dict("records")
    assert line["defense"] == f"'{HOSTILE}"  # no formula for a spreadsheet
    for column in ("train_cost", "pgd-20_mean", "pgd-20_low"):
        assert line[column] == pytest.approx(means.loc[HOSTILE, column], abs=1e-6)


def test_the_details_of_a_row_are_saved_by_the_keyboard(browser: Any, page_file: Path) -> None:
    with opened(browser, page_file, "#row=slow", accept_downloads=True) as seen:
        seen.page.wait_for_selector("dialog[open] .plot svg")
        with seen.page.expect_download() as coming:
            seen.page.get_by_role("button", name="CSV of the table “slow compared").focus()
            seen.page.keyboard.press("Enter")
        pairs = pd.read_csv(coming.value.path())
        assert list(pairs.columns[:4]) == ["defense", "difference", "low", "high"]
        assert pairs["low"][0] <= pairs["difference"][0] <= pairs["high"][0]
        _, text = saved(seen, "dialog", "SVG")
        assert len(standalone(text).findall(f"{SVG}svg")) == 2
        seen.page.emulate_media(media="print")
        assert not seen.page.locator("dialog .downloads").first.is_visible()
