"""`train`: resolve the settings from flags, file, preset and defaults, then train."""

from typing import Any

import click

from actor_critic.cli.launcher import Launcher, launcher_options
from actor_critic.cli.loading import importing
from actor_critic.cli.notes import check_is_no_settings_file
from actor_critic.cli.options import CONFIG_FILE, SettingsCommand, as_flags, flags_layer, setting_options
from actor_critic.cli.places import absolute
from actor_critic.cli.screen import console, say
from actor_critic.config import RANDOM_STATES, Config, Layer, resolve, starting_config
from actor_critic.errors import ConfigError
from actor_critic.ranks import rank
from actor_critic.seeding import MAX_SEED


@click.command("train", cls=SettingsCommand)
@click.option("--config", "config_path", metavar="FILE", help=f"Settings file. Default: {CONFIG_FILE}.")
@click.option("--seeds", "has_seeds", is_flag=True, help="Train several seeds in parallel: --seeds 1 2 3 4 5.")
@click.option(
    "--run-folder", metavar="DIR", help="Folder of the run; if it holds the same run already, the run continues."
)
@launcher_options
@click.option(
    "--ranks", type=int, metavar="INTEGER", help="With --launcher ray: processes that train one run together."
)
@click.option(
    "--storage",
    metavar="PATH_OR_URL",
    help="With --launcher ray: where checkpoints are kept during the run, shared by all nodes.",
)
@click.option("--verbose", "is_verbose", is_flag=True, help="Print every setting, including defaults.")
@click.argument("words", nargs=-1, metavar="")
@setting_options()
def command(
    config_path: str | None,
    has_seeds: bool,
    run_folder: str | None,
    launcher: str,
    ray_address: str | None,
    max_failures: int | None,
    ranks: int | None,
    storage: str | None,
    is_verbose: bool,
    words: tuple[str, ...],
    **flags: Any,
) -> int:
    """Train a policy. Flags override the settings file, the file overrides the preset, and the preset the defaults.

    If there is no config.json, one is written with the defaults. Each run gets a folder checkpoints_YYYYMMDD_HHMMSS/.
    """
    seeds = _read_seeds(has_seeds, words, flags["seed"])
    started_by = Launcher(launcher, ray_address, max_failures, ranks, storage)
    started_by.check(bool(seeds))
    given = flags_layer(flags)
    layers, remarks, new_file = settings_layers(config_path, given)
    resolution = resolve(*layers)
    if config_path is not None:
        check_is_no_settings_file(absolute(resolution.settings.log_file), absolute(config_path))

    def begin() -> list[str]:
        if rank() > 0:  # rank 0 writes it
            return remarks
        written = [f"wrote {CONFIG_FILE} with the default settings"] if new_file and _write(new_file) else []
        return [*remarks, *written]

    screen = console()
    if started_by.is_ray and not seeds:
        with importing():
            from actor_critic.cli.on_ray import train_on_ray
        return train_on_ray(resolution, screen, begin, is_verbose, run_folder, started_by)
    if not resolution.settings.is_random_states:
        say(screen, f"setting up {resolution.settings.environment}")
    with importing():
        # PyTorch is imported after the settings are checked, so that a wrong one is refused at once.
        from actor_critic.cli.running import train
    again = ["train", *(["--config", config_path] if config_path else []), *as_flags(given.config), "--seed"]
    return train(resolution, screen, seeds, again, begin, is_verbose, run_folder, started_by)


def _read_seeds(has_seeds: bool, words: tuple[str, ...], seed: Any) -> tuple[int, ...]:
    """Return the seeds of --seeds; other extra words are an error."""
    if words and not has_seeds:
        hint = f"; did you mean --seeds {' '.join(words)}?" if words[0].isdigit() else ""
        if words[0].lower() in ("yes", "no", "on", "off"):
            hint = "; to switch a setting on, write --its-name; to switch it off, --no-its-name"
        raise ConfigError(f"command line: unexpected extra argument {words[0]!r}{hint}")
    if not has_seeds:
        return ()
    if seed is not None:
        raise ConfigError("command line: --seed and --seeds are both given; keep one of them")
    for word in words:
        if not (word.isascii() and word.isdigit() and len(word) <= 10 and int(word) <= MAX_SEED):
            raise ConfigError(
                f"command line: --seeds: {word!r} is not allowed; expected whole numbers from 0 to {MAX_SEED}"
            )
    seeds = tuple(int(word) for word in words)
    if len(seeds) < 2 or len(set(seeds)) < len(seeds):
        raise ConfigError("command line: --seeds takes at least two different seeds, such as --seeds 1 2 3 4 5")
    return seeds


def settings_layers(config_path: str | None, flags: Layer) -> tuple[list[Layer], list[str], Config | None]:
    """Return the layers to resolve, messages for the user, and the settings file to write, or None."""
    if config_path is not None:
        return [flags, Layer(config_path, Config.load(config_path))], [], None
    wanted = flags.config.environment
    if not absolute(CONFIG_FILE).exists():
        if wanted not in (None, RANDOM_STATES):
            return [flags], [], None
        start = starting_config(RANDOM_STATES, None, 10, 2)
        return [flags, Layer(CONFIG_FILE, start)], [], start
    file = Config.load(CONFIG_FILE)
    if wanted is not None and wanted != (file.environment or RANDOM_STATES):
        note = f"{CONFIG_FILE} is for {file.environment or RANDOM_STATES} and is not used; this run is for {wanted}"
        return [flags], [note], None
    return [flags, Layer(CONFIG_FILE, file)], [], None


def _write(config: Config) -> bool:
    try:
        return config.save_new(absolute(CONFIG_FILE))
    except OSError as error:
        raise ConfigError(f"{CONFIG_FILE} cannot be written: {error.strerror or error}") from None
