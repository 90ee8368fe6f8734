"""From what the user said to what a run is."""

import json
import sys
from dataclasses import fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from actor_critic.config import (
    RANDOM_STATES,
    SETTING_NAMES,
    Config,
    Layer,
    Settings,
    computed_fields,
    parse_json_object,
    resolve,
    settings_from_document,
    settings_of,
    starting_config,
)
from actor_critic.config.config import Default
from actor_critic.config.fields import DEFAULTS, OLD_VALUES, SWITCHABLE
from actor_critic.config.preset import Preset, find_preset, list_presets
from actor_critic.errors import ConfigError
from tests.config.documents import resolvable_configs

NULLABLE = {field.name for field in fields(Settings) if "None" in str(field.type)}
DEFAULT = resolve(Layer("test", Config())).settings


def _resolve(**said: Any) -> Settings:
    return resolve(Layer("file", Config(**said))).settings


CARTPOLE = _resolve(environment="CartPole-v1", input_dim=4, output_dim=2)


def _refusal(*layers: Layer) -> str:
    with pytest.raises(ConfigError) as caught:
        resolve(*layers)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- precedence ---


def test_a_flag_beats_the_file_which_beats_the_preset_which_beats_the_default() -> None:
    flags = Config(gamma=0.1)
    file = Config(environment="MinAtar/SpaceInvaders-v1", gamma=0.2, gae_lambda=0.3)
    resolution = resolve(Layer("flag", flags), Layer("config.json", file))
    expected = {
        "gamma": (0.1, "flag"),
        "gae_lambda": (0.3, "config.json"),
        "environment": ("MinAtar/SpaceInvaders-v1", "config.json"),
        "update_epochs": (4, "preset MinAtar-SpaceInvaders-v1.ppo"),
        "algorithm": ("ppo", "default"),
        "vf_coef": (0.5, "default"),
    }
    found = {name: (getattr(resolution.settings, name), resolution.sources[name]) for name in expected}
    assert found == expected


def test_every_setting_that_has_a_value_has_a_source() -> None:
    for environment in (RANDOM_STATES, "CartPole-v1"):
        resolution = resolve(Layer("file", Config(environment=environment)))
        said = {name for name in SETTING_NAMES if getattr(resolution.settings, name) is not None}
        switched_off = {name for name in SWITCHABLE if getattr(resolution.settings, name) is None}
        assert resolution.sources.keys() == said | switched_off


def test_null_means_from_the_preset_and_off_means_off() -> None:
    assert _resolve(environment="CartPole-v1", clip_coef=None).clip_coef == 0.2
    assert _resolve(environment="CartPole-v1", clip_coef="off").clip_coef is None
    assert _resolve(environment="CartPole-v1", max_grad_norm="off").max_grad_norm is None
    assert _resolve(environment="CartPole-v1").max_grad_norm == 0.5
    assert _resolve(environment="CartPole-v1", algorithm="a2c").clip_coef is None
    said = resolve(Layer("flag", Config(target_kl="off")), Layer("config.json", Config(target_kl=0.01)))
    assert (said.settings.target_kl, said.sources["target_kl"]) == (None, "flag")


def test_the_default_job_is_the_described_one() -> None:
    described = {
        "environment": RANDOM_STATES, "input_dim": 10, "output_dim": 2, "hidden_dim": 256, "learning_rate": 1e-4,
        "batch_size": 32, "num_epochs": 100, "seed": 42, "algorithm": "a2c", "reward_model": "linear",
    }  # fmt: skip
    assert {name: getattr(DEFAULT, name) for name in described} == described
    assert (DEFAULT.num_envs, DEFAULT.num_steps, DEFAULT.total_timesteps) == (32, 1, 3200)


def test_the_starting_file_holds_the_described_keys_and_leaves_the_rest_to_the_preset() -> None:
    start = starting_config(RANDOM_STATES, None, 10, 2)
    assert start.model_dump(exclude_none=True).keys() == {
        "input_dim", "output_dim", "hidden_dim", "learning_rate", "batch_size", "num_epochs", "seed", "environment",
        "algorithm",
    }  # fmt: skip
    assert resolve(Layer("file", start)).settings == DEFAULT
    for algorithm in ("a2c", "ppo"):
        start = starting_config("CartPole-v1", algorithm, 4, 2)
        assert resolve(Layer("file", start)).settings == replace(
            _resolve(environment="CartPole-v1", algorithm=algorithm), input_dim=4, output_dim=2
        )


# --- sizes ---


@pytest.mark.parametrize(
    "both", [{"num_epochs": 5, "total_timesteps": 320}, {"batch_size": 64, "num_steps": 2}], ids=lambda both: min(both)
)
def test_one_source_may_not_say_one_quantity_in_two_ways(both: dict[str, int]) -> None:
    (name, value), (other, other_value) = both.items()
    text = _refusal(Layer("config.json", Config(**both)))  # type: ignore[arg-type]
    assert f"config.json sets both {name}={value} and {other}={other_value}" in text


@pytest.mark.parametrize(
    ("flag", "file", "expected"),
    [
        ({"num_epochs": 5}, {"total_timesteps": 3200}, {"num_epochs": 5}),
        ({"total_timesteps": 95}, {"num_epochs": 100}, {"num_epochs": 2, "total_timesteps": 64}),
        ({"batch_size": 64}, {"num_steps": 7}, {"batch_size": 64}),
        ({"num_steps": 4}, {"batch_size": 64, "num_envs": 3}, {"batch_size": 12, "num_steps": 4}),
        ({"num_steps": 2}, {"batch_size": 64}, {"batch_size": 64, "num_envs": 32}),
        ({"num_envs": 4}, {"batch_size": 64}, {"batch_size": 64, "num_steps": 16}),
        ({"batch_size": 20, "total_timesteps": 59}, {}, {"num_epochs": 2}),
        ({"total_timesteps": 32}, {}, {"num_epochs": 1}),
    ],
)
def test_the_higher_source_decides_a_quantity_whichever_way_it_says_it(
    flag: dict[str, int], file: dict[str, int], expected: dict[str, int]
) -> None:
    settings = resolve(Layer("flag", Config(**flag)), Layer("config.json", Config(**file))).settings  # type: ignore[arg-type]
    assert {name: getattr(settings, name) for name in expected} == expected
    assert settings.num_envs * settings.num_steps == settings.batch_size


def test_a_preset_gives_way_to_num_steps() -> None:
    settings = _resolve(environment="CartPole-v1", num_steps=5)
    assert (settings.num_envs, settings.batch_size) == (8, 40)


def test_a_run_of_no_epoch_is_refused() -> None:
    text = _refusal(Layer("flag", Config(total_timesteps=31)), Layer("config.json", Config(batch_size=32)))
    assert "total_timesteps: 31 (flag)" in text and "batch_size=32" in text and "expected at least 32" in text


def test_sizes_that_do_not_divide_are_refused_with_both_numbers_and_a_mend() -> None:
    text = _refusal(Layer("config.json", Config(batch_size=32, num_envs=7)))
    assert text.startswith("batch_size: 32 (config.json)") and "num_envs=7 (config.json)" in text and "try 35" in text
    text = _refusal(Layer("flag", Config(num_minibatches=5)), Layer("config.json", Config(batch_size=32)))
    assert text.startswith("num_minibatches: 5 (flag)") and "batch_size=32 (config.json)" in text
    assert "such as 4" in text


def test_a_product_beyond_the_range_of_batch_size_is_refused() -> None:
    text = _refusal(Layer("flag", Config(num_envs=65536, num_steps=2**20)))
    assert text.startswith(f"batch_size: {2**36} is not allowed") and f"at most {2**31}" in text


def test_a_batch_larger_than_environments_are_allowed_is_spread_over_steps() -> None:
    settings = _resolve(batch_size=100_000)
    assert (settings.num_envs, settings.num_steps) == (50_000, 2)
    assert settings.to_config().num_envs == 50_000


# --- what was left open follows what was said ---


@pytest.mark.parametrize(
    ("said", "sizes", "adapted"),
    [  # the general preset of ppo: 8 environments, 2048 transitions, 32 minibatches of 64
        ({"memory": "gru", "num_envs": 1}, (1, 2048, 32), {"num_minibatches": (1, "num_envs=1", 32)}),
        (
            {"memory": "gru"},
            (32, 2048, 32),
            {
                "num_envs": (32, "memory=gru", 8),
                "update_epochs": (4, "memory=gru", 10),
                "num_minibatches": (4, "num_envs=32", 32),
            },
        ),
        ({"num_envs": 3}, (3, 2016, 32), {"batch_size": (2016, "num_envs=3", 2048)}),
        (
            {"batch_size": 100},
            (10, 100, 32),
            {"num_envs": (10, "batch_size=100", 8), "num_minibatches": (1, "batch_size=100", 32)},
        ),
        ({"batch_size": 8192}, (8, 8192, 32), {"num_minibatches": (128, "batch_size=8192", 32)}),
        ({"num_minibatches": 5}, (8, 2040, 5), {"batch_size": (2040, "num_minibatches=5", 2048)}),
        ({"num_steps": 5, "num_envs": 3}, (3, 15, 32), {"num_minibatches": (1, "num_steps=5", 32)}),
        ({"num_steps": 5, "num_minibatches": 16}, (16, 80, 16), {"num_envs": (16, "num_minibatches=16", 8)}),
        ({"total_timesteps": 98304}, (8, 2048, 32), {}),
        (
            {"total_timesteps": 98303},
            (8, 1024, 32),
            {"batch_size": (1024, "total_timesteps=98303", 2048), "num_minibatches": (16, "batch_size=1024", 32)},
        ),
        (
            {"total_timesteps": 16384},
            (8, 1024, 32),
            {"batch_size": (1024, "total_timesteps=16384", 2048), "num_minibatches": (16, "batch_size=1024", 32)},
        ),
        (
            {"total_timesteps": 16383},
            (8, 512, 32),
            {"batch_size": (512, "total_timesteps=16383", 2048), "num_minibatches": (8, "batch_size=512", 32)},
        ),
        (
            {"total_timesteps": 500},
            (8, 64, 32),
            {"batch_size": (64, "total_timesteps=500", 2048), "num_minibatches": (1, "batch_size=64", 32)},
        ),
        (
            {"num_steps": 50, "total_timesteps": 120},
            (2, 100, 32),
            {"num_envs": (2, "total_timesteps=120", 8), "num_minibatches": (1, "num_steps=50", 32)},
        ),
        (
            {"workers": 12},
            (12, 2016, 32),
            {"num_envs": (12, "workers=12", 8), "batch_size": (2016, "num_envs=12", 2048)},
        ),
        (
            {"memory": "lstm", "num_minibatches": 5},
            (10, 2050, 5),
            {"num_envs": (10, "num_minibatches=5", 8), "batch_size": (2050, "num_envs=10", 2048)},
        ),
        (
            {"total_timesteps": 5},
            (5, 5, 32),
            {
                "num_envs": (5, "total_timesteps=5", 8),
                "batch_size": (5, "total_timesteps=5", 2048),
                "num_minibatches": (1, "batch_size=5", 32),
            },
        ),
    ],
    ids=str,
)
def test_sizes_that_nobody_said_follow_those_that_were_said(
    said: dict[str, Any], sizes: tuple[int, ...], adapted: dict[str, tuple[int, str, int]]
) -> None:
    resolution = resolve(Layer("flag", Config(environment="Unheard-v0", **said)))
    settings = resolution.settings
    assert settings.num_envs * settings.num_steps == settings.batch_size
    if "num_minibatches" not in adapted:
        assert (settings.num_envs, settings.batch_size, settings.num_minibatches) == sizes
    found = {name: source for name, source in resolution.sources.items() if source.startswith("adapted")}
    # 2048 is the preset's or, where it is told in steps, no part of what was adapted
    expected = {name: f"adapted to {why} (preset ppo says {old})" for name, (_, why, old) in adapted.items()}
    assert found == expected
    for name, (value, _, _) in adapted.items():
        assert getattr(settings, name) == value


def test_defaults_follow_what_was_said_as_presets_do() -> None:
    resolution = resolve(Layer("flag", Config(num_envs=5)))
    assert (resolution.settings.batch_size, resolution.sources["batch_size"]) == (
        30, "adapted to num_envs=5 (default says 32)",
    )  # fmt: skip
    resolution = resolve(Layer("flag", Config(overlap=True)))
    assert (resolution.settings.clip_coef, resolution.sources["clip_coef"]) == (
        0.2, "adapted to overlap=True (default says off)",
    )  # fmt: skip
    wrapped = resolve(Layer("flag", Config(environment="ALE/Pong-v5", vectorization="native")))
    assert (wrapped.settings.wrappers, wrapped.settings.frame_stack) == ([], 1)
    assert wrapped.sources["frame_stack"] == "adapted to vectorization=native (preset ALE.ppo says 4)"


@given(resolvable_configs())
@hypothesis_settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_agrees_is_not_adapted(config: Config) -> None:
    assert not [source for source in resolve(Layer("file", config)).sources.values() if source.startswith("adapted")]


@given(st.fixed_dictionaries({}, optional={
    "num_envs": st.integers(1, 300), "batch_size": st.integers(1, 5000), "num_minibatches": st.integers(1, 300),
    "memory": st.sampled_from(["gru", "off"]), "algorithm": st.sampled_from(["a2c", "ppo"]),
    "total_timesteps": st.integers(1, 5000), "preset": st.sampled_from(["auto", "none"]),
    "environment": st.sampled_from(["Unheard-v0", "LunarLander-v3", RANDOM_STATES]),
}))  # fmt: skip
@hypothesis_settings(max_examples=300, deadline=None)
def test_one_size_that_was_said_is_never_refused(said: dict[str, Any]) -> None:
    sizes = {"num_envs", "batch_size", "num_minibatches", "total_timesteps"} & said.keys()
    for name in sorted(sizes)[1:]:
        del said[name]
    sizes &= said.keys()
    settings = _resolve(**said)
    for name in sizes - {"total_timesteps"}:
        assert getattr(settings, name) == said[name]
    assert settings.total_timesteps <= said.get("total_timesteps", settings.total_timesteps)


# --- there and back ---


def test_settings_have_the_fields_of_config_without_the_second_names() -> None:
    assert list(SETTING_NAMES) == [name for name in Config.model_fields if name not in ("num_steps", "total_timesteps")]
    assert NULLABLE >= SWITCHABLE


@given(resolvable_configs())
@hypothesis_settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_settings_said_again_are_the_same_settings(config: Config) -> None:
    settings = resolve(Layer("config.json", config)).settings
    settings = replace(settings, input_dim=settings.input_dim or 4, output_dim=settings.output_dim or 2)
    assert resolve(Layer("again", settings.to_config())).settings == settings
    document = parse_json_object(settings.to_json(), "settings.json")
    assert settings_from_document(document, "settings.json") == settings
    assert settings_of(settings) == settings
    spoken = config.model_dump(exclude_none=True, exclude={"num_steps", "total_timesteps"})
    for name, value in spoken.items():
        resolved = getattr(settings, name)
        assert resolved == value or (name in SWITCHABLE and (value, resolved) == ("off", None))


@pytest.mark.parametrize("settings", [DEFAULT, CARTPOLE], ids=["random states", "named"])
def test_saved_settings_must_be_complete(settings: Settings) -> None:
    document = settings.to_document()
    may_be_open = NULLABLE - SWITCHABLE - {"input_dim", "output_dim"}  # a run knows its sizes
    for name in document:
        lacking = {key: value for key, value in document.items() if key != name}
        for incomplete in (lacking, document | {name: None}):
            if name in OLD_VALUES and incomplete is lacking:  # as in runs that were saved before the setting existed
                old = None if OLD_VALUES[name] == "off" else OLD_VALUES[name]
                assert getattr(settings_from_document(incomplete, "run/settings.json"), name) == old
                continue
            if name in may_be_open:
                assert settings_from_document(incomplete, "run/settings.json") == settings
                continue
            with pytest.raises(ConfigError, match=rf"^run/settings\.json: {name} not set; saved settings are complete"):
                settings_from_document(incomplete, "run/settings.json")


@pytest.mark.parametrize(
    "saved", [DEFAULT, CARTPOLE.replace(vectorization="sync"), CARTPOLE.replace(vectorization="native", replay="none")]
)
def test_runs_saved_with_restarts_that_none_could_need_are_still_read(saved: Settings) -> None:
    saved = saved.replace(max_worker_restarts=2)
    assert settings_from_document(saved.to_document(), "run/settings.json") == saved


@pytest.mark.parametrize(
    ("changes", "cores"),
    [
        ({}, 1),
        ({"workers": 3}, 3),
        ({"workers": 3, "overlap": True}, 4),
        ({"workers": 3, "threads": 8, "overlap": True, "backend": "fused"}, 5),
        ({"threads": 4, "overlap": True, "backend": "eager"}, 5),
        ({"threads": 4, "backend": "eager"}, 4),
    ],
)
def test_a_run_keeps_as_many_cores_busy_as_collect_and_learn_at_a_time(changes: dict[str, Any], cores: int) -> None:
    assert CARTPOLE.replace(**changes).cores == cores


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"gamma": 5.0}, r"^gamma: 5\.0 is not allowed; expected .* at most 1"),
        ({"gamma": None}, "^gamma not set"),
        ({"num_epochs": "3"}, "^num_epochs: '3' is not allowed"),
        ({"num_envs": 5}, r"^batch_size: 32 \(Settings\) is not a multiple of num_envs=5 \(Settings\); try 30"),
        ({"clip_vloss": True}, "^clip_vloss: true needs a clip range"),
    ],
)
def test_settings_that_a_program_changed_are_checked(change: dict[str, Any], words: str) -> None:
    settings = settings_of(Config())
    with pytest.raises(ConfigError, match=words):
        settings_of(settings.replace(**change))


def test_settings_share_no_list_with_those_they_were_made_of() -> None:
    given = settings_of(Config(environment="CartPole-v1", environment_kwargs={"numbers": [1]}, wrappers=["a:B"]))
    kept = settings_of(given)
    assert kept == given
    given.environment_kwargs["numbers"].append(2)
    given.wrappers.append("c:D")
    assert (kept.environment_kwargs, kept.wrappers) == ({"numbers": [1]}, ["a:B"])


def test_saved_settings_do_not_change_with_the_presets(monkeypatch: pytest.MonkeyPatch) -> None:
    document = CARTPOLE.to_document()
    before = settings_from_document(document, "run/settings.json")
    module = sys.modules["actor_critic.config.resolve"]  # its name in the package is that of the function
    changed_preset = Preset(environment="*", algorithm="ppo", source="elsewhere", settings={"max_hours": 1.0})
    monkeypatch.setattr(module, "find_preset", lambda *_: changed_preset)
    monkeypatch.setitem(DEFAULTS, "target_return", Default(2.0))
    changed = _resolve(environment="CartPole-v1", num_envs=8)
    assert (changed.max_hours, changed.target_return) == (1.0, 2.0)
    assert settings_from_document(document, "run/settings.json") == before


@pytest.mark.parametrize("change", [{"gamma": 2}, {"unheard_of": 1}, {"total_timesteps": 3200}, {"num_envs": 5}])
def test_saved_settings_must_be_valid(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"^run/settings\.json: "):
        settings_from_document(DEFAULT.to_document() | change, "run/settings.json")


def test_a_digest_covers_what_decides_the_next_epoch_and_nothing_else() -> None:
    recorded = {
        "checkpoint_interval", "keep_checkpoints", "evaluation_interval", "evaluation_episodes",
        "evaluation_max_steps", "evaluation_environment", "evaluation_environment_kwargs", "video_interval", "logger",
        "report", "log_file", "target_return", "max_hours", "init_from", "preset", "vectorization", "workers",
        "worker_timeout", "rank_timeout", "max_worker_restarts", "on_checkpoint_error",
        "observation_keys", "min_advantage_std",  # at the value of runs from before this setting
    }  # fmt: skip
    document = DEFAULT.to_document()
    assert document.keys() - computed_fields(document).keys() == recorded | {"num_epochs"}
    for name in ("anneal_lr", "anneal_clip", "anneal_ent"):
        annealed = document | {name: True}
        assert annealed.keys() - computed_fields(annealed).keys() == recorded


# --- presets ---


def test_each_algorithm_has_a_preset_for_random_states_and_for_everything_else() -> None:
    names = {preset.name for preset in list_presets()}
    assert {"a2c", "ppo", "random-states.a2c", "random-states.ppo"} <= names


def test_a_preset_is_named_as_its_file_is() -> None:
    folder = files("actor_critic.config") / "presets"
    assert sorted(f"{preset.name}.json" for preset in list_presets()) == sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize("algorithm", ["a2c", "ppo"])
def test_without_its_own_preset_an_environment_has_the_general_one(algorithm: str) -> None:
    own, other = (_resolve(environment=name, algorithm=algorithm, preset="none") for name in ("CartPole-v1", "New-v0"))
    assert own == replace(other, environment="CartPole-v1")
    assert (own.clip_coef is None) == (algorithm == "a2c")
    plain = _resolve(algorithm=algorithm, preset="none")  # random states keep the numbers of the described job
    assert plain == replace(_resolve(algorithm=algorithm), preset="none")


@pytest.mark.parametrize(
    "said",
    [{"memory": "gru"}, {"encoder": "mlp"}, {"frame_stack": 2}, {"environment_kwargs": {"gravity": -9.0}},
     {"wrappers": ["m:C"]}, {"max_episode_steps": 100}, {"reward_model": "m:C"}],
    ids=str,
)  # fmt: skip
def test_a_preset_holds_only_for_the_problem_that_it_was_tuned_for(said: dict[str, Any]) -> None:
    lander = {"environment": "LunarLander-v3", "algorithm": "a2c"}
    resolution = resolve(Layer("flag", Config(**lander, **said)))
    assert resolution.sources["learning_rate"] == "preset a2c"
    (name,) = said
    same = {"memory": "off", "encoder": "auto", "frame_stack": 1, "reward_model": "environment"}
    if name in same:
        resolution = resolve(Layer("flag", Config(**lander, **{name: same[name]})))
        assert resolution.sources["learning_rate"] == "preset LunarLander-v3.a2c"


def test_a_starting_file_has_the_sizes_of_the_preset_that_it_gets() -> None:
    plain, wrapped = (starting_config("LunarLander-v3", "a2c", 8, 4, given) for given in ({}, {"wrappers": ["m:C"]}))
    sizes = [find_preset(name, "a2c").settings["batch_size"] for name in ("LunarLander-v3", "Unheard-v0")]
    assert [plain.batch_size, wrapped.batch_size] == sizes and sizes[0] != sizes[1]
    assert wrapped.wrappers == ["m:C"]


def test_raw_rewards_leave_advantages_of_any_scale() -> None:
    assert _resolve(environment="Unheard-v0").min_advantage_std == 0.05
    assert _resolve(environment="Unheard-v0", normalize_rewards=False).min_advantage_std == 0.0
    both = _resolve(environment="Unheard-v0", normalize_rewards=False, min_advantage_std=0.1)
    assert both.min_advantage_std == 0.1


def test_a_short_run_with_memory_keeps_sequences() -> None:
    settings = _resolve(environment="Unheard-v0", memory="gru", total_timesteps=4000)
    assert (settings.num_envs, settings.num_steps) == (8, 16)


def test_a_preset_holds_with_its_own_wrappers() -> None:
    wrappers = find_preset("MiniGrid-DoorKey-5x5-v0", "ppo").settings["wrappers"]
    config = Config(environment="MiniGrid-DoorKey-5x5-v0", wrappers=wrappers)
    assert resolve(Layer("flag", config)).sources["learning_rate"] == "preset MiniGrid-DoorKey-5x5-v0.ppo"


@pytest.mark.parametrize("preset", list_presets(), ids=lambda preset: preset.name)
def test_a_preset_is_sound(preset: Preset) -> None:
    environment, algorithm = preset.environment, preset.algorithm
    assert len(preset.source) > 20
    wanted = "Unheard-v0" if environment == "*" else environment
    assert find_preset(wanted, algorithm) == preset
    spoken = preset.config.model_dump(exclude_none=True)
    assert spoken == preset.settings and spoken
    # Settings say None where a file says null: a preset may only set what can be switched off again.
    assert not spoken.keys() & (NULLABLE - SWITCHABLE)
    # Which preset applies, how long a run lasts and where it runs is not for a preset to say.
    assert not spoken.keys() & {"environment", "algorithm", "seed", "num_epochs", "total_timesteps", "num_steps"}
    assert not spoken.keys() & {"device", "threads", "log_file"}
    settings = _resolve(environment=wanted, algorithm=algorithm)
    for key, value in spoken.items():
        assert getattr(settings, key) == (None if value == "off" else value)
    assert settings.num_envs * settings.num_steps == settings.batch_size
    assert settings.num_minibatches * settings.minibatch_size == settings.batch_size


@pytest.mark.parametrize(
    ("name", "preset"),
    [
        ("minigrid:MiniGrid-DoorKey-5x5-v0", "MiniGrid-DoorKey-5x5-v0"),
        ("ale_py:ALE/Pong-v5", "ALE"),
        ("ale_py:ALE/SpaceInvaders-v5", "ALE"),
        ("minatar.gym:MinAtar/SpaceInvaders-v1", "MinAtar-SpaceInvaders-v1"),
    ],
)
def test_an_environment_named_with_its_module_has_the_same_preset(name: str, preset: str) -> None:
    bare = name.partition(":")[2]
    long, short = (resolve(Layer("flag", Config(environment=each))) for each in (name, bare))
    assert long.settings.replace(environment=bare) == short.settings
    assert long.sources == short.sources
    assert long.sources["learning_rate"] == f"preset {preset}.ppo"


@pytest.mark.parametrize("said", [{"environment_kwargs": {"frameskip": 1}}, {"memory": "gru"}, {"encoder": "mlp"}])
@pytest.mark.parametrize("algorithm", ["ppo", "a2c"])
def test_the_preset_of_a_namespace_applies_whatever_else_is_said(algorithm: str, said: dict[str, Any]) -> None:
    resolution = resolve(Layer("flag", Config(environment="ALE/Pong-v5", algorithm=algorithm, **said)))
    assert resolution.sources["wrappers"] == f"preset ALE.{algorithm}"
    assert resolution.settings.wrappers[-1] == "actor_critic.environments:AtariLives"


def test_an_id_that_only_looks_like_that_of_a_preset_has_the_general_one() -> None:
    for environment in ("ALE", "ALE-Pong-v5", "ALE*", "x:MinAtar-SpaceInvaders-v1", "MinAtar/", "/", "*", "a/*"):
        assert find_preset(environment, "ppo").name == "ppo"


@pytest.mark.parametrize("name", ["é" * 200, "x" * 5000, "a\0b"])
def test_an_id_that_cannot_be_the_name_of_a_file_has_the_general_one(name: str) -> None:
    assert find_preset(name, "ppo").name == "ppo"


def test_an_environment_without_a_preset_of_its_own_gets_the_general_one() -> None:
    resolution = resolve(Layer("flag", Config(environment="module:Unknown-v0", algorithm="a2c")))
    assert resolution.sources["learning_rate"] == "preset a2c"
    assert resolution.settings.learning_rate == find_preset("any", "a2c").settings["learning_rate"]
    assert json.loads(resolution.settings.to_json())["clip_coef"] == "off"


# --- code that needs the user's word ---


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"environment": "gymnasium:CartPole-v1"}, []),
        ({"environment": "mine:CartPole-v1"}, ["mine:CartPole-v1"]),
        ({"environment": "ALE/Pong-v5"}, []),  # its preset's wrappers are Gymnasium's and ours
        ({"environment": "CartPole-v1", "wrappers": ["actor_critic.environments:AtariLives"]}, None),
        ({"environment": "ALE/Pong-v5", "wrappers": ["m:C"]}, ["m:C"]),
        ({"environment": "CartPole-v1", "wrappers": ["gymnasium.wrappers:AtariPreprocessing"]}, None),
        ({"environment": "CartPole-v1", "reward_model": "mine:R"}, ["mine:R"]),
    ],
)
def test_only_what_no_preset_of_ours_names_needs_the_users_word(said: dict[str, Any], named: list[str] | None) -> None:
    settings = _resolve(**said)
    assert settings.code_to_trust == (settings.imported_code if named is None else named)


def test_what_would_come_from_the_folder_one_is_in_needs_it_in_any_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "minatar").mkdir()
    (tmp_path / "minatar/__init__.py").touch()
    settings = _resolve(environment="minatar.gym:MinAtar/Breakout-v1")
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("actor_critic.imports._folders", [str(tmp_path)])
    assert settings.code_to_trust == ["minatar.gym:MinAtar/Breakout-v1"]
    monkeypatch.setattr("actor_critic.imports._folders", [])
    monkeypatch.chdir("/")
    assert settings.code_to_trust == []
