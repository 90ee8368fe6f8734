"""The policy that acts while transitions are collected: the current one, or one of an earlier update."""

from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from actor_critic.backends import ExecutedPolicy
from actor_critic.networks import FeatureMaker


class Actor:
    """A policy together with its feature computation.

    Attributes:
        policy: The policy.
        features: Makes its input from observations.
    """

    def __init__(self, features: FeatureMaker, policy: ExecutedPolicy) -> None:
        self.policy = policy
        self.features = features

    def __call__(
        self,
        observations: npt.NDArray[Any],
        uniforms: npt.NDArray[np.float32] | None,
        mask: npt.NDArray[np.bool_] | None,
        states: npt.NDArray[np.float32],
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Choose actions for a batch.

        Args:
            observations: [B, *shape], raw.
            uniforms: [B, G], uniform numbers for sampling; None takes the most probable actions.
            mask: [B, A], True where an action is allowed; None allows all.
            states: [B, S], hidden states.

        Returns:
            Action indices [B, G], each counted from 0, and new hidden states [B, S].
        """
        features = observations if self.features.is_identity else self.features(observations)
        return self.policy.act(features, uniforms, mask, states)

    def frozen(self) -> "Actor":
        """Return a copy that later updates do not change."""
        return Actor(self.features.frozen(), self.policy.frozen())

    def state(self) -> dict[str, Tensor]:
        """Return all that determines the actions, as tensors by name."""
        moments = self.features.normalizer.moments.state() if self.features.normalizer else {}
        return {"parameters": self.policy.state(), **moments}

    def load(self, state: dict[str, Tensor]) -> None:
        """Load what :meth:`state` returned for a policy of the same sizes."""
        self.policy.load(state["parameters"])
        if self.features.normalizer:
            self.features.normalizer.moments.load(state)
            self.features.normalizer.refresh()
