"""The update of a data-parallel run: each rank computes the gradient of its part, and all take the same steps."""

import math

import numpy as np
import torch

from actor_critic.algorithm import Batch, Coefficients, Portions, UpdateStatistics, not_finite
from actor_critic.backends.base import Backend
from actor_critic.errors import NumericalError
from actor_critic.networks import FlatParameters
from actor_critic.ranks import Ranks

_NUM_METRICS = 5
_KL = 3  # the place of approx_kl among the metrics


def update_in_parallel(
    backend: Backend,
    parameters: FlatParameters,
    batch: Batch,
    portions: Portions,
    coefficients: Coefficients,
    ranks: Ranks,
) -> UpdateStatistics:
    """Take one optimizer step per minibatch, with one exchange each: the flat gradient and the metrics are summed.

    Args:
        backend: Computes gradients and takes steps.
        parameters: The flat buffer of both networks.
        batch: The transitions that this rank collected.
        portions: This rank's part of each minibatch; it may be empty.
        coefficients: The coefficients of the epoch.
        ranks: The ranks.

    Raises:
        NumericalError: A gradient is not finite, on every rank; its optimizer step is not taken.
        RankFault: Another rank failed, or was lost.
    """
    parameters.check()
    gradients = parameters.gradients
    if backend.is_compiled and (memory := ranks.memory(4 * (len(gradients) + _NUM_METRICS + 1))):
        return backend.update_in_memory(batch, portions, coefficients, memory)
    exchanged = torch.empty(len(gradients) + _NUM_METRICS + 1, dtype=torch.float32, device=gradients.device)
    gradient, numbers = exchanged[: len(gradients)], exchanged[len(gradients) :]
    target_kl = math.inf if coefficients.target_kl is None else coefficients.target_kl
    totals, taken = np.zeros(_NUM_METRICS + 1), 0
    for portion in portions:
        failure = None
        exchanged.zero_()
        try:
            if portion.weight:  # otherwise no row of it counts
                metrics = backend.gradient(batch, portion, coefficients) * portion.weight
                torch.mul(gradients, portion.weight, out=gradient)
                numbers[:_NUM_METRICS] = torch.from_numpy(metrics)
        except Exception as error:  # the others wait for this rank
            failure = error
            numbers[-1] = 1.0
        ranks.sum(exchanged)
        *found, failures = numbers.tolist()
        if failures:
            with ranks.joint():
                if failure:
                    raise failure
        if found[_KL] > 1.5 * target_kl:
            break
        gradients.copy_(gradient)
        norm = backend.step(coefficients)
        if not math.isfinite(norm):
            loss = found[0] - coefficients.ent_coef * found[2] + coefficients.vf_coef * found[1]
            raise NumericalError(not_finite(backend.steps + 1, loss))
        totals += [*found, norm]
        taken += 1
    policy_loss, value_loss, entropy, kl, clip_fraction, norm = (totals / max(taken, 1)).tolist()
    return UpdateStatistics(policy_loss, value_loss, entropy, kl, clip_fraction, norm, taken)
