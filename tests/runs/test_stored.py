"""A damaged or stale cell is said in a sentence, and made again or refused; never used."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support import TINY_BOARD, Command, Finished, shared_folder

from robench.board.cells import Cell
from robench.errors import RobenchWarning, UserError
from robench.runs.check_cell import _report
from robench.runs.measure_cell import _layers
from robench.runs.remote_work import Answer, store_made
from robench.runs.reports import read_report
from robench.runs.store import CellFolder, RunStore
from robench.runs.stored import check_stored
from robench.system.files import write_bytes

BOARD = (
    TINY_BOARD.replace("epochs = 2", "epochs = 2\nbatch_size = 256")
    .replace('"fgsm", "pgd-2", "pgd-4", "simba(samples=6, max_steps=8)"', '"fgsm", "pgd-2"')
    .replace('"pgd-4"', '"pgd-2"')
    .replace("samples = 60", "samples = 30\ncheck_samples = 10\nspectra = true")
    .replace("checks = false", "")
    .replace('["batchnorm", "convnorm"]', '["batchnorm"]')
    .replace("width = 4", "width = 2")
)

Run = Callable[[Path], Finished]
Damage = Callable[[Path], object]


@pytest.fixture
def run(robench: Command) -> Run:
    return lambda root: robench("run", root / "tiny.toml", "--out", root / "out", "--device", "cpu")


@pytest.fixture
def finished(tmp_path_factory: pytest.TempPathFactory, run: Run) -> Path:
    with shared_folder("a_stored_cell", tmp_path_factory) as (root, is_new):
        if is_new:
            root.mkdir()
            (root / "tiny.toml").write_text(BOARD)
            assert run(root).code == 0
    return root


@pytest.fixture
def cell(finished: Path, tmp_path: Path) -> CellFolder:
    """A finished cell that a test may damage; its store is in ``out`` beside the board."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    [path] = (tmp_path / "out" / "cells").iterdir()
    return CellFolder(path)


def table(root: Path) -> bytes:
    return (root / "out" / "tiny" / "leaderboard.csv").read_bytes()


def of(content: bytes) -> Damage:
    return lambda path: path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def drop_epoch(path: Path) -> None:
    path.write_text("\n".join(path.read_text().splitlines()[:2]) + "\n")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)


def of_another(path: Path) -> None:
    values = json.loads(path.read_text()) | {"specification": "0" * 16}
    path.write_text(json.dumps(values))


REFUSED = [
    ("training.csv", Path.unlink, "is missing"),
    ("training.csv", of(b""), "is damaged: it has no rows: it was"),
    ("training.csv", of(bytes(range(256))), "is damaged"),
    ("training.csv", drop_epoch, "lacks some of 2 epochs"),
    ("training.csv", flip, "is not the log that was written"),
    ("training.csv", of(b"epoch,lr\n1,x\n"), "is damaged: it lacks the columns"),
    ("weights.safetensors", Path.unlink, "is missing, but manifest.json is there"),
    ("weights.safetensors", of(b""), "does not hold the weights that were trained"),
    ("weights.safetensors", flip, "does not hold the weights that were trained"),
    ("manifest.json", Path.unlink, "is missing, but weights.safetensors is there"),
    ("manifest.json", of(b"[]"), "is damaged"),
    ("manifest.json", of(b"{}"), "is damaged (specification: Field required)"),
    ("manifest.json", of(b"null"), "is damaged"),
    ("manifest.json", of(b'{"a": '), "is damaged: it is not JSON: it was"),
    ("manifest.json", of_another, "is that of another cell"),
]


@pytest.mark.parametrize(("name", "damage", "sentence"), REFUSED)
def test_weights_log_and_manifest_that_do_not_fit_are_refused_and_stay(
    cell: CellFolder, run: Run, tmp_path: Path, name: str, damage: Damage, sentence: str
) -> None:
    damage(cell.path / name)
    before = {path: path.read_bytes() for path in cell.path.iterdir() if path.is_file()}
    published = table(tmp_path)
    done = run(tmp_path)
    assert (done.code, done.err.count("\n")) == (2, 1), done.err
    assert f"{cell.path / name} {sentence}" in done.err
    assert f"remove {cell.path} and the cell is trained again" in done.err
    assert {path: path.read_bytes() for path in before} == before
    assert table(tmp_path) == published


def exchange(path: Path) -> None:
    others = [other for other in path.parent.iterdir() if other != path]
    shutil.copy(others[0], path)


def failed(path: Path) -> None:
    path.write_text(path.read_text().replace('"passed": true', '"passed": false', 1))


def times_fifty(path: Path) -> None:
    rows = json.loads(path.read_text())
    for row in rows:
        row["condition"] = row["condition"] and row["condition"] * 50
    path.write_text(json.dumps(rows))


def renamed(path: Path) -> None:
    rows = json.loads(path.read_text())
    rows[-1]["layer"] = rows[0]["layer"]
    path.write_text(json.dumps(rows))


AGAIN = [
    ("outcomes/fgsm-*.npz", cut, "attacking"),
    ("outcomes/pgd-2-*.npz", exchange, "attacking"),
    ("outcomes/clean-*.npz", of(b""), "attacking"),
    ("checks/*.json", of(b"[]"), "checking"),
    ("checks/*.json", cut, "checking"),
    ("spectra-1.json", of(b"{}x"), "measuring"),
    ("spectra-1.json", of(b"[1]"), "measuring"),
    ("spec.json", of(b"{}"), ""),
    ("checks/*.json", failed, "checking"),
    ("spectra-1.json", of(b"{}"), "measuring"),
    ("spectra-1.json", times_fifty, "measuring"),
    ("spectra-1.json", renamed, "measuring"),
]


@pytest.mark.parametrize(("name", "damage", "state"), AGAIN)
def test_what_is_quickly_made_again_is_made_again_with_a_warning(
    cell: CellFolder, run: Run, tmp_path: Path, name: str, damage: Damage, state: str
) -> None:
    [path] = cell.path.glob(name)
    before, published = path.read_bytes(), table(tmp_path)
    damage(path)
    done = run(tmp_path)
    assert (done.code, done.err.count("\n")) == (0, 1), done.err
    assert f"robench: {path}" in done.err
    assert "training" not in done.out
    assert state in done.out
    assert path.read_bytes() == before
    assert table(tmp_path) == published


def folder_instead(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    path.mkdir()


def file_instead(path: Path) -> None:
    shutil.rmtree(path)
    path.touch()


def link_to_nothing(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    path.symlink_to("nowhere")


def pipe_instead(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


OBSTACLES = [
    (".lock", folder_instead, "is a folder; remove it."),
    (".lock", link_to_nothing, "is a link; remove it."),
    (".", file_instead, "is not a folder; remove it."),
    ("..", file_instead, "is not a folder; remove it."),
    ("outcomes", file_instead, "is not a folder; remove it."),
    ("outcomes", link_to_nothing, "is a link to nothing; remove it."),
    ("checks", file_instead, "is not a folder; remove it."),
    ("outcomes/clean-*.npz", folder_instead, "is a folder; remove it."),
    ("outcomes/clean-*.npz", pipe_instead, "is not a plain file; remove it."),
    ("checks/*.json", folder_instead, "is a folder; remove it."),
    ("spectra-1.json", folder_instead, "is a folder; remove it."),
    ("spectra-1.json", link_to_nothing, "is a link to nothing; remove it."),
    ("weights.safetensors", folder_instead, "is a folder; put the file back, or remove"),
    ("training.csv", folder_instead, "is a folder; put the file back, or remove"),
]


@pytest.mark.parametrize(("name", "damage", "sentence"), OBSTACLES)
def test_what_is_in_the_place_of_a_file_or_folder_is_named_before_any_work(
    cell: CellFolder, name: str, damage: Damage, sentence: str
) -> None:
    store = RunStore(cell.path.parent)
    spec = Cell.model_validate_json(cell.spec.read_text())
    store.check([spec])
    path = {".": cell.path, "..": cell.path.parent}.get(name)
    path = path or next(iter(cell.path.glob(name)), cell.path / name)
    damage(path)
    with pytest.raises(UserError, match=re.escape(f"{path} {sentence}")):
        store.check([spec])


def test_a_run_refuses_it_before_any_work(cell: CellFolder, run: Run, tmp_path: Path) -> None:
    folder_instead(cell.path / "spectra-1.json")
    done = run(tmp_path)
    wanted = f"robench: {cell.path / 'spectra-1.json'} is a folder; remove it.\n"
    assert (done.code, done.err) == (2, wanted)
    assert "stored" not in done.out


def without_hashes(cell: CellFolder) -> None:
    values = json.loads(cell.manifest.read_text())
    assert sorted(values.pop("reports")) == sorted(
        str(path.relative_to(cell.path))
        for path in [*cell.path.glob("checks/*"), *cell.path.glob("spectra-*")]
    )
    cell.manifest.write_text(json.dumps(values))


@pytest.mark.parametrize(("name", "content", "sentence"), [
    ("spectra-1.json", "{}", "is not a list of layers; made again."),
    ("spectra-1.json", "[]", "has no rows; made again."),
    ("spectra-1.json", "", "is damaged; made again."),
    ("checks/*.json", "[]", "is not a report of checks; made again."),
    ("checks/*.json", "{}x", "is damaged; made again."),
])  # fmt: skip
def test_what_an_earlier_version_wrote_without_hashes_must_have_the_right_form(
    cell: CellFolder, name: str, content: str, sentence: str
) -> None:
    without_hashes(cell)
    [path] = cell.path.glob(name)
    make = _layers if name.startswith("spectra") else _report
    assert read_report(cell, path, make) is not None
    path.write_text(content)
    with pytest.warns(RobenchWarning, match=re.escape(f"{path} {sentence}")):
        assert read_report(cell, path, make) is None


def test_a_layer_that_an_earlier_version_has_twice_is_made_again(cell: CellFolder) -> None:
    without_hashes(cell)
    path = cell.spectra(1)
    renamed(path)
    with pytest.warns(RobenchWarning, match="has a layer twice; made again"):
        assert read_report(cell, path, _layers) is None


def test_a_damaged_entry_of_the_manifest_is_made_again(
    cell: CellFolder, run: Run, tmp_path: Path
) -> None:
    values = json.loads(cell.manifest.read_text())
    key = next(key for key in values["outcomes"] if key.startswith("fgsm"))
    values["outcomes"][key] = None
    cell.manifest.write_text(json.dumps(values))
    done = run(tmp_path)
    assert (done.code, done.err.count("\n")) == (0, 1), done.err
    assert str(cell.outcomes(key)) in done.err


@pytest.mark.parametrize("content", ["{}", "[]", "null", '{"reason": 1}'])
def test_a_note_of_divergence_that_is_none_is_refused(
    cell: CellFolder, run: Run, tmp_path: Path, content: str
) -> None:
    for path in (cell.weights, cell.manifest):
        path.unlink()
    cell.diverged.write_text(content)
    done = run(tmp_path)
    assert (done.code, done.err.count("\n")) == (2, 1), done.err
    assert str(cell.diverged) in done.err


def test_a_note_of_divergence_beside_weights_is_refused(
    cell: CellFolder, run: Run, tmp_path: Path
) -> None:
    cell.diverged.write_text('{"reason": "nan", "version": "1"}')
    done = run(tmp_path)
    assert done.code == 2
    assert f"{cell.diverged} says that there are no weights, but there are" in done.err


def with_a_flipped_bit(path: Path) -> None:
    torch.save({"model": {"a": torch.zeros(1000)}}, path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def saved(state: object) -> Damage:
    return lambda path: torch.save(state, path)


@pytest.mark.parametrize("damage", [
    of(b""),
    of(b"PK" + bytes(100)),
    with_a_flipped_bit,
    saved({}),
    saved([1, 2]),
    saved(None),
    saved({"model": {"fc.weight": torch.ones(2)}}),
    saved({"owner": "another cell"}),
])  # fmt: skip
def test_a_training_state_that_is_none_or_of_another_network_is_refused(
    cell: CellFolder, run: Run, tmp_path: Path, damage: Damage
) -> None:
    for path in (cell.weights, cell.manifest):
        path.unlink()
    damage(cell.checkpoint)
    done = run(tmp_path)
    assert (done.code, done.err.count("\n")) == (2, 1), done.err
    assert f"the training state {cell.checkpoint} is damaged" in done.err
    assert "remove that file to train this cell from the start" in done.err


def test_what_a_run_that_was_stopped_at_its_end_has_left_is_removed(
    cell: CellFolder, run: Run, tmp_path: Path
) -> None:
    [outcomes] = cell.path.glob("outcomes/fgsm-*.npz")
    left = [cell.checkpoint, cell.partial(outcomes.stem)]
    cell.unfinished.mkdir()
    for path in [*left, cell.partial("of-another-board")]:
        path.touch()
    done = run(tmp_path)
    assert (done.code, done.err) == (0, "")
    assert not any(path.exists() for path in left)
    assert cell.partial("of-another-board").exists()


def test_a_training_that_arrived_in_part_from_another_machine_counts_as_none(
    cell: CellFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver is stopped before it writes the manifest."""
    trained = (cell.log, cell.weights, cell.manifest)
    made = {path.name: path.read_bytes() for path in trained}
    spec = Cell.model_validate_json(cell.spec.read_bytes())

    def stopped(path: Path, content: bytes) -> None:
        if path == cell.manifest:
            raise KeyboardInterrupt
        write_bytes(path, content)

    for path in trained:
        path.unlink()
    monkeypatch.setattr("robench.runs.remote_work.write_bytes", stopped)
    with pytest.raises(KeyboardInterrupt):
        store_made(Answer(made=made), cell)
    assert cell.weights.exists()
    check_stored(cell, spec)
    assert not any(path.exists() for path in (*trained, cell.arriving))

    monkeypatch.undo()
    store_made(Answer(made=made), cell)
    assert not cell.arriving.exists()
    check_stored(cell, spec)
    assert all(path.exists() for path in trained)


def test_train_refuses_them_as_well(cell: CellFolder, robench: Command, tmp_path: Path) -> None:
    flip(cell.weights)
    board = tmp_path / "tiny.toml"
    done = robench("train", "batchnorm", "--board", board, "--out", tmp_path / "out")
    assert done.code == 2
    assert "does not hold the weights that were trained" in done.err


@pytest.mark.parametrize("command", ["attack", "spectra"])
def test_a_cell_whose_weights_are_damaged_is_neither_attacked_nor_measured(
    cell: CellFolder, robench: Command, command: str
) -> None:
    flip(cell.weights)
    for path in (cell.path, cell.weights):
        done = robench(command, path)
        assert (done.code, done.err.count("\n")) == (2, 1), done.err
        assert "does not hold the weights that were trained" in done.err


def test_what_killed_processes_have_left_in_a_cell_is_removed(
    cell: CellFolder, run: Run, tmp_path: Path
) -> None:
    left = [".checkpoint.pt.abcdefgh", "outcomes/.fgsm-1.npz.abcdefgh", "checks/.0.json.abcdefgh"]
    for name in [*left, ".notes.txt.abcdefgh"]:
        (cell.path / name).touch()
    assert run(tmp_path).code == 0
    assert not any((cell.path / name).exists() for name in left)
    assert (cell.path / ".notes.txt.abcdefgh").exists()
