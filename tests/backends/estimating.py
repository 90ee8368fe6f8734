"""Estimates of a backend for observations without rewards."""

import numpy as np
import torch
from torch import Tensor

from actor_critic.algorithm import Experience, Sequences
from actor_critic.backends import Backend, Estimates


def estimate(
    backend: Backend, features: Tensor, actions: Tensor, masks: Tensor | None = None, sequences: Sequences | None = None
) -> Estimates:
    """Of T steps of N environments (of one step without sequences); the features after the last step may be there."""
    shape = (1, len(actions)) if sequences is None else tuple(sequences.starts.shape)
    never = np.zeros(shape, np.bool_)
    nothing = torch.zeros(0, features.shape[1]), (np.zeros(0, np.int64), np.zeros(0, np.int64))
    rewards = np.zeros(shape, np.float32)
    experience = Experience(features, actions, masks, rewards, never, never, *nothing, sequences)
    return backend.estimate(experience, True, 0.99, 0.95)
