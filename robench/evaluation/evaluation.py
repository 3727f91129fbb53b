"""The result of an evaluation: the outcomes of all attacks on one model, and its table."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from robench.base import ThreatModel
from robench.errors import UserError, did_you_mean
from robench.evaluation.outcomes import Bools, Outcomes
from robench.evaluation.partial import Earlier
from robench.evaluation.prove import Proven
from robench.evaluation.queries import median_queries
from robench.expressions import number, radius_text


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """The outcomes of all attacks on one model.

    Attributes:
        clean: (n,) bool, whether the clean image is classified correctly.
        attacks: name of each attack, as it was given -> its outcomes.
        queried: names of the attacks whose cost in queries is a result.
        threat_models: name of each attack -> its norm and radius; None if it is unbounded.
        corruptions: names of the attacks that are corruptions.
        certificates: names of the attacks that are certificates -> what their proofs are about.
        gradients: the precision of the gradients, "bf16" or "float32".
        refused: for each shortcut of the engine that the model rules out, the reason: the end of
            a sentence whose subject is the model.
        earlier: what the sessions before it have spent, if it resumed.
        logits: how many logits the model has, the classes that it tells apart; the images may be of
            fewer.
    """

    clean: Bools
    attacks: dict[str, Outcomes]
    queried: tuple[str, ...]
    threat_models: Mapping[str, ThreatModel | None]
    corruptions: tuple[str, ...] = ()
    certificates: Mapping[str, Proven] = field(default_factory=dict)
    gradients: str = "float32"
    refused: Mapping[str, str] = field(default_factory=dict)
    earlier: Earlier = field(default_factory=Earlier)
    logits: int = 0

    def __repr__(self) -> str:
        count = len(self.clean)
        figures = [f"clean {self.accuracy():.1%}"]
        for name, outcomes in self.attacks.items():
            part = "" if len(outcomes) == count else f" of {len(outcomes)}"
            figures.append(f"{name} {outcomes.accuracy:.1%}{part}")
        return f"<Evaluation of {count} samples: {', '.join(figures)}>"

    def accuracy(self, name: str = "clean") -> float:
        """Return the share of samples classified correctly, clean or under the attack ``name``.

        Raises:
            UserError: if no attack has that name.
        """
        if name != "clean" and name not in self.attacks:
            raise UserError(
                f"no attack is named '{name}'; {did_you_mean(name, ['clean', *self.attacks])}"
            )
        return float(self.clean.mean()) if name == "clean" else self.attacks[name].accuracy

    def worst_case(self, norm: str, eps: float | str) -> Outcomes:
        """Return the per-sample worst case over all attacks of one threat model.

        It has only the samples that all of them were given. Attacks without a threat model are
        left out: they have no bound that could be compared.

        Raises:
            UserError: if no attack has that ball.
        """
        radius: float = number(eps)
        own = [
            outcomes
            for name, outcomes in self.attacks.items()
            if self.threat_models[name] == (norm, radius)
        ]
        if not own:
            balls = dict.fromkeys(ball for ball in self.threat_models.values() if ball)
            known = ", ".join(f"{ball.norm} {radius_text(ball.eps)}" for ball in balls) or "none"
            raise UserError(
                f"no attack has the ball {norm} {radius_text(radius)}; those of this evaluation "
                f"are: {known}."
            )
        return Outcomes.worst_of(own)

    def corruption_accuracy(self) -> float:
        """Return the mean accuracy over the corruptions; nan if there are none."""
        found = [self.attacks[name].accuracy for name in self.corruptions]
        return sum(found) / len(found) if found else math.nan

    def table(self) -> pd.DataFrame:
        """Return one row for ``clean``, one per attack, and the mean over corruptions."""
        outcomes = {"clean": Outcomes.without_attack(self.clean), **self.attacks}
        bounds = [bound for bound in self.threat_models.values() if bound]
        for norm, eps in dict.fromkeys(bound for bound in bounds if bounds.count(bound) > 1):
            outcomes[f"worst case ({norm} {radius_text(eps)})"] = self.worst_case(norm, eps)
        rows = [self._row(name, o) for name, o in outcomes.items()]
        if len(self.corruptions) > 1:
            samples = min(len(self.attacks[name]) for name in self.corruptions)
            name = f"mean over {len(self.corruptions)} corruptions"
            accuracy = self.corruption_accuracy()
            rows.append({"attack": name, "samples": samples, "accuracy": accuracy})
        return pd.DataFrame(rows)

    def _row(self, name: str, o: Outcomes) -> dict[str, Any]:
        row = {"attack": name, "samples": len(o), "accuracy": o.accuracy}
        ball = self.threat_models.get(name)
        if name in self.certificates:  # it has neither costs nor perturbations
            return row
        return row | {
            "success_rate": o.success_rate,
            "survive_rounding": o.survive_rounding,
            "mean_queries": o.mean_queries,
            "mean_queries_of_successes": o.mean_queries_of_successes,
            "median_queries": median_queries(o),
            "mean_forwards": o.mean_forwards,
            "mean_backwards": o.mean_backwards,
            "largest_linf": float(o.linf.max()),
            "largest_l2": float(o.l2.max()),
            "median_l2": o.median_l2,
            "ball_norm": ball.norm if ball else None,
            "ball_eps": ball.eps if ball else None,
        }
