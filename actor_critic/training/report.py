"""The report of one training epoch."""

from dataclasses import dataclass, field, fields

import numpy as np
import numpy.typing as npt

from actor_critic.display import html_table
from actor_critic.evaluation import EVALUATED, Evaluation
from actor_critic.training.choices import Choices


def _none() -> npt.NDArray[np.float64]:
    return np.zeros(0)


@dataclass(frozen=True)
class EpochReport:
    """The report of one training epoch.

    Attributes:
        epoch: Its number, from 1.
        env_steps: Environment steps of the run so far.
        episodes: Training episodes of the run that have ended.
        mean_episodes: The number of episodes in the next four means: the last 100, or all that ended in this epoch if
            these are more. Below 100, short episodes have too much weight, because they end first.
        mean_return: Mean return in the environment's own rewards; None before the first episode ended.
        mean_model_return: Mean return in the reward model's rewards; None without a reward model.
        mean_training_return: Mean return in the rewards after the wrappers; None without wrappers.
        mean_length: Mean length, in steps.
        policy_loss: Mean over the epoch's optimizer steps, as the next five.
        value_loss: Half the mean squared error.
        entropy: Entropy of the policy, in nats.
        approx_kl: KL divergence from the policy before the epoch's first optimizer step.
        clip_fraction: Share of probability ratios outside the clip range.
        gradient_norm: The norm before clipping.
        explained_variance: Share of the returns' variance that the value function explains; None if the returns are
            constant up to float32 rounding.
        learning_rate: Learning rate of this epoch.
        optimizer_steps: Optimizer steps of this epoch; ``target_kl`` may end an epoch's steps early.
        steps_per_second: Environment steps per second of collecting and updating.
        seconds: Where the time went: "environment" and "policy" (or "rollout", if one compiled call does both),
            "update", and "records", the writing of the epoch before.
        logged: The number that ``trainer.log`` was last given, by name.
        episode_returns: [E], the return of each training episode that ended in this epoch.
        episode_lengths: [E], their lengths.
        choices: The actions that were taken; None except in about 200 epochs of a run.
        evaluation: The evaluation after this epoch, if one was due.
    """

    epoch: int
    env_steps: int
    episodes: int
    mean_episodes: int
    mean_return: float | None
    mean_model_return: float | None
    mean_training_return: float | None
    mean_length: float | None
    policy_loss: float
    value_loss: float
    entropy: float
    approx_kl: float
    clip_fraction: float
    gradient_norm: float
    explained_variance: float | None
    learning_rate: float
    optimizer_steps: int
    steps_per_second: float
    seconds: dict[str, float] = field(default_factory=dict, compare=False, repr=False)
    logged: dict[str, float] = field(default_factory=dict, compare=False)
    episode_returns: npt.NDArray[np.float64] = field(default_factory=_none, compare=False, repr=False)
    episode_lengths: npt.NDArray[np.float64] = field(default_factory=_none, compare=False, repr=False)
    choices: Choices | None = field(default=None, compare=False, repr=False)
    evaluation: Evaluation | None = None

    def figures(self) -> dict[str, float | int | None]:
        """Return every metric by name, the epoch first."""
        evaluated = self.evaluation.figures() if self.evaluation else {}
        return {name: getattr(self, name) for name in _OWN} | dict.fromkeys(EVALUATED) | evaluated

    def _repr_html_(self) -> str:
        figures = {**self.figures(), **self.logged}
        return html_table([(name, f"{value:,.5g}") for name, value in figures.items() if value is not None])

    def describe(self, num_epochs: int) -> str:
        """Return the report in one line."""
        parts = [f"epoch {self.epoch}/{num_epochs}", f"steps {self.env_steps}"]
        if self.mean_return is not None:
            covered = "1 episode" if self.mean_episodes == 1 else f"{self.mean_episodes} episodes"
            parts.append(f"return {self.mean_return:.2f} over {covered}")
        if self.mean_model_return is not None:
            parts.append(f"model return {self.mean_model_return:.2f}")
        if self.mean_training_return is not None and self.mean_training_return != self.mean_return:
            parts.append(f"training return {self.mean_training_return:.2f}")
        parts += [
            f"policy loss {self.policy_loss:.4f}",
            f"value loss {self.value_loss:.4f}",
            f"entropy {self.entropy:.3f}",
            f"{self.steps_per_second:,.0f} steps/s",
        ]
        return " | ".join(parts)


_OWN = [each.name for each in fields(EpochReport) if each.compare and each.name != "evaluation"]
METRICS = [*_OWN, *EVALUATED]
