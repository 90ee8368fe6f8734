"""Actor: who chooses while transitions are collected, the agent's policy as it is or as it was."""

from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from actor_critic.backends import ExecutedPolicy
from actor_critic.networks import FeatureMaker


class Actor:
    """A policy behind its features.

    Attributes:
        policy: The policy.
    """

    def __init__(self, features: FeatureMaker, policy: ExecutedPolicy) -> None:
        self.policy = policy
        self._features = features

    def choose(
        self,
        observations: npt.NDArray[Any],
        uniforms: npt.NDArray[np.float32] | None,
        mask: npt.NDArray[np.bool_] | None,
        states: npt.NDArray[np.float32],
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Choices for a batch.

        Args:
            observations: [B, *shape], raw.
            uniforms: [B, G], the uniform numbers to sample at; None takes the most probable choices.
            mask: [B, A], True where a choice is allowed; None allows all.
            states: [B, S], hidden states before.

        Returns:
            Choices [B, G], each counted from 0, and hidden states [B, S] afterwards.
        """
        features = observations if self._features.is_identity else self._features(observations)
        return self.policy.act(features, uniforms, mask, states)

    def frozen(self) -> "Actor":
        """This as it is now, whatever is learned from here on."""
        return Actor(self._features.frozen(), self.policy.frozen())

    def state(self) -> dict[str, Tensor]:
        """All that decides its choices, as tensors by name."""
        moments = self._features.normalizer.moments.state() if self._features.normalizer else {}
        return {"parameters": self.policy.state(), **moments}

    def load(self, state: dict[str, Tensor]) -> None:
        """Take over what :meth:`state` gave of a policy of the same sizes."""
        self.policy.load(state["parameters"])
        if self._features.normalizer:
            self._features.normalizer.moments.load(state)
            self._features.normalizer.refresh()
