"""Attacks, one file per entry."""

from robench.attacks.adaptive import Adaptive
from robench.attacks.apgd import APGD
from robench.attacks.autoattack import AutoAttack
from robench.attacks.certified import Certified
from robench.attacks.corruption import Corruption
from robench.attacks.fab import FAB
from robench.attacks.fgsm import FGSM
from robench.attacks.noise import Noise
from robench.attacks.pgd import PGD
from robench.attacks.simba import SimBA
from robench.attacks.square import Square

__all__ = [
    "APGD",
    "FAB",
    "FGSM",
    "PGD",
    "Adaptive",
    "AutoAttack",
    "Certified",
    "Corruption",
    "Noise",
    "SimBA",
    "Square",
]
