"""Adapt values of presets and defaults that contradict the settings of the user."""

import math
from collections.abc import Collection
from typing import Any

from actor_critic.config.config import MAX_BATCH_SIZE, MAX_ENVS
from actor_critic.config.fields import DEFAULTS

# A short run learns more from several small batches than from one large batch (docs/defaults.md).
_MIN_EPOCHS, _MIN_BATCH = 16, 64
_USUAL_EPOCHS = 48  # with fewer, rollouts are half as long
_MEMORY_ENVS, _MEMORY_MINIBATCHES, _MEMORY_PASSES = 32, 4, 4  # on long sequences an update takes seconds
_CLIP_COEF = 0.2  # the value of PPO, used if a setting of the user needs a clip range


def adapt(values: dict[str, Any], sources: dict[str, str], explicit: Collection[str], beneath: dict[str, Any]) -> None:
    """Change values of presets and defaults that contradict the user's; the new source names the reason.

    The user's values never change. If they contradict each other, the rules refuse them later.

    Args:
        values: Every setting that has a value; sizes under the name that was set. Changed in place.
        sources: The source of each setting; changed in place.
        explicit: The names of the settings that the user set.
        beneath: The values of presets and defaults.
    """
    open_values = _Adaptable(values, sources, explicit, beneath)
    _adapt_to_memory(open_values)
    _adapt_num_envs(open_values)
    _adapt_to_budget(open_values)
    _adapt_batch_size(open_values)
    _adapt_num_minibatches(open_values)
    _adapt_features(open_values)


def nearest_multiple(number: int, step: int) -> int:
    """Return the positive multiple of ``step`` that is nearest to a number."""
    return max(step, round(number / step) * step)


def nearest_divisor(number: int, wanted: int, multiple_of: int = 1) -> int:
    """Return the divisor of ``number`` that is nearest to ``wanted`` and a multiple of ``multiple_of``."""
    rest = number // multiple_of
    small = [k * multiple_of for k in range(1, min(rest, 1 << 16) + 1) if rest % k == 0]
    return min(small, key=lambda k: abs(k - wanted))


class _Adaptable:
    """The values of all settings. Settings that the user did not set are open: they may be changed."""

    def __init__(
        self, values: dict[str, Any], sources: dict[str, str], explicit: Collection[str], beneath: dict[str, Any]
    ) -> None:
        self.values = values
        self.explicit = explicit
        self.minibatch_size = max(1, beneath["batch_size"] // beneath["num_minibatches"])  # of the preset
        self._sources = sources
        self._before: dict[str, str] = {}

    def is_open(self, name: str) -> bool:
        return name not in self.explicit

    def change(self, name: str, value: Any, reason: str) -> None:
        """Change an open setting to fit another one, ``reason``."""
        if value == self.values.get(name):
            return
        before = self._before.setdefault(name, f"{self._sources.get(name, 'default')} says {self.values.get(name)}")
        self._sources[name] = f"adapted to {reason}={self.values[reason]} ({before})"
        self.values[name] = value

    @property
    def has_memory(self) -> bool:
        return bool(self.values["memory"] != "off")

    @property
    def num_envs(self) -> int | None:
        """Number of environments; None if it follows from the batch size."""
        return self.values.get("num_envs", DEFAULTS["batch_size"].value if "num_steps" in self.values else None)


def _adapt_to_memory(run: _Adaptable) -> None:
    """Give a policy with memory more and shorter sequences, and fewer passes: a step of time is a step of computing."""
    values, sizes = run.values, ("num_envs", "batch_size", "num_steps", "num_minibatches", "update_epochs")
    if not run.has_memory or values["num_minibatches"] == 1 or not all(map(run.is_open, sizes)):
        return
    total, workers = values.get("total_timesteps"), values.get("workers")
    is_short = total is not None and total < _MIN_EPOCHS * values["batch_size"]  # its sequences would be of few steps
    if not is_short and not (isinstance(workers, int) and workers > _MEMORY_ENVS):
        run.change("num_envs", _MEMORY_ENVS, "memory")
    run.change("update_epochs", _MEMORY_PASSES, "memory")
    run.minibatch_size = values["batch_size"] // _MEMORY_MINIBATCHES


def _adapt_num_envs(run: _Adaptable) -> None:
    values = run.values
    if run.num_envs is None or not run.is_open("num_envs"):
        return
    values.setdefault("num_envs", run.num_envs)
    steps, total, minibatches = values.get("num_steps"), values.get("total_timesteps"), values["num_minibatches"]
    if isinstance(values.get("workers"), int) and values["workers"] > values["num_envs"]:
        run.change("num_envs", values["workers"], "workers")
    if total and total // (steps or 1) < values["num_envs"]:
        run.change("num_envs", max(1, total // (steps or 1)), "total_timesteps")
    unit = 1
    if not run.is_open("num_minibatches"):
        unit = minibatches if run.has_memory else 1
        unit = math.lcm(unit, minibatches // math.gcd(minibatches, steps)) if steps else unit
        if unit <= MAX_ENVS and values["num_envs"] % unit:
            run.change("num_envs", nearest_multiple(values["num_envs"], unit), "num_minibatches")
    if steps or run.is_open("batch_size"):
        return
    batch_size = values["batch_size"]
    if batch_size % values["num_envs"] and batch_size % unit == 0:
        run.change("num_envs", nearest_divisor(batch_size, values["num_envs"], unit), "batch_size")


def _adapt_batch_size(run: _Adaptable) -> None:
    values = run.values
    if "num_steps" in values or not run.is_open("batch_size"):
        return
    num_envs, total, minibatches = run.num_envs, values.get("total_timesteps"), values["num_minibatches"]
    before = batch_size = values["batch_size"]
    unit = math.lcm(num_envs or 1, minibatches)
    is_in_the_way = unit > min(batch_size, total or batch_size) or (run.has_memory and (num_envs or 0) % minibatches)
    if is_in_the_way and run.is_open("num_minibatches"):
        unit = num_envs or 1
    reason = "num_envs" if num_envs and batch_size % num_envs else "num_minibatches"
    if num_envs is None and isinstance(values.get("workers"), int) and values["workers"] > batch_size:
        batch_size, reason = values["workers"], "workers"
    if batch_size % unit:
        batch_size = nearest_multiple(batch_size, unit)
    if total and batch_size > total:
        batch_size = total // unit * unit or unit
        reason = "total_timesteps" if batch_size <= total else "num_envs" if num_envs else "num_minibatches"
    if batch_size != before and batch_size <= MAX_BATCH_SIZE:
        run.change("batch_size", batch_size, reason)


def _adapt_to_budget(run: _Adaptable) -> None:
    """Halve the rollouts of a preset in a short run, but keep ``_MIN_BATCH`` transitions.

    They are halved once in a run of fewer than ``_USUAL_EPOCHS`` epochs, and until it has ``_MIN_EPOCHS``.
    """
    values, total, num_envs = run.values, run.values.get("total_timesteps"), run.num_envs
    sizes = ("batch_size", "num_steps", "num_minibatches")
    if total is None or "num_steps" in values or num_envs is None or not all(map(run.is_open, sizes)):
        return
    steps = before = max(1, values["batch_size"] // num_envs)
    epochs = _USUAL_EPOCHS
    while steps > 1 and num_envs * steps > max(_MIN_BATCH, total // epochs):
        steps, epochs = steps // 2, _MIN_EPOCHS
    if steps != before:
        run.change("batch_size", num_envs * steps, "total_timesteps")


def _adapt_num_minibatches(run: _Adaptable) -> None:
    """Keep the size of a preset's minibatches, if it has several."""
    values = run.values
    if not run.is_open("num_minibatches") or values["num_minibatches"] == 1:
        return
    steps = values.get("num_steps")
    batch_size = run.num_envs * steps if run.num_envs and steps else values["batch_size"]
    wanted = max(1, batch_size // run.minibatch_size)
    if run.has_memory and run.num_envs:
        run.change("num_minibatches", nearest_divisor(run.num_envs, wanted), "num_envs")
    else:
        reason = "num_steps" if steps else "batch_size"
        run.change("num_minibatches", nearest_divisor(batch_size, wanted), reason)


def _adapt_features(run: _Adaptable) -> None:
    values = run.values
    if values["clip_coef"] == "off":
        is_explicit = not run.is_open("clip_coef") or not run.is_open("algorithm")
        for name in ("clip_vloss", "anneal_clip", "overlap"):
            if values[name] and run.is_open(name):
                run.change(name, False, "clip_coef")
            elif values[name] and not is_explicit:
                run.change("clip_coef", _CLIP_COEF, name)
    if values["vectorization"] in ("native", "compiled"):
        for name, value in (("wrappers", []), ("frame_stack", 1)):
            if run.is_open(name):
                run.change(name, value, "vectorization")
    if not values["normalize_rewards"] and run.is_open("min_advantage_std"):
        run.change("min_advantage_std", 0.0, "normalize_rewards")
    own_encoder = ":" in values["encoder"]
    if own_encoder and run.is_open("embedding_dim"):
        run.change("embedding_dim", "off", "encoder")
    if not own_encoder and run.is_open("encoder_kwargs"):
        run.change("encoder_kwargs", {}, "encoder")
