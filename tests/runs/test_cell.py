"""A cell: its training data, the names of its outcomes, what is computed again."""

import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from robench.board.cells import Cell
from robench.board.specs import DataSpec, EvaluationSpec, ModelSpec, TrainingSpec
from robench.data import Augmentation, DataSet, Images, ImageStream, load_dataset
from robench.errors import RobenchWarning, UserError
from robench.evaluation import Outcomes
from robench.progress import Progress
from robench.runs.attack_cell import evaluation_images
from robench.runs.cell import train_cell
from robench.runs.context import RunContext
from robench.runs.identity import outcome_key
from robench.runs.progress import NullReporter
from robench.runs.run import run_cell
from robench.runs.store import CellFolder, RunStore
from robench.runs.stored import read_manifest
from robench.runs.train_cell import augmentation_of, minibatch_of, training_data
from robench.system.locks import LOCKS

DATASET = load_dataset("digits")


def cell(**changes: Any) -> Cell:
    values: dict[str, Any] = {
        "defense": "batchnorm",
        "data": DataSpec(name="digits"),
        "data_hash": DATASET.fingerprint,
        "model": ModelSpec(width=4),
        "training": TrainingSpec(epochs=1, replays=1, eps=0.1, step_size=0.1),
        "seed": 0,
    }
    return Cell.model_validate(values | changes)


def ctx(root: Path, reporter: Any = None, **evaluation: Any) -> RunContext:
    settings = {"attacks": ("fgsm",), "samples": 30} | evaluation
    return RunContext(
        store=RunStore(root),
        dataset=DATASET,
        evaluation=EvaluationSpec.model_validate(settings),
        device=torch.device("cpu"),
        reporter=reporter or NullReporter(),
    )


def rows(images: Images) -> set[bytes]:
    return {image.numpy().tobytes() for image in images.images}


def test_validation_is_held_out_and_neither_noisy_nor_thinned() -> None:
    data = DataSpec(name="digits", validation=0.2, subset=0.5, label_noise=0.5)
    noisy = training_data(cell(data=data), DATASET)
    clean = training_data(cell(data=DataSpec(validation=0.2)), DATASET)
    train, val, clean_train, clean_val = noisy.train, noisy.val, clean.train, clean.val
    assert isinstance(train, Images)
    assert isinstance(clean_train, Images)
    assert torch.equal(val.images, clean_val.images)
    assert torch.equal(val.labels, clean_val.labels)
    assert len(train) == pytest.approx(0.5 * len(clean_train), abs=6)
    assert not rows(train) & rows(val)
    truth = dict(zip(map(bytes, clean_train.images.flatten(1).numpy()),
                     clean_train.labels.tolist(), strict=True))  # fmt: skip
    wrong = [truth[bytes(image)] != label for image, label in
             zip(train.images.flatten(1).numpy(), train.labels.tolist(), strict=True)]  # fmt: skip
    assert sum(wrong) == pytest.approx(0.5 * len(train), abs=3)


def test_a_subset_may_be_a_share_of_all_images_with_the_validation_part() -> None:
    whole = len(DATASET.train)
    for share in (0.1, 0.5):
        data = DataSpec(name="digits", validation=0.2, subset=share, subset_of="all")
        train = training_data(cell(data=data), DATASET).train
        assert len(train) == pytest.approx(share * whole, abs=6)
    rest = DataSpec(name="digits", validation=0.2, subset_of="all")
    assert len(training_data(cell(data=rest), DATASET).train) == pytest.approx(0.8 * whole, abs=6)
    with pytest.raises(ValueError, match=r"0\.9 of all images is more than validation = 0\.2 leav"):
        DataSpec(validation=0.2, subset=0.9, subset_of="all")


def test_label_noise_may_be_drawn_from_all_classes() -> None:
    def wrong(mode: str) -> float:
        data = DataSpec.model_validate({"label_noise": 0.8, "label_noise_mode": mode})
        noisy = training_data(cell(data=data), DATASET).train
        clean = training_data(cell(), DATASET).train
        assert isinstance(noisy, Images)
        assert isinstance(clean, Images)
        return float((noisy.labels != clean.labels).float().mean())

    assert wrong("other") == pytest.approx(0.8, abs=0.001)
    assert wrong("uniform") == pytest.approx(0.72, abs=0.03)


def test_options_of_the_data_that_came_later_leave_the_names_of_cells_as_they_were() -> None:
    data = DataSpec(subset_of="remaining", label_noise_mode="other")
    assert data.model_dump(mode="json").keys() == {
        "name", "subset", "label_noise", "validation", "crop_padding", "flip"
    }  # fmt: skip
    assert cell(data=DataSpec(label_noise_mode="uniform")).key != cell(data=DataSpec()).key


def test_the_augmentation_is_the_data_set_s_unless_the_board_says_otherwise() -> None:
    assert training_data(cell(), DATASET).augmentation == DATASET.augmentation
    other = cell(data=DataSpec(crop_padding=3, flip=True))
    changed = training_data(other, DATASET).augmentation
    assert (changed.crop_padding, changed.flip) == (3, True)


def test_that_gray_images_of_a_folder_are_mirrored_is_said_unless_the_board_decides() -> None:
    usual = Augmentation(crop_padding=1, flip=True)
    folder = replace(DATASET, name="my_letters", augmentation=usual)
    with pytest.warns(RobenchWarning, match="gray images of my_letters are mirrored at random"):
        assert augmentation_of(cell(), folder).flip
    with warnings.catch_warnings():
        warnings.simplefilter("error", RobenchWarning)
        assert not augmentation_of(cell(data=DataSpec(flip=False)), folder).flip
        assert augmentation_of(cell(data=DataSpec(flip=True)), folder).flip
        assert augmentation_of(cell(), replace(DATASET, augmentation=usual)).flip


def test_padding_that_crops_would_fit_into_is_refused() -> None:
    assert DATASET.image_size == (8, 8)
    most = training_data(cell(data=DataSpec(crop_padding=7)), DATASET)
    assert most.augmentation.crop_padding == 7
    with pytest.raises(UserError, match=r"data\.crop_padding is 8, .* 8x8 pixels.* at most 7\.$"):
        training_data(cell(data=DataSpec(crop_padding=8)), DATASET)


@pytest.mark.parametrize(
    "part",
    [{}, {"validation": 0.3, "subset": 0.05}, {"subset": 0.1, "subset_of": "all"},
     {"validation": 0, "subset": 1e-9}],
)  # fmt: skip
def test_a_minibatch_is_no_larger_than_the_images_that_are_trained_on(
    part: dict[str, Any],
) -> None:
    data = DataSpec.model_validate(part)
    images = len(training_data(cell(data=data, seed=3), DATASET).train)
    assert minibatch_of(data, 10**9, DATASET) == images
    assert minibatch_of(data, images - 1, DATASET) == images - 1


def test_every_cell_is_evaluated_on_the_same_images() -> None:
    assert torch.equal(
        evaluation_images(DATASET, 20).images, evaluation_images(DATASET, 50).images[:20]
    )


def test_outcomes_are_named_after_all_that_they_depend_on(tmp_path: Path) -> None:
    def key(name: str, **evaluation: Any) -> str:
        attacks = () if name == "clean" else (name,)
        return outcome_key(name, ctx(tmp_path, attacks=attacks, **evaluation))

    keys = [
        key("fgsm"),
        key("fgsm(eps=0.1)"),
        key("fgsm(samples=5)"),
        key("fgsm", samples=40),
        key("fgsm", defaults={"eps": 0.2}),
        key("clean"),
    ]
    assert len(set(keys)) == 6
    same = key("fgsm", defaults={"eps": 0.1}).split("-")[-1]
    assert key("fgsm(eps=0.1)").split("-")[-1] == same


class Recording(NullReporter):
    """A reporter that remembers the states it is called with."""

    def __init__(self) -> None:
        self.states: list[str] = []

    def stage(self, name: str, state: str) -> None:
        self.states.append(state)


def test_a_finished_cell_is_not_computed_again(tmp_path: Path) -> None:
    first, second, third = Recording(), Recording(), Recording()
    before = run_cell(cell(), "a", ctx(tmp_path, first))
    after = run_cell(cell(), "a", ctx(tmp_path, second))
    run_cell(cell(), "a", ctx(tmp_path, third, attacks=("fgsm", "noise")))
    assert first.states == ["training", "attacking"]
    assert second.states == ["stored"]
    assert third.states == ["attacking"]
    assert before.digest == after.digest


def test_a_finished_cell_is_not_written_again(tmp_path: Path) -> None:
    def written() -> dict[Path, int]:
        files = (path for path in folder.rglob("*") if path.is_file() and path.name not in LOCKS)
        return {path: path.stat().st_mtime_ns for path in files}

    run_cell(cell(), "a", ctx(tmp_path))
    folder = tmp_path / cell().key
    before = written()
    run_cell(cell(), "a", ctx(tmp_path))
    assert written() == before
    result = folder / "result.json"
    text = result.read_text()
    result.write_text("{}")
    run_cell(cell(), "a", ctx(tmp_path))
    assert result.read_text() == text


def test_the_manifest_says_what_the_figures_are_computed_from(tmp_path: Path) -> None:
    evidence = run_cell(cell(), "a", ctx(tmp_path)).evidence
    manifest = evidence.manifest
    assert evidence.cell == cell()
    assert manifest is not None
    assert manifest.data_hash == DATASET.fingerprint
    assert manifest.specification == cell().key
    assert {entry.column for entry in manifest.outcomes.values()} == {"clean", "fgsm"}
    assert [row["epoch"] for row in evidence.training] == [1]


def test_the_manifest_names_the_machines_of_all_sessions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Leaving(NullReporter):
        def update(self, progress: Progress) -> None:
            if progress.done == progress.total:  # in the second epoch
                raise KeyboardInterrupt

    def train_on(machine: str, reporter: NullReporter, *, alone: bool) -> None:
        monkeypatch.setattr(
            "robench.runs.cell.environment", lambda device: {"device": machine, "threads": "1"}
        )
        train_cell(long, folder, ctx(tmp_path, reporter), alone=alone)

    short = DataSpec(name="digits", subset=0.1)
    long = cell(data=short, training=TrainingSpec(epochs=2, method="standard"))
    folder = ctx(tmp_path).store.open(long)
    with pytest.raises(KeyboardInterrupt):
        train_on("cpu: one", Leaving(), alone=False)
    train_on("cpu: other", NullReporter(), alone=True)
    assert read_manifest(folder).environment == {
        "device": "cpu: one and cpu: other",
        "threads": "1",
    }


def test_the_manifest_of_a_board_leaves_out_the_outcomes_of_others(tmp_path: Path) -> None:
    run_cell(cell(), "a", ctx(tmp_path))
    other = ctx(tmp_path, attacks=("noise",))
    manifest = run_cell(cell(), "a", other).evidence.manifest
    assert manifest is not None
    assert set(manifest.outcomes) == {outcome_key("clean", other), outcome_key("noise", other)}


def test_more_images_of_an_attack_with_its_own_count_are_attacked(tmp_path: Path) -> None:
    named = ("fgsm(samples=20)",)
    few = run_cell(cell(), "a", ctx(tmp_path, attacks=named, samples=10))
    more = run_cell(cell(), "a", ctx(tmp_path, attacks=named, samples=30))
    assert len(few.outcomes[named[0]]) == 10
    assert len(more.outcomes[named[0]]) == 20


def test_outcomes_whose_file_was_removed_are_recomputed(tmp_path: Path) -> None:
    context = ctx(tmp_path)
    before = run_cell(cell(), "a", context)
    context.store.open(cell()).outcomes(outcome_key("fgsm", context)).unlink()
    assert run_cell(cell(), "a", context).digest == before.digest


class _Stop(NullReporter):
    """A reporter that interrupts an attack when it has finished some images."""

    def update(self, progress: Progress) -> None:
        if progress.task.startswith("simba") and progress.done >= 3:
            raise KeyboardInterrupt


def test_an_interrupted_attack_goes_on_in_the_cell_it_is_of(tmp_path: Path) -> None:
    attacks = ("pgd-2", "simba(max_steps=20)")
    with pytest.raises(KeyboardInterrupt):
        run_cell(cell(), "one", ctx(tmp_path / "stopped", _Stop(), attacks=attacks))
    folder = CellFolder(tmp_path / "stopped" / cell().key)
    shutil.copytree(tmp_path / "stopped", tmp_path / "whole")
    shutil.rmtree(tmp_path / "whole" / cell().key / "partial")
    (kept,) = folder.unfinished.iterdir()
    assert kept.name == f"{outcome_key(attacks[1], ctx(tmp_path, attacks=attacks))}.npz"
    run_cell(cell(), "one", ctx(tmp_path / "stopped", attacks=("fgsm",)))
    assert kept.exists()  # that of another board is left to it
    seen: list[Progress] = []
    reporter = NullReporter()
    reporter.update = seen.append  # type: ignore[method-assign]
    run_cell(cell(), "one", ctx(tmp_path / "stopped", reporter, attacks=attacks))
    run_cell(cell(), "one", ctx(tmp_path / "whole", attacks=attacks))
    assert {progress.task for progress in seen} == {attacks[1]}
    assert seen[0].done >= 3
    assert not folder.unfinished.exists()
    for file in (tmp_path / "whole" / cell().key / "outcomes").iterdir():
        one, other = Outcomes.load(file), Outcomes.load(folder.outcomes(file.stem))
        assert all((values == vars(other)[name]).all() for name, values in vars(one).items())


def test_labels_that_no_test_image_has_need_names_of_classes() -> None:
    train = Images(DATASET.train.images[:8], torch.arange(8) % 4)
    test = Images(DATASET.test.images[:6], torch.arange(6) % 3)
    nameless = DataSet("mine", train, test, (), (0.5,), (0.5,))
    with pytest.raises(UserError, match=r"mine names no classes, and .* the label 3, which none"):
        training_data(cell(), nameless)
    named = DataSet("mine", train, test, ("a", "b", "c", "d"), (0.5,), (0.5,))
    assert training_data(cell(), named).train is not None


@pytest.mark.parametrize("option", [{"validation": 0.1}, {"validation": 0, "subset": 0.5}])
def test_a_stream_is_trained_on_whole_or_refused(tmp_path: Path, option: dict[str, float]) -> None:
    stream = ImageStream(((str(tmp_path / "0.png"), 0),), tmp_path, size=16)
    streamed = DataSet("big", stream, stream, ("a",), (0.5,) * 3, (0.5,) * 3)
    with pytest.raises(UserError, match=r"big is streamed.* set data\.validation = 0"):
        training_data(cell(data=DataSpec(**option)), streamed)
    whole = training_data(cell(data=DataSpec(validation=0)), streamed)
    assert whole.train is stream
    assert len(whole.val) == 0
