"""The specification of boards of GANs: what ships, what is written, what ranks."""

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from robench.board.loading import is_gan_board, read_board
from robench.board.shipped import shipped_boards, shipped_gan_boards
from robench.board.writing import board_text
from robench.data import DataSet, Images
from robench.errors import UserError
from robench.gan.architectures import architecture
from robench.gan.board import GanBoard, check_gan_board, open_gan_board, read_gan_board
from robench.gan.measured import Measurement, Measurer
from robench.gan.metrics.extractors import Extractor, resolved
from robench.gan.spec import GanSpec
from robench.system.provenance import file_hash

BOARDS = {name: read_gan_board(path) for name, path in shipped_gan_boards().items()}


def test_both_kinds_of_shipped_boards_are_told_apart() -> None:
    assert set(BOARDS) == {"paper-table3", "paper-table3-cpu"}
    assert not set(BOARDS) & set(shipped_boards())
    assert not is_gan_board(shipped_boards()["quick"])
    with pytest.raises(UserError, match="is a board of GANs"):
        read_board(shipped_gan_boards()["paper-table3-cpu"])


@pytest.mark.parametrize("name", BOARDS)
def test_a_written_board_is_read_as_the_same(name: str, tmp_path: Path) -> None:
    path = tmp_path / "board.toml"
    path.write_text(board_text(BOARDS[name]))
    assert read_gan_board(path) == BOARDS[name]


def test_the_full_board_has_the_authors_recipe_and_both_protocols() -> None:
    board = BOARDS["paper-table3"]
    assert board.gan == GanSpec(averaging=0.9999, snapshots=9)
    assert board.columns() == [
        "fid_train", "kid_train", "is_train", "fid_test", "kid_test", "is_test",
    ]  # fmt: skip
    assert board.ranking_column() == "fid_train"
    assert board.paper is not None
    assert set(board.paper.figures) == set(board.defenses)


def test_the_reduced_board_claims_no_fid() -> None:
    small, full = BOARDS["paper-table3-cpu"], BOARDS["paper-table3"]
    assert small.title.endswith("(a reduced CPU-scale board)")
    assert small.defenses == full.defenses
    assert small.ranking_column() == "kd_efficientnet_lite0"
    assert not any("fid" in name or name.startswith("is") for name in small.columns())
    assert small.paper is not None
    assert (small.paper.scale, small.paper.figures) == ("reduced", {})
    assert small.gan == full.gan.model_copy(
        update={"width": 16, "steps": 2000, "averaging": 0.0, "snapshots": 4}
    )


def test_a_changed_board_has_a_name_of_its_own() -> None:
    name, board = open_gan_board(
        "paper-table3", rows="vanilla,spectral_norm, averaged generator", seeds="4",
        changes=["gan.steps=9"],
    )  # fmt: skip
    assert name.startswith("paper-table3-changed-")
    assert board.titles == ["vanilla", "spectral_norm, averaged generator"]
    assert (board.seeds, board.gan.steps) == ((4,), 9)
    assert "changed: --defenses" in board.title
    assert open_gan_board("paper-table3", seeds="0,1,2,3")[0] == "paper-table3"


def test_only_inception_gives_a_score() -> None:
    with pytest.raises(ValueError, match="only the extractor 'inception' gives a score"):
        GanBoard.model_validate(
            {"title": "t", "defenses": ["vanilla"], "gan": {},
             "measure": {"extractor": "efficientnet_lite0", "rank_by": "score"}}
        )  # fmt: skip


def test_features_of_images_are_computed_once_and_kept(tmp_path: Path) -> None:
    pytest.importorskip("torch_fidelity")
    torch.manual_seed(0)
    calls = []

    def network(images: Tensor) -> tuple[Tensor]:
        calls.append(len(images))
        return (images.float().mean((2, 3)),)

    def load() -> Extractor:
        return Extractor("mine", network, torch.device("cpu"))

    images = torch.randint(0, 256, (12, 3, 32, 32), dtype=torch.uint8)
    part = Images(images, torch.arange(12) % 2)
    dataset = DataSet("tiny", part, part, ("a", "b"), (0.5,) * 3, (0.2,) * 3)
    generator = architecture("sngan_cnn").generator(2, 4)
    wanted = Measurement(
        extractor="mine", data_hash="0" * 64, against="test", images=12, samples=7, seed=0,
        weights="0" * 64, which="last", step=1,
    )  # fmt: skip
    found = []
    for _ in range(2):
        measurer = Measurer(dataset, load, "mine", tmp_path, torch.device("cpu"))
        found += [measurer.metrics(generator, 4, wanted) for _ in range(2)]
    assert calls == [12, 7, 7, 7, 7]
    assert all(metrics == found[0] for metrics in found)
    (kept,) = tmp_path.glob("*.safetensors")
    kept.write_bytes(b"damaged")
    measurer = Measurer(dataset, load, "mine", tmp_path, torch.device("cpu"))
    assert measurer.metrics(generator, 4, wanted) == found[0]


def test_a_classifier_is_found_by_its_hash(tmp_path: Path) -> None:
    weights = tmp_path / "cells" / "one" / "weights.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    called, source = resolved(str(weights))
    assert (called, source) == (f"classifier_{file_hash(weights)[:8]}", str(weights))
    assert resolved(called, [tmp_path]) == (called, str(weights))
    with pytest.raises(UserError, match="no network with that hash"):
        resolved("classifier_00000000", [tmp_path])


@pytest.mark.parametrize("name", BOARDS)
def test_no_choice_of_a_board_names_a_column_that_it_does_not_have(name: str) -> None:
    board = BOARDS[name]
    named = re.findall(
        r"\b(?:fid|kid|is|fd|kd)_\w+", " ".join(board.paper.choices if board.paper else ())
    )
    assert set(named) <= set(board.columns())


def spec(**changes: object) -> GanBoard:
    values = {"title": "t", "defenses": ["vanilla"], "gan": {}, "measure": {}}
    return GanBoard.model_validate(values | changes)


def test_a_row_of_another_architecture_has_the_width_of_its_authors() -> None:
    arms = [
        {"defense": "vanilla", "label": "cnn", "gan": {"architecture": "sngan_cnn"}},
        {"defense": "vanilla", "label": "wide", "gan": {"architecture": "sngan_cnn", "width": 9}},
    ]
    board = spec(arms=arms)
    assert [board.recipe_of(row).width for row in board.rows] == [128, 64, 9]
    narrow = spec(arms=arms[:1], gan={"width": 16})
    assert [narrow.recipe_of(row).width for row in narrow.rows] == [16, 16]
    _, changed = open_gan_board("paper-table3", changes=["gan.architecture=sngan_cnn"])
    assert changed.gan.width == 64


def test_rows_that_change_nothing_have_the_recipe_of_the_board() -> None:
    board = BOARDS["paper-table3-cpu"]
    assert all(board.recipe_of(row) == board.gan for row in board.rows)


def test_a_paper_s_distances_may_be_above_100_and_kernel_distances_below_0() -> None:
    paper = {"item": "T", "figures": {"vanilla": {"fid": [120.5], "kid": [-0.001]}}}
    check_gan_board(spec(paper=paper))
    with pytest.raises(UserError, match="has 'fd', which is not a column"):
        check_gan_board(spec(paper={"item": "T", "figures": {"vanilla": {"fd": [1.0]}}}))


@pytest.mark.parametrize(
    ("protocols", "sentence"),
    [
        ([{"samples": 20}, {"samples": 30, "name": "b"}], "several protocols, and one has no name"),
        ([{"samples": 20, "name": "std"}], "a protocol is named 'std', as deviations are"),
        ([{"samples": 9}], "has 9 samples, and the inception score needs 10 or more"),
    ],
)
def test_protocols_whose_columns_cannot_be_told_apart_or_computed_are_refused(
    protocols: list[dict[str, object]], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        spec(measure={"protocols": protocols})
