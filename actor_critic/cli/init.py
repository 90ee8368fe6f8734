"""`init`: a starting settings file."""

import os
from typing import Any

import click

from actor_critic.cli.options import CONFIG_FILE, flags_layer, setting_options
from actor_critic.cli.places import absolute
from actor_critic.cli.screen import console, say_as_is
from actor_critic.config import resolve, starting_config
from actor_critic.errors import ConfigError
from actor_critic.process import command_line


@click.command("init")
@click.option("--config", "config_path", metavar="FILE", default=CONFIG_FILE, show_default=True, help="File to write.")
@setting_options("environment", "algorithm", "environment_kwargs", "wrappers")
def command(config_path: str, **flags: Any) -> None:
    """Write a starting settings file for an environment. An existing file is never overwritten.

    The main keys have the values of the environment's preset. Every other key is null, which means the preset's value.
    """
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
    config = starting_config(settings.environment, settings.algorithm, input_dim, output_dim)
    config = config.model_copy(
        update={"environment_kwargs": given.config.environment_kwargs, "wrappers": given.config.wrappers}
    )
    try:
        written = config.save_new(path)
    except OSError as error:
        raise ConfigError(f"{config_path} cannot be written: {error.strerror or error}") from None
    if not written:
        raise ConfigError(f"{config_path} exists already and is left as it is; name another one with --config")
    trains = command_line("train", *([] if config_path == CONFIG_FILE else ["--config", config_path]))
    say_as_is(screen, f"wrote {config_path} for {settings.environment}; `{trains}` trains from it")
