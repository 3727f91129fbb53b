"""ImageNet, through a tiny folder of its layout."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from robench.board.overrides import open_board
from robench.data import ImageStream, load_dataset, stream
from robench.errors import UserError
from robench.progress import Progress
from robench.runs.progress import NullReporter
from robench.runs.run import train_row
from robench.system.provenance import file_hash


@pytest.fixture
def imagenet(tmp_path: Path) -> Path:
    """A tiny folder in ImageNet's layout, images of various sizes."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 5), ("val", 2)):
        for name in ("n01", "n02"):
            (tmp_path / part / name).mkdir(parents=True)
            for index in range(count):
                size = (240 + 8 * index, 300, 3)
                Image.fromarray(rng.integers(0, 256, size, dtype=np.uint8)).save(
                    tmp_path / part / name / f"{index}.png"
                )
    return tmp_path


def test_imagenet_streams_crops_of_one_size(imagenet: Path) -> None:
    data = load_dataset("imagenet", imagenet)
    assert isinstance(data.train, ImageStream)
    assert data.image_size == (224, 224)
    pairs = list(data.train.batches(4, generator=torch.Generator().manual_seed(0)))
    assert [len(labels) for _, labels in pairs] == [4, 4, 2]
    assert len(pairs) == data.train.batch_count(4)
    assert all(images.shape[1:] == (3, 224, 224) for images, _ in pairs)
    assert all(images.min() >= 0 and images.max() <= 1 for images, _ in pairs)
    assert sorted(torch.cat([labels for _, labels in pairs]).tolist()) == [0] * 5 + [1] * 5


def test_the_number_of_workers_does_not_change_a_batch(imagenet: Path) -> None:
    data = load_dataset("imagenet", imagenet)
    passes = []
    for workers in (0, 2):
        images = ImageStream(data.train.files, data.train.root, workers=workers)  # type: ignore[union-attr]
        batches = images.batches(4, generator=torch.Generator().manual_seed(5))
        passes.append(torch.cat([images for images, _ in batches]))
    assert torch.equal(*passes)


def test_a_training_that_is_killed_within_an_epoch_goes_on_there_to_the_bit(
    imagenet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("robench.training.partway.PROBE", 1)
    monkeypatch.setattr("robench.training.partway.SECONDS", 0.0)
    board = open_board("paper-table4-imagenet", rows="batchnorm", changes=[
        "model.width=4", "training.epochs=2", "training.batch_size=4", "evaluation.samples=4",
    ])[1]  # fmt: skip
    read: list[str] = []

    def decoded(path: Path) -> torch.Tensor:
        read.append(path.parts[-3])
        return original(path)

    original = stream.decode
    monkeypatch.setattr(stream, "decode", decoded)
    monkeypatch.setattr(stream.ImageStream, "workers", 0)
    whole = train_row(board, out=tmp_path / "whole", data_dir=imagenet)
    assert read.count("train") == 20

    def stop(progress: Progress) -> None:
        if progress.done == 5:  # the second minibatch of the second epoch; the first was kept
            raise KeyboardInterrupt

    reporter = NullReporter()
    monkeypatch.setattr(reporter, "update", stop)
    monkeypatch.setattr("robench.training.loop.time.perf_counter", iter(range(10**6)).__next__)
    with pytest.raises(KeyboardInterrupt):
        train_row(board, out=tmp_path / "killed", data_dir=imagenet, reporter=reporter)
    read.clear()
    again = train_row(board, out=tmp_path / "killed", data_dir=imagenet)
    assert read.count("train") == 6
    assert file_hash(again.weights) == file_hash(whole.weights)


def test_an_evaluation_sample_of_a_stream_is_balanced_and_in_memory(imagenet: Path) -> None:
    data = load_dataset("imagenet", imagenet)
    assert isinstance(data.test, ImageStream)
    sample = data.test.to_images(2, seed=0)
    assert sorted(sample.labels.tolist()) == [0, 1]
    assert sample.images.shape == (2, 3, 224, 224)
    whole = next(data.test.batches(4))[0]
    assert any(torch.allclose(sample.images[0] / 255, image) for image in whole)


def test_imagenet_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no folder .*val found; put ImageNet there"):
        load_dataset("imagenet", tmp_path)
