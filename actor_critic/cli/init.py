"""`init`: a starting settings file."""

import keyword
import os
from importlib.resources import files
from typing import Any

import click

from actor_critic.cli.options import CONFIG_FILE, flags_layer, setting_options
from actor_critic.cli.places import absolute, as_typed
from actor_critic.cli.screen import console, say_as_is
from actor_critic.config import resolve, starting_config
from actor_critic.errors import ConfigError
from actor_critic.files import create_exclusively
from actor_critic.imports import is_installed
from actor_critic.process import command_line


@click.command("init")
@click.option("--config", "config_path", metavar="FILE", default=CONFIG_FILE, show_default=True, help="File to write.")
@click.option("--template", type=click.Choice(["functional"]), help="Write an environment to start from, in FILE.py.")
@click.argument("file", metavar="[FILE.py]", required=False)
@setting_options("environment", "algorithm", "environment_kwargs", "wrappers", "observation_keys")
def command(config_path: str, template: str | None, file: str | None, **flags: Any) -> None:
    """Write a starting settings file for an environment. An existing file is never overwritten.

    The main keys have the values of the environment's preset. Every other key is null, which means the preset's value.

    With --template functional, write an environment of your own instead, whose functions are compiled:
    init --template functional my_problem.py
    """
    if template is not None:
        _write_template(template, file, [name for name, value in flags.items() if value is not None])
        return
    if file is not None:
        raise ConfigError(
            f"command line: unexpected extra argument {file!r}; a settings file is named with --config, and a new "
            f"environment with --template functional"
        )
    path, screen = absolute(config_path), console()
    if os.path.exists(path):  # unlike Path.exists, this is False for an invalid name
        raise ConfigError(f"{config_path} exists already and is left as it is; name another one with --config")
    given = flags_layer(flags)
    settings = resolve(given).settings
    input_dim, output_dim = settings.input_dim, settings.output_dim
    if not settings.is_random_states:
        from actor_critic.environments import EnvironmentMaker, close_environment
        from actor_critic.spaces import read_spaces

        env = EnvironmentMaker(settings)()
        observations, actions = read_spaces(settings.environment, env.observation_space, env.action_space)
        input_dim, output_dim = observations.num_features, actions.num_logits
        close_environment(env)
    assert input_dim is not None and output_dim is not None
    kept = {name: getattr(given.config, name) for name in ("environment_kwargs", "wrappers", "observation_keys")}
    config = starting_config(settings.environment, settings.algorithm, input_dim, output_dim, kept)
    try:
        written = config.save_new(path)
    except OSError as error:
        raise ConfigError(f"{config_path} cannot be written: {error.strerror or error}") from None
    if not written:
        raise ConfigError(f"{config_path} exists already and is left as it is; name another one with --config")
    trains = command_line("train", *([] if config_path == CONFIG_FILE else ["--config", config_path]))
    say_as_is(screen, f"wrote {config_path} for {settings.environment}; `{trains}` trains from it")


def _write_template(template: str, file: str | None, others: list[str]) -> None:
    """Write an environment to start from.

    Raises:
        ConfigError: The file exists, cannot be written, or its name is no name of a module.
    """
    if others:
        flag = f"--{others[0].replace('_', '-')}"
        raise ConfigError(f"command line: {flag} does not apply to --template, which writes code; leave it out")
    if file is None:
        raise ConfigError("command line: --template needs a file to write, such as my_problem.py")
    path = absolute(file)
    module = path.name.removesuffix(".py")
    if path.suffix != ".py" or not module.isidentifier() or keyword.iskeyword(module):
        raise ConfigError(
            f"command line: {file!r} is not allowed; expected the name of a Python module, such as my_problem.py"
        )
    is_there = os.path.exists(path)
    if not is_there and is_installed(module):
        raise ConfigError(
            f"command line: a package {module!r} is installed, so {file} would not be found; choose another name"
        )
    name = "".join(word[:1].upper() + word[1:] for word in module.split("_")) or "MyProblem"
    text = (files("actor_critic.cli") / "templates" / f"{template}.txt").read_text(encoding="utf-8")
    try:
        written = not is_there and create_exclusively(path, text.replace("MyProblem", name).encode())
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror or error}") from None
    if not written:
        raise ConfigError(f"{file} exists already and is left as it is; name another one")
    own = f"{module}:{name}"
    tries = command_line("check", own)
    trains = command_line("train", "--environment", own, "--learning-rate", "0.003")
    where = "" if path.parent == absolute("") else f" in {as_typed(path.parent)}"
    say_as_is(console(), f"wrote {file} with the environment {name};{where} `{tries}` tries it and `{trains}` trains")
