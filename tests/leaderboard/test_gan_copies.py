"""Generators that are filed as those of another row or seed: by their headers, and as copies."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from robench.gan.cell import METADATA_KEY
from robench.leaderboard.evidence import read_sums, write_sums
from robench.leaderboard.gans.audit import gan_problems
from robench.leaderboard.gans.files import log_name, samples_name, weights_name
from robench.leaderboard.gans.published import GanLeaderboard
from robench.leaderboard.gans.table import tables_text

PUBLISHED = Path(__file__).parents[2] / "leaderboards" / "paper-table3-cpu"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(PUBLISHED, tmp_path / "board")
    return tmp_path / "board"


def filed_as(folder: Path, source: str, target: str, *, header: bool) -> None:
    """File one GAN as another: its weights, log, grid and metrics, and all hashes of them."""
    one, other = (
        json.loads((folder / "manifests" / f"{name}.json").read_text()) for name in (source, target)
    )
    mine, its = one["manifest"]["specification"], other["manifest"]["specification"]
    shutil.copy(folder / log_name(mine), folder / log_name(its))
    shutil.copy(folder / samples_name(source), folder / samples_name(target))
    weights = folder / weights_name(its, "last")
    shutil.copy(folder / weights_name(mine, "last"), weights)
    if header:
        metadata = {METADATA_KEY: json.dumps(other["cell"], sort_keys=True)}
        save_file(load_file(weights), weights, metadata)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    hashes = one["manifest"]["hashes"] | {"generator.safetensors": digest}
    other["manifest"] = one["manifest"] | {"specification": its, "hashes": hashes}
    other["measured"] = one["measured"]
    other["measured"][0]["measurement"]["weights"] = digest
    (folder / "manifests" / f"{target}.json").write_text(json.dumps(other))
    published_again(folder)


def published_again(folder: Path) -> None:
    """Make tables and checksums those of the evidence, as a forger would."""
    write_sums(folder, [folder / name for name in read_sums(folder)])
    for name, text in tables_text(GanLeaderboard.read(folder).computed).items():
        (folder / name).write_text(text)
    write_sums(folder, [folder / name for name in read_sums(folder)])


def test_the_honest_board_has_no_problem() -> None:
    assert gan_problems(GanLeaderboard.read(PUBLISHED)) == []


@pytest.mark.parametrize(
    ("target", "part"), [("vanilla-seed0", "seed"), ("convnorm-seed1", "defense")]
)
def test_weights_whose_header_names_another_gan_are_found(
    folder: Path, target: str, part: str
) -> None:
    filed_as(folder, "vanilla-seed1", target, header=False)
    (sentence, *_) = gan_problems(GanLeaderboard.read(folder))
    assert sentence.startswith(f"{target}: the header of ")
    assert f"has another {part} than its specification" in sentence


def test_weights_without_a_specification_are_found(folder: Path) -> None:
    key = json.loads((folder / "manifests" / "vanilla-seed0.json").read_text())["manifest"]
    weights = folder / weights_name(key["specification"], "last")
    with safe_open(weights, "pt") as file:
        assert METADATA_KEY in file.metadata()
    save_file(load_file(weights), weights)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    path = folder / "manifests" / "vanilla-seed0.json"
    path.write_text(path.read_text().replace(key["hashes"]["generator.safetensors"], digest))
    published_again(folder)
    found = gan_problems(GanLeaderboard.read(folder))
    assert any("has no specification of a GAN" in sentence for sentence in found)
