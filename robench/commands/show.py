"""``robench show``: draw what attacks do to images."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from robench.commands.attack import Target
from robench.diagnostics.gallery import Gallery, ImageColumn, check_ending, draw_gallery
from robench.errors import UserError
from robench.evaluation import Evaluation
from robench.evaluation.adversarial import Evaluated, adversarial_images
from robench.evaluation.options import EvaluationOptions
from robench.expressions import radius_text
from robench.system.provenance import code_version


def show_attacks(
    target: Target,
    attacks: Sequence[str],
    path: Path,
    *,
    classes: Sequence[str] = (),
    images: int = 8,
    defaults: Mapping[str, Any] | None = None,
    options: EvaluationOptions | None = None,
) -> Gallery:
    """Attack a network and draw some of the evaluated images.

    All of the target's images are attacked, so that the caption says how many are fooled; the
    predictions are those of :func:`robench.commands.attack.attack_target`. The images to draw are
    chosen by :func:`choose`.

    Args:
        target: the network and its images.
        attacks: expressions such as ``pgd-20(eps=4/255)``; each gets a pair of columns.
        path: an ``.svg``, ``.png`` or ``.pdf`` file.
        classes: class names by label; by default, classes are numbered.
        images: number of images to draw; all of them if there are fewer.
        defaults: options (eps, step_size, norm) of the attacks that do not set them.
        options: seed, batch size, device and so on.

    Returns:
        What was drawn.

    Raises:
        UserError: if no attack or no image is requested, the file's extension is not supported, or
            an attack rejects its options or the network.
    """
    options = options or EvaluationOptions()
    check_ending(path)
    if not attacks:
        raise UserError("name an attack to show, for instance --attack pgd-20.")
    if images < 1:
        raise UserError(f"{images} images were requested; request 1 or more.")
    labels = target.sample.labels
    evaluation, evaluated = adversarial_images(
        target.model,
        target.sample.images,
        labels,
        attacks,
        defaults=defaults,
        options=options,
    )
    count = min(len(outcomes) for outcomes in evaluation.attacks.values())
    fooled = torch.stack(
        [torch.from_numpy(outcomes.fooled[:count]) for outcomes in evaluation.attacks.values()]
    )
    right = torch.from_numpy(evaluation.clean[:count])
    rows = choose(labels[:count], right, fooled.sum(0), images)
    seen = max(int(labels.max()) + 1, evaluated["clean"].logits.shape[1])
    names = tuple(classes) if len(classes) >= seen else tuple(str(i) for i in range(seen))
    gallery = Gallery(
        labels=labels[rows],
        clean=_column("clean", "linf", evaluated["clean"], rows),
        attacks=tuple(
            _column(name, _norm(evaluation, name), evaluated[name], rows) for name in attacks
        ),
        classes=names,
        caption=f"{_caption(target.title, evaluation, len(rows))} Seed {options.seed}; robench "
        f"{code_version()}.",
    )
    draw_gallery(gallery, path)
    return gallery


def choose(labels: Tensor, right: Tensor, fooled: Tensor, count: int) -> Tensor:
    """Choose the images to show, deterministically.

    Images that the network gets right come before those that it gets wrong. They are grouped by the
    number of attacks that fooled them; each group is shown in proportion to its size, but with at
    least one image (apportioned by the Huntington-Hill method). Within a group, the class shown
    least comes next, and within a class the first image.

    Args:
        labels: (n,) int64, the true classes.
        right: (n,) bool, whether the clean image is classified correctly.
        fooled: (n,) integers, the number of attacks that fooled the image.
        count: number of images to choose.

    Returns:
        At most ``count`` indices, sorted by class.
    """
    kinds = {
        int(kind): (right & (fooled == kind)).nonzero().squeeze(1).tolist()
        for kind in fooled[right].unique()
    }
    chosen = _fill([], labels, kinds, count)
    mistakes = {-1: (~right).nonzero().squeeze(1).tolist()}
    chosen = _fill(chosen, labels, mistakes, count)
    return torch.tensor(sorted(chosen, key=lambda i: (int(labels[i]), i)), dtype=torch.int64)


def _fill(
    chosen: list[int], labels: Tensor, kinds: Mapping[int, list[int]], count: int
) -> list[int]:
    """Choose further samples until there are ``count`` or none are left."""
    chosen, given = list(chosen), dict.fromkeys(kinds, 0)
    left = {kind: list(rows) for kind, rows in kinds.items()}
    while len(chosen) < count and any(left.values()):
        kind = max(
            (kind for kind in kinds if left[kind]),
            key=lambda kind: (_priority(len(kinds[kind]), given[kind]), kind),
        )
        shown = [int(labels[i]) for i in chosen]
        best = min(left[kind], key=lambda i: (shown.count(int(labels[i])), i))
        left[kind].remove(best)
        given[kind] += 1
        chosen.append(best)
    return chosen


def _priority(size: int, given: int) -> tuple[float, int]:
    """Return the priority of a group for the next seat; the first seat of each comes first."""
    return (size / math.sqrt(given * (given + 1)) if given else math.inf), size


def _column(name: str, norm: str, evaluated: Evaluated, rows: Tensor) -> ImageColumn:
    distance: Literal["linf", "l2"] = "l2" if norm == "l2" else "linf"
    return ImageColumn(name, evaluated.images[rows], evaluated.logits[rows], distance)


def _norm(evaluation: Evaluation, name: str) -> str:
    """Return the norm for sizes; Euclidean if an attack has no threat model."""
    threat_model = evaluation.threat_models[name]
    return threat_model[0] if threat_model else "l2"


def _caption(title: str, evaluation: Evaluation, shown: int) -> str:
    sentences = [f"{title}, {int(evaluation.clean.sum())} of them right."]
    for name, outcomes in evaluation.attacks.items():
        threat_model = evaluation.threat_models[name]
        within = ""
        if threat_model:
            within = f" ({threat_model[0]}, eps {radius_text(threat_model[1])})"
        attacked = int(outcomes.correct.sum())
        sentences.append(f"{name}{within} fooled {int(outcomes.fooled.sum())} of {attacked}.")
    sentences.append(
        f"Shown: {shown}, correct ones first, classes in turn, fooled and surviving ones in "
        f"proportion but at least one of each."
    )
    return " ".join(sentences)
