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
class Sequences:
    """What networks with memory need besides: a batch as T steps of N environments, flattened time-major.

    Attributes:
        policy_state: [N, S], the policy's hidden states before the first step.
        value_state: [N, S], the value function's.
        starts: [T, N] boolean, True where an episode begins and the state before the step is 0.
        live: [T · N] boolean, False where a row is no transition but a pause between two episodes; None if all are.
    """

    policy_state: Tensor
    value_state: Tensor
    starts: Tensor
    live: Tensor | None = None

    def select(self, rows: Tensor) -> "Sequences":
        """The part for whole environments, given by the rows of a time-major minibatch."""
        envs = rows[: len(rows) // len(self.starts)]  # those of the first step are the environments' own numbers
        live = None if self.live is None else self.live[rows]
        return Sequences(self.policy_state[envs], self.value_state[envs], self.starts[:, envs], live)


@dataclass(frozen=True)
class Batch:
    """The B transitions of one epoch, flattened.

    Attributes:
        features: [B, F], encoded and normalised observations.
        actions: [B, G] int64 choices.
        masks: [B, A] boolean, True where a choice is allowed; None where all are.
        log_probs: [B], of those actions under the policy that took them; None where it is the one that now learns, and
            takes a single step: their ratios are 1.
        values: [B], before the first step.
        advantages: [B].
        returns: [B], targets of the value function.
        sequences: For networks with memory; None without.
    """

    features: Tensor
    actions: Tensor
    masks: Tensor | None
    log_probs: Tensor | None
    values: Tensor
    advantages: Tensor
    returns: Tensor
    sequences: Sequences | None = None

    def tensors(self) -> dict[str, Tensor]:
        """All that is there, by name."""
        found = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        known = vars(self.sequences) if self.sequences is not None else {}
        return found | {f"sequences.{name}": value for name, value in known.items() if isinstance(value, Tensor)}

    def select(self, rows: Tensor | slice, sequences: Sequences | None = None) -> "Batch":
        """The transitions of some rows, and the sequences that they are."""
        return Batch(
            self.features[rows],
            self.actions[rows],
            None if self.masks is None else self.masks[rows],
            None if self.log_probs is None else self.log_probs[rows],
            self.values[rows],
            self.advantages[rows],
            self.returns[rows],
            sequences,
        )


@dataclass(frozen=True)
class Assessment:
    """What both networks make of a rollout, without gradient.

    Attributes:
        log_probs: [T · N], of the actions taken; None where nobody asked.
        values: [T · N], of the observations acted in.
        next_values: [N], of those that the next rollout begins with; none where their features were not given.
        value_states: [T, N, S], hidden states of the value function after every step; None without memory.
    """

    log_probs: Tensor | None
    values: Tensor
    next_values: Tensor
    value_states: Tensor | None


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


class ExecutedPolicy(Protocol):
    """A policy as it is, or as it was when it was frozen."""

    def act(
        self,
        features: Tensor | npt.NDArray[np.float32],
        uniforms: npt.NDArray[np.float32] | None,
        mask: npt.NDArray[np.bool_] | None,
        state: npt.NDArray[np.float32],
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Sample choices [B, G] for features [B, F] at uniform numbers [B, G], or take the most probable for None.

        The hidden states [B, S], of no columns without memory, come back as they are afterwards.
        """

    def log_probs(self, features: Tensor, actions: Tensor, masks: Tensor | None, sequences: Sequences | None) -> Tensor:
        """Log-probabilities [B] of actions [B, G] for features [B, F], without gradient."""

    def frozen(self) -> "ExecutedPolicy":
        """A copy that stays as it is."""

    def state(self) -> Tensor:
        """All that it consists of, as one tensor of its own."""

    def load(self, state: Tensor) -> None:
        """Take over what :meth:`state` gave, of a policy of the same sizes."""


class Backend(Protocol):
    """Executes a policy and a value function, and moves both.

    Attributes:
        policy: The policy as it is.
        first_moment: [P], Adam's m.
        second_moment: [P], Adam's v.
        steps: Optimizer steps taken so far.
    """

    policy: ExecutedPolicy
    first_moment: Tensor
    second_moment: Tensor
    steps: int

    def assess(
        self, features: Tensor, actions: Tensor, masks: Tensor | None, sequences: Sequences | None, log_probs: bool
    ) -> Assessment:
        """Values of features [(T + 1) · N, F], and if wanted log-probabilities of actions [T · N, G]; no gradient.

        The features of the last N, which nothing was done in yet, may be left out.
        """

    def values(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Values [B] of features [B, F] and the hidden states [B, S] afterwards, without gradient."""

    def advantages(
        self,
        rewards: npt.NDArray[np.float32],
        values: npt.NDArray[np.float32],
        next_values: npt.NDArray[np.float32],
        terminated: npt.NDArray[np.bool_],
        ended: npt.NDArray[np.bool_],
        gamma: float,
        gae_lambda: float,
    ) -> npt.NDArray[np.float32]:
        """Advantages [T, N], to the bit those of :func:`actor_critic.ops.returns.generalized_advantage`."""

    def update(
        self, batch: Batch, minibatches: Sequence[npt.NDArray[np.int64]], rules: UpdateRules
    ) -> UpdateStatistics:
        """Take one optimizer step per minibatch, each given by its indices into the batch."""


def not_finite(step: int, loss: float) -> str:
    """What to say of an optimizer step that was not taken because its gradient is not finite."""
    return (
        f"the gradient of optimizer step {step} is not finite (loss {loss:g}); the step was not taken: lower "
        f"learning_rate, set max_grad_norm, or look for extreme observations or rewards"
    )
