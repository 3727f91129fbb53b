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
from robench.leaderboard.gans.copies import may_be_one
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


@pytest.mark.parametrize("target", ["vanilla-seed0", "convnorm-seed1", "spectral_norm-seed0"])
def test_a_copy_whose_header_was_rewritten_is_found(folder: Path, target: str) -> None:
    filed_as(folder, "vanilla-seed1", target, header=True)
    found = gan_problems(GanLeaderboard.read(folder))
    assert found == [f"{target} has the file discriminator.safetensors of vanilla-seed1, another "
                     f"training."] or found == [
        f"vanilla-seed1 has the file discriminator.safetensors of {target}, another training."
    ]  # fmt: skip


@pytest.mark.parametrize("kept", ["weights", "log", "metrics"])
@pytest.mark.parametrize("target", ["vanilla-seed0", "convnorm-seed1"])
def test_a_copy_of_one_part_is_found(folder: Path, target: str, kept: str) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    path = folder / "manifests" / f"{target}.json"
    honest = json.loads(path.read_text())
    filed_as(folder, "vanilla-seed1", target, header=True)
    forged = json.loads(path.read_text())
    hashes = honest["manifest"]["hashes"]
    copied = {"weights": "generator.safetensors", "log": "training.csv"}.get(kept, "")
    forged["manifest"]["hashes"] = hashes | {
        name: digest for name, digest in forged["manifest"]["hashes"].items() if name == copied
    }
    key = honest["manifest"]["specification"]
    weights, log = weights_name(key, "last"), log_name(key)
    names = {"weights": {weights}, "log": {log}}.get(kept, set())
    for name in {weights, log, samples_name(target)} - names:
        (folder / name).write_bytes(before[folder / name])
    if kept != "metrics":
        forged["measured"] = honest["measured"]
    for measured, own in zip(forged["measured"], honest["measured"], strict=True):
        measured["measurement"] = own["measurement"]
    if kept == "weights":
        digest = forged["manifest"]["hashes"][copied]
        forged["measured"][0]["measurement"]["weights"] = digest
    if kept != "log":
        forged["manifest"]["training_seconds"] = honest["manifest"]["training_seconds"]
    path.write_text(json.dumps(forged))
    published_again(folder)
    (sentence,) = gan_problems(GanLeaderboard.read(folder))
    assert f" has the {kept} of " in sentence.replace("metrics of step 2000", "metrics")


def test_an_option_without_effect_may_give_the_same_generator() -> None:
    board = GanLeaderboard.read(PUBLISHED)
    cells = {one.name: one.file.cell for one in board.evidence}
    one = cells["vanilla-seed0"]
    rarely = one.model_copy(update={"gan": one.gan.model_copy(update={"log_every": 500})})
    slowly = one.model_copy(update={"gan": one.gan.model_copy(update={"lr": 1e-5})})
    assert may_be_one(one, rarely)
    assert not may_be_one(one, slowly)
    assert not may_be_one(one, cells["vanilla-seed1"])
    assert not may_be_one(one, cells["convnorm-seed0"])
