"""The commands, their help and their flags."""

import importlib.metadata
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import gymnasium as gym
import pytest

from actor_critic.cli import places
from actor_critic.cli.options import SettingsCommand, as_flags, flags_layer, setting_options
from actor_critic.config import RANDOM_STATES, Config, allowed_values, base_type, starting_config
from actor_critic.errors import ConfigError, SelftestError
from actor_critic.probing import PROBES
from tests.cli.running import Outcome, Shell
from tests.config.documents import conforms

COMMANDS = ["train", "resume", "evaluate", "play", "report", "compare", "sweep", "verify", "inspect", "check"]
COMMANDS += ["selftest", "init", "presets", "schema"]
QUICK = ["--num-epochs", "1", "--batch-size", "8", "--num-minibatches", "1", "--evaluation-episodes", "1"]
QUICK += ["--hidden-dim", "4"]


# --- flags ---


def _parsed(*arguments: str) -> dict[str, Any]:
    said: list[Config] = []

    @click.command(cls=SettingsCommand)
    @setting_options()
    def probe(**flags: Any) -> None:
        said.append(flags_layer(flags).config)

    probe.main(list(arguments), standalone_mode=False)
    return said[0].model_dump(exclude_none=True)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--total-timesteps", "1e5"], {"total_timesteps": 100_000}),
        (["--total-timesteps", "1_000_000"], {"total_timesteps": 1_000_000}),
        (["--seed", "4294967295"], {"seed": 4294967295}),
        (["--num-epochs", "1e12"], {"num_epochs": 10**12}),
        (["--learning-rate", "3e-4"], {"learning_rate": 3e-4}),
        (["--gamma", "1"], {"gamma": 1.0}),
        (["--target-return", "-200"], {"target_return": -200.0}),
        (["--clip-coef", "off"], {"clip_coef": "off"}),
        (["--clip-coef", "0.1"], {"clip_coef": 0.1}),
        (["--evaluation-interval", "off"], {"evaluation_interval": "off"}),
        (["--evaluation-interval", "20"], {"evaluation_interval": 20}),
        (["--environment", "1e5"], {"environment": "1e5"}),
        (["--environment-kwargs", '{"map": ["SF"], "n": 1e2}'], {"environment_kwargs": {"map": ["SF"], "n": 100.0}}),
        (["--wrappers", "a.b:C,d:E"], {"wrappers": ["a.b:C", "d:E"]}),
        (["--wrappers", '["a.b:C", "d:E"]'], {"wrappers": ["a.b:C", "d:E"]}),
        (["--observation-keys", "image,inside.0"], {"observation_keys": ["image", "inside.0"]}),
        (["--observation-keys", "[]"], {"observation_keys": []}),
        (["--anneal-lr"], {"anneal_lr": True}),
        (["--no-anneal-lr"], {"anneal_lr": False}),
        (["--anneal-lr", "false", "--anneal-ent", "True"], {"anneal_lr": False, "anneal_ent": True}),
        (["--anneal-lr=false", "--overlap=true"], {"anneal_lr": False, "overlap": True}),
        (["--no-normalize-advantages", "--shared-encoder"], {"normalize_advantages": False, "shared_encoder": True}),
        ([], {}),
    ],
)
def test_a_flag_means_what_people_write(arguments: list[str], expected: dict[str, Any]) -> None:
    parsed = _parsed(*arguments)
    assert parsed == expected
    assert [type(value) for value in parsed.values()] == [type(value) for value in expected.values()]


def test_the_flags_of_a_config_say_the_same_again() -> None:
    arguments = ["--environment", "a b", "--environment-kwargs", '{"a": [1, "it\'s"]}', "--wrappers", "a.b:C,d:E"]
    arguments += ["--no-anneal-lr", "--overlap", "--gamma", "0.5", "--clip-coef", "off", "--target-return", "-200"]
    said = _parsed(*arguments)
    assert _parsed(*as_flags(Config(**said))) == said


def test_a_whole_number_too_large_for_a_float_keeps_every_digit() -> None:
    with pytest.raises(ConfigError, match="num_epochs: 9007199254740993000 "):
        _parsed("--num-epochs", "9007199254740993000")


def test_every_setting_has_a_flag() -> None:
    for name in Config.model_fields:
        flag = f"--{name.replace('_', '-')}"
        if base_type(name) is bool:
            assert _parsed(flag) == {name: True}
            continue
        with pytest.raises(ConfigError, match=f"^command line: {name}: "):
            _parsed(flag, "")


# --- help ---


def test_help_lists_every_command_with_what_it_does(shell: Shell) -> None:
    for arguments in (["--help"], ["-h"]):
        outcome = shell(*arguments)
        assert (outcome.code, outcome.err) == (0, "")
        lines = {line.split()[0]: line.split()[1:] for line in outcome.out.splitlines() if line.startswith("  ")}
        for command in COMMANDS:
            assert len(lines[command]) >= 3


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_explains_it_and_each_of_its_options(command: str, shell: Shell) -> None:
    outcome = shell(command, "--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(f"Usage: actor-critic {command} ")
    assert shell.contents() == {}
    introduction, _, options = outcome.out.partition("Options:")
    assert len(introduction.split()) >= 15
    for option in ("\n" + options).split("\n  -")[1:]:
        assert len(option.split()) >= 5, option


def test_the_help_of_train_documents_every_setting_with_its_range(shell: Shell) -> None:
    text = "".join(shell("train", "--help").out.split())  # lines are broken at hyphens, too
    for name, field in Config.model_fields.items():
        assert f"--{name.replace('_', '-')}" in text
        assert "".join((field.description or "missing").split()) in text
        if base_type(name) is not bool:
            assert f"[{allowed_values(name)}]".replace(" ", "") in text
    assert "--config" in text


def test_version_is_that_of_the_package(shell: Shell) -> None:
    assert shell("--version") == Outcome(0, f"actor-critic, version {importlib.metadata.version('actor-critic')}\n", "")


@pytest.mark.parametrize("arguments", [["trian"], ["--trian"], ["resume"], ["check"], ["schema", "stray"]])
def test_a_command_line_that_means_nothing_is_refused_in_one_line(arguments: list[str], shell: Shell) -> None:
    outcome = shell(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    (line,) = outcome.err.splitlines()
    assert line.startswith("error: ")
    assert arguments[-1] in line or "Missing argument" in line
    assert shell.contents() == {}


# --- schema ---


def test_schema_describes_exactly_the_settings_and_accepts_a_starting_file(shell: Shell) -> None:
    outcome = shell("schema")
    assert (outcome.code, outcome.err) == (0, "")
    schema = json.loads(outcome.out)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["type"] == "object"
    assert schema["properties"].keys() == Config.model_fields.keys()
    assert "required" not in schema
    for name, entry in schema["properties"].items():
        assert entry["description"] == Config.model_fields[name].description
        assert {"type": "null"} in entry["anyOf"]
    for start in (starting_config(RANDOM_STATES, None, 10, 2), starting_config("CartPole-v1", "ppo", 4, 2)):
        assert conforms(json.loads(start.to_json()), schema)
    assert conforms(
        {"clip_coef": "off", "wrappers": ["m:C", {"m:C": {"a": 1}}], "environment_kwargs": {"a": [1]}}, schema
    )
    wrong: list[dict[str, Any]] = [
        {"gama": 1}, {"gamma": 2}, {"adam_beta1": 1}, {"seed": 1.5}, {"seed": True}, {"clip_coef": "on"},
        {"clip_coef": 0}, {"algorithm": "dqn"}, {"wrappers": ["m"]}, {"wrappers": [{}]}, {"environment": ""},
        {"reward_model": "nonsense"},
    ]  # fmt: skip
    for document in wrong:
        assert not conforms(document, schema), document
        with pytest.raises(ConfigError):
            Config(**document)


# --- init ---


def test_init_writes_the_described_file(shell: Shell) -> None:
    outcome = shell("init")
    assert (outcome.code, outcome.err) == (0, "")
    assert "config.json" in outcome.out and RANDOM_STATES in outcome.out
    assert Config.load("config.json") == starting_config(RANDOM_STATES, None, 10, 2)


def test_init_writes_a_fitting_file_for_an_environment(shell: Shell) -> None:
    assert shell("init", "--environment", "CartPole-v1", "--algorithm", "a2c").code == 0
    config = Config.load("config.json")
    assert (config.environment, config.algorithm, config.input_dim, config.output_dim) == ("CartPole-v1", "a2c", 4, 2)
    assert config == starting_config("CartPole-v1", "a2c", 4, 2)


def test_init_keeps_what_the_environment_is_made_with(shell: Shell) -> None:
    # 16 and 64 fields on a map; the one-hot sizes show that the arguments were used
    arguments = ["--environment-kwargs", '{"map_name": "8x8"}', "--wrappers", "gymnasium.wrappers:FlattenObservation"]
    outcome = shell("init", "--config", "lake.json", "--environment", "FrozenLake-v1", *arguments)
    assert outcome.code == 0 and "lake.json" in outcome.out
    config = Config.load("lake.json")
    assert (config.input_dim, config.output_dim) == (64, 4)
    assert config.environment_kwargs == {"map_name": "8x8"}
    assert config.wrappers == ["gymnasium.wrappers:FlattenObservation"]


def test_init_and_check_keep_the_chosen_parts(shell: Shell) -> None:
    chosen = ["--observation-keys", "inside.1,inside.3"]
    assert shell("init", "--environment", "tests.toys:Wordy-v0", *chosen).code == 0
    config = Config.load("config.json")
    assert (config.input_dim, config.observation_keys) == (5, ["inside.1", "inside.3"])
    outcome = shell("check", "tests.toys:Wordy-v0", *chosen)
    assert outcome.code == 0 and "5 numbers for the networks" in outcome.out
    assert "without camera (not among observation_keys), inside.0 (Space, which no network reads)" in outcome.out
    trained = shell("train", "--environment", "tests.toys:Wordy-v0", "--input-dim", "3", *chosen)
    assert trained.code == 2 and f"--observation-keys '{json.dumps(config.observation_keys)}'" in trained.err


def test_init_never_overwrites(shell: Shell) -> None:
    (shell.folder / "config.json").write_text("mine")
    (shell.folder / "link.json").symlink_to("nowhere")
    for name in ("config.json", "link.json"):
        outcome = shell("init", "--config", name)
        assert (outcome.code, outcome.out) == (2, "")
        assert f"{name} exists already and is left as it is" in outcome.err
    assert (shell.folder / "config.json").read_text() == "mine"
    assert sorted(shell.contents()) == ["config.json", "link.json"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--environment", "CartPol-v1"], "did you mean CartPole-v1"),
        (["--config", "nowhere/config.json"], "nowhere/config.json cannot be written: No such file or directory"),
        (["--config", "x" * 300], "cannot be written: File name too long"),
        (["--config", ""], "exists already"),
    ],
)
def test_init_writes_nothing_when_it_cannot(arguments: list[str], words: str, shell: Shell) -> None:
    outcome = shell("init", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    (line,) = outcome.err.splitlines()
    assert words in line
    assert shell.contents() == {}


# --- resume: where its log goes ---


@pytest.mark.parametrize("kind", ["file", "folder", "missing", "inside"])
def test_a_run_cannot_choose_a_log_that_a_link_leads_to(kind: str, shell: Shell, tmp_path_factory: Any) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (shell.folder / "logs").mkdir()
    assert shell("train", "--environment", "CartPole-v1", *QUICK, "--log-file", "logs/run.log").code == 0
    (run,) = shell.folder.glob("checkpoints_*")
    log = shell.folder / "logs/run.log"
    log.unlink()
    before = {"file": "precious", "inside": "mine"}.get(kind)
    target = (shell.folder if kind == "inside" else outside) / "run.log"
    if before is not None:
        target.write_text(before)
    if kind == "folder":
        log.parent.rmdir()
        log.parent.symlink_to(outside)
    else:
        log.symlink_to(target)
    outcome = shell("resume", str(run))
    assert (outcome.code, outcome.err) == (0, "")
    assert (target.read_text() if target.exists() else None) == before
    assert "the run is finished" in (shell.folder / "actor_critic_training.log").read_text()


def test_where_even_the_usual_log_is_a_link_resume_asks_for_a_name(shell: Shell, tmp_path_factory: Any) -> None:
    precious = tmp_path_factory.mktemp("outside") / "precious"
    precious.write_text("precious")
    assert shell("train", "--environment", "CartPole-v1", *QUICK, "--log-file", "run.log").code == 0
    (run,) = shell.folder.glob("checkpoints_*")
    assert shell("resume", str(run)).code == 0
    assert "the run is finished" in (shell.folder / "run.log").read_text()  # beneath this folder it may
    for name in ("run.log", "actor_critic_training.log"):
        (shell.folder / name).unlink(missing_ok=True)
        (shell.folder / name).symlink_to(precious)
    outcome = shell("resume", str(run))
    assert outcome.code == 2
    assert "actor_critic_training.log is a link, which may lead anywhere; name a file with --log-file" in outcome.err
    assert precious.read_text() == "precious"
    assert shell("resume", str(run), "--log-file", "mine.log").code == 0


def test_no_log_is_appended_to_the_settings_in_use(shell: Shell) -> None:
    shell("init", "--config", "my.json")
    (shell.folder / "same.json").hardlink_to(shell.folder / "my.json")
    before = shell.contents()
    for name in ("my.json", "same.json", f"../{shell.folder.name}/my.json"):
        outcome = shell("train", "--config", "my.json", "--log-file", name)
        assert (outcome.code, outcome.err.count("\n")) == (2, 1)
        assert "is the settings file; expected another path" in outcome.err
    assert shell.contents() == before
    assert shell("train", "--environment", "CartPole-v1", *QUICK).code == 0
    (run,) = shell.folder.glob("checkpoints_*")
    settings = (run / "settings.json").read_bytes()
    outcome = shell("resume", run.name, "--log-file", f"{run.name}/settings.json")
    assert outcome.code == 2 and "settings.json is the settings file" in outcome.err
    assert (run / "settings.json").read_bytes() == settings
    outcome = shell("evaluate", run.name, "--device", "cuda:99")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert outcome.err.startswith('error: device: "cuda:99" is not there')


def test_a_path_is_shown_without_a_detour(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run3").mkdir()
    (tmp_path / "here/link").symlink_to(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(places, "_started_in", Path())
    places.remember()
    assert places.absolute("../run3") == tmp_path / "run3" == places.as_typed(places.absolute("../run3"))
    assert places.absolute("link/../run3") == tmp_path / "here/link/../run3"  # which is not here/run3
    assert places.absolute("a") == tmp_path / "here/a" and places.absolute("/a") == Path("/a")
    outcome = shell("inspect", "../run3")
    assert outcome.code == 4 and f"error: {tmp_path / 'run3'} " in outcome.err


# --- train: which file counts ---


def test_a_file_for_another_environment_is_not_used_and_one_line_says_so(shell: Shell) -> None:
    shell("init")
    before = (shell.folder / "config.json").read_bytes()
    outcome = shell("train", "--environment", "CartPole-v1", *QUICK)
    assert (outcome.code, outcome.err) == (0, "")
    note = f"config.json is for {RANDOM_STATES} and is not used; this run is for CartPole-v1"
    assert outcome.out.splitlines().count(note) == 1
    assert note in (shell.folder / "actor_critic_training.log").read_text()
    (run,) = shell.folder.glob("checkpoints_*")
    settings = json.loads((run / "settings.json").read_text())
    assert (settings["environment"], settings["input_dim"], settings["learning_rate"]) == ("CartPole-v1", 4, 0.001)
    assert (shell.folder / "config.json").read_bytes() == before


def test_a_file_named_for_another_environment_is_used_and_its_contradiction_refused(shell: Shell) -> None:
    shell("init")
    outcome = shell("train", "--config", "config.json", "--environment", "CartPole-v1")
    assert outcome.code == 2
    assert "input_dim: 10 contradicts CartPole-v1" in outcome.err
    assert "actor-critic init --environment CartPole-v1" in outcome.err
    assert list(shell.contents()) == ["config.json"]


def test_a_file_for_the_same_environment_is_used(shell: Shell) -> None:
    shell("init", "--environment", "CartPole-v1")
    outcome = shell("train", "--environment", "CartPole-v1", "--seed", "7", *QUICK)
    assert outcome.code == 0 and "not used" not in outcome.out
    (run,) = shell.folder.glob("checkpoints_*")
    settings = json.loads((run / "settings.json").read_text())
    assert (settings["seed"], settings["hidden_dim"], settings["learning_rate"]) == (7, 4, 0.001)
    rows = {line.split()[0]: line.split()[1:] for line in outcome.out.splitlines() if line}
    assert rows["seed"] == ["7", "flag"]
    assert rows["learning_rate"] == ["0.001", "config.json"]
    assert rows["gamma"] == ["0.995", "preset", "ppo"]
    assert "vf_coef" not in rows
    assert rows["input_dim"] == ["4", "config.json"]


def test_every_setting_is_shown_where_that_is_asked_for_and_is_in_the_log_in_any_case(shell: Shell) -> None:
    for words in ([], ["--verbose"]):
        outcome = shell("train", "--environment", "CartPole-v1", "--vf-coef", "0.5", *QUICK, *words)
        rows = {line.split()[0]: line.split()[1:] for line in outcome.out.splitlines() if line}
        assert rows["vf_coef"] == ["0.5", "flag"]
        assert rows["input_dim"] == ["4", "environment"]
        names = Config.model_fields.keys() - {"num_steps", "total_timesteps"}
        if words:
            assert names <= rows.keys()
            assert rows["keep_checkpoints"] == ["5", "default"]
        else:
            count = len(names - rows.keys())
            assert f"the other {count} settings have their defaults; --verbose shows them" in outcome.out
            assert count > 30
    log = (shell.folder / "actor_critic_training.log").read_text()
    assert "'keep_checkpoints': 5" in log and "'learning_rate': 'preset ppo'" in log


def test_what_was_adapted_is_shown_with_its_reason(shell: Shell) -> None:
    (shell.folder / "config.json").write_text("{}")
    outcome = shell("train", "--num-epochs", "1", "--hidden-dim", "4", "--evaluation-episodes", "1", "--overlap")
    assert outcome.code == 0, outcome.err
    (line,) = (line for line in outcome.out.splitlines() if line.startswith("clip_coef"))
    assert line.split() == ["clip_coef", "0.2", "adapted", "to", "overlap=True", "(default", "says", "off)"]


# --- selftest ---


def test_selftest_prints_a_line_for_each_probe_and_writes_nothing(shell: Shell) -> None:
    outcome = shell("selftest", "--memory", "off", "--seed", "1")
    assert (outcome.code, outcome.err) == (0, "")
    *lines, last = outcome.out.splitlines()
    solved = [line.split()[1] for line in lines if line.startswith("pass")]
    assert solved == [probe.environment for probe in PROBES if not probe.needs_memory]
    assert last.startswith("8 probes passed in ") and last.endswith("; those that need memory were left out")
    assert shell.contents() == {}


def test_selftest_shows_what_is_wrong_and_what_to_suspect(shell: Shell) -> None:
    outcome = shell("selftest", "--memory", "off", "--gae-lambda", "0")
    assert outcome.code == SelftestError.exit_code == 7
    (error,) = outcome.err.splitlines()
    assert error.startswith("error: 1 of 8 probes failed; begin with the first, probe/DelayedReward-v0")
    (line,) = (line for line in outcome.out.splitlines() if line.startswith("FAIL"))
    assert re.search(r"value at 0: -?\d\.\d\d, expected 0\.51; .*; suspect: advantages do not carry", line)


def test_selftest_offers_no_setting_of_the_problem(shell: Shell) -> None:
    outcome = shell("selftest", "--gamma", "0.9")
    assert (outcome.code, outcome.out, outcome.err) == (2, "", "error: No such option '--gamma'.\n")


# --- check ---

BROKEN = """
import gymnasium as gym
import numpy as np


class Sound(gym.Env):
    observation_space = gym.spaces.Box(-1.0, 1.0, (3,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self.observe(), {}

    def observe(self):
        return self.np_random.uniform(-1, 1, 3).astype(np.float32)

    def step(self, action):
        self.steps += 1
        return self.observe(), 1.0, self.steps == 5, False, {}


class Shape(Sound):
    def observe(self):
        return super().observe()[:2]


class LastShape(Sound):
    def observe(self):
        return super().observe()[: 2 if self.steps == 5 else 3]


class Reward(Sound):
    def step(self, action):
        return (*super().step(action)[:1], float("nan") if self.steps == 3 else 1.0, *super().step(action)[2:])


class Fickle(Sound):
    def observe(self):
        return np.random.uniform(-1, 1, 3).astype(np.float32)


class Fixed(Sound):
    def observe(self):
        return np.zeros(3, np.float32)


class Endless(Sound):
    def step(self, action):
        return self.observe(), 1.0, False, False, {}


class Old(Sound):
    def step(self, action):
        observation, reward, terminated, _, info = super().step(action)
        return observation, reward, terminated, info


class Continuous(Sound):
    action_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)


class Nested(Sound):
    observation_space = gym.spaces.Dict({"words": gym.spaces.Text(5)})


class Category(Sound):
    observation_space = gym.spaces.Discrete(3)

    def observe(self):
        return self.steps


class Crash(Sound):
    def step(self, action):
        raise RuntimeError("the simulator crashed")


for cls in Sound.__subclasses__() + [Sound]:
    gym.register(id=f"Broken/{cls.__name__}-v0", entry_point=cls)
gym.register(id="Broken/LimitedOld-v0", entry_point=Old, max_episode_steps=9)
"""


@pytest.fixture
def broken(shell: Shell) -> Iterator[Shell]:
    """A shell in a folder with a module that registers environments, one for each thing to go wrong."""
    (shell.folder / "broken_environments.py").write_text(BROKEN)
    yield shell
    sys.modules.pop("broken_environments", None)
    for name in [name for name in gym.registry if name.startswith("Broken/")]:
        del gym.registry[name]


def test_check_says_that_cartpole_will_work(shell: Shell) -> None:
    outcome = shell("check", "CartPole-v1")
    assert (outcome.code, outcome.err) == (0, "")
    for words in ("4 numbers", "2 logits", "finite numbers", "the same episode", "episodes end", "steps per second"):
        assert words in outcome.out
    assert outcome.out.splitlines()[-1] == "CartPole-v1 can be trained on"
    assert all(line.startswith("ok ") for line in outcome.out.splitlines()[:-1])
    assert shell.contents() == {}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Shape", "reset returned an observation of shape (2,); its space says (3,)"),
        ("LastShape", "step 5 returned an observation of shape (2,); its space says (3,)"),
        ("Reward", "returned the reward nan; expected a finite number"),
        ("Old", "step returns 4 values; expected 5"),
        ("LimitedOld", "reset returns 2 values and step 5 in Gymnasium"),
        ("Continuous", "is continuous; this software is for discrete actions"),
        ("Nested", "Text(1, 5, "),
        ("Nested", "wrap it so that it returns arrays of fixed shape"),
        ("Category", "step 3 returned an observation with a category outside its space: 3"),
        ("Crash", "it raised RuntimeError: the simulator crashed"),
    ],
)
def test_check_names_what_keeps_an_environment_from_working(name: str, words: str, broken: Shell) -> None:
    outcome = broken("check", f"broken_environments:Broken/{name}-v0")
    assert outcome.code == 3
    (problem,) = (line for line in outcome.out.splitlines() if line.startswith("problem "))
    assert words in problem
    (line,) = outcome.err.splitlines()
    assert line.startswith("error: ") and name in line and "cannot be trained on" in line


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Fickle", "the same seed and actions gave two different episodes: runs will not be repeatable"),
        ("Fixed", "two seeds gave the same episode"),
        ("Endless", "no episode ended in 1000 random steps and there is no limit: set max_episode_steps"),
    ],
)
def test_check_warns_of_what_works_but_not_as_hoped(name: str, words: str, broken: Shell) -> None:
    outcome = broken("check", f"broken_environments:Broken/{name}-v0")
    assert (outcome.code, outcome.err) == (0, "")
    (warning,) = (line for line in outcome.out.splitlines() if line.startswith("warning "))
    assert words in warning
    assert outcome.out.splitlines()[-1].endswith("can be trained on with the warnings above")


def test_check_finds_nothing_wrong_where_nothing_is(broken: Shell) -> None:
    outcome = broken("check", "broken_environments:Broken/Sound-v0")
    assert (outcome.code, outcome.err) == (0, "")
    assert all(line.startswith("ok ") for line in outcome.out.splitlines()[:-1])


def test_check_uses_the_settings_that_change_an_environment(broken: Shell) -> None:
    name = "broken_environments:Broken/Endless-v0"
    assert "warning" not in broken("check", name, "--max-episode-steps", "50").out
    assert "12 numbers" in broken("check", name, "--frame-stack", "4").out


def test_check_refuses_an_environment_that_cannot_be_made(shell: Shell) -> None:
    outcome = shell("check", "CartPol-v1")
    assert (outcome.code, outcome.out) == (2, "")
    assert "did you mean CartPole-v1" in outcome.err


# --- presets ---


def test_presets_are_listed_with_source_and_expectation(shell: Shell) -> None:
    outcome = shell("presets")
    assert outcome.code == 0
    for words in ("LunarLander-v3", "any other", "random-states", "docs/untuned.md"):
        assert words in outcome.out
    documents = json.loads(shell("presets", "--json").out)
    assert {"environment", "algorithm", "source", "evaluation", "expected", "settings"} == documents[0].keys()


@pytest.mark.slow
def test_nothing_but_what_settings_name_is_imported_from_the_folder_one_is_in(shell: Shell) -> None:
    (shell.folder / "mine.py").write_text(
        "from actor_critic import LinearReward\nclass Mine(LinearReward):\n    pass\n"
    )
    # What Python's pickle and PyTorch import where it is installed.
    for name in ("org", "dill"):
        (shell.folder / f"{name}.py").write_text("raise SystemExit('a stranger is running')")

    def command(*words: str) -> Outcome:
        safe = [sys.executable, "-P", "-m", "actor_critic", *words]  # as the installed command does
        result = subprocess.run(safe, cwd=shell.folder, capture_output=True, text=True)
        return Outcome(result.returncode, result.stdout, result.stderr)

    for name in ("org", "dill"):
        (shell.folder / f"{name}.py").rename(shell.folder / f"{name}.txt")
    trained = command("train", "--reward-model", "mine:Mine", "--num-epochs", "1")
    assert (trained.code, trained.err) == (0, "")
    for name in ("org", "dill"):
        (shell.folder / f"{name}.txt").rename(shell.folder / f"{name}.py")
    (run,) = shell.folder.glob("checkpoints_*")
    for words in (["inspect", run.name], ["presets"], ["schema"]):
        outcome = command(*words)
        assert (outcome.code, outcome.err) == (0, "")
    refused = command("evaluate", run.name)
    assert refused.code == 4
    assert "mine:Mine; add --trust-code" in refused.err


def test_a_device_that_is_none_is_refused_in_one_line(shell: Shell) -> None:
    assert shell("train", "--num-epochs", "1").code == 0
    (run,) = shell.folder.glob("checkpoints_*")
    outcome = shell("evaluate", run.name, "--device", "gpu")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert 'device: "gpu" is not allowed' in outcome.err
    outcome = shell("resume", str(run / "last.safetensors"))
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "is a file; expected the folder of a run" in outcome.err


def test_a_run_that_has_gone_further_than_asked_is_left_as_it_is(shell: Shell) -> None:
    trained = shell("train", "--num-epochs", "4", "--evaluation-episodes", "2")
    assert trained.code == 0
    run = next(shell.folder.glob("checkpoints_*"))
    before = shell.contents()
    outcome = shell("resume", str(run), "--num-epochs", "3")
    assert (outcome.code, outcome.out) == (0, "nothing to do: 4 epochs are done, and 3 were requested\n")
    assert shell.contents() == before
