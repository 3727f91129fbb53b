"""The table of metrics of GANs."""

import pandas as pd

from robench.cli.tables.fitted import FittedColumn, FittedTable
from robench.cli.tables.words import plain

FACTS = ("gan", "defense", "training_seed", "samples", "part", "images", "seed", "weights",
         "step")  # fmt: skip
"""Columns that are no metric."""


def measured_table(table: pd.DataFrame) -> FittedTable:
    """Return a table with a row per GAN."""
    several = table["weights"].nunique() > 1
    names = [str(name) for name in table.columns if name not in FACTS]
    headers = [
        FittedColumn("GAN", "left"),
        FittedColumn("defense", "left"),
        FittedColumn("seed"),
        FittedColumn("step"),
        *([FittedColumn("weights", "left")] if several else []),
        *(FittedColumn(plain(name)) for name in names),
    ]
    rows = [
        [plain(str(line["gan"])), plain(str(line["defense"])), str(line["training_seed"]),
         str(line["step"]), *([str(line["weights"])] if several else []),
         *(f"{line[name]:.4g}" for name in names)]
        for line in table.to_dict("records")
    ]  # fmt: skip
    first = table.iloc[-1]
    title = f"{first['samples']} samples against {first['images']} {first['part']} images"
    ema = "; averaged weights" if first["weights"] == "ema" and not several else ""
    return FittedTable(
        title, headers, rows, keys=2, caption=f"seed of samples {first['seed']}{ema}"
    )
