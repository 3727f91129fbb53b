"""The tables on the console."""

import io

import numpy as np
import torch
from rich.console import Console
from torch import nn

from robench.cli.tables import evaluation_table
from robench.evaluation import evaluate


def test_shares_are_in_percent_and_sizes_and_queries_are_not() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    images = torch.full((8, 1, 2, 2), 0.5)
    labels = model(images).argmax(1)
    table = evaluate(model, images, labels, ["noise(eps=0.25)", "fgsm(eps=0)"]).table()
    console = Console(record=True, width=200, file=io.StringIO())
    console.print(evaluation_table(table, "t"))
    lines = {
        line.split()[0]: line.split() for line in console.export_text().splitlines() if line.strip()
    }
    assert "100.0%" in lines["fgsm(eps=0)"]
    *_, largest_linf, median_l2 = lines["noise(eps=0.25)"]
    assert np.isclose(float(largest_linf), table.loc[1, "largest_linf"], rtol=1e-3)
    assert median_l2 == "-"  # nothing was fooled
