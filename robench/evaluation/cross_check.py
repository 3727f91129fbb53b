"""Compare the same attacks across libraries, sample by sample."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Unpack

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import binomtest
from torch import Tensor, nn

from robench.attack_tools.threat_models import default_step_size
from robench.base import ThreatModel
from robench.errors import UserError
from robench.evaluation.evaluate import evaluate
from robench.evaluation.evaluation import Evaluation
from robench.evaluation.options import EvaluationKeywords, EvaluationOptions
from robench.evaluation.outcomes import Bools
from robench.evaluation.validation import Classes, Pixels, as_samples
from robench.registry import attacks

TARGETS = 3
"""Number of target classes of targeted APGD, whose loss needs four classes."""

RERUNS = 10
"""Number of runs with other random starts, which show how chance affects a sample."""


@dataclass(frozen=True)
class _Case:
    """One attack, as each library spells it."""

    name: str
    ours: str
    theirs: Mapping[str, str]
    random: bool


def cross_check(
    model: nn.Module,
    images: Pixels,
    labels: Classes,
    threat_model: ThreatModel,
    *,
    step_size: float | None = None,
    steps: int = 20,
    options: EvaluationOptions | None = None,
    **keywords: Unpack[EvaluationKeywords],
) -> pd.DataFrame:
    """Run FGSM and PGD through robench, torchattacks and foolbox on the same samples.

    If adv-lib is installed, its Auto-PGD is compared, too: with cross-entropy, and with the
    targeted difference-of-logits ratio if a label shows that there are at least four classes.

    All run in float32 without a folded copy, so that libraries differ only by rounding and by their
    random starts. A sample differs by more than chance if neither robench nor the library, each
    run with ten more random starts, ever reaches the other's outcome (for a thousand samples, that
    happens by chance in at most 3 of 1,000 such comparisons); for FGSM, which draws no random
    numbers, whenever it differs.

    Args:
        model: images in [0, 1] -> logits.
        images: (N, C, H, W).
        labels: (N,).
        threat_model: norm, "linf" or "l2", and radius of the attacks.
        step_size: step size of PGD; a quarter of ``eps`` if left out.
        steps: number of steps of PGD and Auto-PGD.
        options: seed, batch size, device and the like; shortcuts that round are always left out.
        keywords: the same options one by one.

    Returns:
        One row per attack and library: accuracies, share of samples with the same outcome, samples
        that only one of the two fooled, McNemar's exact p-value, and the samples that differ by
        more than chance.
    """

    def run(calls: list[str], start: int, rows: Tensor | None = None) -> Evaluation:
        x, y = samples if rows is None else (samples[0][rows], samples[1][rows])
        return evaluate(model, x, y, calls, options=replace(plain, seed=start))

    samples = as_samples(images, labels)
    plain = replace(
        EvaluationOptions.of(options, **keywords), without=("bf16", "folding"), resume=None
    )
    seed, (norm, eps) = plain.seed, threat_model
    cases = _cases(norm, eps, default_step_size(eps) if step_size is None else step_size, steps)
    if _has_adv_lib():
        targeted = int(samples[1].max()) >= TARGETS
        cases += _adv_lib_cases(norm, eps, steps, targeted=targeted)
    named = [name for case in cases for name in (case.ours, *case.theirs.values())]
    first = run(named, seed)
    reruns = [
        run([case.ours for case in cases if case.random], seed + 1 + i) for i in range(RERUNS)
    ]
    rows = []
    for case in cases:
        ours = first.attacks[case.ours].robust
        others = [ours, *(r.attacks[case.ours].robust for r in reruns if case.random)]
        for library, name in case.theirs.items():
            theirs = first.attacks[name].robust
            compared, suspects = _compared(ours, theirs, others)
            if case.random and len(suspects):
                suspects = _still(run, name, seed, suspects, theirs)
            rows.append(
                {
                    "attack": case.name,
                    "library": library,
                    "samples": len(ours),
                    "accuracy": float(theirs.mean()),
                    "robench_accuracy": float(ours.mean()),
                    **compared,
                    "beyond_chance": " ".join(map(str, suspects)),
                }
            )
    return pd.DataFrame(rows)


def _still(
    run: Callable[[list[str], int, Tensor], Evaluation],
    name: str,
    seed: int,
    suspects: NDArray[np.int64],
    theirs: Bools,
) -> NDArray[np.int64]:
    """Return the suspects for which the library has the same outcome in every run."""
    for i in range(RERUNS):
        if not len(suspects):
            break
        again = run([name], seed + 1 + i, torch.from_numpy(suspects)).attacks[name].robust
        suspects = suspects[again == theirs[suspects]]
    return suspects


def _compared(
    ours: Bools, theirs: Bools, others: list[Bools]
) -> tuple[dict[str, Any], NDArray[np.int64]]:
    """Return the comparison, and the samples whose outcome in no other run was the library's."""
    only_ours, only_theirs = int((~ours & theirs).sum()), int((ours & ~theirs).sum())
    differing = only_ours + only_theirs
    never = np.logical_and.reduce([run != theirs for run in others])
    compared = {
        "agreement": float((ours == theirs).mean()),
        "only_robench_fools": only_ours,
        "only_library_fools": only_theirs,
        "p_value": float(binomtest(only_ours, differing).pvalue) if differing else 1.0,
    }
    return compared, np.flatnonzero(never)


def _has_adv_lib() -> bool:
    try:
        attacks.get("adv_lib:apgd")
    except UserError:
        return False
    return True


def _adv_lib_cases(norm: str, eps: float, steps: int, *, targeted: bool) -> list[_Case]:
    common = f"norm='{norm}', eps={eps!r}"
    own, other = f"{common}, steps={steps}", f"{common}, n_iter={steps}"
    cases = [("ce", f"apgd({own})", f"adv_lib:apgd({other}, loss_function='ce')")]
    if targeted:
        ours = f"apgd({own}, loss='targeted', targets={TARGETS})"
        cases.append(("t", ours, f"adv_lib:apgd_targeted({other}, num_targets={TARGETS})"))
    return [
        _Case(f"apgd-{loss}-{steps}", ours, {"adv_lib": theirs}, random=True)
        for loss, ours, theirs in cases
    ]


def _cases(norm: str, eps: float, step_size: float, steps: int) -> list[_Case]:
    radius, step = f"eps={eps!r}", f"step_size={step_size!r}, steps={steps}"
    linf = norm == "linf"
    fgsm = {"foolbox": f"foolbox:{'FGSM' if linf else 'FGM'}({radius})"}
    if linf:  # torchattacks has FGSM in Linf only
        fgsm = {"torchattacks": f"torchattacks:FGSM({radius})", **fgsm}
    pgd = {
        "torchattacks": f"torchattacks:{'PGD' if linf else 'PGDL2'}({radius}, {step})",
        "foolbox": f"foolbox:{'LinfPGD' if linf else 'L2PGD'}({radius}, {step})",
    }
    own = f"norm='{norm}', {radius}"
    return [
        _Case("fgsm", f"fgsm({own})", fgsm, random=False),
        _Case(f"pgd-{steps}", f"pgd({own}, {step})", pgd, random=True),
    ]
