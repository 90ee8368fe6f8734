"""Plan: what a search tries, how it scores, and where it keeps what it finds."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actor_critic.config import Config, Layer, Settings, resolve
from actor_critic.errors import ConfigError
from actor_critic.imports import Objects
from actor_critic.process import cores
from actor_critic.search.space import Space
from actor_critic.seeding import MAX_SEED

OBJECTIVES = ("score", "score,time")
SCORES = ("greedy", "sampled")

_ON_THE_MACHINE = ("log_file", "workers", "threads", "device")
"""Settings that may differ between the machines of one study."""

_SIZES = {"num_envs", "num_steps", "batch_size"}
_LENGTHS = {"num_epochs", "total_timesteps"}


@dataclass(frozen=True)
class Plan:
    """What a search tries.

    Attributes:
        layers: The sources of the settings without search, highest precedence first.
        space: The searched settings.
        objects: Objects that a program passed.
        trials: Number of trials of the study, over all processes.
        jobs: Trials at a time; None for as many as there are cores.
        objective: "score", or "score,time" for the trials where neither can be better without the other being worse.
        score: The policy whose mean return is the score, "greedy" or "sampled".
        trial_seeds: The seeds of every trial.
        confirm_seeds: Number of fresh seeds that confirm the winner; 0 for none.
        seed: Seed of the proposals.
        prune: Whether a trial whose learning curve is worse than the median ends early.
        folder: The folder of the search; None for a new one.
        storage: Storage URL of Optuna; None for a file in the folder.
        study: Name of the study in the storage.
    """

    layers: Sequence[Layer]
    space: Space
    objects: Objects = field(default_factory=Objects)
    trials: int = 30
    jobs: int | None = None
    objective: str = "score"
    score: str = "greedy"
    trial_seeds: Sequence[int] = (1,)
    confirm_seeds: int = 5
    seed: int = 0
    prune: bool = True
    folder: Path | None = None
    storage: str | None = None
    study: str | None = None

    def check(self) -> None:
        """Check the numbers and names.

        Raises:
            ConfigError: One is not allowed.
        """
        _check_whole("trials", self.trials, 1)
        _check_whole("confirm_seeds", self.confirm_seeds, 0)
        _check_whole("seed", self.seed, 0, MAX_SEED)
        if self.jobs is not None:
            _check_whole("jobs", self.jobs, 1)
        if self.confirm_seeds == 1:
            raise ConfigError("confirm_seeds: 1 is not allowed, since one seed says nothing about others; expected 0 "
                              "or at least 2")  # fmt: skip
        for name, value, allowed in (("objective", self.objective, OBJECTIVES), ("score", self.score, SCORES)):
            if value not in allowed:
                raise ConfigError(f"{name}: {value!r} is not allowed; expected {' or '.join(allowed)}")
        seeds = self.trial_seeds
        if not isinstance(seeds, (list, tuple, range)) or not seeds or len(set(seeds)) < len(seeds):
            raise ConfigError(f"trial_seeds: {seeds!r} is not allowed; expected different seeds, such as [1, 2, 3]")
        for seed in seeds:
            _check_whole("trial_seeds", seed, 0, MAX_SEED)
        if (self.storage is None) != (self.study is None):
            given, missing = ("study", "storage") if self.storage is None else ("storage", "study")
            raise ConfigError(f"{given} is given without {missing}; several processes need both to find each other")

    @functools.cached_property
    def base(self) -> Settings:
        """The settings without search.

        Raises:
            ConfigError: They are wrong.
        """
        return resolve(*self.layers).settings.replace(objects=self.objects)

    def settings_of(self, values: dict[str, Any]) -> Settings:
        """Return the settings of a trial. It has as many steps as the settings without search, unless it says so.

        Args:
            values: Its values of the searched settings.

        Raises:
            ConfigError: The values contradict each other or the settings without search.
        """
        base = self.base
        given = dict(values)
        if _SIZES & values.keys() and not _LENGTHS & values.keys():
            given["total_timesteps"] = base.total_timesteps
        trial = resolve(Layer("trial", Config(**given)), *self.layers).settings
        return trial.replace(objects=self.objects)

    def check_space(self) -> None:
        """Check that each searched setting has a value that agrees with the settings without search.

        Raises:
            ConfigError: All tried values of a setting contradict other settings.
        """
        for name, domain in self.space.items():
            refusals = []
            for value in domain.ends():
                try:
                    self.settings_of({name: value})
                except ConfigError as error:
                    refusals.append(error)
            if len(refusals) == len(domain.ends()):
                raise refusals[0]

    def base_values(self) -> dict[str, Any]:
        """Return the values of the settings without search, where they are in the space."""
        base = self.base
        known = base.to_config().model_dump() | {"num_steps": base.num_steps, "total_timesteps": base.total_timesteps}
        return {name: known[name] for name, domain in self.space.items() if known[name] in domain}

    def at_a_time(self) -> int:
        """Return the number of trials that run at a time."""
        base = self.base
        each = 1 if base.workers == "auto" else base.cores
        return self.jobs or max(1, cores.available() // each)

    def to_document(self) -> dict[str, Any]:
        """Return what all processes of a study must agree on."""
        settings = self.base.to_document()
        return {
            "objective": self.objective,
            "score": self.score,
            "trial_seeds": list(self.trial_seeds),
            "seed": self.seed,
            "prune": self.prune,
            "space": self.space.to_document(),
            "settings": {name: value for name, value in settings.items() if name not in _ON_THE_MACHINE},
        }


def _check_whole(name: str, value: Any, least: int, most: int = 10**6) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ConfigError(f"{name}: {value!r} is not allowed; expected a whole number from {least} to {most}")
