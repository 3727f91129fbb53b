"""The figure of attacks: magnification, labels and file formats."""

import itertools
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from torch import Tensor

from robench.diagnostics import gallery as module
from robench.diagnostics.gallery import (
    FINEST,
    Gallery,
    ImageColumn,
    difference,
    draw_gallery,
    magnification,
    predictions,
)
from robench.errors import UserError

CLASSES = ("cat", "dog", "$x_1$ <b>", "a very long name of\na class")


def answers(*classes: int) -> Tensor:
    return 3 * torch.eye(4)[list(classes)]


def gallery(channels: int = 3, side: int = 8, count: int = 4) -> Gallery:
    images = torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(count) % 4
    fooled = (images + 0.05).clamp(0, 1)
    wrong = torch.where(labels == 1, 0, labels)
    return Gallery(
        labels=labels,
        clean=ImageColumn("clean", images, answers(*labels.tolist())),
        attacks=(ImageColumn("pgd-20", fooled, answers(*wrong.tolist())),),
        classes=CLASSES,
        caption="a network; 4 test images.",
    )


def drawn(pictured: Gallery, path: Path, monkeypatch: pytest.MonkeyPatch) -> Figure:
    figures: list[Figure] = []
    save = module.save_figure
    monkeypatch.setattr(
        module, "save_figure", lambda figure, to: (figures.append(figure), save(figure, to))
    )
    draw_gallery(pictured, path)
    return figures[0]


@pytest.mark.parametrize("ending", ["svg", "png", "pdf"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_format_is_written_and_the_same_gallery_gives_the_same_bytes(
    ending: str, channels: int, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{name}.{ending}" for name in "ab"]
    for path in paths:
        draw_gallery(gallery(channels), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    start = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}[ending]
    assert paths[0].read_bytes().startswith(start)


def test_predictions_and_confidences_are_below_and_wrong_ones_have_more_than_color(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figure = drawn(gallery(), tmp_path / "a.png", monkeypatch)
    below = [axes.get_xlabel() for axes in figure.axes if axes.get_xlabel()]
    assert below.count("✗ cat, 87%") == 1
    assert below.count("✓ cat, 87%") == 2
    assert "✓ $x_1$ <b>, 87%" in below
    wrong = next(axes for axes in figure.axes if axes.get_xlabel().startswith("✗"))
    assert wrong.xaxis.label.get_fontweight() == "bold"
    assert {spine.get_linestyle() for spine in wrong.spines.values()} != {"solid"}
    right = next(axes for axes in figure.axes if axes.get_xlabel().startswith("✓"))
    assert {spine.get_linestyle() for spine in right.spines.values()} == {"solid"}
    titles = [axes.get_title() for axes in figure.axes]
    assert titles.count("difference \N{MULTIPLICATION SIGN}8") == 2  # one a block
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()] == [
        "cat", "dog", "$x_1$ <b>", "a very long …",
    ]  # fmt: skip


def test_all_text_lies_within_the_picture_and_no_label_runs_into_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for count in (1, 3, 8):
        figure = drawn(gallery(count=count), tmp_path / "a.png", monkeypatch)
        width, height = figure.get_size_inches() * figure.dpi
        boxes = [axes.xaxis.label.get_window_extent() for axes in figure.axes]
        boxes += [axes.title.get_window_extent() for axes in figure.axes if axes.get_title()]
        caption = next(text for text in figure.texts if "a network" in text.get_text())
        extent = caption.get_window_extent()
        for box in [*boxes, extent]:
            assert 0 <= box.x0 <= box.x1 <= width
            assert 0 <= box.y0 <= box.y1 <= height
        for box, other in itertools.pairwise(boxes):
            assert not (box.width and other.width and box.overlaps(other))
        assert not any(box.width and box.overlaps(extent) for box in boxes)


def test_what_is_not_attacked_is_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = gallery()
    shown.clean.logits[1] = answers(3)[0]
    figure = drawn(shown, tmp_path / "a.png", monkeypatch)
    below = [axes.get_xlabel() for axes in figure.axes]
    assert below.count("not attacked") == 1
    assert below.count("L∞ 0.05") == 3


def test_an_answer_that_is_not_finite_is_no_prediction() -> None:
    logits = torch.tensor([[0.0, 2.0], [torch.nan, 0.0], [torch.inf, 0.0]])
    named, confidence = predictions(logits)
    assert named.tolist() == [1, -1, -1]
    assert confidence[0] == pytest.approx(0.8808, abs=1e-4)


@settings(max_examples=60, deadline=None)
@given(
    size=st.floats(1e-6, 1.0), pixels=st.integers(0, 40), seed=st.integers(0, 9), flat=st.booleans()
)
def test_the_magnified_change_is_legible_whatever_its_size_and_number_of_pixels(
    size: float, pixels: int, seed: int, flat: bool
) -> None:
    generator = torch.Generator().manual_seed(seed)
    change = torch.zeros(2, 3 * 64)
    at = torch.randperm(3 * 64, generator=generator)[:pixels]
    sizes = torch.ones(pixels) if flat else torch.rand(pixels, generator=generator) / 2 + 0.5
    change[0, at] = size * sizes * (1 - 2 * (at % 2))
    times = magnification(change.view(2, 3, 8, 8))
    assert times >= 1
    magnified = (times * change[0, at]).abs()
    if pixels and size <= 0.4:
        assert magnified.median() > 0.15
        assert (magnified <= 0.5).float().mean() >= 0.9
        assert float(f"{times:.2g}") == times  # as it is written


def test_gray_is_no_change_and_brighter_is_more() -> None:
    clean = torch.full((1, 1, 4, 4), 0.5)
    changed = clean.clone()
    changed[0, 0, 0, 0], changed[0, 0, 0, 1] = 0.6, 0.3
    picture = difference(clean, changed, 2)
    assert picture[0, 0, 0, 0].item() == pytest.approx(0.7)
    assert picture[0, 0, 0, 1].item() == pytest.approx(0.1)
    assert (picture[0, 0, 1:] == 0.5).all()


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_single_pixel_of_a_large_image_is_drawn_as_a_block(sign: int) -> None:
    clean = torch.full((1, 3, 224, 200), 0.5)
    changed = clean.clone()
    changed[0, 1, 101, 57] += sign * 0.2
    picture = difference(clean, changed, 2)
    assert max(picture.shape[-2:]) <= FINEST
    (place,) = (picture != 0.5).nonzero()
    assert place.tolist() == [0, 1, 101 // 4, 57 // 4]
    assert picture[tuple(place)].item() == pytest.approx(0.5 + sign * 0.4)


def test_a_dense_change_of_a_large_image_is_drawn_pixel_by_pixel() -> None:
    clean = torch.full((1, 3, 100, 100), 0.5)
    signs = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0)).sign()
    assert torch.equal(difference(clean, clean + 0.125 * signs, 2), 0.5 + 0.25 * signs)


def test_the_pixels_of_the_picture_are_those_of_the_images(tmp_path: Path) -> None:
    shown = gallery(count=1)
    shown.clean.images[:] = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
    draw_gallery(shown, tmp_path / "a.png")
    pixels = matplotlib.image.imread(tmp_path / "a.png")[..., :3]
    red = np.isclose(pixels, [1, 0, 0]).all(-1)
    assert red.mean() > 0.15  # a third of the columns, less margins and caption


@pytest.mark.parametrize("name", ["a.gif", "a", "a.PNG.txt"])
def test_another_ending_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"end it in \.svg, \.png or \.pdf"):
        draw_gallery(gallery(), tmp_path / name)


def test_images_of_two_channels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="images of 2 channels"):
        draw_gallery(gallery(channels=2), tmp_path / "a.svg")
