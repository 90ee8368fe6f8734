"""A data-parallel run with Ray Train: its ranks on the nodes of a cluster, seen from the command."""

import contextlib
import logging
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actor_critic.config import Settings
from actor_critic.errors import ActorCriticError, ConfigError, NumericalError, RankFault, describe
from actor_critic.launching.cluster import Cluster, current_cluster
from actor_critic.launching.desk import open_desk
from actor_critic.launching.luggage import Luggage, read_folder, write_files
from actor_critic.ranks import join
from actor_critic.training import INTERRUPTED, EpochReport, Trainer, begun_or_continued, find_run, other_setting

log = logging.getLogger("actor_critic")

_PATIENCE = 0.1  # seconds between two looks at messages
_LONG = 10.0  # seconds without a message, after which the nodes are counted
_KEPT = 2  # checkpoints on the storage
_RUN = "run"
_FINAL = (ConfigError.exit_code, NumericalError.exit_code)
"""Exit codes of errors that would come again after a restart."""


@dataclass(frozen=True)
class Begun:
    """The ranks have begun, or begun again.

    Attributes:
        settings: The settings of the run, complete.
        epoch: The epochs that are done.
    """

    settings: Settings
    epoch: int


@dataclass(frozen=True)
class LogLine:
    """A line that a rank has logged."""

    level: int
    text: str


@dataclass(frozen=True)
class _Ended:
    """The run has ended, or failed with an error that a restart would not mend."""

    reason: str | None
    error: tuple[int, str] | None = None


Event = Begun | EpochReport | LogLine


@dataclass(frozen=True)
class _Work:
    """What each rank is told."""

    settings: Settings
    luggage: Luggage
    desk: Any
    name: str
    begun: dict[str, bytes]
    storage: str | None


class RayRun:
    """A data-parallel run on a cluster.

    Attributes:
        stop_reason: Why the run ended; None before its end, or if it failed.
    """

    def __init__(
        self,
        cluster: Cluster,
        settings: Settings,
        ranks: int,
        folder: Path,
        root: Path,
        *,
        storage: str,
        max_failures: int,
    ) -> None:
        """Prepare a run; nothing is started yet.

        Args:
            cluster: The cluster.
            settings: The settings; they may be "auto".
            ranks: K, the number of ranks.
            folder: The run folder on this machine. If it holds a run, that run continues.
            root: The folder where the command was started.
            storage: A path or URL that all nodes and this machine share, where checkpoints are kept during the run.
            max_failures: How often the ranks may restart after one was lost.

        Raises:
            ConfigError: The ranks do not divide the environments, the cluster has no room for them, or the storage
                cannot be used.
        """
        self.stop_reason: str | None = None
        self._ranks = ranks
        self._folder = folder
        self._check(settings, ranks)
        cpus = 1.0 if settings.workers == "auto" else float(settings.cores)
        self._cpus = cpus
        cluster.check_has_room(ranks, cpus)
        begun = read_folder(folder) if folder.exists() else {}
        if not any(name.endswith(".safetensors") for name in begun):
            begun = _newest_on(storage, folder.name)  # an earlier command may have been killed
        self._name = f"{folder.name}_{time.strftime('%Y%m%d_%H%M%S')}" if begun else folder.name
        self._storage = storage
        self._desk = open_desk()
        path = None if "://" in storage else str(Path(storage) / self._name)
        work = _Work(settings, Luggage.of(settings, root), self._desk, folder.name, begun, path)
        self._trainer = self._make_trainer(work, ranks, cpus, max_failures)
        self._is_told = False
        self._failure: Exception | None = None
        self._result: Any = None

    @staticmethod
    def _check(settings: Settings, ranks: int) -> None:
        name = "batch_size" if settings.is_random_states else "num_envs"
        if ranks < 1 or settings.num_envs % ranks:
            raise ConfigError(
                f"--ranks: {ranks} ranks cannot divide {name}={settings.num_envs} environments among them; expected a "
                f"divisor of {settings.num_envs}"
            )

    def _make_trainer(self, work: _Work, ranks: int, cpus: float, max_failures: int) -> Any:
        from ray.train import Checkpoint, CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer

        has_gpus = work.settings.device.startswith("cuda")
        try:
            place: Any = Checkpoint(self._storage)  # opens the file system, as Ray Train does later on the cluster
            place.filesystem.create_dir(place.path, recursive=True)
            return TorchTrainer(
                _train_rank,
                train_loop_config={"work": work},
                torch_config=TorchConfig(
                    backend="cpu:gloo,cuda:nccl" if has_gpus else "gloo", timeout_s=int(work.settings.rank_timeout) + 1
                ),
                scaling_config=ScalingConfig(
                    num_workers=ranks,
                    use_gpu=has_gpus,
                    resources_per_worker={"CPU": cpus, "GPU": 1} if has_gpus else {"CPU": cpus},
                ),
                run_config=RunConfig(
                    name=self._name,
                    storage_path=self._storage,
                    checkpoint_config=CheckpointConfig(num_to_keep=_KEPT),
                    failure_config=FailureConfig(max_failures=max_failures),
                ),
            )
        except Exception as error:  # of pyarrow, fsspec or the file system behind it
            raise ConfigError(f"--storage: {self._storage} cannot be used: {describe(error)}") from None

    def stop(self) -> None:
        """Ask the ranks to stop after their epoch."""
        self._is_told = True
        self._desk.stop.remote(_RUN)

    def events(self) -> Iterator[Event]:
        """Run to the end and yield what happens; at the end, the run folder is on this machine.

        Raises:
            ActorCriticError: The run failed; what it has done is in the run folder.
        """
        import ray

        thread = threading.Thread(target=self._fit, daemon=True)
        thread.start()
        ended: _Ended | None = None
        is_over, heard = False, time.monotonic()
        while not is_over:
            is_over = not thread.is_alive()  # before the look, so that no message is missed
            for message in ray.get(self._desk.look.remote(_RUN, [])):
                if isinstance(message, _Ended):
                    ended = message
                else:
                    yield message
                heard = time.monotonic()
            if time.monotonic() - heard > _LONG:
                heard = time.monotonic()
                if (places := current_cluster().places(self._cpus)) < self._ranks:
                    text = f"waiting: the cluster has room for {places} of {self._ranks} ranks; add a node, or stop"
                    yield LogLine(logging.WARNING, text)
                    if self._is_told:  # no rank is there to stop
                        ended = _Ended(INTERRUPTED)
                        break
            thread.join(0 if is_over else _PATIENCE)
        self._fetch()
        if self._failure is not None:
            raise self._fault(self._failure)
        if ended is not None and ended.error is not None:
            error = ActorCriticError(ended.error[1])
            error.exit_code = ended.error[0]
            raise error
        self.stop_reason = ended.reason if ended else None

    def _fit(self) -> None:
        try:
            self._result = self._trainer.fit()
        except Exception as error:
            self._failure = error

    def _fetch(self) -> None:
        """Bring the newest state of the run folder to this machine."""
        if self._result is None:
            files = _newest_on(self._storage, self._name)
        elif self._result.checkpoint is not None:
            with self._result.checkpoint.as_directory() as place:
                files = read_folder(Path(place))
        else:
            files = {}
        if not files:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        for name in read_folder(self._folder).keys() - files.keys():
            (self._folder / name).unlink()
        write_files(self._folder, files)

    def _fault(self, failure: Exception) -> ActorCriticError:
        """Return the error that explains why Ray Train gave up."""
        from ray.train import WorkerGroupError

        if not isinstance(failure, WorkerGroupError):
            return RankFault(f"Ray Train failed: {' '.join(str(failure).split()):.500}")
        failures = {rank: _cause(error) for rank, error in sorted(failure.worker_failures.items())}
        for error in failures.values():
            if isinstance(error, ActorCriticError) and not isinstance(error, RankFault):
                return error
        rank, error = next(
            ((rank, error) for rank, error in failures.items() if not isinstance(error, RankFault)),
            next(iter(failures.items())),
        )
        what = str(error) if isinstance(error, ActorCriticError) else describe(error)
        return RankFault(f"rank {rank} was lost, and --max-failures allows no further restart: {what:.300}")


def _newest_on(storage: str, name: str) -> dict[str, bytes]:
    """Return the files of the newest checkpoint of a run on the storage; none if there is none."""
    from ray.train import Result

    with contextlib.suppress(Exception):  # there is no checkpoint yet, or the storage is lost
        checkpoint = Result.from_path(f"{storage.rstrip('/')}/{name}").checkpoint
        if checkpoint is not None:
            with checkpoint.as_directory() as place:
                return read_folder(Path(place))
    return {}


def _cause(error: Exception) -> Exception:
    """Return the error inside the wrappers of Ray."""
    while isinstance(inner := getattr(error, "cause", None) or error.__cause__, Exception) and inner is not error:
        error = inner
    return error


# --- on the nodes ---


class _Reports(logging.Handler):
    """Sends what happens on a rank to the command, a few times a second at most."""

    def __init__(self, desk: Any, is_first: bool) -> None:
        super().__init__(logging.INFO if is_first else logging.WARNING)
        self.is_stopped = False
        self._desk = desk
        self._is_first = is_first
        self._messages: list[Any] = []
        self._answers: list[Any] = []
        self._sent = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Send a line of the log."""
        self._messages.append(LogLine(record.levelno, record.getMessage()))

    def add(self, message: Any) -> None:
        """Send a message."""
        self._messages.append(message)
        if time.monotonic() - self._sent > _PATIENCE:
            self.flush()

    def flush(self) -> None:
        """Send all messages now, without waiting for the answer."""
        import ray

        self._sent = time.monotonic()
        messages, self._messages = self._messages, []
        self._answers.append(self._desk.exchange.remote(_RUN, messages))
        ready, self._answers = ray.wait(self._answers, num_returns=len(self._answers), timeout=0)
        self.is_stopped |= any(ray.get(answer)[1] for answer in ready)

    def finish(self) -> None:
        """Send all messages, and wait until they have arrived."""
        import ray

        self.flush()
        ray.get(self._answers)


def _train_rank(config: dict[str, Any]) -> None:
    """Train one rank: begin the run, or continue from the newest checkpoint that was reported."""
    import ray.train

    work: _Work = config["work"]
    is_first = ray.train.get_context().get_world_rank() == 0
    reports = _Reports(work.desk, is_first)
    log.setLevel(logging.INFO)
    log.addHandler(reports)
    try:
        with tempfile.TemporaryDirectory(prefix="actor_critic_") as place:
            _train(work, Path(place) / work.name, reports if is_first else None)
    except ActorCriticError as error:
        if error.exit_code not in _FINAL:
            raise
        if is_first:
            reports.add(_Ended(None, (error.exit_code, str(error))))
    finally:
        log.removeHandler(reports)
        reports.finish()


def _train(work: _Work, folder: Path, reports: _Reports | None) -> None:
    """Train one rank in a folder of its node; only rank 0 has reports."""
    import ray.train

    _, settings = work.luggage.unpack(work.settings)
    with join(settings.rank_timeout).joint():
        if work.storage and not Path(work.storage).is_dir():
            raise ConfigError(
                f"--storage: {Path(work.storage).parent} is not shared with all nodes of the cluster; expected a path "
                f"of a shared file system, or a URL such as s3://bucket/folder"
            )
        checkpoint = ray.train.get_checkpoint()
        if checkpoint is not None:
            checkpoint.to_directory(str(folder))
        else:
            write_files(folder, work.begun)
        found = find_run(folder) if any(folder.glob("*.safetensors")) else None
        if found and (difference := other_setting(found, settings)):
            name, saved, wanted = difference
            raise ConfigError(
                f"--storage: it holds a run {work.name} with {name}={saved!r}, and this command has {name}={wanted!r}; "
                f"name another --run-folder, or give the same settings"
            )
    with contextlib.closing(begun_or_continued(settings, folder, found)) as trainer:
        if reports:
            reports.add(Begun(trainer.settings, trainer.epoch))
        if trainer.epoch < trainer.settings.num_epochs or not trainer.is_evaluated:
            for report in trainer:
                if reports:
                    reports.add(report)
                    if reports.is_stopped:
                        trainer.stop(INTERRUPTED)
                if trainer.epoch % trainer.settings.checkpoint_interval == 0:
                    _keep(trainer, folder, reports)
        _keep(trainer, folder, reports)
        if reports:
            reports.add(_Ended(trainer.stop_reason))


def _keep(trainer: Trainer, folder: Path, reports: _Reports | None) -> None:
    """Report the run folder to Ray Train, which keeps it on the storage; all ranks must call this."""
    import ray.train

    metrics = {"epoch": trainer.epoch, "env_steps": trainer.env_steps}
    checkpoint = ray.train.Checkpoint.from_directory(str(folder)) if reports else None
    ray.train.report(metrics, checkpoint)
