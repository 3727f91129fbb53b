"""``hf:ORG/NAME`` as data: what is fetched, which images and labels are read, what is refused."""

import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hub_server import TOKEN, Hub
from PIL import Image

from robench.data import DataSet, load_dataset
from robench.data.load import can_load
from robench.errors import RobenchWarning, UserError
from robench.runs.attack_cell import evaluation_images

datasets = pytest.importorskip("datasets.features")  # tests/datasets is importable, too
from hub_data import images_and_labels, parquet, png  # noqa: E402 - they need pyarrow

RNG = np.random.default_rng(0)
NAMES = ("cat", "dog")
TRAIN = RNG.integers(0, 256, (8, 6, 6, 3), dtype=np.uint8)
TEST = RNG.integers(0, 256, (12, 6, 6, 3), dtype=np.uint8)
PETS = "hf:me/pets"


def labels_of(images: np.ndarray) -> list[int]:
    return [row % 2 for row in range(len(images))]


def part(images: Any, labels: list[int] | None = None) -> bytes:
    return images_and_labels(images, labels_of(images) if labels is None else labels, NAMES)


def files(test: bytes, **others: bytes) -> dict[str, bytes]:
    return {
        f"data/{split}-00000-of-00001.parquet": content
        for split, content in {"test": test, **others}.items()
    }


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / "cache" / name)


@pytest.fixture
def pets(hub: Hub) -> Hub:
    """Twelve test images of cats and dogs, and eight to train on."""
    hub.add("datasets/me/pets", {".gitattributes": b"", **files(part(TEST), train=part(TRAIN))})
    return hub


def fetched(hub: Hub) -> list[str]:
    """The Parquet files that were asked for, without the folder."""
    return [path.rpartition("/")[2] for path in hub.asked if path.endswith(".parquet")]


def test_images_are_those_of_the_same_files_in_a_folder(pets: Hub, tmp_path: Path) -> None:
    for split, images in (("train", TRAIN), ("test", TEST)):
        for row, (image, label) in enumerate(zip(images, labels_of(images), strict=True)):
            path = tmp_path / "pets" / split / NAMES[label] / f"{row:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    folder, hub = load_dataset(str(tmp_path / "pets")), load_dataset(PETS)
    for ours, theirs in ((hub.train, folder.train), (hub.test, folder.test)):
        order = torch.tensor(sorted(range(len(ours)), key=lambda row: (row % 2, row)))
        assert torch.equal(ours.take(order).images, theirs.images)  # type: ignore[union-attr]
        assert torch.equal(ours.take(order).labels, theirs.labels)  # type: ignore[union-attr]
    same = ("classes", "mean", "std", "augmentation", "num_classes", "in_channels", "image_size")
    assert [getattr(hub, name) for name in same] == [getattr(folder, name) for name in same]


def test_an_attack_fetches_the_test_part_alone(pets: Hub) -> None:
    data = load_dataset(PETS)
    assert (len(data.test), data.num_classes, data.image_size) == (12, 2, (6, 6))
    assert len(evaluation_images(data, 4)) == 4
    assert fetched(pets) == ["test-00000-of-00001.parquet"]
    assert len(data.train) == 8
    assert fetched(pets)[1:] == ["train-00000-of-00001.parquet"]


@pytest.mark.parametrize("rows", [[7], [11, 0, 4], [3, 3, 2], list(range(12))])
def test_samples_are_taken_from_the_groups_that_have_them(pets: Hub, rows: list[int]) -> None:
    taken = load_dataset(PETS).test.take(torch.tensor(rows))
    assert np.array_equal(taken.images.permute(0, 2, 3, 1), TEST[rows])
    assert taken.labels.tolist() == [row % 2 for row in rows]


def test_the_name_has_the_commit_by_which_the_same_images_are_read_later(pets: Hub) -> None:
    first = load_dataset(PETS)
    (commit, _), *_ = pets.repos["datasets/me/pets"]
    assert first.name == f"{PETS}@{commit}"
    pets.add("datasets/me/pets", files(part(255 - TEST)))
    now, again = load_dataset(PETS), load_dataset(first.name)
    assert (again.name, again.fingerprint) == (first.name, first.fingerprint)
    assert (now.name == first.name, now.fingerprint == first.fingerprint) == (False, False)


def test_what_was_fetched_is_found_without_the_hub(
    pets: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_dataset(PETS)
    expected = first.fingerprint
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert load_dataset(PETS).name == first.name
    assert load_dataset(first.name).fingerprint == expected
    with pytest.raises(UserError, match=r"HF_HUB_OFFLINE is set, .* hf:me/cars is not in the cac"):
        load_dataset("hf:me/cars")


def test_a_part_that_was_not_fetched_is_named_without_the_hub(
    pets: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_dataset(PETS)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"HF_HUB_OFFLINE is set, so the hub is not asked"):
        assert load_dataset(PETS).mean


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("hf:", "write hf:ORG/NAME"),
        ("hf:pets", "write hf:ORG/NAME"),
        ("hf:me/pets@../x", "write hf:ORG/NAME"),
        ("hf", "say which data set of the Hugging Face hub: hf:ORG/NAME"),
        ("hf:me/absent", "the hub has no data set me/absent, or it is private and needs a token"),
        ("hf:me/pets@gone", "me/pets has no branch, tag or commit 'gone'"),
        ("hf:me/pets(labl='label')", "has no option 'labl'; did you mean 'label'"),
        ("hf:me/pets(label='img')", "the column 'img' of hf:me/pets holds no labels"),
        ("hf:me/pets(image='label')", "the column 'label' of hf:me/pets holds no images"),
        ("hf:me/pets(image='imge')", "has no column 'imge'; did you mean 'img'"),
        ("hf:me/pets(test='tset')", "has no split 'tset'; did you mean 'test'"),
        ("hf:me/pets(train='test',test='test')", "cannot be both the training and test part"),
        ("hf:me/pets(config='small')", "has no configuration 'small'; .*default"),
    ],
)
def test_a_wrong_name_or_option_is_one_sentence(pets: Hub, name: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as refused:
        load_dataset(name)
    assert TOKEN not in str(refused.value)


def test_names_of_the_hub_are_known_without_asking_it(hub: Hub) -> None:
    assert can_load("hf:me/pets@main(label='fine')")
    assert not can_load("hf:me/pets(labl='fine')")
    assert hub.asked == []


def test_validation_images_stand_in_for_test_images(hub: Hub) -> None:
    hub.add("datasets/me/pets", {"train/0.parquet": part(TRAIN), "valid/0.parquet": part(TEST)})
    with pytest.warns(RobenchWarning, match="no split 'test': its split 'validation' is the test"):
        assert len(load_dataset(PETS).test) == 12


def test_a_data_set_of_one_split_is_attacked_on_it(hub: Hub) -> None:
    hub.add("datasets/me/pets", {"train.parquet": part(TRAIN)})
    with pytest.raises(UserError, match=r"no split 'test' or 'validation', but train; name"):
        load_dataset(PETS)
    data = load_dataset("hf:me/pets(test='train')")
    assert (len(data.test), len(data.train)) == (8, 0)
    assert data.name.endswith("(test='train')")


FEATURES = """
  features:
  - name: picture
    dtype: image
  - name: coarse
    dtype:
      class_label:
        names: {'0': animal, '1': plant}
  - name: fine
    dtype:
      class_label:
        names: {'0': cat, '1': dog, '2': fern}
"""
CARD = f"""---
configs:
- config_name: large
  data_files:
  - split: test
    path: large/*.parquet
- config_name: small
  data_files:
  - split: test
    path: small/part-*.parquet
dataset_info:
- config_name: large{FEATURES}
- config_name: small{FEATURES}
---
# Pets
"""


@pytest.fixture
def described(hub: Hub) -> Hub:
    """Two configurations, whose columns the card describes, in files that declare no types."""
    stored = [{"bytes": png(image)} for image in TEST]
    columns = {"picture": stored, "coarse": [0] * 11 + [1], "fine": [0] * 10 + [1, 2]}
    half = {name: values[6:] for name, values in columns.items()}
    first = {name: values[:6] for name, values in columns.items()}
    hub.add("datasets/me/pets", {
        "README.md": CARD.encode(), "large/0.parquet": parquet(columns),
        "small/part-1.parquet": parquet(half), "small/part-0.parquet": parquet(first),
    })  # fmt: skip
    return hub


def test_the_card_names_configurations_splits_columns_and_classes(described: Hub) -> None:
    data = load_dataset("hf:me/pets(config='small', label='fine')")
    assert data.classes == ("cat", "dog", "fern")
    assert np.array_equal(data.test.images.permute(0, 2, 3, 1), TEST)  # type: ignore[union-attr]
    assert fetched(described) == ["part-0.parquet", "part-1.parquet"]
    assert data.name.endswith("(config='small', label='fine')")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("", r"has several configurations, large, small; choose one, such as \(config='large'\)"),
        ("(config='smal')", "has no configuration 'smal'; did you mean 'small'"),
        ("(config='small')", r"has several columns of class labels, coarse, fine; choose one"),
    ],
)
def test_what_is_not_the_only_one_has_to_be_chosen(
    described: Hub, options: str, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        load_dataset(f"{PETS}{options}")


def test_columns_without_declared_types_are_read_if_they_are_named(hub: Hub) -> None:
    content = parquet({"jpg": [png(image) for image in TEST], "cls": labels_of(TEST)})
    hub.add("datasets/me/pets", files(content))
    sentence = (
        r"no column that is declared to hold images; its columns are jpg, cls: name one as \("
    )
    with pytest.raises(UserError, match=sentence):
        load_dataset(PETS)
    data = load_dataset("hf:me/pets(image='jpg', label='cls')")
    assert (data.classes, data.num_classes, len(data.test)) == ((), 2, 12)


GRAY = list(TEST[..., 0])


@pytest.mark.parametrize(
    ("images", "channels"), [(GRAY, 1), ([*GRAY[:-1], TEST[0]], 3), (list(TEST), 3)]
)
def test_images_have_one_channel_if_all_are_grayscale(
    hub: Hub, images: list[np.ndarray], channels: int
) -> None:
    hub.add("datasets/me/pets", files(part(images), train=part(GRAY[:8])))
    data = load_dataset(PETS)
    assert data.test.image_shape == data.train.image_shape == (channels, 6, 6)


def test_no_images_of_another_form_are_trained_on(hub: Hub) -> None:
    hub.add("datasets/me/pets", files(part(GRAY), train=part(TRAIN)))
    with pytest.raises(
        UserError, match=r"image 0 of the split 'train' .* has colors, but the test"
    ):
        assert load_dataset(PETS).mean
    hub.add("datasets/me/pets", files(part(TEST), train=part(TRAIN[:, :5])))
    with pytest.raises(
        UserError, match=r"training images of hf:me/pets are 6x5 but test .* are 6x6"
    ):
        assert load_dataset(PETS).mean


def outside(pattern: str) -> bytes:
    return f"---\nconfigs:\n- config_name: x\n  data_files: {pattern}\n---\n".encode()


def with_label(values: list[Any]) -> bytes:
    image = {"bytes": png(TEST[0]), "path": None}
    features = datasets.Features(img=datasets.Image(), label=datasets.ClassLabel(names=NAMES))
    return parquet({"img": [image] * len(values), "label": values}, features)


REFUSED: dict[str, tuple[dict[str, bytes], str]] = {
    "no Parquet": ({"pets.py": b"1/0", "cat.png": b""}, "no Parquet files.*refs/convert/parquet"),
    "damage": (files(part(TEST)[:-20]), "is not .* Parquet file"),
    "another size": (
        files(part([*TEST[:5], TEST[5, :4]], [0] * 6)),
        "image 0 of the split 'test' of hf:me/pets is 6x6 but image 5 .* is 6x4",
    ),
    "secret labels": (files(with_label([0, -1])), "has the label -1, which stands for an unknown"),
    "no label": (files(with_label([0, None])), "has images without a label"),
    "a label too many": (files(with_label([0, 2])), "the label 2, but names of 2 classes only"),
    "no image": (files(with_label([])), "the split 'test' of hf:me/pets has no images"),
    "a damaged card": ({**files(part(TEST)), "README.md": b"---\na: [\n---\n"}, "cannot be read"),
    "a folder above": (
        {**files(part(TEST)), "README.md": outside("../*.parquet")}, "outside of the repository",
    ),
    "another folder": (
        {**files(part(TEST)), "README.md": outside("/etc/*")}, "outside of the repository",
    ),
    "another server": (
        {**files(part(TEST)), "README.md": outside("https://example.org/a.parquet")},
        r"outside of the repository \(https://example.org/a.parquet\)",
    ),
    "files that are not there": (
        {**files(part(TEST)), "README.md": outside("gone/*.parquet")}, "finds no splits in hf:me",
    ),
    "a name that leads out": ({"../a.parquet": b""}, "a file that is in no repository"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_data_set_of_images_is_refused(hub: Hub, case: str) -> None:
    content, sentence = REFUSED[case]
    hub.add("datasets/me/pets", content)
    with pytest.raises(UserError, match=sentence):
        assert load_dataset(PETS).test.images  # type: ignore[union-attr]


def test_a_path_in_a_column_is_not_followed(hub: Hub, tmp_path: Path) -> None:
    Image.fromarray(TEST[0]).save(tmp_path / "mine.png")
    stored = {"bytes": None, "path": str(tmp_path / "mine.png")}
    features = datasets.Features(img=datasets.Image(), label=datasets.ClassLabel(names=NAMES))
    hub.add("datasets/me/pets", files(parquet({"img": [stored], "label": [0]}, features)))
    with pytest.raises(UserError, match=r"image 0 of the split 'test' .* has no content"):
        load_dataset(PETS)


def test_the_package_writes_nothing_to_the_screen(
    pets: Hub, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    pets.add("datasets/me/pets", {"README.md": b"# Pets\n"})
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        assert isinstance(load_dataset(PETS), DataSet)
    assert (caplog.messages, "datasets" in capfd.readouterr().err) == ([], False)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("robench.data.hub_")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r"need the package datasets: pip install 'robench\[data"):
        load_dataset(PETS)
