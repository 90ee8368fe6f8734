"""Rules between settings. Each rule is a function that returns an error message, or None."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from actor_critic.config.adapting import nearest_divisor, nearest_multiple
from actor_critic.config.config import RANDOM_STATES
from actor_critic.errors import ConfigError


@dataclass(frozen=True)
class Values:
    """Unchecked values of all settings, each with the name of its source.

    Attributes:
        values: Value by setting; "off" where a feature is off.
        sources: Source by setting, such as "config.json" or "preset ppo".
    """

    values: dict[str, Any]
    sources: dict[str, str]

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def culprit(self, name: str) -> str:
        """Return the start of a message: "num_envs: 8 (config.json)"."""
        return f"{name}: {self.values[name]} ({self.sources[name]})"

    def shown(self, name: str) -> str:
        """Return a setting for the middle of a message: "num_envs=8 (config.json)"."""
        return f"{name}={self.values[name]} ({self.sources[name]})"

    @property
    def is_random_states(self) -> bool:
        """Whether the environment is the built-in random states."""
        return bool(self.values["environment"] == RANDOM_STATES)

    @property
    def has_several_workers(self) -> bool:
        """Whether the setting is a number of workers above 1."""
        return self.values["workers"] not in (1, "auto")


Rule = Callable[[Values], str | None]


def check(values: Values, rules: Sequence[Rule]) -> None:
    """Check settings against rules, in order.

    Raises:
        ConfigError: A rule is broken; the message is that of the first broken rule.
    """
    for rule in rules:
        if message := rule(values):
            raise ConfigError(message)


# --- sizes ---


def num_envs_divides_batch_size(v: Values) -> str | None:
    """Require that every environment takes the same number of steps per epoch."""
    if v["batch_size"] % v["num_envs"] == 0:
        return None
    return (
        f"{v.culprit('batch_size')} is not a multiple of {v.shown('num_envs')}; "
        f"try {nearest_multiple(v['batch_size'], v['num_envs'])}, or another num_envs"
    )


def num_minibatches_divides_batch_size(v: Values) -> str | None:
    """Require minibatches of equal size."""
    if v["batch_size"] % v["num_minibatches"] == 0:
        return None
    return (
        f"{v.culprit('num_minibatches')} does not divide {v.shown('batch_size')}; allowed are its divisors, such as "
        f"{nearest_divisor(v['batch_size'], v['num_minibatches'])}"
    )


def num_minibatches_divides_num_envs_with_memory(v: Values) -> str | None:
    """Require minibatches of whole environments, since a recurrent layer reads the steps of an environment in order."""
    if v["memory"] == "off" or v["num_envs"] % v["num_minibatches"] == 0:
        return None
    return (
        f"{v.culprit('num_minibatches')} does not divide {v.shown('num_envs')}; with memory={v['memory']} a minibatch "
        f"is whole environments: allowed are divisors, such as {nearest_divisor(v['num_envs'], v['num_minibatches'])}"
    )


# --- how environments are executed ---


def workers_are_at_most_num_envs(v: Values) -> str | None:
    """Require at least one environment per worker."""
    if not v.has_several_workers or v["workers"] <= v["num_envs"]:
        return None
    return f"{v.culprit('workers')} is more than {v.shown('num_envs')}"


def one_process_has_one_worker(v: Values) -> str | None:
    """Refuse several workers if all environments run in this process."""
    if v["workers"] == 1 or v["vectorization"] not in ("sync", "native", "compiled"):
        return None
    return (
        f"{v.shown('workers')} contradicts {v.shown('vectorization')}, which runs in one process; leave one of them out"
    )


def native_environments_are_not_replayed(v: Values) -> str | None:
    """Refuse to replay episodes of a native vector environment, which cannot be reset one by one."""
    if v["vectorization"] != "native" or v["replay"] not in ("reset", "fresh"):
        return None
    return (
        f"{v.shown('replay')} is for single environments, and {v.shown('vectorization')} cannot rebuild its episodes; "
        f"leave one of them out"
    )


def native_environments_are_not_wrapped(v: Values) -> str | None:
    """Refuse wrappers of single environments around a native or compiled vector environment."""
    wrapping = [name for name, none in (("wrappers", []), ("frame_stack", 1)) if v[name] != none]
    if v["vectorization"] not in ("native", "compiled") or not wrapping:
        return None
    return (
        f"{v.culprit(wrapping[0])} is for single environments, unlike {v.shown('vectorization')}; leave one of them out"
    )


def compiled_environments_are_saved_whole(v: Values) -> str | None:
    """Refuse to replay compiled environments, which checkpoints save completely."""
    if v["vectorization"] != "compiled" or v["replay"] not in ("fresh", "none"):
        return None
    return f"{v.shown('replay')} does not apply to {v.shown('vectorization')}, whose state is saved whole; leave it out"


# --- networks ---


def encoder_kwargs_need_a_custom_encoder(v: Values) -> str | None:
    """Refuse ``encoder_kwargs`` for a built-in encoder, which takes none."""
    if not v["encoder_kwargs"] or ":" in v["encoder"]:
        return None
    return (
        f"{v.culprit('encoder_kwargs')} is for an encoder of yours, but {v.shown('encoder')}; remove it or name a "
        f"module:Class"
    )


def custom_encoder_takes_no_embedding(v: Values) -> str | None:
    """Refuse an embedding with a custom encoder, which reads the observation itself."""
    if ":" not in v["encoder"] or v["embedding_dim"] == "off":
        return None
    return f"{v.culprit('embedding_dim')} has no effect with an encoder of your own, {v.shown('encoder')}; leave it out"


# --- the clip range ---


def clip_vloss_needs_clip_coef(v: Values) -> str | None:
    """Require a clip range for the value loss."""
    if not v["clip_vloss"] or v["clip_coef"] != "off":
        return None
    return f"clip_vloss: true needs a clip range, but {v.shown('clip_coef')}; set clip_coef, such as 0.2"


def anneal_clip_needs_clip_coef(v: Values) -> str | None:
    """Require a clip range to anneal."""
    if not v["anneal_clip"] or v["clip_coef"] != "off":
        return None
    return f"anneal_clip: true needs a clip range, but {v.shown('clip_coef')}; set clip_coef, such as 0.2"


def overlap_needs_clip_coef(v: Values) -> str | None:
    """Require a clip range for rollouts of an older policy, whose ratios it limits."""
    if not v["overlap"] or v["clip_coef"] != "off":
        return None
    return (
        f"overlap: true learns from what an older policy did, which needs ratios and a clip range, but "
        f"{v.shown('clip_coef')}; set clip_coef, such as 0.2, or algorithm ppo"
    )


# --- random states ---


def random_states_take_no_environment_settings(v: Values) -> str | None:
    """Refuse arguments, wrappers, parts and step limits for random states, which are not a Gymnasium environment."""
    names = (
        "environment_kwargs", "wrappers", "observation_keys", "max_episode_steps",
        "evaluation_environment", "evaluation_environment_kwargs",
    )  # fmt: skip
    given = [name for name in names if v.values.get(name)]
    if not v.is_random_states or not given:
        return None
    return f"{v.culprit(given[0])} does not apply to random states; remove it or name an environment"


def evaluations_need_a_gymnasium_environment(v: Values) -> str | None:
    """Refuse random states as another environment of evaluations."""
    if v.is_random_states or v.values.get("evaluation_environment") != RANDOM_STATES:
        return None
    return f"{v.culprit('evaluation_environment')} is not possible with {v.shown('environment')}; name an environment"


def random_states_have_no_workers(v: Values) -> str | None:
    """Refuse worker processes for random states, which are drawn as one array."""
    is_parallel = v["vectorization"] in ("shared", "workers", "native", "compiled") or v.has_several_workers
    if not v.is_random_states or not is_parallel:
        return None
    return (
        f"vectorization: {v['vectorization']} with {v.shown('workers')} does not apply to random states, which are "
        f"drawn all at once; leave both out"
    )


def random_states_are_not_replayed(v: Values) -> str | None:
    """Refuse to replay random states, which checkpoints save completely."""
    if not v.is_random_states or v["replay"] not in ("fresh", "none"):
        return None
    return f"{v.shown('replay')} does not apply to random states, which are saved whole; leave it out"


def random_states_are_not_stacked(v: Values) -> str | None:
    """Refuse stacked frames for random states, since each episode has only one state."""
    if not v.is_random_states or v["frame_stack"] == 1:
        return None
    return f"{v.shown('frame_stack')}: random states have no past to stack; expected 1"


def random_states_show_nothing(v: Values) -> str | None:
    """Refuse recordings of random states, which cannot be rendered."""
    if not v.is_random_states or v["video_interval"] == "off":
        return None
    return f"{v.shown('video_interval')}: random states have no pictures to record; leave it out"


def random_states_have_no_rewards_to_change(v: Values) -> str | None:
    """Refuse to add to or shape the rewards of random states, which have none of their own."""
    if not v.is_random_states or v["reward_mode"] == "replace":
        return None
    return (
        f'{v.shown("reward_mode")}: random states have no reward of their own to {v["reward_mode"]}; expected "replace"'
    )


def random_states_need_a_reward_model(v: Values) -> str | None:
    """Require a reward model for random states."""
    if not v.is_random_states or v["reward_model"] != "environment":
        return None
    return (
        'reward_model: "environment" is not possible with random states, which have no reward of their own; '
        'expected "linear" or "module:Class"'
    )


def reward_mode_needs_a_reward_model(v: Values) -> str | None:
    """Require a reward model for the reward modes "add" and "shape"."""
    if v["reward_model"] != "environment" or v["reward_mode"] == "replace":
        return None
    return f"{v.shown('reward_mode')} needs a reward_model; name one as module:Class"


# --- restarts ---


def random_states_have_no_restarts(v: Values) -> str | None:
    """Refuse restarts of workers for random states."""
    if not v["max_worker_restarts"] or not v.is_random_states:
        return None
    return f"{v.shown('max_worker_restarts')} does not apply to random states, which have no workers; leave it out"


def restarts_need_workers(v: Values) -> str | None:
    """Refuse restarts of workers if environments run in this process."""
    if not v["max_worker_restarts"] or v["vectorization"] not in ("sync", "shared", "native", "compiled"):
        return None
    return (
        f"{v.shown('max_worker_restarts')} contradicts {v.shown('vectorization')}: this process cannot be replaced; "
        f"use vectorization workers"
    )


RULES: tuple[Rule, ...] = (
    num_envs_divides_batch_size,
    num_minibatches_divides_batch_size,
    workers_are_at_most_num_envs,
    one_process_has_one_worker,
    native_environments_are_not_replayed,
    native_environments_are_not_wrapped,
    compiled_environments_are_saved_whole,
    num_minibatches_divides_num_envs_with_memory,
    encoder_kwargs_need_a_custom_encoder,
    custom_encoder_takes_no_embedding,
    clip_vloss_needs_clip_coef,
    anneal_clip_needs_clip_coef,
    overlap_needs_clip_coef,
    random_states_take_no_environment_settings,
    evaluations_need_a_gymnasium_environment,
    random_states_have_no_workers,
    random_states_are_not_replayed,
    random_states_are_not_stacked,
    random_states_show_nothing,
    random_states_have_no_rewards_to_change,
    random_states_need_a_reward_model,
    reward_mode_needs_a_reward_model,
)
"""Rules for all settings; the first broken rule is reported."""

NEW_RUN_RULES: tuple[Rule, ...] = (random_states_have_no_restarts, restarts_need_workers)
"""Rules for new runs only, because older versions saved runs that break them."""
