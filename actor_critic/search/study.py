"""A study of Optuna that several processes share: it proposes trials, and keeps what became of them."""

import contextlib
import json
import time
import warnings
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import optuna
import sqlalchemy
import sqlalchemy.exc
import sqlalchemy.pool
from filelock import FileLock, Timeout
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import OptunaError, UpdateFinishedTrialError
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from actor_critic.errors import ConfigError
from actor_critic.search.plan import Plan
from actor_critic.search.sampler import Sampler, counted
from actor_critic.search.space import Choices, Range

POINTS = 20
"""The number of points of a learning curve."""

_OPENINGS = 4  # attempts to open a storage
_LOCKED = 15.0  # seconds to wait for a locked file of SQLite
_HEARTBEAT = 10  # seconds
_GRACE = 120  # seconds without a heartbeat after which the process of a trial counts as dead
_ATTEMPTS = 3  # of the same values: a trial may be what kills its process
_BEGINNING = 5.0  # seconds for another process to keep the plan of a study that it begins
_STARTED = 5  # trials without pruning at first
_WARM_UP = 5  # points of a learning curve without pruning

_UNFINISHED = (TrialState.RUNNING, TrialState.WAITING)


class Study:
    """The study of a search, in one of its processes.

    Attributes:
        begun_in: The folder of the process that began the study.
    """

    def __init__(self, plan: Plan, folder: Path) -> None:
        """Open the study, or begin it.

        Args:
            plan: What to search.
            folder: The folder of this process.

        Raises:
            ConfigError: The storage cannot be opened, or the study has another plan.
        """
        self._plan = plan
        self._url = plan.storage or f"sqlite:///{folder / 'sweep.db'}"
        self._folder = folder
        self._distributions = {name: _distribution(domain) for name, domain in plan.space.items()}
        self._token = uuid4().hex
        self._verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with contextlib.ExitStack() as after_an_error, _errors_of(self._url):
            after_an_error.callback(optuna.logging.set_verbosity, self._verbosity)
            with FileLock(folder / ".sweep.lock"):  # two processes that make the tables at once would collide
                self._storage = _open(self._url)
                after_an_error.callback(self._close_storage)
                self._study = self._load()
            self.begun_in: str = self._agreed()["begun_in"]
            after_an_error.pop_all()
        # The operating system releases the lock if this process dies, so that others see it at once.
        self._lock = FileLock(self._lock_of(self._token))
        self._lock.acquire()

    @property
    def of_optuna(self) -> optuna.Study:
        """Optuna's own study."""
        return self._study

    def _load(self) -> optuna.Study:
        """Load the study; the process that makes it also keeps its plan, and proposes the settings without search."""
        plan = self._plan
        name = plan.study or "sweep"
        how: dict[str, Any] = {
            "storage": self._storage,
            "sampler": Sampler(plan.seed),
            "pruner": optuna.pruners.MedianPruner(_STARTED, _WARM_UP) if self.prunes else optuna.pruners.NopPruner(),
        }
        directions = [StudyDirection.MAXIMIZE, *([StudyDirection.MINIMIZE] if plan.objective != "score" else [])]
        try:
            study = optuna.create_study(study_name=name, directions=directions, **how)
        except optuna.exceptions.DuplicatedStudyError:
            return optuna.load_study(study_name=name, **how)
        values = plan.base_values()
        if values:
            study.enqueue_trial({key: _encoded(plan.space[key], value) for key, value in values.items()})
        study.set_user_attr("sweep", plan.to_document() | {"begun_in": str(self._folder)})
        return study

    def _agreed(self) -> dict[str, Any]:
        """Return the plan of the study.

        Raises:
            ConfigError: It is not the plan of this process.
        """
        deadline = time.monotonic() + _BEGINNING
        while not isinstance(kept := self._study.user_attrs.get("sweep"), dict):
            if time.monotonic() > deadline:
                raise ConfigError(
                    f"study: {self._study.study_name} in {shown(self._url)} is of another program; choose another name"
                )
            time.sleep(0.1)
        ours = json.loads(json.dumps(self._plan.to_document()))
        for part in ("settings", "space"):
            for name in sorted(ours[part].keys() | kept[part].keys()):
                _compare(name if part == "settings" else f"space: {name}", kept[part].get(name), ours[part].get(name))
        for name in ("objective", "score", "trial_seeds", "seed", "prune"):
            _compare(name, kept[name], ours[name])
        return kept

    @property
    def prunes(self) -> bool:
        """Whether trials may end early; Optuna prunes by one objective only."""
        return self._plan.prune and self._plan.objective == "score"

    # --- trials of this process ---

    def begin(self) -> optuna.Trial | None:
        """Begin the next trial; None if all trials have begun, here or elsewhere."""
        counted = self.trials()
        if len(counted) >= self._plan.trials and not any(each.state == TrialState.WAITING for each in counted):
            return None
        with _quietly():
            trial = self._study.ask(self._distributions)
        trial.set_user_attr("process", self._token)
        self.beat(trial)
        # Two processes may have begun the last trial at once: the numbers decide whose it is.
        if sum(each.number < trial.number for each in self.trials()) < self._plan.trials:
            return trial
        trial.set_user_attr("surplus", True)
        self._study.tell(trial, state=TrialState.FAIL)
        return None

    def values_of(self, trial: optuna.Trial | FrozenTrial) -> dict[str, Any]:
        """Return the values of the searched settings of a trial."""
        return {name: _decoded(self._plan.space[name], value) for name, value in trial.params.items()}

    def beat(self, trial: optuna.Trial) -> None:
        """Say that a trial is alive."""
        self._storage.record_heartbeat(self._id_of(trial.number))

    def keep(self, trial: optuna.Trial, name: str, value: Any) -> None:
        """Keep a note about a trial."""
        with _unless_taken():
            trial.set_user_attr(name, value)

    def report(self, trial: optuna.Trial, point: int, mean_return: float) -> bool:
        """Keep a point of the learning curve, and return whether the trial goes on."""
        if self._plan.objective != "score":  # Optuna keeps learning curves of one objective only
            return True
        try:
            trial.report(mean_return, point)
        except UpdateFinishedTrialError:  # others took this process for dead
            return False
        return not trial.should_prune()

    def finish(self, trial: optuna.Trial, score: float, seconds: float) -> None:
        """Keep the score of a trial."""
        with _unless_taken():
            self._study.tell(trial, [score] if self._plan.objective == "score" else [score, seconds])

    def prune(self, trial: optuna.Trial) -> None:
        """Keep that a trial ended early; its last point takes the place of a score."""
        with _unless_taken():
            self._study.tell(trial, state=TrialState.PRUNED)

    def fail(self, trial: optuna.Trial, error: str, is_tried_again: bool = False) -> None:
        """Keep that a trial failed."""
        with _unless_taken():
            trial.set_user_attr("error", error)
            self._study.tell(trial, state=TrialState.FAIL)
            if is_tried_again:
                _try_again(self._study, self._frozen(trial.number))

    # --- trials of all processes ---

    def trials(self) -> list[FrozenTrial]:
        """Return the trials that count, in their order: without those that another one repeats."""
        return counted(self._study.get_trials(deepcopy=False))

    def unfinished(self) -> list[int]:
        """Return the numbers of the trials that run or wait."""
        return [each.number for each in self.trials() if each.state in _UNFINISHED]

    def release_dead(self) -> None:
        """Fail the trials whose process has died, and propose their values again."""
        states = (TrialState.RUNNING,)
        for trial in self._study.get_trials(deepcopy=False, states=states):
            if self._is_dead(trial):
                with _unless_taken():
                    self._storage.set_trial_user_attr(self._id_of(trial.number), "error", "its process was killed")
                    self._study.tell(trial.number, state=TrialState.FAIL)
                    _try_again(self._study, self._frozen(trial.number))
        with _quietly():
            optuna.storages.fail_stale_trials(self._study)

    def _is_dead(self, trial: FrozenTrial) -> bool:
        """Return whether a trial had a process in this folder that is no more; heartbeats tell of other folders."""
        token = trial.user_attrs.get("process")
        if token is None:  # its process may have died between two lines
            begun = trial.datetime_start
            return begun is not None and (datetime.now() - begun).total_seconds() > _GRACE
        path = self._lock_of(str(token))
        if token == self._token or not path.exists():
            return False
        lock = FileLock(path)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return False
        lock.release()
        return True

    def close(self) -> None:
        """End the part of this process."""
        self._lock.release()
        with contextlib.suppress(OSError):
            self._lock_of(self._token).unlink()
        self._close_storage()
        optuna.logging.set_verbosity(self._verbosity)

    def _close_storage(self) -> None:
        self._storage.remove_session()
        self._storage.engine.dispose()

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Turn errors of the storage in the block into one line."""
        with _errors_of(self._url):
            yield

    def _lock_of(self, token: str) -> Path:
        return self._folder / f".process_{token}.lock"

    def _id_of(self, number: int) -> int:
        study = self._storage.get_study_id_from_name(self._study.study_name)
        return self._storage.get_trial_id_from_study_id_trial_number(study, number)

    def _frozen(self, number: int) -> FrozenTrial:
        return self._storage.get_trial(self._id_of(number))


def shown(url: str) -> str:
    """Return a storage URL without its password."""
    head, at, tail = url.rpartition("@")
    scheme, colons, login = head.partition("://")
    return f"{scheme}{colons}{login.partition(':')[0]}{at}{tail}" if at else url


def _open(url: str) -> optuna.storages.RDBStorage:
    """Open the storage; processes in different folders that make its tables at once collide, and try again."""
    for attempt in range(1, _OPENINGS):
        try:
            return _open_once(url)
        except sqlalchemy.exc.DBAPIError:
            time.sleep(0.3 * attempt)
    return _open_once(url)


def _open_once(url: str) -> optuna.storages.RDBStorage:
    options: dict[str, Any] = {}
    if url.startswith("sqlite"):
        options["connect_args"] = {"timeout": _LOCKED}
        if sqlalchemy.make_url(url).database not in (None, "", ":memory:"):
            options["poolclass"] = sqlalchemy.pool.NullPool  # so that an error leaves no connection open
    with _quietly():
        return optuna.storages.RDBStorage(
            url,
            engine_kwargs=options,
            heartbeat_interval=_HEARTBEAT,
            grace_period=_GRACE,
            heartbeat_stale_trial_callback=_try_again,
        )


def _try_again(study: optuna.Study, trial: FrozenTrial) -> None:
    """Propose the values of a failed trial again."""
    attempt = trial.user_attrs.get("attempt", 1)
    if attempt < _ATTEMPTS:
        values = trial.system_attrs.get("fixed_params", {}) | trial.params
        study.enqueue_trial(values, {"retry_of": trial.number, "attempt": attempt + 1})


def _compare(name: str, kept: Any, ours: Any) -> None:
    if kept != ours:
        raise ConfigError(
            f"{name}: {_text(ours)} is not what the study was begun with, {_text(kept)}; continue with that, or begin "
            f"another study"
        )


def _text(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def _distribution(domain: Range | Choices) -> BaseDistribution:
    if isinstance(domain, Choices):
        return CategoricalDistribution([_encoded(domain, value) for value in domain.values])
    with _quietly():  # a range that is no multiple of its step ends earlier
        if domain.is_whole:
            return IntDistribution(int(domain.low), int(domain.high), domain.log, int(domain.step or 1))
        return FloatDistribution(domain.low, domain.high, domain.log, domain.step)


def _encoded(domain: Range | Choices, value: Any) -> Any:
    """Return a value for Optuna, whose choices are texts, numbers, booleans or None."""
    return json.dumps(value) if isinstance(domain, Choices) and isinstance(value, (list, dict)) else value


def _decoded(domain: Range | Choices, value: Any) -> Any:
    if isinstance(domain, Choices):
        return next(each for each in domain.values if _encoded(domain, each) == value)
    return value


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Drop warnings about parts of Optuna that may change."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _unless_taken() -> Iterator[None]:
    """Ignore that another process has ended the trial, because it took this one for dead."""
    try:
        yield
    except UpdateFinishedTrialError:
        pass
    except ValueError as error:
        if "Cannot tell" not in str(error):
            raise


@contextlib.contextmanager
def _errors_of(url: str) -> Iterator[None]:
    try:
        yield
    except (OptunaError, sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        cause = error.__cause__ if isinstance(error, (OptunaError, ImportError)) and error.__cause__ else error
        reason = str(getattr(cause, "orig", None) or cause).splitlines()[0]
        raise ConfigError(
            f"storage: {shown(url)} cannot be used: {reason}; expected a storage URL of Optuna that no other program "
            f"locks, such as sqlite:///sweep.db"
        ) from None
