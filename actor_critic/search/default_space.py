"""The space that a search takes if none is given."""

from collections.abc import Collection
from typing import Any

from actor_critic.config import Settings
from actor_critic.errors import ConfigError
from actor_critic.search.space import Space

_ANY_ALGORITHM: dict[str, Any] = {
    "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    "ent_coef": {"low": 1e-4, "high": 0.1, "log": True},
    "vf_coef": {"low": 0.25, "high": 1.0},
    "max_grad_norm": [0.3, 0.5, 1.0, 2.0],
}
_EPISODES: dict[str, Any] = {
    "gamma": [0.95, 0.98, 0.99, 0.995, 0.999],
    "gae_lambda": {"low": 0.8, "high": 1.0},
    "normalize_rewards": [True, False],
}
_PPO: dict[str, Any] = {
    "clip_coef": [0.1, 0.2, 0.3],
    "update_epochs": {"low": 3, "high": 20, "log": True},
}

_NUM_ENVS = (4, 8, 16)
_NUM_STEPS = {"ppo": (32, 64, 128, 256), "a2c": (5, 8, 16, 32)}
_NUM_MINIBATCHES = (4, 8, 16, 32)
_MEMORY_MINIBATCHES = (1, 2, 4)  # with memory, it divides every number of environments
_MIN_EPOCHS = 16  # a run of fewer updates is not a fair trial of any setting


def default_space(settings: Settings, fixed: Collection[str] = ()) -> Space:
    """Return the settings that matter most for PPO (Andrychowicz et al., 2021, "What Matters in On-Policy RL?").

    All combinations of its values are valid: the numbers of environments, steps and minibatches are powers of two, and
    the minibatches divide the steps.

    Args:
        settings: The settings without search.
        fixed: Settings that the user has fixed; they are not searched.

    Raises:
        ConfigError: Everything is fixed.
    """
    space = dict(_ANY_ALGORITHM)
    if not settings.is_random_states:  # their episodes have one step
        space |= _EPISODES | _sizes(settings, fixed)
        if settings.algorithm == "ppo" and settings.clip_coef is not None:
            space |= _PPO
    space = {name: entry for name, entry in space.items() if name not in fixed}
    if not space:
        raise ConfigError("SPACE.json is not given, and every setting that is searched without it is fixed by a flag")
    return Space.read(space, "the default space")


def _sizes(settings: Settings, fixed: Collection[str]) -> dict[str, Any]:
    """Return the sizes of the batch, so that a run has ``_MIN_EPOCHS`` epochs at least."""
    if not {"num_envs", "num_steps", "batch_size", "num_minibatches"}.isdisjoint(fixed):
        return {}
    workers = settings.workers if isinstance(settings.workers, int) else 1
    num_envs = [number for number in _NUM_ENVS if number >= workers]
    most = settings.total_timesteps // _MIN_EPOCHS // max(_NUM_ENVS)
    num_steps = [number for number in _NUM_STEPS[settings.algorithm] if number <= most]
    if len(num_envs) < 2 or len(num_steps) < 2:
        return {}
    sizes: dict[str, Any] = {"num_envs": num_envs, "num_steps": num_steps}
    if settings.algorithm == "ppo":
        sizes["num_minibatches"] = list(_MEMORY_MINIBATCHES if settings.memory else _NUM_MINIBATCHES)
    return sizes
