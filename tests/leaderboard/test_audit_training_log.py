"""The audit of logs, costs and machines, against a forger who makes every hash right again."""

import re
from typing import Any

import pytest
from forging import forge
from published_board import Published

from robench.leaderboard.audit import audit
from robench.leaderboard.audit.unchecked import unchecked
from robench.leaderboard.published import Leaderboard


def first(values: dict[str, Any], **changes: Any) -> None:
    values["training"][0].update(changes)


def twice(values: dict[str, Any]) -> None:
    values["training"] = [values["training"][0], {**values["training"][0], "epoch": 2.0}]


def longer(values: dict[str, Any]) -> None:
    values["training"][0]["seconds"] *= 2


def more_images(values: dict[str, Any]) -> None:
    values["training"][0]["images_per_second"] *= 2


def renamed(values: dict[str, Any]) -> None:
    values["training"][0]["loss"] = values["training"][0].pop("train_loss")


FAULTS = {
    "no epoch": (lambda v: v.update(training=[]), "does not have the epochs 1 to 1"),
    "an epoch too many": (twice, "does not have the epochs 1 to 1"),
    "another epoch": (lambda v: first(v, epoch=2.0), "does not have the epochs 1 to 1"),
    "another rate": (lambda v: first(v, lr=0.05), "learning rate is 0.05, but its schedule gives"),
    "an accuracy above 1": (lambda v: first(v, val_accuracy=7.0), "not between 0 and 1"),
    "a robust accuracy above 1": (lambda v: first(v, val_robust=7.0), "val_robust is 7.0"),
    "an accuracy of no count": (lambda v: first(v, train_accuracy=0.12345), "not a share of its"),
    "no loss": (lambda v: first(v, train_loss=None), "has diverged"),
    "a negative loss": (lambda v: first(v, train_loss=-1.0), "train_loss is negative"),
    "a negative time": (lambda v: first(v, seconds=-1.0), "seconds is -1.0, which is not above 0"),
    "another time": (longer, "images_per_second is not that of a whole pass|but its epochs"),
    "another sum": (lambda v: v["manifest"].update(training_seconds=1e6), "but its epochs"),
    "more images": (more_images, "an epoch had 2590 images; its data have about 1294"),
    "another column": (renamed, "other columns than a training writes"),
    "few parameters": (lambda v: v["costs"].update(parameters=10), "says 10 parameters, but"),
    "few operations": (lambda v: v["costs"].update(multiply_adds=10), "says 10 multiply-adds"),
    "no operations": (lambda v: v["costs"].update(multiply_adds=None), "nothing about its mult"),
    "no memory": (lambda v: v["costs"].update(training_memory_mib=0.001), "does not hold its"),
    "a huge cost": (lambda v: v["costs"].update(parameters=2**62), "no network has"),
    "a version of no form": (lambda v: v["manifest"].update(version="x y"), "neither a commit"),
    "a device of no form": (
        lambda v: v["manifest"]["environment"].update(device="a\nb"), "no version or device",
    ),
    "a negative memory": (lambda v: v["manifest"].update(peak_memory_mib=-1), "no process needs"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_forged_log_cost_or_machine_is_found(published: Published, fault: str) -> None:
    edit, message = FAULTS[fault]
    forge(published, edit)
    found = audit(Leaderboard.read(published.folder))
    assert re.search(message, found[0]), found
    assert "'batchnorm'" in found[0]


def test_an_epoch_without_end_is_no_epoch(published: Published) -> None:
    forge(published, lambda v: first(v, epoch=1e99))
    found = audit(Leaderboard.read(published.folder))
    assert "does not have the epochs 1 to 1" in found[0]


def test_more_epochs_in_the_specification_than_in_the_log_are_found(published: Published) -> None:
    def specify(values: dict[str, Any]) -> None:
        values["cell"]["training"]["epochs"] = 30

    def ask(values: dict[str, Any]) -> None:
        values["board"]["training"]["epochs"] = 30

    forge(published, specify, of="manifests/*", every=True)
    forge(published, ask, of="board.json")
    assert audit(Leaderboard.read(published.folder)) == [
        f"'{row}', seed 0: its log does not have the epochs 1 to 30, each once."
        for row in ("batchnorm", "convnorm")
    ]


def test_cells_of_one_row_have_the_same_costs_on_data_that_are_not_known(
    published: Published,
) -> None:
    """The shape of the images follows from the costs, unless these are impossible."""

    def elsewhere(values: dict[str, Any]) -> None:
        values["cell"]["data"]["name"] = "my_images"

    def board_elsewhere(values: dict[str, Any]) -> None:
        values["dataset"] = values["board"]["data"]["name"] = "my_images"

    forge(published, elsewhere, of="manifests/*", every=True)
    forge(published, board_elsewhere, of="board.json")
    board = Leaderboard.read(published.folder)
    assert audit(board) == []
    assert "10 classes and images of 1x8x8" in " ".join(unchecked(board))
    forge(published, lambda v: v["costs"].update(parameters=10))
    [problem] = audit(Leaderboard.read(published.folder))
    assert "'batchnorm': it says 10 parameters, but its network has" in problem
    forge(published, lambda v: v["costs"].update(parameters=10), of="manifests/*", every=True)
    notes = " ".join(unchecked(Leaderboard.read(published.folder)))
    assert "of 'batchnorm', 'convnorm' were not recomputed" in notes


def test_a_network_that_no_machine_holds_is_not_built(published: Published) -> None:
    def widen(values: dict[str, Any]) -> None:
        (values["cell"] if "cell" in values else values["board"])["model"]["width"] = 10**7

    forge(published, widen, of="manifests/*", every=True)
    forge(published, widen, of="board.json")
    board = Leaderboard.read(published.folder)
    assert audit(board) == []
    assert "of 'batchnorm', 'convnorm' were not recomputed" in " ".join(unchecked(board))


def test_files_without_checksums_are_named(published: Published) -> None:
    (published.folder / "page.html").write_text("<p>99.9%</p>")
    assert unchecked(Leaderboard.read(published.folder)) == ["page.html, which has no checksum."]
