"""Run certificates: what is proved of the model, as outcomes like those of attacks."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from robench.attack_tools.threat_models import Norm
from robench.base import Attack, Proof
from robench.errors import UserError
from robench.evaluation.outcomes import Outcomes
from robench.evaluation.run_attacks import Job
from robench.evaluation.validation import as_floats


@dataclass(frozen=True)
class Proven:
    """What a certificate is about.

    Attributes:
        lipschitz: the Lipschitz constant from pixels to logits; None if there is none.
        unproved: why nothing is proved of the model; empty if something is.
    """

    lipschitz: float | None
    unproved: str


def is_certificate(group: Mapping[str, Attack]) -> bool:
    """Return whether a group that shares its work proves rather than searches."""
    return all(attack.proves for attack in group.values())


def prove_group(group: Mapping[str, Attack], job: Job) -> tuple[dict[str, Outcomes], Proven]:
    """Return the outcomes of certificates that share one proof, and what the proof is about.

    The size of an outcome in the norm of the proof is the certified radius: float32, rounded down,
    and no more than the largest distance of two images. A ball in Linf contains that in L2, so that
    ``l2`` is the radius either way. An image is robust if its radius is ``eps`` or more.

    Args:
        group: name -> certificate.
        job: what all groups share.

    Raises:
        UserError: if a certificate returns no radius for each sample, or proves in an unknown norm,
            or in another one than those that it shares its proof with.
    """
    name, first = next(iter(group.items()))
    norm = _norm(group.values())
    total = len(job.images)
    count = min(max(attack.samples or total for attack in group.values()), total)
    job.report(name, 0, count)
    images = as_floats(job.images[:count])
    proof = first.proof(job.victim.module, images, job.labels[:count])
    radii = _radii(first, proof, images, norm).where(job.clean[:count], 0.0)
    job.report(name, count, count)
    outcomes = {name: _outcomes(attack, radii, job) for name, attack in group.items()}
    return outcomes, Proven(proof.lipschitz, proof.unproved)


def _norm(certificates: Collection[Attack]) -> str:
    """Return the norm in which certificates prove that share one proof."""
    [name] = {type(certificate).__name__ for certificate in certificates}
    norms = sorted({certificate.proves.norm for certificate in certificates if certificate.proves})
    if len(norms) > 1:
        raise UserError(
            f"the certificate {name} shares one proof between {' and '.join(norms)}; its "
            f"shared_work must name the norm."
        )
    if norms[0] not in get_args(Norm):
        raise UserError(f"the certificate {name} proves in no norm of {get_args(Norm)}.")
    return norms[0]


def _radii(certificate: Attack, proof: Proof, images: Tensor, norm: str) -> Tensor:
    """Return the radii as float32, none larger than what was proved.

    Raises:
        UserError: if they are not one number per image, 0 or larger.
    """
    name, found = type(certificate).__name__, proof.radii
    if found.shape != (len(images),) or found.isnan().any() or (found < 0).any():
        raise UserError(
            f"the certificate {name} returned radii that are not one number per image, 0 or "
            f"larger; correct its proof."
        )
    widest = 1.0 if norm == "linf" else math.sqrt(images[0].numel())
    exact = found.detach().cpu().double().clamp_max(widest)
    rounded = exact.float()
    below = torch.nextafter(rounded, torch.zeros_like(rounded))
    return torch.where(rounded.double() > exact, below, rounded)


def _outcomes(certificate: Attack, radii: Tensor, job: Job) -> Outcomes:
    count = min(certificate.samples or len(radii), len(radii))
    assert certificate.proves is not None
    own, clean = radii[:count].numpy(), job.clean[:count].numpy()
    robust = clean & (own.astype(float) >= certificate.proves.eps)
    none = np.zeros(count, dtype=np.int64)
    linf = own if certificate.proves.norm == "linf" else np.zeros_like(own)
    return Outcomes(clean, robust, robust.copy(), none, none, none, linf, own)
