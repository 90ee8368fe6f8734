"""Control of a run between its epochs: set-up, resume, run folder, stop and close."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NoReturn, Self, Unpack

from actor_critic.agent import FixedAttributes
from actor_critic.config import (
    Config,
    EncoderLike,
    EnvironmentLike,
    Passed,
    PassedObjects,
    RewardModelLike,
    Settings,
    WrapperLike,
)
from actor_critic.errors import ConfigError
from actor_critic.evaluation import Evaluation, long_evaluations
from actor_critic.networks import CustomEncoder
from actor_critic.process import Interrupted, recognized
from actor_critic.ranks import rank
from actor_critic.storage import Change, Checkpoint, RunFolder, check_loggers, here
from actor_critic.training.changing import new_change, of_environments
from actor_critic.training.evaluations import Evaluations
from actor_critic.training.recorder import Recorder
from actor_critic.training.report import EpochReport
from actor_critic.training.resume import FoundRun, SavedRun, find_run, kept_evaluation, record_ends, saved_run
from actor_critic.training.setup import prepare
from actor_critic.training.stopping import FINISHED, INTERRUPTED, Phase, reason_to_stop
from actor_critic.training.videos import Videos

log = logging.getLogger("actor_critic")


class RunControl(FixedAttributes):
    """A training run between its epochs; :class:`Trainer` adds the loop."""

    _fixed: ClassVar = {
        "settings": "make a new Trainer; its init_from may name a checkpoint of this one",
        "agent": "agent.load_weights loads the weights of another agent",
    }

    def __init__(
        self,
        config: Config | Settings | SavedRun,
        run_folder: str | Path | None = None,
        *,
        environment: EnvironmentLike | None = None,
        wrappers: Sequence[WrapperLike] | None = None,
        reward_model: RewardModelLike | None = None,
        encoder: EncoderLike | None = None,
        evaluation_environment: EnvironmentLike | None = None,
    ) -> None:
        """Set up a run: resolve settings, make environments, build networks, and claim the folder last.

        Args:
            config: What to train.
            run_folder: A new folder for checkpoints, metrics and evaluations; None writes nothing.
            environment: Your environment class, or a function that makes an environment. This and the other arguments
                replace settings; each may also be a name, as in the settings.
            wrappers: Your wrappers, innermost first: classes or functions that take an environment, or pairs of one and
                its keyword arguments.
            reward_model: A function of states and actions, or a RewardModel class or instance. A function may also take
                ``next_states``, ``terminated`` and ``environment_rewards``; see :meth:`RewardModel.rewards`.
            encoder: Your module class that encodes observations, or a function that makes one.
            evaluation_environment: Your environment class or function for all evaluations of the run.

        Raises:
            ConfigError: A setting is wrong, an object is of the wrong kind, the environment cannot be made, or the run
                does not fit in memory.
            CheckpointError: ``init_from`` names no valid checkpoint.
        """
        with recognized():
            beside = config.objects if isinstance(config, Settings) else None
            passed = Passed(environment, wrappers, reward_model, encoder, evaluation_environment, beside=beside)
            prepared = prepare(config, passed)
            self._state, self._environments = prepared.state, prepared.environments
            self._rewards, self._seeds = prepared.rewards, prepared.seeds
            self._counters = prepared.state.counters
            self._started_in = prepared.started_in
            self._ranks = prepared.ranks
            self._folder: RunFolder | None = None  # on rank 0, which writes it
            self._folder_path: Path | None = None
            self._phase = Phase.IDLE
            self.epoch_begun = 0  # the last epoch that was started
            self._recorder: Recorder | None = None  # while the run iterates
            self._coming: list[Change] = []  # changes to repeat in later epochs, in a verification
            self.last_report: EpochReport | None = None
            self.logged: list[tuple[int, str, float]] = []
            self._last_values: dict[str, float] = {}
            self._unwritten: list[tuple[int, str, float]] = []  # logged while no loop runs
            self._seconds: dict[str, float] = {}  # where the time of the next report went
            self.agent = prepared.state.agent
            self.settings = self.agent.settings
            self._learns_by_code_of_others = isinstance(self.agent.policy_network.trunk.encoder, CustomEncoder)
            self._evaluations = Evaluations(self.agent, self._environments, self._seeds)
            self._videos = Videos(self.agent, self._environments, self._seeds)
            self.stop_reason: str | None = None
            self.is_over = False
            self.evaluation: Evaluation | None = None
            try:
                if run_folder is not None:
                    self.keep_in(run_folder)
            except BaseException:
                self.close()
                raise

    @classmethod
    def resume(
        cls,
        run_folder: str | Path | FoundRun,
        *,
        num_epochs: int | None = None,
        total_timesteps: int | None = None,
        target_return: float | None = None,
        max_hours: float | None = None,
        device: str | None = None,
        trust_code: bool = False,
        new_episodes: bool = False,
        **objects: Unpack[PassedObjects],
    ) -> Self:
        """Resume a run from its newest valid checkpoint.

        Args:
            run_folder: The folder of the run, or the result of :func:`find_run`.
            num_epochs: A new length of the run, in epochs from its start; None keeps the old value. The length of an
                annealed run cannot change, as ``anneal_lr`` is in most presets.
            total_timesteps: The new length in environment steps instead, rounded down to whole epochs.
            target_return: A new return to stop at; None keeps the old value.
            max_hours: A new limit in hours of training from the start of the run; None keeps the old value.
            device: A new device; None keeps the old one.
            trust_code: Whether code that the run's settings name as ``module:Class`` may be imported.
            new_episodes: Whether to replace the running episodes by new ones, for an environment that cannot replay
                them. The resumed run then differs from the stopped one, and its settings record this.
            objects: The ``environment``, ``wrappers``, ``reward_model``, ``encoder`` and ``evaluation_environment``
                that were passed to the :class:`Trainer`, in the same version. Others are imported by their names.

        Raises:
            ConfigError: The path is no run folder, the run is in use, or the new length is not possible.
            CheckpointError: The run has no valid checkpoint, or names code to import without ``trust_code``.
        """
        with recognized():
            found = run_folder if isinstance(run_folder, FoundRun) else None
            path = run_folder.folder if isinstance(run_folder, FoundRun) else here() / run_folder
            folder = RunFolder(path) if rank() == 0 else None  # rank 0 writes; the others read
            try:
                ends = Config(
                    num_epochs=num_epochs,
                    total_timesteps=total_timesteps,
                    target_return=target_return,
                    max_hours=max_hours,
                )
                saved = saved_run(
                    found if found and found.is_up_to_date() else find_run(path),
                    ends,
                    device=device,
                    passed=Passed.of(objects),
                    trust_code=trust_code,
                    new_episodes=new_episodes,
                )
                run = cls(saved)
                try:
                    run._ranks.lead(lambda: run._check_records(folder, saved))
                except BaseException:
                    run.close()
                    raise
            except BaseException:
                if folder:
                    folder.close()
                raise
            run._continue_in(path, folder)
            log.info("resuming %s after epoch %d", saved.origin, run.epoch)
            return run

    @classmethod
    def from_state(
        cls, checkpoint: Checkpoint, settings: Settings, origin: str | Path, changes: Sequence[Change] = ()
    ) -> Self:
        """Return the run whose training state a checkpoint holds, without a run folder.

        Args:
            checkpoint: The state.
            settings: The settings of the run, as :func:`trusted_settings` reads them.
            origin: The name of the checkpoint in errors.
            changes: All changes of the run; those after this state are repeated.

        Raises:
            ConfigError: The environment cannot be made, or the run does not fit in memory.
            CheckpointError: The checkpoint is no training state, or the user's code or the spaces changed.
        """
        epoch = checkpoint.counters.get("epoch", 0)
        made = [change for change in changes if change.epoch <= epoch]
        run = cls(SavedRun(checkpoint, settings, Path(origin), changes=made))
        run.repeat([change for change in changes if change.epoch > epoch])
        return run

    def repeat(self, changes: Sequence[Change]) -> None:
        """Make changes again, each after the epoch after which it was made."""
        self._coming = list(changes)

    def compare_code(self, checkpoint: Checkpoint) -> list[str]:
        """Return the settings that name other code than in a checkpoint; see :meth:`RunState.compare_code`."""
        return self._state.compare_code(checkpoint.code)

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return self._counters.epoch

    @property
    def env_steps(self) -> int:
        """Environment steps done."""
        return self._counters.env_steps

    @property
    def episodes(self) -> int:
        """Training episodes that have ended."""
        return self._counters.episodes

    @property
    def run_folder(self) -> Path | None:
        """The run folder; None without one."""
        return self._folder_path

    def keep_in(self, run_folder: str | Path) -> Path:
        """Write the records of this run to a new folder; if it exists, to the first free of ``name_2``, ``name_3`` …

        Returns:
            The folder.

        Raises:
            ConfigError: The folder cannot be made, the run has one already, or it is to be recorded and cannot be.
        """
        if self._folder_path is not None:
            raise ConfigError(f"this run is kept in {self._folder_path} already")
        self._folder_path = path = self._ranks.lead(lambda: self._make_folder(run_folder))
        return path

    def _make_folder(self, run_folder: str | Path) -> Path:
        check_loggers(self.settings.logger)
        self._videos.check(may_close=self._phase is Phase.IDLE)
        wanted = self._started_in / run_folder
        self._folder = RunFolder.create(wanted, self.settings)
        if self._folder.path != wanted:
            log.warning("%s exists already; this run is kept in %s", run_folder, self._folder.path.name)
        if warning := long_evaluations(self.settings, self._environments.current):
            log.info("%s", warning)
        return self._folder.path

    @property
    def digest(self) -> str:
        """SHA-256 of the training state between two epochs, as 64 hexadecimal digits. All ranks must ask for it.

        Raises:
            RuntimeError: The run has not started, or is in the middle of an epoch.
        """
        if self._phase in (Phase.IN_EPOCH, Phase.BROKEN) or not self._state.has_begun:
            raise RuntimeError("a digest is of the state between two epochs: ask for it in the loop, or after it")
        return self._ranks.lead(lambda: self._state.digest, self._state.contribute)

    @property
    def is_evaluated(self) -> bool:
        """Whether the run folder holds an evaluation of the current weights."""
        return self._folder_path is not None and kept_evaluation(self._folder_path, self.epoch) is not None

    def stop(self, reason: str) -> None:
        """End the run after the current epoch."""
        self.stop_reason = reason

    def interrupt(self) -> None:
        """End the run after the current epoch, because of a signal.

        Raises:
            Interrupted: Training has ended, and the evaluation of the final weights is interrupted.
        """
        if self.is_over and self.evaluation is None:
            raise Interrupted
        self.stop(INTERRUPTED)

    @property
    def changes(self) -> list[Change]:
        """What :meth:`change` changed so far, and after which epoch."""
        return list(self._state.changes)

    def change(self, *, environment: dict[str, Any] | None = None, **settings: Any) -> None:
        """Change settings or the environments between two epochs: for curricula, or for schedules of your own.

        The run records what was changed, and when, so that resuming and verifying repeat it. ``settings`` keeps the
        values of the beginning. With a run folder, the change is in a file when this method returns. A run that resumes
        from an earlier checkpoint drops it, since the loop comes to the same epoch again.

        Args:
            environment: New values by name: a method of the environment or of a wrapper is called with the value, an
                attribute is set to it. In each environment this happens before its next episode begins. Evaluations
                use environments without changes.
            settings: New values of ``learning_rate``, ``clip_coef``, ``ent_coef``, ``vf_coef``, ``max_grad_norm``,
                ``target_kl``, ``gae_lambda``, ``update_epochs`` or ``clip_rewards``, from the next epoch on. An
                annealed one is the value that the first epoch would have had.

        Raises:
            ConfigError: A setting cannot change, a value is not allowed, or the environment has no such method or
                attribute.
            CheckpointError: The disk refused.
            RankFault: On several ranks, which must all make the change: another one failed, or does something else.
            RuntimeError: The run is in the middle of an epoch.
        """
        if self._phase in (Phase.IN_EPOCH, Phase.BROKEN):
            raise RuntimeError("a run changes between two epochs: call change in the loop, or before it")
        with self._ranks.joint("changing settings"):
            self._record(new_change(self.settings, self._state.changes, self.epoch, settings, environment or {}))

    def _record(self, change: Change) -> None:
        changes = [*self._state.changes, change]
        if change.environment:
            with recognized():
                self._environments.change(of_environments(changes))
        self._state.set_changes(changes)
        if self._folder:
            self._folder.write_changes(changes)
        log.info("change after epoch %d: %s", change.epoch, change.settings | change.environment)

    def drop_last_changes(self) -> None:
        """Drop the changes after the last epoch, because the environments refuse them."""
        with self._ranks.joint("dropping changes"):
            self._state.set_changes([change for change in self._state.changes if change.epoch < self.epoch])
            if self._folder:
                self._folder.write_changes(self._state.changes)
        log.error("the changes after epoch %d are dropped", self.epoch)

    def _repeat_changes(self) -> None:
        """Make the changes that a verification repeats after this epoch."""
        while self._coming and self._coming[0].epoch <= self.epoch:
            with self._ranks.joint("changing settings"):
                self._record(self._coming.pop(0))

    def close(self) -> None:
        """Close the environments and the run folder; iterating opens them again."""
        try:
            self._environments.close()
        finally:
            if self._folder:
                self._folder.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a Trainer cannot be copied or pickled, as its environments cannot; copy trainer.agent, or take up a run "
            "folder with Trainer.resume"
        )

    def _stop_if_a_rule_says_so(self) -> None:
        # The reason is computed first, because a signal may stop the run meanwhile.
        if (reason := reason_to_stop(self.settings, self._counters)) and self.stop_reason is None:
            self.stop(reason)

    def _check_records(self, folder: RunFolder | None, saved: SavedRun) -> None:
        """Check that a resumed run can be recorded, and write the settings of its end."""
        assert folder is not None
        if self.epoch < self.settings.num_epochs:
            self._videos.check(may_close=True)
        record_ends(folder, saved, self.settings)

    def _continue_in(self, path: Path, folder: RunFolder | None) -> None:
        """Attach a resumed run to its folder, and find out whether it is over."""
        self._folder, self._folder_path = folder, path
        self._stop_if_a_rule_says_so()
        if self.epoch >= self.settings.num_epochs:
            self.stop_reason = self.stop_reason or FINISHED
        self.is_over = self.stop_reason is not None
        if self.is_over:
            self.evaluation = kept_evaluation(path, self.epoch)
