"""sweep: a search in one call, from Python."""

import contextlib
import importlib.util
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from actor_critic.config import Config, Layer, Passed, PassedObjects, Settings
from actor_critic.errors import ConfigError
from actor_critic.imports import Objects
from actor_critic.ranks import check_is_alone
from actor_critic.search.default_space import default_space
from actor_critic.search.plan import Plan
from actor_critic.search.results import SweepResult
from actor_critic.search.space import Space
from actor_critic.storage import here, new_folder
from actor_critic.training import Trainer

if TYPE_CHECKING:  # Optuna is imported when it is used
    from actor_critic.search.loop import Search

log = logging.getLogger("actor_critic")

_OF_A_SWEEP = ("sweep.json", "sweep.db", ".sweep.lock")


def sweep(
    config: Config | Settings | None = None,
    space: Mapping[str, Any] | None = None,
    folder: str | Path | None = None,
    *,
    trials: int = 30,
    jobs: int | None = None,
    objective: str = "score",
    score: str = "greedy",
    trial_seeds: Sequence[int] = (1,),
    confirm_seeds: int = 5,
    seed: int = 0,
    prune: bool = True,
    storage: str | None = None,
    study: str | None = None,
    **objects: Unpack[PassedObjects],
) -> SweepResult:
    """Search for better settings with Optuna, and confirm the winner on fresh seeds.

    The logger "actor_critic" tells of each finished trial. A script that calls this needs
    ``if __name__ == "__main__":`` around its code, since every process imports it. The same call with the same folder
    (or storage and study) continues a search.

    Args:
        config: The settings without search; the space overrides them. Its seed is not used.
        space: A range such as ``{"low": 1e-4, "high": 1e-2, "log": True}`` or a list of choices for each searched
            setting; None takes the settings that matter most, without those that ``config`` sets.
        folder: The folder of the search; None takes ``sweep_YYYYMMDD_HHMMSS``.
        trials: Number of trials of the study, over all its processes.
        jobs: Trials at a time; None takes as many as there are cores.
        objective: "score", or "score,time" for the trials that no other trial equals or exceeds in both.
        score: The policy whose mean return in the final evaluation is the score: "greedy" or "sampled". With several
            seeds, the score is the interquartile mean over them.
        trial_seeds: The seeds of every trial.
        confirm_seeds: Number of fresh seeds that compare the winner with the settings without search; 0 for none.
        seed: Seed of the proposals; with ``jobs=1`` it decides all trials.
        prune: Whether a trial ends early if its learning curve is below the median of the earlier trials.
        storage: Storage URL of Optuna, for several processes or machines; None takes a file in the folder.
        study: Name of the study in the storage.
        objects: Your ``environment``, ``wrappers``, ``reward_model``, ``encoder`` or ``evaluation_environment``, as for
            :class:`Trainer`.

    Returns:
        The trials, the best one, its settings and the confirmation.

    Raises:
        ConfigError: Optuna is missing, an argument or setting is wrong, the storage cannot be used, or the study was
            begun with other settings.
        ActorCriticError: The first trials all failed.
    """
    passed = Passed.of(objects)
    known = config.objects if isinstance(config, Settings) else Objects()
    config = config.to_config() if isinstance(config, Settings) else config or Config()
    fixed = config.model_dump(exclude_none=True)
    config = config.model_copy(update=passed.settings)
    plan = make_plan(
        [Layer("Config", config)],
        None if space is None else Space.read(space, "space"),
        fixed,
        objects=known | passed.objects,
        trials=trials,
        jobs=jobs,
        objective=objective,
        score=score,
        trial_seeds=trial_seeds,
        confirm_seeds=confirm_seeds,
        seed=seed,
        prune=prune,
        folder=here() / folder if folder is not None else None,
        storage=storage,
        study=study,
    )
    return begin(plan, here(), lambda line: log.info("%s", line), lambda: False).run()


def make_plan(layers: Sequence[Layer], space: Space | None, fixed: Mapping[str, Any], **how: Any) -> Plan:
    """Return a checked plan.

    Args:
        layers: The sources of the settings without search, highest precedence first.
        space: The space; None for the default one.
        fixed: The settings that the default space leaves out.
        how: The other attributes of :class:`Plan`.

    Raises:
        ConfigError: Something is wrong.
    """
    check_is_alone("sweep")
    plan = Plan(layers, space or Space({}), **how)
    plan.check()
    if space is None:
        plan = Plan(layers, default_space(plan.base, fixed), **how)
    plan.check_space()
    return plan


def begin(plan: Plan, root: Path, tell: Callable[[str], None], is_stopped: Callable[[], bool]) -> "Search":
    """Try the environment, then begin the search in its folder; nothing is written if something is wrong.

    Args:
        plan: What to search.
        root: Where the folder is made if the plan has none.
        tell: Takes lines for the user.
        is_stopped: Whether the user has asked to stop.

    Raises:
        ConfigError: Optuna is missing, a setting is wrong, or the study cannot be opened.
    """
    if importlib.util.find_spec("optuna") is None:
        raise ConfigError('a sweep needs Optuna, which is not installed: pip install "actor-critic[sweep]"')
    from actor_critic.search.loop import Search

    with contextlib.closing(Trainer(plan.base)):
        pass
    folder, is_new = _folder_of(plan, root)
    try:
        return Search(plan, folder, tell, is_stopped)
    except ConfigError:
        if is_new:
            _remove(folder)
        raise


def _folder_of(plan: Plan, root: Path) -> tuple[Path, bool]:
    """Return the folder of a search, and whether it was made now."""
    if plan.folder is None:
        return new_folder(root / time.strftime("sweep_%Y%m%d_%H%M%S")), True
    path = plan.folder
    try:
        if not path.exists():
            path.mkdir(parents=True)
            return path, True
        if not path.is_dir():
            raise ConfigError(f"folder: {path} is a file; expected a new folder, or that of a sweep")
        if any(path.iterdir()) and not any((path / name).exists() for name in _OF_A_SWEEP):
            raise ConfigError(
                f"folder: {path} holds other files and no sweep; expected a new folder, or that of a sweep"
            )
    except OSError as error:
        raise ConfigError(f"folder: {path} cannot be used: {error.strerror or error}") from None
    return path, False


def _remove(folder: Path) -> None:
    """Remove a folder in which a search could not begin."""
    with contextlib.suppress(OSError):
        for name in _OF_A_SWEEP:
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()
