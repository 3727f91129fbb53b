"""The picture of spectra."""

import re
from pathlib import Path

import pandas as pd

from robench.diagnostics.figure import PANELS, draw_spectra
from robench.system.figures import CURVES


def spectra(at: float) -> pd.DataFrame:
    measures = {column: [at, at + 1] for column, _ in PANELS}
    return pd.DataFrame({"operator": "convolution", "layer": ["first", "second"], **measures})


def test_no_two_networks_have_one_color_and_what_is_left_out_is_said(tmp_path: Path) -> None:
    networks = {f"network {n}": spectra(n + 1.0) for n in range(CURVES + 2)}
    draw_spectra(networks, "a caption", tmp_path / "many.svg")
    text = (tmp_path / "many.svg").read_text()
    colors = re.findall(r"fill: none; stroke: (#\w+); stroke-width: 1.5", text)
    assert len(set(colors)) == CURVES
    assert len(colors) == CURVES * (len(PANELS) + 1)  # in each panel and in the legend
    assert f"a caption; the first {CURVES} of {CURVES + 2} networks" in text
    draw_spectra(dict([*networks.items()][:CURVES]), "a caption", tmp_path / "all.svg")
    assert "the first" not in (tmp_path / "all.svg").read_text()
