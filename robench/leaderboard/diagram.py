"""Diagrams of rows on one axis, with bars that join what a test cannot distinguish (Demšar 2006).

J. Demšar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7, 2006, Figure 1:
the best row is on the right, names stand beside the axis, the better half on the right.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from matplotlib.ticker import MaxNLocator

from robench.leaderboard.lettering import fitting, text_width

_WIDTH, _AXIS = 760, 240
"""Smallest width of a diagram and of its axis, in pixels."""
_FONT = 12
_ROOM = 300.0
"""Most pixels for a name and its figure; a longer name is cut, and whole in its tooltip."""
_LINE, _LANE = 19, 9
"""Height of a name and of a bar, in pixels."""


@dataclass(frozen=True)
class Placed:
    """A row on the axis: its name, its value, and the value as text."""

    name: str
    value: float
    text: str


@dataclass(frozen=True)
class Diagram:
    """What is drawn; all of it is text to be escaped.

    Attributes:
        axis: what the values are.
        rows: the rows, in any order.
        bars: groups of rows that are joined, each as the indices of its members. A group that is
            not a run of neighbors gets a thin bar with dots at its members.
        summary: the same in words, for those who cannot see it.
        lower_is_better: whether the axis is reversed, as for ranks.
        critical: the difference above which two rows are distinguished, drawn as a scale; 0 for
            none, as differences of other tests are not all the same.
    """

    axis: str
    rows: tuple[Placed, ...]
    bars: tuple[tuple[int, ...], ...]
    summary: str
    lower_is_better: bool = False
    critical: float = 0.0


@dataclass(frozen=True)
class Colors:
    """Colors of axis and bars, of names, and of figures and lines."""

    ink: str
    soft: str
    bar: str


THEMED = Colors("var(--ink)", "var(--soft)", "var(--link)")
"""The colors of a page, which follow its theme."""

LIGHT = Colors("#1d1d1b", "#5c5b57", "#0b5a94")
"""The colors of a page in a light theme, for a file of its own."""


def diagram_svg(diagram: Diagram, colors: Colors = THEMED) -> str:
    """Return a diagram as SVG.

    Args:
        diagram: what to draw, with at least one row.
        colors: :data:`THEMED` within a page; with others it is a file of its own, which is white
            and has the summary as its description.
    """
    order = sorted(range(len(diagram.rows)), key=lambda i: diagram.rows[i].value)
    if diagram.lower_is_better:
        order.reverse()
    scale = _Scale.of(diagram)
    lanes = _lanes(diagram, scale)
    names = scale.axis + 16 + _LANE * (max(lanes, default=-1) + 1)
    height = names + _LINE * ((len(order) + 1) // 2) + 8
    width = f"{scale.width:g}"
    svg = Element("svg", {
        "xmlns": "http://www.w3.org/2000/svg", "width": width, "height": str(height),
        "viewBox": f"0 0 {width} {height}", "role": "img", "font-size": str(_FONT),
    })  # fmt: skip
    if colors is THEMED:
        svg.set("aria-label", _clean(diagram.summary))
    else:
        svg.set("font-family", "Helvetica, Arial, sans-serif")
        SubElement(svg, "title").text = _clean(diagram.axis)
        SubElement(svg, "desc").text = _clean(diagram.summary)
        SubElement(svg, "rect", {"width": width, "height": str(height), "fill": "#fff"})
    _draw_axis(svg, diagram, scale, colors)
    worse = (len(order) + 1) // 2 if diagram.lower_is_better else len(order) // 2
    for depth, index in enumerate(order[:worse]):
        _draw_name(
            svg, diagram.rows[index], scale, names + _LINE * (depth + 0.5), colors, left=True
        )
    for depth, index in enumerate(reversed(order[worse:])):
        _draw_name(
            svg, diagram.rows[index], scale, names + _LINE * (depth + 0.5), colors, left=False
        )
    for bar, lane in zip(diagram.bars, lanes, strict=True):
        at = sorted(scale.at(diagram.rows[i].value) for i in bar)
        _draw_bar(svg, at, scale.axis + 12 + _LANE * lane, colors, run=is_run(diagram, bar))
    return ElementTree.tostring(svg, encoding="unicode")


def is_run(diagram: Diagram, bar: Sequence[int]) -> bool:
    """Return whether a group holds all rows between the first and the last of its members."""
    values = [diagram.rows[i].value for i in bar]
    between = (i for i, row in enumerate(diagram.rows) if min(values) < row.value < max(values))
    return set(between) <= set(bar)


@dataclass(frozen=True)
class _Scale:
    """Where values lie: ``first`` at ``left`` to ``last`` at ``right`` (pixels); y of the axis."""

    left: float
    right: float
    first: float
    last: float
    axis: float

    @classmethod
    def of(cls, diagram: Diagram) -> "_Scale":
        values = [row.value for row in diagram.rows]
        low, high = min(values), max(values)
        if diagram.lower_is_better:
            low, high = 1.0, float(len(values))  # ranks are shown from the first to the last
        elif high - low < 1e-9:
            low, high = low - 0.5, high + 0.5
        room = max(text_width(f"{row.name} {row.text}", _FONT) for row in diagram.rows)
        margin = 24.0 + math.ceil(min(_ROOM, room))
        end = max(_WIDTH - margin, margin + _AXIS)
        ends = (high, low) if diagram.lower_is_better else (low, high)
        return cls(margin, end, *ends, 62.0 if diagram.critical else 40.0)

    @property
    def width(self) -> float:
        return self.left + self.right

    def at(self, value: float) -> float:
        share = (value - self.first) / ((self.last - self.first) or 1)
        return round(self.left + share * (self.right - self.left), 1)


def _lanes(diagram: Diagram, scale: _Scale) -> list[int]:
    """Return the height of each bar: the lowest one in which it touches no other."""
    taken: list[list[tuple[float, float]]] = []
    lanes = []
    for bar in diagram.bars:
        ends = [scale.at(diagram.rows[i].value) for i in bar]
        low, high = min(ends) - 9, max(ends) + 9
        free = (i for i, lane in enumerate(taken) if all(high < a or b < low for a, b in lane))
        lane = next(free, len(taken))
        if lane == len(taken):
            taken.append([])
        taken[lane].append((low, high))
        lanes.append(lane)
    return lanes


def _draw_axis(svg: Element, diagram: Diagram, scale: _Scale, colors: Colors) -> None:
    y = scale.axis
    _line(svg, (scale.left, y, scale.right, y), colors.ink)
    low, high = sorted((scale.first, scale.last))
    locator = MaxNLocator(nbins=7, steps=[1, 2, 5, 10], integer=diagram.lower_is_better)
    for tick in locator.tick_values(low, high):
        if low - 1e-9 <= tick <= high + 1e-9:
            x = scale.at(float(tick))
            _line(svg, (x, y - 5, x, y), colors.ink)
            _text(svg, f"{tick:.6g}", (x, y - 9), colors.ink, anchor="middle")
    _text(svg, diagram.axis, (scale.right, 14), colors.soft, anchor="end")
    if diagram.critical:
        wide = abs(scale.at(low + diagram.critical) - scale.at(low))
        longer = scale.left + wide > scale.width - 8
        end = scale.width - 8 if longer else scale.left + wide
        _line(svg, (scale.left, 30, end, 30), colors.ink, width="1.5")
        for x in (scale.left,) if longer else (scale.left, end):
            _line(svg, (x, 26, x, 34), colors.ink, width="1.5")
        text = f"CD = {diagram.critical:.2f}{', longer than shown' if longer else ''}"
        _text(svg, text, (scale.left, 20), colors.ink, anchor="start")


def _draw_bar(svg: Element, at: Sequence[float], y: float, colors: Colors, *, run: bool) -> None:
    _line(svg, (at[0] - 6, y, at[-1] + 6, y), colors.bar, width="3.5" if run else "1.2")
    for x in () if run else at:
        dot = {"cx": f"{x:g}", "cy": f"{y:g}", "r": "3.2", "fill": colors.bar}
        SubElement(svg, "circle", dot)


def _draw_name(
    svg: Element, row: Placed, scale: _Scale, y: float, colors: Colors, *, left: bool
) -> None:
    """Draw the line from the axis down and outward, and figure and name at its end.

    The figure is next to the line, so that only a name can run out of the picture.
    """
    x, end = scale.at(row.value), scale.left - 14 if left else scale.right + 14
    path = f"M{x},{scale.axis:g}V{y:g}H{end:g}"
    SubElement(svg, "path", {"d": path, "fill": "none", "stroke": colors.soft})
    at, anchor = (end - 5, "end") if left else (end + 5, "start")
    text = _text(svg, "", (at, y + 4), colors.ink, anchor=anchor)
    name = fitting(row.name, _ROOM - text_width(f" {row.text}", _FONT), _FONT)
    if name != row.name:
        SubElement(text, "title").text = _clean(row.name)
    parts = [(f"{_clean(name)} ", colors.ink), (row.text, colors.soft)]
    if not left:
        parts = [(f"{row.text} ", colors.soft), (_clean(name), colors.ink)]
    for part, color in parts:
        SubElement(text, "tspan", {"fill": color}).text = part


def _line(svg: Element, ends: Sequence[float], color: str, *, width: str = "1") -> None:
    x1, y1, x2, y2 = (f"{end:g}" for end in ends)
    SubElement(svg, "line", {
        "x1": x1, "y1": y1, "x2": x2, "y2": y2, "stroke": color, "stroke-width": width,
    })  # fmt: skip


def _text(svg: Element, text: str, at: tuple[float, float], color: str, *, anchor: str) -> Element:
    place = {"x": f"{at[0]:g}", "y": f"{at[1]:g}", "fill": color, "text-anchor": anchor}
    made = SubElement(svg, "text", place)
    made.text = _clean(text)
    return made


def _clean(text: str) -> str:
    """Return text without the characters that XML forbids."""
    return re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]", "", text)
