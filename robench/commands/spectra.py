"""``robench spectra``: tabulate and draw the spectra of checkpoints."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from robench.diagnostics import condition_ratios, spectra
from robench.diagnostics.figure import draw_spectra
from robench.errors import UserError
from robench.models.checkpoint import load_checkpoint
from robench.progress import Progress
from robench.runs.progress import NullReporter, ProgressReporter
from robench.runs.stored import check_weights_of_cell
from robench.system.files import write_text
from robench.system.provenance import code_version


@dataclass(frozen=True)
class Spectra:
    """The spectra of several checkpoints.

    Attributes:
        table: the rows of :func:`robench.spectra`, with a first column ``network``.
        ratios: the rows of :func:`condition_ratios` against the reference; empty without one.
        caption: what the figures are computed from.
    """

    table: pd.DataFrame
    ratios: pd.DataFrame
    caption: str

    def save(self, folder: Path) -> list[Path]:
        """Write ``spectra.csv``, ``spectra.svg`` and, with a reference, ``ratios.csv``."""
        paths = [folder / "spectra.csv", folder / "spectra.svg"]
        write_text(paths[0], self.table.to_csv(index=False, float_format="%.6g"))
        networks = {str(k): v for k, v in self.table.groupby("network", sort=False)}
        draw_spectra(networks, self.caption, paths[1])
        if not self.ratios.empty:
            paths.append(folder / "ratios.csv")
            write_text(paths[-1], self.ratios.to_csv(index=False, float_format="%.6g"))
        return paths


def checkpoint_spectra(
    checkpoints: Sequence[Path],
    *,
    against: Path | None = None,
    reporter: ProgressReporter | None = None,
) -> Spectra:
    """Compute the spectra of networks that robench trained.

    Args:
        checkpoints: ``weights.safetensors`` files, or the folders that contain them.
        against: the reference of the ratios; in the paper, the network without normalization.
        reporter: progress reporter, called during the computation.

    Raises:
        UserError: if a checkpoint is damaged or listed twice.
    """
    reporter = reporter or NullReporter()
    if twice := [path for path in checkpoints if list(checkpoints).count(path) > 1]:
        raise UserError(f"the checkpoint {twice[0]} is listed twice; list it once.")
    paths = [*([against] if against else []), *checkpoints]
    tables: dict[str, pd.DataFrame] = {}
    captions: list[str] = []
    for path in paths:
        check_weights_of_cell(path)
        model, network, facts = load_checkpoint(path)
        name = network.defense if network.defense not in tables else f"{network.defense}, {path}"
        if name in tables:
            raise UserError(f"the checkpoint {path} is listed twice; list it once.")
        height, width = network.image_size
        tables[name] = spectra(
            model,
            (network.in_channels, height, width),
            progress=partial(_report, reporter, name),
        )
        origin = f"{facts.get('dataset', '?')}, {network.backbone} of width {network.width}"
        captions.append(f"{origin}, seed {facts.get('seed', '?')}")
    ratios = [
        condition_ratios(tables[next(iter(tables))], table).assign(network=name)
        for name, table in tables.items()
        if against
    ]
    together = pd.concat([table.assign(network=name) for name, table in tables.items()])
    return Spectra(
        table=_led_by("network", together),
        ratios=_led_by("network", pd.concat(ratios)) if ratios else pd.DataFrame(),
        caption=f"{'; '.join(dict.fromkeys(captions))}; of the trained weights; robench "
        f"{code_version()}",
    )


def _report(reporter: ProgressReporter, network: str, progress: Progress) -> None:
    if progress.done == 0:
        reporter.stage(network, f"measuring {progress.total} layers")
    reporter.update(progress)


def _led_by(column: str, table: pd.DataFrame) -> pd.DataFrame:
    return table[[column, *(name for name in table.columns if name != column)]]
