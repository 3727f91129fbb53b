"""Diagrams of rows on an axis, with bars that join what is not distinguishable."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from page_boards import COLUMNS, THREAT_MODEL, Invented, invent
from test_lettering import in_dejavu_sans

from robench.leaderboard.diagram import LIGHT, THEMED, Diagram, Placed, diagram_svg
from robench.leaderboard.page import groups
from robench.leaderboard.page.groups import group_diagram, row_groups
from robench.leaderboard.page.write import render
from robench.leaderboard.published import Leaderboard
from robench.runs.records import EvaluatedColumn

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "</svg><script>alert(1)</script>\x00"
ACCURACIES = {"first": 0.9, "second": 0.88, "third": 0.4, "last": 0.38}


def board(**more: int) -> Leaderboard:
    rows = [Invented(name, {"clean": 0.95, "pgd-20": at}) for name, at in ACCURACIES.items()]
    return invent(rows, samples=400, **more)


def places(svg: str) -> dict[str, float]:
    """Return where the line of each name leaves the axis, in pixels."""
    root = ElementTree.fromstring(svg)
    starts = [float(re.match(r"M([\d.]+),", path.get("d"))[1]) for path in root.iter(f"{SVG}path")]
    names = [name for _, _, name in labels(svg)]
    return dict(zip(names, starts, strict=True))


def labels(svg: str) -> list[tuple[float, str, str]]:
    """Return of each row where its text begins at the axis, what stands there, and its name."""
    found = []
    for text in ElementTree.fromstring(svg).iter(f"{SVG}text"):
        parts = [str(part.text).strip(" ") for part in text.iter(f"{SVG}tspan")]
        inwards = parts if text.get("text-anchor") == "start" else parts[::-1]
        found += [(float(text.get("x")), inwards[0], inwards[1])] if parts else []
    return found


def bars(svg: str) -> list[tuple[float, float]]:
    found = ElementTree.fromstring(svg).iter(f"{SVG}line")
    return [
        (float(b.get("x1")), float(b.get("x2"))) for b in found if b.get("stroke-width") == "3.5"
    ]


def drawn(*values: float, bars: tuple[tuple[int, ...], ...] = (), **more: float) -> str:
    rows = tuple(Placed(f"row {i}", value, f"{value:g}") for i, value in enumerate(values))
    return diagram_svg(Diagram("axis", rows, bars, "in words", **more))


def test_the_bars_of_a_board_are_the_letters_of_its_table() -> None:
    made = board()
    diagram = group_diagram(made)
    assert diagram is not None
    letters = dict(zip(made.table["defense"], made.table["group"], strict=True))
    joined = {tuple(diagram.rows[i].name for i in bar) for bar in diagram.bars}
    assert letters == {"first": "a", "second": "a", "third": "b", "last": "b"}
    assert joined == {("first", "second"), ("third", "last")}
    at, spans = places(diagram_svg(diagram)), bars(diagram_svg(diagram))
    assert at["first"] > at["second"] > at["third"] > at["last"]  # the best on the right
    assert any(low < at["second"] < at["first"] < high for low, high in spans)
    assert not any(low < at["third"] and at["second"] < high for low, high in spans)


def test_it_counts_the_images_of_the_ranking_column() -> None:
    assert "of the same 400 images by" in row_groups(board()).note
    few = "autoattack(samples=50)"
    columns = {**COLUMNS, few: EvaluatedColumn(THREAT_MODEL)}
    rows = [Invented(name, {"clean": 0.95, "pgd-20": at}) for name, at in ACCURACIES.items()]
    made = invent(rows, samples=400, columns=columns, sizes={few: 50}, rank_by="worst_case")
    assert "of the same 50 images by" in row_groups(made).note


def test_it_says_which_test_at_which_level_and_what_one_seed_leaves_open() -> None:
    several, single = row_groups(board()), row_groups(board(seeds=(0,)))
    assert several is not None
    assert single is not None
    for words in (
        "5% level",
        "same 400 images",
        "a t-test over images and seeds",
        "6 pairs (Holm)",
    ):
        assert words in several.note
    assert "McNemar" in single.note
    assert "single training run" in single.note
    assert "single training run" not in several.note
    assert "Not distinguishable: first and second; third and last." in several.summary


def test_networks_from_elsewhere_among_rows_of_several_seeds_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = board()
    assert "from elsewhere" not in row_groups(made).note
    monkeypatch.setattr(groups, "ExternalCell", type(made.result.rows[0].cells[0].evidence.cell))
    said = "are single networks from elsewhere, compared as such and not as a recipe."
    assert row_groups(made).note.endswith(said)


def test_rows_without_figures_are_left_out_and_one_row_needs_no_diagram() -> None:
    lost = Invented("lost", diverged=True)
    diagram = group_diagram(invent([Invented("one"), Invented("two"), lost]))
    assert diagram is not None
    assert {row.name for row in diagram.rows} == {"one", "two"}
    assert row_groups(invent([Invented("one"), lost])) is None
    assert 'id="groups"' not in render(invent([Invented("one"), lost]))


def test_names_do_not_cross_and_bars_do_not_touch() -> None:
    svg = drawn(1, 2, 3, 4, 5, 6, bars=((0, 1, 2), (1, 2, 3), (4, 5)))
    root = ElementTree.fromstring(svg)
    heights = [float(re.search(r"V([\d.]+)", p.get("d"))[1]) for p in root.iter(f"{SVG}path")]
    # From the outside inwards on both sides, so that no vertical line meets another's name.
    assert heights == sorted(heights[:3]) * 2
    lanes = [float(b.get("y1")) for b in root.iter(f"{SVG}line") if b.get("stroke-width") == "3.5"]
    assert lanes[0] != lanes[1]
    assert lanes[2] == lanes[0]


@pytest.mark.parametrize("letter", ["i", "n", "W", "é", "中"])
@pytest.mark.parametrize("letters", [12, 33, 34, 60])
def test_names_fit_beside_the_axis_and_figures_stand_next_to_it(letter: str, letters: int) -> None:
    name = letter * letters
    rows = (Placed(name, 1, "100.0"), Placed(name, 2, "99.75"))
    svg = diagram_svg(Diagram("axis", rows, (), "in words"))
    width = float(ElementTree.fromstring(svg).get("width"))
    (left, worse, one), (right, better, other) = labels(svg)
    assert (worse, better) == ("100.0", "99.75")  # if a font is wider still, the name is cut
    assert one.rstrip("…") == other.rstrip("…") == name[: len(one.rstrip("…"))]
    assert ("…" in one) == (one != name) == ("…" in other)
    for shown in (f"{one} {worse}", f"{better} {other}"):
        wide = 12 * shown.count("中") + in_dejavu_sans(shown.replace("中", ""))
        assert wide < min(left, width - right)
    assert one == name or len(one) > 15


def test_ranks_run_from_the_last_to_the_first_and_have_their_critical_difference() -> None:
    svg = drawn(1.5, 2.0, 2.5, lower_is_better=True, critical=1.0)
    at = places(svg)
    assert at["row 0"] > at["row 1"] > at["row 2"]
    assert "CD = 1.00" in svg


def test_a_file_of_its_own_is_light_and_complete_and_a_page_has_its_alt_text() -> None:
    diagram = Diagram("axis", (Placed(HOSTILE, 1, "1"), Placed("b" * 99, 1, "1")), (), HOSTILE)
    alone, inside = diagram_svg(diagram, LIGHT), diagram_svg(diagram, THEMED)
    for svg in (alone, inside):
        root = ElementTree.fromstring(svg)
        assert root.tag == f"{SVG}svg"
        assert not list(root.iter("script"))
        assert "<script" not in svg
        assert "b" * 99 in "".join(root.itertext())  # the tooltip of a shortened name
    assert "var(" not in alone
    assert ElementTree.fromstring(alone).findtext(f"{SVG}desc") == HOSTILE.removesuffix("\x00")
    assert ElementTree.fromstring(inside).get("aria-label") == HOSTILE.removesuffix("\x00")


@pytest.mark.parametrize("name", ["quick", "paper-table6-cpu"])
def test_published_boards_have_it(name: str) -> None:
    folder = Path(__file__).resolve().parents[2] / "leaderboards" / name
    diagram = group_diagram(Leaderboard.read(folder))
    assert diagram is not None
    low = {row.name: places(diagram_svg(diagram))[row.name] for row in diagram.rows}
    assert len(low) == len(diagram.rows)
    assert all(0 < x < 760 for x in low.values())
