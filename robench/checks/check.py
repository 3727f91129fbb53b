"""``check_model``: all checks of one network."""

from collections.abc import Callable, Collection, Mapping

import torch
from torch import Tensor, nn

from robench.attack_tools.threat_models import check_radius
from robench.base import Attack
from robench.checks.batch_statistics import train_eval_gap
from robench.checks.binarization import binarization as binarization_test
from robench.checks.black_box import black_box, transfer
from robench.checks.bounds import inside_ball
from robench.checks.context import CheckContext
from robench.checks.determinism import any_batch, same_logits
from robench.checks.eps_sweep import eps_sweep
from robench.checks.gradients import gradients, loss_rises
from robench.checks.report import Finding, Report
from robench.checks.strength import more_restarts, more_steps, noise_floor, single_step
from robench.errors import UserError
from robench.evaluation import Outcomes
from robench.evaluation.options import check_shortcuts
from robench.evaluation.validation import check_images
from robench.progress import Progress, ProgressCallback, ignore_progress
from robench.system.devices import device_of


def check_model(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    ball: tuple[str, float],
    step_size: float,
    outcomes: Mapping[str, Outcomes] | None = None,
    attacks: Mapping[str, Attack] | None = None,
    source: nn.Module | None = None,
    seed: int = 0,
    samples: int = 128,
    batch_size: int = 256,
    device: str | torch.device | None = None,
    without: Collection[str] = (),
    binarization: bool = False,
    progress: ProgressCallback = ignore_progress,
) -> Report:
    """Check whether what attacks say about a network is to be believed.

    The network comes back as it was, buffers, modes and gradient flags included, and the global
    random state is not touched. The same arguments give the same report.

    Args:
        model: images in [0, 1] -> logits.
        images: (N, C, H, W), float in [0, 1] or uint8; the images of the board, every prefix of
            them balanced over the classes.
        labels: (N,) whole numbers.
        ball: norm ("linf" or "l2") and radius of the board's ranking attack.
        step_size: of that attack, in the same norm.
        outcomes: column -> what the board's evaluation found on the first of these images.
        attacks: column -> the attack of that column; columns without one are passed over.
        source: another trained network, whose adversarial images are tried on this one.
        seed: of random starts.
        samples: attack this many of the images; what the board has counts in full.
        batch_size: images in a forward.
        device: where to work; the model's own by default.
        without: shortcuts to leave out, of :data:`robench.board.specs.Shortcut`.
        binarization: run the binarization test too.
        progress: called before each check and after the last.

    Returns:
        A finding a check; one that cannot be judged on this network says why.

    Raises:
        UserError: for bad images or labels, a ball or step out of range, or outcomes that are of
            other images.
    """
    context = _context(
        model, images, labels, ball, step_size, outcomes or {}, attacks or {}, seed, samples,
        batch_size, device, without,
    )  # fmt: skip
    curve: list[tuple[float, float]] = []

    def run_eps_sweep() -> list[Finding]:
        found, points = eps_sweep(context)
        curve.extend(points)
        return found

    checks: dict[tuple[str, ...], Callable[[], Finding | list[Finding]]] = {
        ("eps_curve", "large_eps"): run_eps_sweep,
        ("single_step",): lambda: single_step(context),
        ("noise_floor",): lambda: noise_floor(context),
        ("more_steps",): lambda: more_steps(context),
        ("more_restarts",): lambda: more_restarts(context),
        ("black_box",): lambda: black_box(context),
        ("transfer",): lambda: transfer(context, source),
        ("finite_gradients", "zero_gradients", "saturated_loss"): lambda: gradients(context),
        ("loss_rises",): lambda: loss_rises(context),
        ("same_logits",): lambda: same_logits(context),
        ("any_batch",): lambda: any_batch(context),
        ("inside_ball",): lambda: inside_ball(context),
        ("train_eval_gap",): lambda: train_eval_gap(context),
    }
    if binarization:
        checks["binarization",] = lambda: binarization_test(context)
    findings: list[Finding] = []
    forked = [context.device] if context.device.type == "cuda" else []
    with torch.inference_mode(False), torch.random.fork_rng(devices=forked):
        for done, (names, check) in enumerate(checks.items()):
            progress(Progress(f"checks: {', '.join(names)}", done, len(checks), "checks"))
            torch.manual_seed(seed)  # of networks that draw random numbers
            findings += _judged(names, check)
    progress(Progress("checks", len(checks), len(checks), "checks"))
    return Report(len(context), tuple(findings), tuple(curve))


def _judged(names: tuple[str, ...], check: Callable[[], Finding | list[Finding]]) -> list[Finding]:
    """Return what a check finds; where it breaks down, that it cannot be judged."""
    try:
        found = check()
    except UserError as error:
        reason = str(error)
    except Exception as error:  # whatever a network does, its other checks are still made
        reason = f"{type(error).__name__}: {str(error).split(chr(10), 1)[0] or 'no reason given'}"
    else:
        return found if isinstance(found, list) else [found]
    return [Finding(name, None, f"It could not be judged: {reason}") for name in names]


def _context(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    ball: tuple[str, float],
    step_size: float,
    outcomes: Mapping[str, Outcomes],
    attacks: Mapping[str, Attack],
    seed: int,
    samples: int,
    batch_size: int,
    device: str | torch.device | None,
    without: Collection[str],
) -> CheckContext:
    norm, eps = ball
    if norm not in ("linf", "l2") or not eps > 0:
        raise UserError(f"the ball is {norm} {eps:g}; checks need linf or l2 and a radius above 0.")
    try:
        check_radius("eps", eps, norm)  # type: ignore[arg-type]
        check_radius("step_size", step_size, norm)  # type: ignore[arg-type]
    except ValueError as error:
        raise UserError(str(error)) from None
    for name, value in (("samples", samples), ("batch_size", batch_size)):
        if value < 1:
            raise UserError(f"{name} is {value}; give 1 or more.")
    check_shortcuts(without)
    total = len(images)
    for column, found in outcomes.items():
        if len(found) > total:
            raise UserError(
                f"'{column}' has outcomes of {len(found)} images where {total} are given; "
                f"give the images that it was judged on."
            )
    few = images[:samples].clone()
    few = few.float() / 255 if few.dtype == torch.uint8 else few.float()
    check_images(few, labels[:samples])
    return CheckContext(
        model=model,
        images=few.cpu(),
        labels=labels[:samples].clone().long().cpu(),
        norm=norm,  # type: ignore[arg-type]
        eps=eps,
        step_size=step_size,
        seed=seed,
        batch_size=batch_size,
        device=device_of(model) if device is None else torch.device(device),
        without=without,
        board={c: (attacks[c], found) for c, found in outcomes.items() if c in attacks},
    )
