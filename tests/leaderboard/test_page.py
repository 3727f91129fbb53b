"""The page in a real browser: sorting, filters, details, and no requests."""

import json
import math
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import chromium, opened
from page_boards import Invented, invent
from test_gan_tables import invented_gans

from robench.leaderboard.gans.page import write_gan_page
from robench.leaderboard.page.write import write_page

SENTENCE = "PGD with 100 steps leaves 12.5% where the board's leaves 40.0%."
ROWS = (
    Invented("slow", {"clean": 0.8, "pgd-20": 0.6}, seconds=30.0),
    Invented("quick", {"clean": 0.9, "pgd-20": 0.5}, seconds=5.0),
    Invented("masked", {"clean": 0.7, "pgd-20": 0.4}, failed={"more_steps": SENTENCE}),
    Invented("normal", {"clean": 0.95, "pgd-20": 0.02}, method="standard"),
)
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)> &amp; &',
    "</script><script>alert(3)</script>",
    "=cmd()",
    "{{ 7 * 7 }}'\\u003cb",
)
PHONE = {"viewport": {"width": 360, "height": 740}}
SPECTRA = """network,layer,operator,channel_condition_median,condition,norm
slow,net.conv1,convolution,5.4,17.6,5.3
slow,net.conv2,convolution,1.6,951.8,2.8
quick,net.conv1,convolution,1.0,12.5,3.1
quick,net.conv2,convolution,1.0,88.0,1.9
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("board")
    (folder / "spectra.csv").write_text(SPECTRA)
    return write_page(invent(ROWS, folder=folder), folder / "page.html")


def test_the_best_row_comes_first_without_requests_or_errors(browser: Any, page_file: Path) -> None:
    with opened(browser, page_file) as seen:
        assert seen.titles() == ["slow", "quick", "masked", "normal"]
        assert "a board of the tests (reduced)" in seen.page.inner_text("h1")
        assert seen.page.title().startswith("a board of the tests (reduced)")
        seen.page.wait_for_timeout(300)
        assert (seen.complaints, seen.requests) == ([], [])


def test_a_click_on_a_head_sorts_and_says_so(browser: Any, page_file: Path) -> None:
    with opened(browser, page_file) as seen:
        head = seen.page.locator("#board thead th", has_text="clean")
        head.click()
        assert seen.shows("normal", "quick", "slow", "masked")
        assert head.get_attribute("aria-sort") == "descending"
        head.click()
        assert seen.shows("masked", "slow", "quick", "normal")
        assert head.get_attribute("aria-sort") == "ascending"


def test_missing_figures_come_last_in_both_directions(browser: Any, tmp_path: Path) -> None:
    lost = Invented("lost", diverged=True, checked=False, seconds=20.0)
    board = invent([*ROWS[:3], lost])
    board.table["group"] = ["aa", "z", "a", ""]  # of slow, quick, masked and lost
    board.table.loc[1, "train_cost"] = math.nan
    expected = {
        "clean": (["quick", "slow", "masked", "lost"], ["masked", "slow", "quick", "lost"]),
        "Group": (["masked", "quick", "slow", "lost"], ["slow", "quick", "masked", "lost"]),
        "Training time": (["masked", "lost", "slow", "quick"], ["slow", "lost", "masked", "quick"]),
    }
    with opened(browser, write_page(board, tmp_path / "page.html")) as seen:
        for head, orders in expected.items():
            for order in orders:
                seen.page.locator("#board thead th", has_text=head).click()
                assert seen.shows(*order), head


def test_every_column_of_gans_sorts(browser: Any, tmp_path: Path) -> None:
    board = invented_gans(tmp_path, {"a": ([3.0], 700), "b": ([20.0], 1200), "c": ([None], 1000)})
    page = browser.new_page()
    page.goto(write_gan_page(board, tmp_path / "page.html").as_uri())
    expected = {
        "Parameters": (["a", "c", "b"], ["b", "c", "a"]),
        "fid": (["a", "b", "c"], ["b", "a", "c"]),
        "Seconds per step": (["b", "a", "c"], ["a", "b", "c"]),
    }
    for head, orders in expected.items():
        for order in orders:
            page.locator("#board thead th", has_text=head).click()
            page.wait_for_timeout(50)
            names = page.locator("#board tbody th").all_inner_texts()
            assert [name.split()[0] for name in names] == order, head
    page.close()


def test_the_keyboard_sorts_opens_and_closes(browser: Any, page_file: Path) -> None:
    with opened(browser, page_file) as seen:
        page = seen.page
        page.locator("#board thead th", has_text="Training time").get_by_role("button").focus()
        page.keyboard.press("Enter")
        assert seen.comes(lambda: seen.titles()[0] == "quick")
        page.locator(".open").first.focus()
        page.keyboard.press("Enter")
        page.wait_for_selector("dialog[open]")
        page.keyboard.press("Escape")
        assert not page.locator("dialog").is_visible()
        assert page.evaluate("document.activeElement.textContent") == "quick"


def test_the_first_tab_skips_the_head_of_the_page(browser: Any, page_file: Path) -> None:
    with opened(browser, page_file) as seen:
        seen.page.keyboard.press("Tab")
        assert seen.page.evaluate("document.activeElement.textContent") == "Skip to the table"
        seen.page.keyboard.press("Enter")
        assert seen.page.evaluate("document.activeElement.id") == "ranking"


def test_filters_leave_the_matching_rows_in_table_and_charts(browser: Any, page_file: Path) -> None:
    with opened(browser, page_file) as seen:
        page = seen.page
        page.fill("#filter", "qui")
        assert seen.shows("quick")
        assert page.inner_text("#count") == "1 of 4 rows"
        assert seen.comes(lambda: page.locator("#legend li").count() == 1)
        page.fill("#filter", "")
        page.select_option("#method", "standard")
        assert seen.shows("normal")
        page.select_option("#method", "")
        page.check("#unflagged")
        assert seen.shows("slow", "quick", "normal")
        page.uncheck("#unflagged")
        page.fill("#filter", "FREE more_")  # of the training and of the flag
        assert seen.shows("masked")
        for nothing in ("no such row", "button", "class", "span"):
            page.fill("#filter", nothing)
            assert seen.shows(), nothing
        assert "No row matches" in page.inner_text("#board tbody")
        page.wait_for_timeout(200)
        assert seen.complaints == []


def test_a_flag_shows_its_finding_on_focus_on_hover_and_in_the_details(
    browser: Any, page_file: Path
) -> None:
    with opened(browser, page_file) as seen:
        page, flag = seen.page, seen.page.locator(".flag")
        assert SENTENCE in flag.text_content()  # what a screen reader says
        flag.focus()
        assert page.locator("#tip").is_visible()
        assert SENTENCE in page.inner_text("#tip")
        page.keyboard.press("Escape")
        assert not page.locator("#tip").is_visible()
        flag.hover()
        assert page.locator("#tip").is_visible()
        page.get_by_role("button", name="masked", exact=True).click()
        page.wait_for_selector("dialog[open]")
        assert SENTENCE in page.inner_text("dialog")


def test_the_details_hold_all_the_evidence_of_a_row(browser: Any, page_file: Path) -> None:
    with opened(browser, page_file, "#row=quick") as seen:
        seen.page.wait_for_selector("dialog[open] .plot svg")
        text = seen.page.inner_text("dialog")
        assert seen.page.inner_text("#detail-title") == "quick"
        assert "robench run tests.toml --defenses quick --seeds 0,1" in text
        for part in (
            "seed 0",
            "seed 1",
            "noise_floor",
            "not evaluated",
            "weights_hash",
            "p (Holm)",
        ):
            assert part.casefold() in text.casefold()
        assert seen.page.locator("dialog .plot svg").count() == 2  # accuracy and loss
        manifest = seen.page.locator("dialog pre").last.inner_text()
        assert re.search(r'"outcomes_hash": "[0-9a-f]{64}"', manifest)
        assert '"device": "cpu: a machine"' in manifest


def test_a_third_party_row_is_verified_and_not_run(browser: Any, tmp_path: Path) -> None:
    board = invent(ROWS)
    board.table.loc[board.table["defense"] == "masked", "training"] = "external"
    with opened(browser, write_page(board, tmp_path / "page.html"), "#row=masked") as seen:
        seen.page.wait_for_selector("dialog[open]")
        text = seen.page.inner_text("dialog")
    assert "robench verify tests --store runs" in text
    assert "robench run" not in text


def test_a_manifest_in_the_page_is_the_one_in_the_folder(browser: Any, tmp_path: Path) -> None:
    board = invent(ROWS)
    cell = next(c for c in board.cells if (c.row, c.seed) == ("masked", 1))
    with opened(browser, write_page(board, tmp_path / "page.html"), "#row=masked") as seen:
        seen.page.wait_for_selector("dialog[open]")
        shown = json.loads(seen.page.locator("dialog pre").last.inner_text())
    assert shown == {"cell": cell.specification, "manifest": cell.manifest}


def test_every_chart_is_drawn_with_words_and_figures(browser: Any, page_file: Path) -> None:
    with opened(browser, page_file) as seen:
        page = seen.page
        for chart in ("eps", "cost", "queries-0", "spectra"):
            svgs = page.locator(f"#chart-{chart} .plot > svg")
            assert svgs.count() == (3 if chart == "spectra" else 1)
            assert svgs.first.get_attribute("role") == "img"
            assert len(svgs.first.get_attribute("aria-label")) > 30
            page.click(f"#chart-{chart} summary")
            assert page.locator(f"#chart-{chart} table").is_visible()
        (chart,) = json.loads(page.inner_html("#data"))["charts"]["queries"]
        half = f"{chart['quantiles']['3'][1]:,.0f}"
        assert half == page.inner_text("#chart-queries-0 table tbody tr:last-child td:nth-child(3)")
        mean = page.inner_text("#board tbody tr:first-child td.ranking").split()[0]
        assert mean in page.inner_text("#chart-cost table tbody tr:first-child")


def test_the_table_and_the_details_round_a_figure_alike(browser: Any, tmp_path: Path) -> None:
    tie = Invented("tie", {"clean": 0.4825, "pgd-20": 0.2})  # 48.25% is a number in binary
    path = write_page(invent([tie, ROWS[0]], samples=400), tmp_path / "page.html")
    with opened(browser, path, "#row=tie") as seen:
        seen.page.wait_for_selector("dialog[open]")
        clean = seen.page.locator("dialog table").first.locator("tr", has_text="clean")
        assert clean.locator("td").first.inner_text() == "48.2"
        assert "48.2 ± 0.0" in seen.page.text_content("#board tbody tr:last-child")
        eighths = [number / 8 for number in range(-20, 400)]
        for digits in (1, 2):
            script = f"(all) => all.map((value) => fixed(value, {digits}))"
            texts = [f"{value:.{digits}f}" for value in eighths]
            assert seen.page.evaluate(script, eighths) == texts


def test_missing_evidence_is_reported(browser: Any, tmp_path: Path) -> None:
    rows = (Invented("bare", checked=False), Invented("lost", diverged=True, checked=False))
    with opened(browser, write_page(invent(rows), tmp_path / "page.html"), "#row=bare") as seen:
        seen.page.wait_for_selector("dialog[open]")
        assert "checks of this row were left out" in seen.page.inner_text("dialog")
        seen.page.keyboard.press("Escape")
        assert "checks of this board were left out" in seen.page.inner_text("#charts")
        rows = "getComputedStyle(document.querySelector('.absent')).gridRowStart"
        assert seen.page.evaluate(rows) == "span 5"  # as charts, so that it is no row of its own
        assert seen.titles() == ["bare", "lost"]
        assert "diverged" in seen.page.inner_text("#board tbody tr:last-child")
        seen.page.get_by_role("button", name="lost").click()
        seen.page.wait_for_selector("dialog[open]")
        assert "has no figures" in seen.page.inner_text("dialog")
        assert seen.complaints == []


def test_hostile_names_are_only_names(browser: Any, tmp_path: Path) -> None:
    rows = [
        Invented(name, failed={"more_steps": name}, method=("free", "standard")[i % 2])
        for i, name in enumerate(HOSTILE)
    ]
    board = invent(rows, title=HOSTILE[2], name=HOSTILE[1])
    with opened(browser, write_page(board, tmp_path / "page.html")) as seen:
        page = seen.page
        assert sorted(page.locator("#board .open").all_text_contents()) == sorted(HOSTILE)
        assert page.inner_text("h1") == HOSTILE[2]
        for name in HOSTILE:
            page.fill("#filter", name[:6])
            page.locator(".flag").first.hover()
            page.get_by_role("button", name=name, exact=True).click()
            page.wait_for_selector("dialog[open]")
            assert page.text_content("#detail-title") == name
            page.keyboard.press("Escape")
        page.locator("#board thead th", has_text="Defense").click()
        page.wait_for_timeout(200)
        assert page.locator("#board img, #board script, dialog img, h1 *").count() == 0
        assert (seen.complaints, seen.requests) == ([], [])


def test_the_policy_forbids_scripts_that_are_not_ours(browser: Any, page_file: Path) -> None:
    with opened(browser, page_file) as seen:
        seen.page.evaluate(
            "document.body.insertAdjacentHTML('beforeend', '<b onclick=\"window.ran = 1\">x</b>')"
        )
        seen.page.evaluate("document.querySelector('body > b').click()")
        seen.page.evaluate("new Image().src = 'https://example.org/x.png'")
        seen.page.wait_for_timeout(200)
        assert seen.page.evaluate("window.ran") is None
        assert len(seen.complaints) == 2  # refused, both


def test_dark_mode_changes_the_colors_of_page_and_charts(browser: Any, page_file: Path) -> None:
    def colors(scheme: str) -> tuple[str, str]:
        with opened(browser, page_file, color_scheme=scheme) as seen:
            back = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
            line = seen.page.evaluate(
                "getComputedStyle(document.querySelector('#chart-eps [stroke^=var]')).stroke"
            )
        return back, line

    light, dark = colors("light"), colors("dark")
    assert light[0] == "rgb(255, 255, 255)"
    assert max(map(int, re.findall(r"\d+", dark[0]))) < 50
    assert light[1] != dark[1]


@pytest.mark.parametrize("address", ["", "#row=masked"])
def test_a_phone_scrolls_the_table_and_not_the_page(
    browser: Any, page_file: Path, address: str
) -> None:
    with opened(browser, page_file, address, **PHONE) as seen:
        if address:
            seen.page.wait_for_selector("dialog[open] .plot svg")
        assert seen.page.evaluate("document.documentElement.scrollWidth") == 360
        sheet = seen.page.evaluate("document.querySelector('dialog').scrollWidth")
        assert sheet <= 360


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_accessibility_violation(browser: Any, page_file: Path, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is missing")
    with opened(browser, page_file, color_scheme=scheme) as seen:
        found = axe.Axe().run(seen.page).response["violations"]
        seen.page.locator(".open").nth(2).click()
        seen.page.wait_for_selector("dialog[open] .plot svg")
        found += axe.Axe().run(seen.page).response["violations"]
    assert [(f["id"], [n["html"][:120] for n in f["nodes"]]) for f in found] == []


def test_print_shows_the_whole_table_without_its_tools(browser: Any, page_file: Path) -> None:
    with opened(browser, page_file, color_scheme="dark") as seen:
        seen.page.emulate_media(media="print", color_scheme="dark")
        assert not seen.page.locator(".tools").is_visible()
        overflow = "getComputedStyle(document.querySelector('.scroll')).overflowX"
        assert seen.page.evaluate(overflow) == "visible"
        back = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert back == "rgb(255, 255, 255)"


def test_a_thousand_cells_are_small_and_usable(browser: Any, tmp_path: Path) -> None:
    rows = [Invented(f"defense {i}", {"clean": 0.9, "pgd-20": 0.8 - 0.005 * i}) for i in range(100)]
    board = invent(rows, seeds=range(10), samples=100)
    path = write_page(board, tmp_path / "page.html")
    assert path.stat().st_size < 5_000_000
    with opened(browser, path) as seen:
        begin = time.perf_counter()
        seen.page.fill("#filter", "defense 9")
        assert seen.comes(lambda: seen.page.inner_text("#count") == "19 of 100 rows")
        assert time.perf_counter() - begin < 2
        assert len(seen.titles()) == 19  # all with a 9
        seen.page.wait_for_timeout(300)  # the charts follow
        begin = time.perf_counter()
        seen.page.locator(".open").first.click()
        seen.page.wait_for_selector("dialog[open] .plot svg")
        assert time.perf_counter() - begin < 3
        assert seen.complaints == []
