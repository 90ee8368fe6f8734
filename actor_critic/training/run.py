"""A run between its epochs: how it is set up, taken up, kept, stopped and closed."""

import logging
from pathlib import Path
from typing import ClassVar, NoReturn, Self

from actor_critic.agent import FixedAttributes
from actor_critic.config import Config, Settings
from actor_critic.errors import ConfigError
from actor_critic.evaluation import Evaluation, long_evaluations
from actor_critic.networks import CustomEncoder, EncoderMaker
from actor_critic.process import Interrupted, recognized
from actor_critic.storage import Checkpoint, RunFolder, here
from actor_critic.training.evaluations import Evaluations
from actor_critic.training.resume import FoundRun, SavedRun, find_run, kept_evaluation, record_ends, saved_run
from actor_critic.training.setup import prepare
from actor_critic.training.stopping import FINISHED, INTERRUPTED, Phase, reason_to_stop

log = logging.getLogger("actor_critic")


class Run(FixedAttributes):
    """A training run between its epochs; :class:`Trainer` adds the loop."""

    _fixed: ClassVar = {
        "settings": "make another Trainer, whose init_from may name the weights of this one",
        "agent": "load_weights of the one that is there takes over the weights of another one",
    }

    def __init__(
        self,
        config: Config | Settings | SavedRun,
        run_folder: str | Path | None = None,
        *,
        encoder: EncoderMaker | None = None,
    ) -> None:
        """Set up a run: settings resolved, environments made, networks built, the folder claimed last.

        Args:
            config: What to train.
            run_folder: Where to keep checkpoints, metrics and evaluations; a folder that is not there yet. None keeps
                nothing.
            encoder: A module class of yours to encode observations with, instead of the one that the settings name.

        Raises:
            ConfigError: A setting is wrong, the environment cannot be made, or it does not fit in memory.
            CheckpointError: ``init_from`` names no sound checkpoint.
        """
        with recognized():
            prepared = prepare(config, encoder)
            self._state, self._environments = prepared.state, prepared.environments
            self._rewards, self._seeds = prepared.rewards, prepared.seeds
            self._counters = prepared.state.counters
            self._started_in = prepared.started_in
            self._folder: RunFolder | None = None
            self._phase = Phase.IDLE
            self._epoch_begun = 0  # the epoch that was begun last
            self.agent = prepared.state.agent
            self.settings = self.agent.settings
            self._learns_by_code_of_others = isinstance(self.agent.policy.trunk.encoder, CustomEncoder)
            self._evaluations = Evaluations(self.agent, self._environments, self._seeds)
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
        target_return: float | None = None,
        max_hours: float | None = None,
        device: str | None = None,
        encoder: EncoderMaker | None = None,
        trust_code: bool = False,
        new_episodes: bool = False,
    ) -> Self:
        """Take up a run where its newest sound checkpoint left it.

        Args:
            run_folder: The folder of the run; or the run that :func:`find_run` found there.
            num_epochs: A new length of the run, in epochs from its very beginning; None keeps the old one.
            target_return: Another return to stop at; None keeps the old one.
            max_hours: Other hours to stop after, of training from its very beginning; None keeps the old ones.
            device: Another device than the run began on; None keeps it.
            encoder: The module class that encodes observations, where it is not to be imported by its name.
            trust_code: Whether code that the run's settings name as ``module:Class`` may be imported.
            new_episodes: Whether to leave the running episodes and begin new ones, where an environment does not
                replay; the run is then no more the one that was stopped, and its settings say so.

        Raises:
            ConfigError: It is no run folder or in use, or the new length contradicts the run.
            CheckpointError: It holds no sound checkpoint, or names code to import without ``trust_code``.
        """
        with recognized():
            found = run_folder if isinstance(run_folder, FoundRun) else None
            folder = RunFolder(run_folder.folder if isinstance(run_folder, FoundRun) else here() / run_folder)
            try:
                ends = Config(num_epochs=num_epochs, target_return=target_return, max_hours=max_hours)
                saved = saved_run(
                    found if found and found.is_up_to_date() else find_run(folder.path),
                    ends.model_dump(exclude_none=True),
                    device=device,
                    encoder=encoder,
                    trust_code=trust_code,
                    new_episodes=new_episodes,
                )
                run = cls(saved, encoder=encoder)
                try:
                    record_ends(folder, saved, run.settings)
                except BaseException:
                    run.close()
                    raise
            except BaseException:
                folder.close()
                raise
            run._continue_in(folder)
            log.info("resuming %s after epoch %d", saved.origin, run.epoch)
            return run

    @classmethod
    def from_state(
        cls, checkpoint: Checkpoint, settings: Settings, origin: str | Path, *, encoder: EncoderMaker | None = None
    ) -> Self:
        """Return the run whose training state a checkpoint holds, kept nowhere.

        Args:
            checkpoint: The state.
            settings: The run's, as :func:`trusted_settings` reads them.
            origin: The name of the checkpoint in an error.
            encoder: The module class that encodes observations, where it is not to be imported by its name.

        Raises:
            ConfigError: The environment cannot be made, or the run does not fit in memory.
            CheckpointError: It is no training state, or code of the user's own or the environment's spaces have changed
                since.
        """
        return cls(SavedRun(checkpoint, settings, Path(origin)), encoder=encoder)

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
        """The folder in which this run is kept; None if it is not."""
        return self._folder.path if self._folder else None

    def keep_in(self, run_folder: str | Path) -> Path:
        """Keep this run in a new folder; where the name is taken, in the first free of ``name_2``, ``name_3`` …

        Returns:
            The folder.

        Raises:
            ConfigError: It cannot be made, or the run is kept somewhere already.
        """
        if self._folder is not None:
            raise ConfigError(f"this run is kept in {self._folder.path} already")
        self._folder = RunFolder.create(self._started_in / run_folder, self.settings)
        if warning := long_evaluations(self.settings, self._environments.current):
            log.info("%s", warning)
        return self._folder.path

    @property
    def digest(self) -> str:
        """SHA-256 over all that determines the rest of the run, between two epochs, as 64 hexadecimal digits.

        Raises:
            RuntimeError: The run has not begun, or is in the middle of an epoch.
        """
        if self._phase in (Phase.IN_EPOCH, Phase.BROKEN) or not self._state.has_begun:
            raise RuntimeError("a digest is of the state between two epochs: ask for it in the loop, or after it")
        return self._state.digest

    @property
    def is_evaluated(self) -> bool:
        """Whether the run folder holds the evaluation of the weights as they are."""
        document = (self._folder.read_evaluation() if self._folder else None) or {}
        return document.get("epoch") == self.epoch and "greedy" in document

    def stop(self, reason: str) -> None:
        """End the run after the epoch that is running."""
        self.stop_reason = reason

    def interrupt(self) -> None:
        """End the run after the epoch that is running, for a signal.

        Raises:
            Interrupted: Only the evaluation of the last weights is left, which is cut short.
        """
        if self.is_over and self.evaluation is None:
            raise Interrupted
        self.stop(INTERRUPTED)

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
        # Not in one assignment: a signal may stop the run meanwhile.
        if (reason := reason_to_stop(self.settings, self._counters)) and self.stop_reason is None:
            self.stop(reason)

    def _continue_in(self, folder: RunFolder) -> None:
        """Keep a run that was taken up in its folder, and find out whether it is over."""
        self._folder = folder
        self._stop_if_a_rule_says_so()
        if self.epoch >= self.settings.num_epochs:
            self.stop_reason = self.stop_reason or FINISHED
        self.is_over = self.stop_reason is not None
        if self.is_over:
            self.evaluation = kept_evaluation(folder, self.epoch)
