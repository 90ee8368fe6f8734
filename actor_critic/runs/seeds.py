"""Several seeds of one run in parallel, from Python."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from actor_critic.config import Config, Passed, PassedObjects, Settings, settings_of
from actor_critic.errors import ActorCriticError, ConfigError
from actor_critic.process import cores
from actor_critic.ranks import check_is_alone
from actor_critic.runs.run import Run
from actor_critic.storage import here, new_folder, timestamped_path
from actor_critic.training import SeedProcesses, train_seed

log = logging.getLogger("actor_critic")

_GUARD = '; a script that trains several seeds needs `if __name__ == "__main__":` around its code'


def train_seeds(
    config: Config | Settings | None = None,
    seeds: Sequence[int] = (1, 2, 3, 4, 5),
    run_folder: str | Path | None = None,
    *,
    trust_code: bool = False,
    **objects: Unpack[PassedObjects],
) -> dict[int, Run]:
    """Train the same run on several seeds, one process each, as many at a time as there are cores.

    A script that calls this needs ``if __name__ == "__main__":`` around its code, since every process imports it.

    Args:
        config: What to train; None takes the default of every setting. Its seed is not used.
        seeds: Different seeds.
        run_folder: A new folder, with a run folder ``seed_1`` … for each seed; None takes
            ``checkpoints_YYYYMMDD_HHMMSS``.
        trust_code: Whether code that the settings name as ``module:Class`` may be imported again from the run folders,
            to evaluate the agents.
        objects: Your ``environment``, ``wrappers``, ``reward_model``, ``encoder`` or ``evaluation_environment``, as for
            :class:`Trainer`.

    Returns:
        The run of each seed.

    Raises:
        ConfigError: A setting is wrong, or the seeds are not different.
        ActorCriticError: Some seeds failed; the others have finished, and the message names their folder.
    """
    check_is_alone("train_seeds")
    if not isinstance(seeds, Sequence) or len(set(seeds)) < len(seeds) or not seeds:
        raise ConfigError(f"seeds: {seeds!r} is not allowed; expected different seeds, such as [1, 2, 3, 4, 5]")
    settings = settings_of(config or Config(), Passed.of(objects))
    checked = [Config(seed=seed).seed for seed in seeds]
    folder = new_folder(here() / (run_folder or timestamped_path(here())))
    at_a_time = max(1, cores.available() // (1 if settings.workers == "auto" else settings.cores))
    waiting = [(seed, settings.replace(seed=seed), folder / f"seed_{seed}") for seed in checked if seed is not None]
    failures: dict[int, str] = {}
    with SeedProcesses(train_seed) as processes:
        while processes.running or waiting:
            while waiting and len(processes.running) < at_a_time:
                processes.start(*waiting.pop(0))
            for seed, outcome in processes.ended(None):
                if outcome is None:
                    failures[seed] = "it was stopped; Trainer.resume continues it"
                elif isinstance(outcome, Exception):
                    is_dead = str(outcome).startswith("its process ended")
                    failures[seed] = f"{outcome}{_GUARD if is_dead else ''}"
                log.info("seed %d: %s", seed, failures.get(seed, "finished"))
    if failures:
        each = "; ".join(f"seed {seed}: {error}" for seed, error in sorted(failures.items()))
        raise ActorCriticError(f"{len(failures)} of {len(seeds)} seeds failed, in {folder}: {each}")
    if settings.report:
        from actor_critic.report import page  # imported here, because it takes long

        page.write_run_page(folder)
    return {seed: Run.open(folder / f"seed_{seed}", trust_code=trust_code, **objects) for seed in seeds}
