"""Make a forged folder agree with itself again, with robench's own code.

This is the strongest forger: he knows robench, and adapts every hash, file name and table that
follows from what he changed. Only what he changed stays as he wrote it.
"""

import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

from campaigns.forging.draft import Draft
from campaigns.forging.weights import read_weights, write_weights
from robench.board.board import Board
from robench.board.cells import AnyCell, ExternalCell
from robench.board.plan import build_attacks
from robench.board.specs import PUBLISHED, EvaluationSpec
from robench.board.writing import board_text
from robench.errors import UserError
from robench.leaderboard.csv_files import read_csv
from robench.leaderboard.derived import KEYS, derived_tables
from robench.leaderboard.evidence import COMPARISONS, SUMS, TABLE, TOML, write_sums
from robench.leaderboard.published import Leaderboard
from robench.leaderboard.table import compare_rows, leaderboard, to_csv
from robench.runs.context import RunContext
from robench.runs.identity import outcome_key
from robench.runs.progress import NullReporter
from robench.runs.run import columns_of
from robench.runs.store import RunStore
from robench.system.provenance import file_hash

README = "README.md"

MALFORMED = (KeyError, TypeError, AttributeError, ValueError, IndexError, OSError, UserError)
"""Raised where a change left no board to adapt anything to: it is published as it is."""


def make_consistent(draft: Draft) -> None:
    """Adapt hashes, names and tables of a draft to what was changed, and write all files."""
    with suppress(*MALFORMED):
        _columns(draft)
    for name in list(draft.manifests):
        with suppress(*MALFORMED):
            _cell(draft, name)
    draft.write_documents()
    if not draft.label.startswith((TOML, SUMS)):
        with suppress(*MALFORMED):
            board = Board.model_validate(draft.board["board"], context=PUBLISHED)
            (draft.root / TOML).write_text(board_text(board))
    if not draft.label.startswith((TABLE, COMPARISONS, *KEYS)):
        with suppress(*MALFORMED, AssertionError, ZeroDivisionError, OverflowError):
            _tables(draft)
    if not draft.label.startswith(SUMS):
        files = [path for path in draft.root.rglob("*") if path.is_file() and path.name != SUMS]
        write_sums(draft.root, files)


def _columns(draft: Draft) -> None:
    """Adapt the threat models of the columns, if the attacks were changed."""
    if draft.label.startswith("board.json.board.evaluation"):
        evaluation = EvaluationSpec.model_validate(draft.board["board"]["evaluation"])
        made = TypeAdapter(dict[str, Any]).dump_python(
            columns_of(build_attacks(evaluation)), mode="json"
        )
        draft.board["columns"] = made


def _cell(draft: Draft, name: str) -> None:
    """Adapt the hashes of a cell, and the names of the files that carry them."""
    document = draft.documents[name]
    manifest, label = document["manifest"], draft.label
    _outcomes(draft, name)
    weights = draft.weights(name)
    spec = _spec(document)
    if spec.key != draft.keys[name] and weights.exists() and not isinstance(spec, ExternalCell):
        _describe(weights, document, spec.key, draft.board["dataset"])
    if weights.exists() and not label.endswith("weights_hash"):
        manifest["weights_hash"] = file_hash(weights)
        if "architecture" in document["cell"]:
            document["cell"]["weights_hash"] = manifest["weights_hash"]
    if label.startswith("model/"):
        source = document["cell"].get("architecture", "").partition(":")[0]
        if source.endswith(".py"):
            document["cell"]["code_hash"] = file_hash(draft.root / "model" / source)
    key = _spec(document).key
    if label != "manifest.manifest.specification":
        manifest["specification"] = key
    if key != draft.keys[name]:
        _move(draft.root / "outcomes" / draft.keys[name], draft.root / "outcomes" / key)
        _move(weights, weights.with_name(f"{key}.safetensors"))
        draft.keys[name] = key
    _rename(draft, name, document)


def _spec(document: dict[str, Any]) -> Any:
    return TypeAdapter(AnyCell).validate_python(document["cell"], context=PUBLISHED)


def _move(old: Path, new: Path) -> None:
    if old.exists() and not new.exists():
        shutil.move(old, new)


def _outcomes(draft: Draft, name: str) -> None:
    """Adapt the hashes of outcomes, and their names if the attacks were changed."""
    manifest, label = draft.documents[name]["manifest"], draft.label
    files = draft.outcomes(name)
    renamed = {}
    for key, entry in manifest["outcomes"].items():
        path = files[entry["column"]]
        if path.exists() and not label.endswith("outcomes_hash"):
            entry["outcomes_hash"] = file_hash(path)
        new = key
        if label.startswith("board.json.board.evaluation"):
            new = _outcome_key(draft, entry["column"])
            _move(path, path.with_name(f"{new}.npz"))
        renamed[new] = entry
    manifest["outcomes"] = renamed


def _outcome_key(draft: Draft, column: str) -> str:
    evaluation = EvaluationSpec.model_validate(draft.board["board"]["evaluation"])
    ctx = RunContext(
        store=RunStore(draft.root),
        dataset=None,  # type: ignore[arg-type] # the key does not depend on it
        evaluation=evaluation,
        device=torch.device("cpu"),
        reporter=NullReporter(),
    )
    return outcome_key(column, ctx)


def _describe(weights: Path, document: dict[str, Any], key: str, dataset: str) -> None:
    """Let the header of the weights say what the specification says now."""
    tensors, header = read_weights(weights)
    if header is None:
        return
    cell = document["cell"]
    header |= {
        "backbone": cell["model"]["name"],
        "width": cell["model"]["width"],
        "stem": cell["model"]["stem"],
        "defense": cell["defense"],
        "cell": key,
        "seed": cell["seed"],
        "dataset": dataset,
    }
    if "sources" in header and "sources" in cell:
        header["sources"] = cell["sources"]
    write_weights(weights, tensors, header)


def _rename(draft: Draft, name: str, document: dict[str, Any]) -> None:
    """Name a manifest after its row and seed, as robench does."""
    slug = "".join(c if c.isalnum() else "_" for c in document["row"]).strip("_")[:60] or "row"
    new = f"manifests/{slug}-seed{document['cell']['seed']}.json"
    old = draft.root / name
    if old.exists() and _slug(name) != _slug(new) and new not in draft.documents:
        old.unlink()
        draft.documents[new], draft.keys[new] = draft.documents.pop(name), draft.keys.pop(name)


def _slug(name: str) -> str:
    return name.replace("-", "_")


def _tables(draft: Draft) -> None:
    board = Leaderboard.read(draft.root)
    comparison = compare_rows(board.result)
    table = leaderboard(board.result, comparison)
    made = {TABLE: to_csv(table), COMPARISONS: to_csv(comparison.pairs)}
    derived = derived_tables(board.result, table)
    made |= {name: to_csv(part) for name, part in derived.items()}
    for name, text in made.items():
        (draft.root / name).write_text(text)
    for name in KEYS.keys() - made.keys():
        (draft.root / name).unlink(missing_ok=True)
    if not draft.label.startswith(README):
        _readme(draft.root / README, board, read_csv(made[TABLE], TABLE))


def _readme(path: Path, board: Leaderboard, table: Any) -> None:
    """Write heading and table of the README again; what is said beside them stays."""
    columns = list(board.columns)
    rows = [f"| {' | '.join(['row', 'seeds', *columns])} |", f"|{' --- |' * (2 + len(columns))}"]
    for row in table.to_dict("records"):
        means = [row[f"{name}_mean"] for name in columns]
        shown = ["" if mean != mean else f"{100 * mean:.1f}" for mean in means]
        cells = [str(row["defense"]).replace("|", "\\|"), str(row["seeds"]), *shown]
        rows.append(f"| {' | '.join(cells)} |")
    lines = path.read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| row |"))
    end = next(i for i in range(start, len(lines)) if not lines[i].startswith("|"))
    lines[start:end] = rows
    lines[0] = f"# Submission to {board.board.title}"
    lines[2] = re.sub(r"leaderboard on .*?,", f"leaderboard on {board.dataset},", lines[2])
    path.write_text("\n".join(lines) + "\n")
