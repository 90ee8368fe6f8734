"""The transitions of one epoch as input of the objective, and the statistics of an update."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor


@dataclass(frozen=True)
class Sequences:
    """What networks with memory need besides a batch of T steps of N environments, flattened time-major.

    Attributes:
        policy_state: [N, S], hidden states of the policy before the first step.
        value_state: [N, S], hidden states of the value function before the first step.
        starts: [T, N] boolean, True where an episode begins; the hidden state before that step is 0.
        valid: [T · N] boolean, False where a row is a pause between episodes; None if all rows are transitions.
    """

    policy_state: Tensor
    value_state: Tensor
    starts: Tensor
    valid: Tensor | None = None

    def select(self, rows: Tensor) -> "Sequences":
        """Return the part for the environments of a time-major minibatch, given by its rows."""
        envs = rows[: len(rows) // len(self.starts)]  # the rows of the first step are the environment indices
        valid = None if self.valid is None else self.valid[rows]
        return Sequences(self.policy_state[envs], self.value_state[envs], self.starts[:, envs], valid)


@dataclass(frozen=True)
class Experience:
    """A rollout of T steps of N environments as input of the networks, flattened time-major.

    Attributes:
        features: [(T + 1) · N, F]; the last N may be left out if all episodes ended in the last step.
        actions: [T · N, G] action indices.
        masks: [T · N, A], True where a choice is allowed; None if all are.
        rewards: [T, N], clipped and normalised.
        terminated: [T, N], whether the step terminated the episode.
        ended: [T, N], whether the step was the last of its episode (terminated or truncated).
        final_features: [E, F], of the final observations of the E truncated steps.
        final_at: The step [E] and the environment [E] of each of these.
        sequences: Hidden states and episode starts; None without memory.
        valid: [T, N], False where an environment paused between two episodes; None if none paused.
        log_probs: [T · N], of the actions under the policy that took them; None if this is the current policy.
    """

    features: Tensor
    actions: Tensor
    masks: Tensor | None
    rewards: npt.NDArray[np.float32]
    terminated: npt.NDArray[np.bool_]
    ended: npt.NDArray[np.bool_]
    final_features: Tensor
    final_at: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
    sequences: Sequences | None = None
    valid: npt.NDArray[np.bool_] | None = None
    log_probs: Tensor | None = None


@dataclass(frozen=True)
class Batch:
    """The B transitions of one epoch, flattened.

    Attributes:
        features: [B, F], encoded and normalised observations.
        actions: [B, G] int64 action indices, one per group.
        masks: [B, A] boolean, True where a choice is allowed; None where all are.
        log_probs: [B], of the actions under the policy that took them; None if this policy takes only one optimizer
            step, so that all ratios are 1.
        values: [B], before the first optimizer step.
        advantages: [B].
        returns: [B], targets of the value function.
        sequences: Hidden states and episode starts; None without memory.
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
        """Return all tensors by name."""
        found = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        known = vars(self.sequences) if self.sequences is not None else {}
        return found | {f"sequences.{name}": value for name, value in known.items() if isinstance(value, Tensor)}

    def select(self, rows: Tensor | slice, sequences: Sequences | None = None) -> "Batch":
        """Return the transitions of some rows, with ``sequences`` for these rows."""
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
class UpdateStatistics:
    """Means over the optimizer steps of one epoch.

    Attributes:
        policy_loss: Policy loss, without entropy bonus.
        value_loss: Half the mean squared error, without ``vf_coef``.
        entropy: In nats.
        approx_kl: Estimated KL divergence from the policy that acted, before each step.
        clip_fraction: Share of ratios outside the clip range.
        gradient_norm: Euclidean norm of the gradient before clipping.
        steps: Optimizer steps taken; fewer than planned if ``target_kl`` stopped them.
    """

    policy_loss: float
    value_loss: float
    entropy: float
    approx_kl: float
    clip_fraction: float
    gradient_norm: float
    steps: int


def not_finite(step: int, loss: float) -> str:
    """Return the error message for an optimizer step whose gradient is not finite."""
    return (
        f"the gradient of optimizer step {step} is not finite (loss {loss:g}); the step was not taken: lower "
        f"learning_rate, set max_grad_norm, or look for extreme observations or rewards"
    )
