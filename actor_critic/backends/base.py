"""What every backend is given and gives back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor


@dataclass(frozen=True)
class UpdateRules:
    """The numbers of one epoch's update; meanings and ranges are those of the settings of the same name.

    ``clip_coef`` None is the unclipped policy gradient; ``max_grad_norm`` and ``target_kl`` None are off.
    """

    learning_rate: float
    adam_beta1: float
    adam_beta2: float
    adam_epsilon: float
    clip_coef: float | None
    clip_vloss: bool
    normalize_advantages: bool
    ent_coef: float
    vf_coef: float
    max_grad_norm: float | None
    target_kl: float | None


@dataclass(frozen=True)
class Batch:
    """The B transitions of one epoch, flattened.

    Attributes:
        features: [B, F], encoded and normalised observations.
        actions: [B, G] int64 choices.
        masks: [B, A] boolean, True where a choice is allowed; None where all are.
        log_probs: [B], of those actions before the first step.
        values: [B], before the first step.
        advantages: [B].
        returns: [B], targets of the value function.
    """

    features: Tensor
    actions: Tensor
    masks: Tensor | None
    log_probs: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor


@dataclass(frozen=True)
class UpdateStatistics:
    """Means over the optimizer steps of one epoch.

    Attributes:
        policy_loss: Policy loss, without entropy bonus.
        value_loss: Half the mean squared error, without ``vf_coef``.
        entropy: In nats.
        approx_kl: KL divergence from the policy before the first step, estimated before each step.
        clip_fraction: Share of ratios outside the clip range.
        gradient_norm: Before clipping.
        steps: Optimizer steps taken; fewer than planned when ``target_kl`` stopped them.
    """

    policy_loss: float
    value_loss: float
    entropy: float
    approx_kl: float
    clip_fraction: float
    gradient_norm: float
    steps: int


class Backend(Protocol):
    """Executes a policy and a value function, and moves both."""

    def act(self, features: Tensor, uniforms: npt.NDArray[np.float32], mask: Tensor | None) -> Tensor:
        """Sample choices [B, G] for features [B, F] at uniform numbers [B, G]."""

    def act_greedily(self, features: Tensor, mask: Tensor | None) -> Tensor:
        """The most probable choices [B, G] for features [B, F]."""

    def assess(self, features: Tensor, actions: Tensor, masks: Tensor | None) -> tuple[Tensor, Tensor]:
        """Log-probabilities [B] of actions [B, G], and values [B], without gradient."""

    def values(self, features: Tensor) -> Tensor:
        """Values [B] of features [B, F], without gradient."""

    def update(
        self, batch: Batch, minibatches: Sequence[npt.NDArray[np.int64]], rules: UpdateRules
    ) -> UpdateStatistics:
        """Take one optimizer step per minibatch, each given by its indices into the batch."""
