"""The training run, as an iterator of epoch reports: environment → rollout → advantages → update."""

import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch

from actor_critic.admission import check_spaces, newest_state, weights_to_begin_with
from actor_critic.agent import ActorCriticAgent
from actor_critic.backends import choose_device
from actor_critic.checkpoints import Checkpoint
from actor_critic.collection import Collection, InTurn, Overlapped
from actor_critic.commands import begin_with
from actor_critic.config import Config, Settings, settings_of
from actor_critic.config.memory import check_fits_in_memory
from actor_critic.encoders import CustomEncoder, EncoderMaker
from actor_critic.environments import (
    NativeVectorEnv,
    RandomStatesVectorEnv,
    check_same_spaces,
    choose_replay,
    choose_vectorization,
    make_vector_environment,
)
from actor_critic.epoch_report import EpochReport
from actor_critic.errors import CheckpointError, ConfigError, EnvironmentFault, NumericalError, ReplayFault
from actor_critic.evaluation import Evaluation, evaluate
from actor_critic.failed_batch import keep_failed_batch
from actor_critic.imports import load_class, source_digest
from actor_critic.progress import Progress
from actor_critic.recorder import Recorder
from actor_critic.rewards import make_reward_rule
from actor_critic.rollout import Collector, Rollout
from actor_critic.runs import RunFolder
from actor_critic.seeding import Purpose, seed_global_generators
from actor_critic.spaces import read_spaces

log = logging.getLogger("actor_critic")
log.addHandler(logging.NullHandler())  # silent until a program gives the log somewhere to go

INTERRUPTED = "interrupted"


class Trainer:
    """A training run. Iterating trains: every step of the iterator is one epoch.

    Without a run folder nothing is written. Leaving the loop closes the environments; iterating again goes on with
    the next epoch, exactly as if the loop had not been left (but for native vector environments, whose running episodes
    cannot be rebuilt).

    Attributes:
        settings: The resolved settings.
        agent: What is being trained.
        stop_reason: Why the run ended; None while it has not.
        is_over: Whether the last epoch is done and kept; what may still follow is the evaluation of the last weights.
        evaluation: Of the last weights, once a run with a folder has ended.
    """

    def __init__(
        self,
        config: Config | Settings,
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
        settings = settings_of(config, encoder)
        torch.set_num_threads(1)  # the first weights are the same on any number
        settings = settings.replace(device=str(choose_device(settings.device)))
        if settings.is_random_states:
            check_fits_in_memory(settings)
        self._folder: RunFolder | None = None
        settings = choose_replay(choose_vectorization(settings))
        self._environment = make_vector_environment(settings)
        self._environment_is_open = True
        try:
            self._set_up(settings, encoder)
            if run_folder is not None:
                self.keep_in(run_folder)
        except BaseException:
            self.close()
            raise

    def _set_up(self, settings: Settings, encoder: EncoderMaker | None) -> None:
        space = self._environment.single_observation_space
        action_space = self._environment.single_action_space
        observations, actions = read_spaces(settings.environment, space, action_space)
        self.settings = settings.fitted(observations.num_features, actions.num_logits)
        is_encoded = observations.has_images and settings.encoder != "mlp"
        is_encoded |= settings.embedding_dim is not None or ":" in settings.encoder
        check_fits_in_memory(self.settings, not is_encoded)
        if settings.vectorization == "native":
            check_same_spaces(self.settings, space, action_space)
        self._reward_rule = make_reward_rule(self.settings, space, action_space)
        self.agent = ActorCriticAgent(self.settings, observations, actions, encoder)
        self.settings = self.agent.settings
        torch.set_num_threads(self.settings.torch_threads)
        if self.settings.overlap and any(True for _ in self.agent.policy.buffers()):
            raise ConfigError(
                f"overlap: the encoder {self.settings.encoder} keeps buffers beside its parameters, as batch "
                f"normalisation does, and these are not a policy's of one update ago; leave overlap out"
            )
        self._code = self._source_digests()
        if self.settings.init_from is not None:
            self._warm_start(Path(self.settings.init_from))
        self._progress = Progress(settings.num_envs, self._reward_rule is not None)
        self.stop_reason: str | None = None
        self.is_over = False
        self.evaluation: Evaluation | None = None
        self._is_iterating = False
        self._is_mid_epoch = False
        self._collection: Collection | None = None
        self._paused: dict[str, npt.NDArray[Any]] | None = None
        self._runs_code_of_others = bool(self.settings.imported_code)

    @classmethod
    def resume(
        cls,
        run_folder: str | Path,
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
            run_folder: The folder of the run.
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
        folder = RunFolder(Path(run_folder))
        try:
            ends = {"num_epochs": num_epochs, "target_return": target_return, "max_hours": max_hours}
            ends = {name: value for name, value in ends.items() if value is not None}
            path, checkpoint, settings = newest_state(folder.path, ends, encoder, trust_code)
            settings = settings.replace(device=device or settings.device)
            if new_episodes and not settings.is_random_states:
                settings = settings.replace(replay="none")
            trainer = cls.from_state(checkpoint, settings, path, encoder=encoder)
            try:
                if not ends.items() <= checkpoint.settings.items():
                    # Else a run that is killed before its next checkpoint would not know where it was to end.
                    told = replace(checkpoint, settings=checkpoint.settings | ends)
                    folder.save(told, trainer.epoch, False, settings.keep_checkpoints)
                folder.write_settings(trainer.settings)
            except BaseException:
                trainer.close()
                raise
        except BaseException:
            folder.close()
            raise
        trainer._folder = folder
        log.info("resuming %s after epoch %d", path, trainer.epoch)
        return trainer

    @classmethod
    def from_state(
        cls, checkpoint: Checkpoint, settings: Settings, origin: str | Path, *, encoder: EncoderMaker | None = None
    ) -> Self:
        """The run whose training state a checkpoint holds, kept nowhere.

        Args:
            checkpoint: The state.
            settings: The run's, as :func:`trusted_settings` reads them.
            origin: How to call the checkpoint in an error.
            encoder: The module class that encodes observations, where it is not to be imported by its name.

        Raises:
            ConfigError: The environment cannot be made, or the run does not fit in memory.
            CheckpointError: It is no training state, or code of the user's own or the environment's spaces have changed
                since.
        """
        begin = settings.replace(init_from=None)  # the weights it began with are not needed
        if not settings.is_random_states:
            begin = begin.replace(input_dim=None, output_dim=None)  # the spaces tell more, and are compared below
        trainer = cls(begin, encoder=encoder)
        try:
            try:
                check_spaces(checkpoint, (trainer.agent.observations, trainer.agent.actions))
            except CheckpointError as error:
                raise CheckpointError(f"{origin} does not fit {settings.environment}: {error}") from None
            trainer._restore(checkpoint, Path(origin))
        except BaseException:
            trainer.close()
            raise
        for owner in (trainer, trainer.agent):
            owner.settings = owner.settings.replace(init_from=settings.init_from)
        return trainer

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return self._progress.epoch

    @property
    def env_steps(self) -> int:
        """Environment steps done."""
        return self._progress.env_steps

    @property
    def episodes(self) -> int:
        """Training episodes that have ended."""
        return self._progress.episodes

    @property
    def run_folder(self) -> Path | None:
        """Where this run is kept; None if it is not."""
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
        self._folder = RunFolder.create(Path(run_folder), self.settings)
        return self._folder.path

    @property
    def digest(self) -> str:
        """SHA-256 over all that determines the rest of the run, between two epochs, as 64 hexadecimal digits.

        Raises:
            RuntimeError: The run has not begun, or is in the middle of an epoch.
        """
        if self._is_mid_epoch or (self._collection is None and self._paused is None):
            raise RuntimeError("a digest is of the state between two epochs: ask for it in the loop, or after it")
        return self._checkpoint(self._collection, self._progress.hours).digest

    @property
    def is_evaluated(self) -> bool:
        """Whether the run folder holds the evaluation of the weights as they are."""
        document = (self._folder.read_evaluation() if self._folder else None) or {}
        return document.get("epoch") == self.epoch and "greedy" in document

    def stop(self, reason: str) -> None:
        """End the run after the epoch that is running."""
        self.stop_reason = reason

    def __iter__(self) -> Iterator[EpochReport]:
        """Train epoch by epoch until the run's end; with a run folder, keep its records on the way.

        Raises:
            EnvironmentFault: The environment or the reward model failed, or does not replay its running episodes.
            NumericalError: A loss, gradient or parameter stopped being finite.
            CheckpointError: The disk refused.
            RuntimeError: The run is being iterated over already, or an epoch of it was cut short by an error.
        """
        if self._is_iterating:
            raise RuntimeError("this run is being iterated over already")
        if self._is_mid_epoch:
            raise RuntimeError("an epoch of this run was cut short; its state is neither before nor after that epoch")
        self._is_iterating = True
        started = time.monotonic()
        recorder, collection = None, None
        try:
            if self._folder:
                self._folder.claim()
                recorder = Recorder(self._folder, self.settings, self.epoch, self._progress.best)
            self._collection = collection = self._open()
            if recorder:
                self._evaluate_before(recorder)
            yield from self._train(collection, recorder, started)
            self.stop_reason = self.stop_reason or "finished"
            self.is_over = True
            if recorder and self.stop_reason != INTERRUPTED:
                self._evaluate_after(recorder)
        except Exception:
            log.error("the run failed in epoch %d", self.epoch + self._is_mid_epoch, exc_info=True)
            raise
        finally:
            self._progress.hours += (time.monotonic() - started) / 3600
            self._is_iterating = False
            self._collection = None
            try:
                if collection and not self._is_mid_epoch:  # of an epoch that was cut short nothing can be gone on with
                    self._paused = collection.save_state()
            except EnvironmentFault:  # its workers are gone: nobody can say where the episodes stand
                self._is_mid_epoch = True
            finally:
                with contextlib.ExitStack() as stack:  # each is closed, whatever the others raise
                    stack.callback(self.close)
                    if recorder:
                        stack.callback(recorder.close)
                    if collection:
                        stack.callback(collection.close)

    def _train(self, collection: Collection, recorder: Recorder | None, started: float) -> Iterator[EpochReport]:
        """The loop; however it is left, between two epochs, the last one has a checkpoint."""

        def checkpoint() -> Checkpoint:
            return self._checkpoint(collection, hours())

        def hours() -> float:
            return self._progress.hours + (time.monotonic() - started) / 3600

        try:
            if self.epoch:  # a signal may have stopped it in the very epoch that was its last
                self._decide_to_stop(hours())
            while self.epoch < self.settings.num_epochs and self.stop_reason is None:
                self._is_mid_epoch = True
                report = self._run_epoch(collection)
                self._is_mid_epoch = False
                self._decide_to_stop(hours())
                try:
                    if evaluation := self._evaluation_if_due():
                        report = replace(report, evaluation=evaluation)
                finally:  # what was learned is kept, whatever an evaluation meets
                    if recorder:
                        is_last = self.epoch == self.settings.num_epochs or self.stop_reason is not None
                        recorder.keep(report, checkpoint, is_last)
                        self._progress.best = recorder.best
                if log.isEnabledFor(logging.INFO):
                    log.info("%s", report.describe(self.settings.num_epochs))
                yield report
        finally:
            if recorder and not self._is_mid_epoch:
                recorder.keep_last(self.epoch, checkpoint)

    def close(self) -> None:
        """Let go of the environments and the run folder; iterating takes them again."""
        try:
            if self._environment_is_open:
                self._environment_is_open = False
                self._environment.close()
        finally:
            if self._folder:
                self._folder.close()

    # --- one epoch ---

    def _run_epoch(self, collection: Collection) -> EpochReport:
        started = time.perf_counter()
        epoch = self.epoch + 1
        if self._runs_code_of_others:
            seed_global_generators(self.settings.seed, epoch)
        rollout, actor = collection.take()
        model_rewards = self._model_rewards(rollout)
        rewards = rollout.rewards
        if self._reward_rule and model_rewards is not None:
            rewards = self._reward_rule.training_rewards(rewards, model_rewards)
        update = self.agent.prepare(rollout, rewards, epoch, actor)
        try:
            learned = collection.learn(lambda: self.agent.learn(update), epoch == self.settings.num_epochs)
        except NumericalError as error:
            if self._folder is None:
                raise
            raise keep_failed_batch(self._folder.path, epoch, update.batch.tensors(), error) from None
        self._progress.count(rollout, model_rewards)
        seconds = time.perf_counter() - started
        return self._progress.report(learned, rollout.num_live / max(seconds, 1e-9))

    def _model_rewards(self, rollout: Rollout) -> npt.NDArray[np.float32] | None:
        """What the reward model pays for a rollout's steps, [T, N]; None without one."""
        if self._reward_rule is None:
            return None
        count = rollout.rewards.size
        shape = rollout.observations.shape[2:]
        rewards = self._reward_rule.model_rewards(
            rollout.observations[:-1].reshape(count, *shape),
            self.agent.actions.numbers(rollout.actions.reshape(count, -1)),
            rollout.next_observations().reshape(count, *shape),
            rollout.terminated.reshape(count),
            rollout.rewards.reshape(count),
        )
        rewards = rewards.reshape(rollout.rewards.shape)
        return rewards if rollout.live is None else np.where(rollout.live, rewards, np.float32(0))

    def _decide_to_stop(self, hours: float) -> None:
        settings = self.settings
        totals = self._progress.totals
        if settings.target_return is not None and totals.count_is_full:
            mean_return = totals.mean("return")
            assert mean_return is not None
            if mean_return >= settings.target_return and self.stop_reason is None:
                self.stop(f"target_return {settings.target_return:g} reached")
        if settings.max_hours is not None and hours >= settings.max_hours and self.stop_reason is None:
            self.stop(f"max_hours {settings.max_hours:g} passed")

    # --- keeping ---

    def _source_digests(self) -> dict[str, str]:
        """Digests of the files behind the user's own reward model and encoder, as they are when the run is set up."""
        used: dict[str, type[Any]] = {}
        if ":" in self.settings.reward_model:
            used["reward_model"] = load_class(self.settings.reward_model, "reward_model")
        encoder = self.agent.policy.trunk.encoder
        if isinstance(encoder, CustomEncoder):
            used["encoder"] = type(encoder.module)
        digests = {field: source_digest(found) for field, found in used.items()}
        return {field: digest for field, digest in digests.items() if digest is not None}

    def _checkpoint(self, collection: Collection | None, hours: float) -> Checkpoint:
        tensors = self._progress.tensors()
        for name, array in (collection.save_state() if collection else self._paused or {}).items():
            tensors[f"environment.{name}"] = torch.from_numpy(array)
        checkpoint = self.agent.checkpoint(self._progress.counters(), tensors)
        checkpoint.records.update(self._progress.records(hours))
        checkpoint.code.update(self._code)
        return checkpoint

    def _restore(self, checkpoint: Checkpoint, path: Path) -> None:
        for field in checkpoint.code.keys() | self._code.keys():
            if checkpoint.code.get(field) != self._code.get(field):
                raise CheckpointError(
                    f"{path} was trained with another version of {getattr(self.settings, field, field)}: its file has "
                    f"changed since, and the run would not be the one that was stopped; start a new run with "
                    f"{begin_with(path)}"
                )
        try:
            self.agent.load_state(checkpoint.tensors, checkpoint.counters["optimizer_steps"])
            self._progress.restore(checkpoint)
            self._paused = {
                name.removeprefix("environment."): tensor.numpy()
                for name, tensor in checkpoint.tensors.items()
                if name.startswith("environment.")
            }
        except KeyError as error:
            raise CheckpointError(f"{path} is an agent, not a training state: it lacks {error}") from None

    def _open(self) -> Collection:
        """Environments at the point where the run stands."""
        if not self._environment_is_open:
            self._environment = make_vector_environment(self.settings)
            self._environment_is_open = True
        agent, settings = self.agent, self.settings
        collector = Collector(
            self._environment,
            agent.observations,
            agent.actions,
            settings.num_steps,
            agent.policy.trunk.state_dim,
            buffers=2 if settings.overlap else 1,
        )
        collection = Overlapped(collector, agent) if settings.overlap else InTurn(collector, agent)
        if self._paused is None:
            collection.begin(settings.seed)
            return collection
        try:
            collection.load_state(self._paused)
        except ReplayFault as fault:
            raise ReplayFault(
                f"{fault}; it is no function of its seed and actions, or has changed since: --new-episodes (in Python: "
                f"new_episodes=True) leaves the running episodes and begins new ones"
            ) from None
        if not self._environment.is_exact:
            self._progress.new_episodes_after = self.epoch
            is_native = isinstance(self._environment, NativeVectorEnv)
            log.warning(
                "resume not exact: %s of %s cannot rebuild running episodes, so new ones begin%s",
                "the native vector form" if is_native else "single instances",
                settings.environment,
                "; use vectorization sync, shared or workers for a run that may be stopped" if is_native else "",
            )
            self._progress.totals.running[:] = 0.0
            agent.forget_running_episodes()
            collection.forget()
        return collection

    def _warm_start(self, path: Path) -> None:
        try:
            spaces = self.agent.observations, self.agent.actions
            source, checkpoint = weights_to_begin_with(path, self.settings, spaces)
            self.agent.load_weights(checkpoint.tensors)
        except CheckpointError as error:
            raise ConfigError(f"init_from: {path} does not fit: {error}") from None
        self.settings = self.agent.settings = self.settings.replace(init_from=str(source))
        log.info("weights from %s", source)

    # --- evaluation ---

    def _evaluation_if_due(self) -> Evaluation | None:
        interval = self.settings.evaluation_interval
        if interval is None or self.epoch % interval:
            return None
        evaluation = evaluate(self.agent, purpose=Purpose.SELECTION)
        log.info("evaluation after epoch %d: %s", self.epoch, evaluation.describe())
        return evaluation

    def _evaluate_before(self, recorder: Recorder) -> None:
        """Evaluate the first weights, where there is an optimum to compare the last ones with."""
        if self.epoch == 0 and isinstance(self._environment, RandomStatesVectorEnv):
            evaluation = evaluate(self.agent)
            log.info("evaluation before training: %s", evaluation.describe())
            recorder.keep_evaluation_before(evaluation)

    def _evaluate_after(self, recorder: Recorder) -> None:
        self.evaluation = evaluate(self.agent)
        log.info("evaluation after training: %s", self.evaluation.describe())
        recorder.keep_evaluation(self.evaluation, self.epoch, self.env_steps)
