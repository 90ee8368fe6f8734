"""Rules between settings: each has a case that it alone refuses, with the whole message."""

import sys
from typing import Any

import pytest

from actor_critic.config import Config, Layer, resolve, rules
from actor_critic.config.rules import NEW_RUN_RULES, RULES, Rule
from actor_critic.errors import ConfigError

CASES: dict[Rule, tuple[dict[str, Any], str]] = {
    rules.num_envs_divides_batch_size: (
        {"batch_size": 32, "num_envs": 7},
        "batch_size: 32 (file) is not a multiple of num_envs=7 (file); try 35, or another num_envs",
    ),
    rules.num_minibatches_divides_batch_size: (
        {"batch_size": 32, "num_minibatches": 5},
        "num_minibatches: 5 (file) does not divide batch_size=32 (file); allowed are its divisors, such as 4",
    ),
    rules.num_minibatches_divides_num_envs_with_memory: (
        {"memory": "gru", "num_envs": 6, "num_minibatches": 4, "batch_size": 24},
        "num_minibatches: 4 (file) does not divide num_envs=6 (file); with memory=gru a minibatch is whole "
        "environments: allowed are divisors, such as 3",
    ),
    rules.workers_are_at_most_num_envs: (
        {"environment": "CartPole-v1", "workers": 3, "num_envs": 2},
        "workers: 3 (file) is more than num_envs=2 (file)",
    ),
    rules.one_process_has_one_worker: (
        {"environment": "CartPole-v1", "workers": "auto", "vectorization": "sync"},
        "workers=auto (file) contradicts vectorization=sync (file), which runs in one process; leave one of them out",
    ),
    rules.native_environments_are_not_replayed: (
        {"environment": "CartPole-v1", "replay": "fresh", "vectorization": "native"},
        "replay=fresh (file) is for single environments, and vectorization=native (file) cannot rebuild its episodes; "
        "leave one of them out",
    ),
    rules.native_environments_are_not_wrapped: (
        {"environment": "CartPole-v1", "frame_stack": 2, "vectorization": "native"},
        "frame_stack: 2 (file) is for single environments, unlike vectorization=native (file); leave one of them out",
    ),
    rules.compiled_environments_are_saved_whole: (
        {"environment": "CartPole-v1", "replay": "none", "vectorization": "compiled"},
        "replay=none (file) does not apply to vectorization=compiled (file), whose state is saved whole; leave it out",
    ),
    rules.encoder_kwargs_need_a_custom_encoder: (
        {"encoder_kwargs": {"size": 3}},
        "encoder_kwargs: {'size': 3} (file) is for an encoder of yours, but encoder=auto (default); remove it or name "
        "a module:Class",
    ),
    rules.custom_encoder_takes_no_embedding: (
        {"encoder": "m:C", "embedding_dim": 4},
        "embedding_dim: 4 (file) has no effect with an encoder of your own, encoder=m:C (file); leave it out",
    ),
    rules.clip_vloss_needs_clip_coef: (
        {"clip_vloss": True, "algorithm": "a2c"},
        "clip_vloss: true needs a clip range, but clip_coef=off (default); set clip_coef, such as 0.2",
    ),
    rules.anneal_clip_needs_clip_coef: (
        {"anneal_clip": True, "clip_coef": "off"},
        "anneal_clip: true needs a clip range, but clip_coef=off (file); set clip_coef, such as 0.2",
    ),
    rules.overlap_needs_clip_coef: (
        {"overlap": True, "clip_coef": "off"},
        "overlap: true learns from what an older policy did, which needs ratios and a clip range, but clip_coef=off "
        "(file); set clip_coef, such as 0.2, or algorithm ppo",
    ),
    rules.random_states_take_no_environment_settings: (
        {"max_episode_steps": 9},
        "max_episode_steps: 9 (file) does not apply to random states; remove it or name an environment",
    ),
    rules.evaluations_need_a_gymnasium_environment: (
        {"environment": "CartPole-v1", "evaluation_environment": "random-states"},
        "evaluation_environment: random-states (file) is not possible with environment=CartPole-v1 (file); name an "
        "environment",
    ),
    rules.random_states_have_no_workers: (
        {"vectorization": "workers"},
        "vectorization: workers with workers=auto (default) does not apply to random states, which are drawn all at "
        "once; leave both out",
    ),
    rules.random_states_are_not_replayed: (
        {"replay": "none"},
        "replay=none (file) does not apply to random states, which are saved whole; leave it out",
    ),
    rules.random_states_are_not_stacked: (
        {"frame_stack": 2},
        "frame_stack=2 (file): random states have no past to stack; expected 1",
    ),
    rules.random_states_show_nothing: (
        {"video_interval": 5},
        "video_interval=5 (file): random states have no pictures to record; leave it out",
    ),
    rules.random_states_have_no_rewards_to_change: (
        {"reward_mode": "add"},
        'reward_mode=add (file): random states have no reward of their own to add; expected "replace"',
    ),
    rules.random_states_need_a_reward_model: (
        {"reward_model": "environment"},
        'reward_model: "environment" is not possible with random states, which have no reward of their own; expected '
        '"linear" or "module:Class"',
    ),
    rules.reward_mode_needs_a_reward_model: (
        {"environment": "CartPole-v1", "reward_mode": "shape"},
        "reward_mode=shape (file) needs a reward_model; name one as module:Class",
    ),
    rules.random_states_have_no_restarts: (
        {"max_worker_restarts": 2},
        "max_worker_restarts=2 (file) does not apply to random states, which have no workers; leave it out",
    ),
    rules.restarts_need_workers: (
        {"environment": "CartPole-v1", "max_worker_restarts": 2, "vectorization": "sync"},
        "max_worker_restarts=2 (file) contradicts vectorization=sync (file): this process cannot be replaced; use "
        "vectorization workers",
    ),
}


def _resolve(given: dict[str, Any]) -> None:
    resolve(Layer("file", Config(**given)))


def test_every_rule_has_a_case() -> None:
    listed = [*RULES, *NEW_RUN_RULES]
    assert len(set(listed)) == len(listed)
    assert set(listed) == CASES.keys()
    defined = {rule for rule in vars(rules).values() if getattr(rule, "__annotations__", {}).get("v") is rules.Values}
    assert defined == CASES.keys()


@pytest.mark.parametrize("rule", CASES, ids=lambda rule: rule.__name__)
def test_a_rule_refuses_its_case_and_no_other_rule_does(rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    given, message = CASES[rule]
    with pytest.raises(ConfigError) as caught:
        _resolve(given)
    assert str(caught.value) == message
    module = sys.modules["actor_critic.config.resolve"]  # its name in the package is that of the function
    for name in ("RULES", "NEW_RUN_RULES"):
        monkeypatch.setattr(module, name, tuple(other for other in getattr(rules, name) if other is not rule))
    _resolve(given)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"wrappers": ["m:C"]}, "wrappers: ['m:C'] (file) does not apply to random states"),
        ({"observation_keys": ["a"]}, "observation_keys: ['a'] (file) does not apply to random states"),
        ({"environment_kwargs": {"a": 1}}, "environment_kwargs: {'a': 1} (file) does not apply to random states"),
        ({"workers": 2}, "vectorization: auto with workers=2 (file) does not apply to random states"),
        (
            {"environment": "CartPole-v1", "wrappers": ["m:C"], "vectorization": "native"},
            "wrappers: ['m:C'] (file) is for single environments",
        ),
    ],
)
def test_a_rule_names_the_setting_that_broke_it(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _resolve(given)
    assert str(caught.value).startswith(words)


def test_the_first_broken_rule_is_reported() -> None:
    with pytest.raises(ConfigError, match=r"^num_minibatches: 5"):
        _resolve({"batch_size": 32, "num_minibatches": 5, "frame_stack": 2})
