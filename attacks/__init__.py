"""Attacks, one file per entry."""

from robench.attacks.autoattack import AutoAttack
from robench.attacks.fgsm import FGSM
from robench.attacks.noise import Noise
from robench.attacks.pgd import PGD
from robench.attacks.simba import SimBA

__all__ = ["FGSM", "PGD", "AutoAttack", "Noise", "SimBA"]
