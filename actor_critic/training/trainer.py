"""The training run, as an iterator of epoch reports: environment → rollout → advantages → update."""

import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, NoReturn, Self

import numpy as np
import numpy.typing as npt
import torch

from actor_critic.agent import ActorCriticAgent, FixedAttributes, check_spaces, newest_state, weights_to_begin_with
from actor_critic.backends import choose_device
from actor_critic.config import Config, Settings, check_fits_in_memory, settings_of
from actor_critic.environments import (
    NativeVectorEnv,
    RandomStatesVectorEnv,
    check_same_spaces,
    choose_replay,
    choose_vectorization,
    make_vector_environment,
    runs_code_of_others,
)
from actor_critic.errors import (
    CheckpointError,
    ConfigError,
    EnvironmentFault,
    NotMadeError,
    NumericalError,
    ReplayFault,
)
from actor_critic.evaluation import Evaluation, evaluate, long_evaluations
from actor_critic.imports import load_class
from actor_critic.networks import CustomEncoder, EncoderMaker
from actor_critic.process import Interrupted, begin_with, postponed, recognized
from actor_critic.rewards import make_reward_rule
from actor_critic.rollouts import Collector, Overlapped, Rollout, RolloutSource, Sequential
from actor_critic.seeding import Purpose, seed_global_generators
from actor_critic.spaces import read_spaces
from actor_critic.storage import Checkpoint, RunFolder, here, keep_failed_batch
from actor_critic.training.code_digest import TYPED, source_digest
from actor_critic.training.epoch_report import EpochReport
from actor_critic.training.progress import Progress
from actor_critic.training.recorder import Recorder

log = logging.getLogger("actor_critic")
log.addHandler(logging.NullHandler())  # silent until a program gives the log somewhere to go

INTERRUPTED = "interrupted"

# What keeping the state to go back to may take: seconds, and a share of the time since.
_KEEPING_SECONDS, _KEEPING_SHARE = 0.01, 1 / 300

# Streams of the global generators besides that of collecting.
_LEARNING, _EVALUATING = 3, 4


class Trainer(FixedAttributes):
    """A training run. Iterating trains: every step of the iterator is one epoch.

    Without a run folder nothing is written. Leaving the loop closes the environments; iterating again goes on with
    the next epoch, exactly as if the loop had not been left (but for native vector environments, whose running episodes
    cannot be rebuilt).

    Ctrl-C (a notebook's stop button) during an epoch lets it end, keeps its records and with a run folder a checkpoint,
    and raises KeyboardInterrupt in the loop; a second one does so at once. Where an epoch is cut short, by that or by
    an error, the run is back at the state before that epoch, or where epochs take milliseconds before a few of them;
    with a run folder that state has a checkpoint. Iterating again goes on from it.

    Attributes:
        settings: The resolved settings; they are what the run is, and cannot be assigned.
        agent: What is being trained.
        stop_reason: Why the run ended; None while it has not.
        is_over: Whether the last epoch is done and kept; what may still follow is the evaluation of the last weights.
        evaluation: Of the last weights, once a run with a folder has ended.
    """

    _fixed: ClassVar = {
        "settings": "make another Trainer, whose init_from may name the weights of this one",
        "agent": "load_weights of the one that is there takes over the weights of another one",
    }

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
        self._started_in = here()  # environments may change to another folder
        settings = settings_of(config, encoder)
        torch.set_num_threads(1)  # the first weights are the same on any number
        settings = settings.replace(device=str(choose_device(settings.device)))
        if settings.is_random_states:
            check_fits_in_memory(settings)
        self._folder: RunFolder | None = None
        self._environment_is_open = False
        with recognized():
            self._runs_code_of_others = runs_code_of_others(settings)
            if self._runs_code_of_others:
                seed_global_generators(settings.seed, 0)
            settings = choose_replay(choose_vectorization(settings))
            self._make_environment(settings)
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
        settings = settings.fitted(observations.num_features, actions.num_logits)
        is_encoded = observations.has_images and settings.encoder != "mlp"
        is_encoded |= settings.embedding_dim is not None or ":" in settings.encoder
        check_fits_in_memory(settings, not is_encoded)
        if settings.vectorization == "native":
            check_same_spaces(settings, space, action_space)
        self._reward_rule = make_reward_rule(settings, space, action_space)
        init_from, first = settings.init_from, None
        try:
            if init_from is not None:
                source, first = weights_to_begin_with(self._started_in / init_from, settings, (observations, actions))
                settings = settings.replace(init_from=str(source))
            self.agent = ActorCriticAgent(settings, observations, actions, encoder)
            if first is not None:
                self.agent.load_weights(first.tensors)
                log.info("weights from %s", settings.init_from)
        except CheckpointError as error:
            raise ConfigError(f"init_from: {init_from} does not fit: {error}") from None
        self.settings = self.agent.settings
        self._learns_by_code_of_others = isinstance(self.agent.policy.trunk.encoder, CustomEncoder)
        torch.set_num_threads(self.settings.torch_threads)
        if self.settings.overlap and any(True for _ in self.agent.policy.buffers()):
            raise ConfigError(
                f"overlap: the encoder {self.settings.encoder} keeps buffers beside its parameters, as batch "
                f"normalisation does, and these are not a policy's of one update ago; leave overlap out"
            )
        self._code = self._source_digests()
        self._progress = Progress(settings.num_envs, settings.episode_figures)
        self.stop_reason: str | None = None
        self.is_over = False
        self.evaluation: Evaluation | None = None
        self._is_iterating = False
        self._is_mid_epoch = False
        self._lost: EnvironmentFault | None = None  # why the last epochs could not be kept
        self._begun = 0  # the number of the epoch that was begun last
        self._collection: RolloutSource | None = None
        self._paused: dict[str, npt.NDArray[Any]] | None = None
        self._kept: Checkpoint | None = None  # the state to go back to where an epoch is cut short, without settings

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
        with recognized():
            return cls._resume(
                RunFolder(here() / run_folder),
                {"num_epochs": num_epochs, "target_return": target_return, "max_hours": max_hours},
                device,
                encoder,
                trust_code,
                new_episodes,
            )

    @classmethod
    def _resume(
        cls,
        folder: RunFolder,
        ends: dict[str, Any],
        device: str | None,
        encoder: EncoderMaker | None,
        trust_code: bool,
        new_episodes: bool,
    ) -> Self:
        try:
            ends = Config(**ends).model_dump(exclude_none=True)  # before anything of the run is written
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
        trainer._recognize_end()
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
            vars(owner)["settings"] = owner.settings.replace(init_from=settings.init_from)
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
        self._folder = RunFolder.create(self._started_in / run_folder, self.settings)
        if warning := long_evaluations(self.settings, self._environment):
            log.info("%s", warning)
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
            Interrupted: Ctrl-C (it is a KeyboardInterrupt); of the epoch that ended then there is no report.
            EnvironmentFault: The environment or the reward model failed, or does not replay its running episodes.
            NumericalError: A loss, gradient or parameter stopped being finite.
            CheckpointError: The disk refused.
            RuntimeError: The run is being iterated over already, or could not go back to before an error.
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
                recorder = Recorder(self._folder, self.settings, self.epoch, self.env_steps, self._progress.best)
            with recognized():
                self._collection = collection = self._open()
                if recorder:
                    self._evaluate_before(recorder)
            yield from self._train(collection, recorder, started)
            if self._lost:
                raise self._lost
            self.stop_reason = self.stop_reason or "finished"
            self.is_over = True
            if recorder and self.stop_reason != INTERRUPTED and not (self.evaluation and self.is_evaluated):
                with recognized():
                    self._close_environment()  # what can exist only once cannot be evaluated beside them
                    self._evaluate_after(recorder)
        except Exception:
            log.error("the run failed in epoch %d", max(self.epoch, self._begun), exc_info=True)
            raise
        finally:
            self._progress.hours += (time.monotonic() - started) / 3600
            self._is_iterating = False
            self._collection = None
            with contextlib.ExitStack() as stack:  # each is closed, whatever the others raise
                stack.callback(self.close)
                if recorder:
                    stack.callback(recorder.close)
                if collection:
                    stack.callback(collection.close)

    def _train(self, collection: RolloutSource, recorder: Recorder | None, started: float) -> Iterator[EpochReport]:
        """The loop; however it is left, what it is left at has a checkpoint."""
        keeping = 0.0

        def checkpoint() -> Checkpoint:
            self._kept = made = self._checkpoint(collection, hours())
            return made

        def hours() -> float:
            return self._progress.hours + (time.monotonic() - started) / 3600

        try:
            if self.epoch:  # a signal may have stopped it in the very epoch that was its last
                self._decide_to_stop(hours())
            while self.epoch < self.settings.num_epochs and self.stop_reason is None:
                began = time.monotonic()
                if keeping <= _KEEPING_SECONDS + _KEEPING_SHARE * (began - started):
                    self._kept = self._state(collection, hours())
                    keeping += time.monotonic() - began
                with postponed() as is_interrupted:
                    self._is_mid_epoch = True
                    report = self._run_epoch(collection)
                    self._is_mid_epoch = False
                self._decide_to_stop(hours())
                try:
                    if evaluation := self._evaluation_if_due():
                        report = replace(report, evaluation=evaluation)
                finally:  # what was learned is kept, whatever an evaluation meets
                    if recorder:
                        with postponed() as is_interrupted_again:
                            is_last = self.epoch == self.settings.num_epochs or self.stop_reason is not None
                            recorder.keep(report, checkpoint, is_last, self._progress.totals.is_representative)
                            self._progress.best = recorder.best
                if log.isEnabledFor(logging.INFO):
                    log.info("%s", report.describe(self.settings.num_epochs))
                if is_interrupted() or (recorder and is_interrupted_again()):
                    raise Interrupted
                yield report
        finally:
            with postponed():
                if self._is_mid_epoch:
                    collection.close()  # else another thread might still learn
                self._settle(collection)
                if recorder:
                    recorder.keep_last(self.epoch, lambda: self._checkpoint(None, hours()))

    def _settle(self, collection: RolloutSource) -> None:
        """Save where the run stands; where an epoch was cut short, go back to the state kept last before it."""
        kept, self._kept, self._lost = self._kept, None, None
        if not self._is_mid_epoch:
            try:
                self._paused = collection.save_state()
                return
            except EnvironmentFault as fault:  # its workers are gone: nobody can say where the episodes stand
                log.warning("%s", fault)
                self._lost = fault
        if kept:
            best, hours = self._progress.best, self._progress.hours
            self._take_over(kept)
            self._progress.best, self._progress.hours = best, hours
            log.info("back at the state after epoch %d", self.epoch)
        self._is_mid_epoch = False

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a Trainer cannot be copied or pickled, as its environments cannot; copy trainer.agent, or take up a run "
            "folder with Trainer.resume"
        )

    def close(self) -> None:
        """Let go of the environments and the run folder; iterating takes them again."""
        try:
            self._close_environment()
        finally:
            if self._folder:
                self._folder.close()

    def _close_environment(self) -> None:
        if self._environment_is_open:
            self._environment_is_open = False
            with recognized():
                self._environment.close()

    # --- one epoch ---

    def _run_epoch(self, collection: RolloutSource) -> EpochReport:
        started = time.perf_counter()
        self._begun = epoch = self.epoch + 1
        self._seed(epoch)
        rollout, actor = collection.next()
        model_rewards = self._model_rewards(rollout)
        rewards = rollout.rewards
        if self._reward_rule and model_rewards is not None:
            rewards = self._reward_rule.training_rewards(rewards, model_rewards)
        update = self.agent.prepare(rollout, rewards, epoch, actor)
        if self._learns_by_code_of_others:  # what it draws is no matter of how much the environments drew
            self._seed(epoch, _LEARNING)
        try:
            learned = collection.learn(lambda: self.agent.learn(update), epoch == self.settings.num_epochs)
        except NumericalError as error:
            if self._folder is None:
                raise
            raise keep_failed_batch(self._folder.path, epoch, update.batch.tensors(), error) from None
        self._progress.count(rollout, model_rewards)
        seconds = time.perf_counter() - started
        return self._progress.report(learned, rollout.num_valid / max(seconds, 1e-9))

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
        return rewards if rollout.valid is None else np.where(rollout.valid, rewards, np.float32(0))

    def _decide_to_stop(self, hours: float) -> None:
        settings = self.settings
        totals = self._progress.totals
        if settings.target_return is not None and totals.is_representative:
            mean_return = totals.mean("return")
            assert mean_return is not None
            if mean_return >= settings.target_return and self.stop_reason is None:
                self.stop(f"target_return {settings.target_return:g} reached")
        if settings.max_hours is not None and hours >= settings.max_hours and self.stop_reason is None:
            self.stop(f"max_hours {settings.max_hours:g} passed")

    # --- keeping ---

    def _source_digests(self) -> dict[str, str]:
        """Digests of the files or code behind the user's own reward model and encoder, as they are at the set-up."""
        used: dict[str, type[Any]] = {}
        if ":" in self.settings.reward_model:
            used["reward_model"] = load_class(self.settings.reward_model, "reward_model")
        encoder = self.agent.policy.trunk.encoder
        if isinstance(encoder, CustomEncoder):
            used["encoder"] = type(encoder.module)
        return {field: source_digest(found) for field, found in used.items()}

    def _checkpoint(self, collection: RolloutSource | None, hours: float) -> Checkpoint:
        checkpoint = self.agent.checkpoint(self._progress.counters(), self._tensors(collection))
        checkpoint.records.update(self._progress.records(hours))
        checkpoint.code.update(self._code)
        return checkpoint

    def _state(self, collection: RolloutSource, hours: float) -> Checkpoint:
        """What a checkpoint holds, but for what stays as it is through a run."""
        counters = {"optimizer_steps": self.agent.optimizer_steps, **self._progress.counters()}
        tensors = self.agent.state() | self._tensors(collection)
        return Checkpoint({}, {}, counters, tensors, self._progress.records(hours))

    def _tensors(self, collection: RolloutSource | None) -> dict[str, torch.Tensor]:
        tensors = self._progress.tensors()
        for name, array in (collection.save_state() if collection else self._paused or {}).items():
            tensors[f"environment.{name}"] = torch.from_numpy(array)
        return tensors

    def _restore(self, checkpoint: Checkpoint, path: Path) -> None:
        for field in checkpoint.code.keys() | self._code.keys():
            before, now = checkpoint.code.get(field), self._code.get(field)
            if before is None and now is not None and now.startswith(TYPED):
                log.warning("%s: whether it is still that of %s cannot be told", getattr(self.settings, field), path)
            elif before != now:
                what = "code" if (before or "").startswith(TYPED) else "file"
                raise CheckpointError(
                    f"{path} was trained with another version of {getattr(self.settings, field, field)}: its {what} "
                    f"has changed since, and the run would not be the one that was stopped; start a new run with "
                    f"{begin_with(path)}"
                )
        try:
            self._take_over(checkpoint)
        except KeyError as error:
            raise CheckpointError(f"{path} is an agent, not a training state: it lacks {error}") from None

    def _take_over(self, checkpoint: Checkpoint) -> None:
        """Stand where a checkpoint was made.

        Raises:
            CheckpointError: Its tensors do not fit.
            KeyError: It is no training state.
        """
        self.agent.load_state(checkpoint.tensors, checkpoint.counters["optimizer_steps"])
        self._progress.restore(checkpoint)
        self._paused = {
            name.removeprefix("environment."): tensor.numpy()
            for name, tensor in checkpoint.tensors.items()
            if name.startswith("environment.")
        }

    def _recognize_end(self) -> None:
        """Whether a run that was taken up is over, why, and what its evaluation was."""
        self._decide_to_stop(self._progress.hours)
        if self.epoch >= self.settings.num_epochs:
            self.stop_reason = self.stop_reason or "finished"
        self.is_over = self.stop_reason is not None
        document = (self._folder.read_evaluation() if self._folder else None) or {}
        if self.is_over and document.get("epoch") == self.epoch:
            with contextlib.suppress(LookupError, TypeError, ValueError):  # edited, or cut short
                self.evaluation = Evaluation.from_document(document)

    def _open(self) -> RolloutSource:
        """Environments at the point where the run stands."""
        if not self._environment_is_open:
            self._make_environment(self.settings)
        self._seed(self.epoch)
        agent, settings = self.agent, self.settings
        collector = Collector(
            self._environment,
            agent.observations,
            agent.actions,
            settings.num_steps,
            agent.policy.trunk.state_dim,
            buffers=2 if settings.overlap else 1,
        )
        self._collector = collector
        collection = (
            Overlapped(collector, agent, settings.torch_threads) if settings.overlap else Sequential(collector, agent)
        )
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
            collection.reset_hidden_state()
        return collection

    def _make_environment(self, settings: Settings) -> None:
        if self._runs_code_of_others:  # its constructors do the same each time
            seed_global_generators(settings.seed, 0)
        self._environment = make_vector_environment(settings)
        self._environment_is_open = True

    def _seed(self, epoch: int, *purpose: int) -> None:
        """Seed the generators that code of others may draw from."""
        if self._runs_code_of_others:
            seed_global_generators(self.settings.seed, epoch, *purpose)

    # --- evaluation ---

    def _evaluation_if_due(self) -> Evaluation | None:
        interval = self.settings.evaluation_interval
        if interval is None or self.epoch % interval:
            return None
        with recognized():
            self._seed(self.epoch, _EVALUATING)
            try:
                evaluation = evaluate(self.agent, purpose=Purpose.SELECTION)
            except NotMadeError as error:  # those of training could be made
                evaluation = self._evaluate_alone(error)
        log.info("evaluation after epoch %d: %s", self.epoch, evaluation.describe())
        return evaluation

    def _evaluate_alone(self, error: NotMadeError) -> Evaluation:
        """Evaluate with the environments of training closed, and made anew afterwards.

        Args:
            error: Why none could be made beside them.
        """
        if not self._environment.is_exact:
            raise ConfigError(
                f"{error}; those of training could be made, so it may be that it can exist only once, and their "
                f"running episodes cannot be rebuilt; set evaluation_interval to off"
            )
        episodes = self._environment.save_state()
        self._close_environment()
        try:
            return evaluate(self.agent, purpose=Purpose.SELECTION)
        finally:
            self._make_environment(self.settings)
            self._collector.go_on_in(self._environment, episodes)

    def _evaluate_before(self, recorder: Recorder) -> None:
        """Evaluate the first weights, where there is an optimum to compare the last ones with."""
        if self.epoch == 0 and isinstance(self._environment, RandomStatesVectorEnv):
            self._seed(self.epoch, _EVALUATING)
            evaluation = evaluate(self.agent)
            log.info("evaluation before training: %s", evaluation.describe())
            recorder.keep_evaluation_before(evaluation)

    def _evaluate_after(self, recorder: Recorder) -> None:
        self._seed(self.epoch, _EVALUATING)
        self.evaluation = evaluate(self.agent)
        log.info("evaluation after training: %s", self.evaluation.describe())
        recorder.keep_evaluation(self.evaluation, self.epoch, self.env_steps)
