"""The training loop: environment → rollout → advantages → update, epoch by epoch."""

import contextlib
import logging
import time
from collections.abc import Generator, Iterator

from actor_critic.errors import ActorCriticError, ConfigError, NumericalError, RankFault
from actor_critic.process import Interrupted, postponed, recognized
from actor_critic.ranks import is_shared, shared
from actor_critic.rollouts import RolloutSource
from actor_critic.storage import keep_failed_batch
from actor_critic.training.choices import are_counted, count_choices
from actor_critic.training.counters import Outcomes
from actor_critic.training.recorded import RecordedRun, ends_this_rank_alone
from actor_critic.training.report import EpochReport
from actor_critic.training.stopping import Phase
from actor_critic.training.training_environments import LEARNING

log = logging.getLogger("actor_critic")
log.addHandler(logging.NullHandler())  # silent until a program adds a handler


class Trainer(RecordedRun):
    """A training run as an iterator: every step trains one epoch and returns its report.

    Without a run folder nothing is written. Leaving the loop closes the environments. Iterating again continues with
    the next epoch, exactly as if the loop had not been left. (Native vector environments begin new episodes, because
    their running episodes cannot be rebuilt.)

    Ctrl-C (a notebook's stop button) finishes the epoch and, with a run folder, writes its records and a checkpoint.
    Then it raises KeyboardInterrupt in the loop. A second Ctrl-C stops in the middle of the epoch. After that, or after
    an error, the run returns to the state before this epoch (a few epochs earlier if epochs take only milliseconds).
    With a run folder, this state has a checkpoint. Iterating again continues from it.

    Attributes:
        settings: The resolved settings; they cannot be assigned.
        agent: The agent in training.
        epoch_begun: The last epoch that was started; more than ``epoch`` if it was cut short.
        last_report: The report of the last epoch that this object trained; Ctrl-C may have kept it from the loop.
        logged: What :meth:`log` was given: epoch, name and number of each.
        stop_reason: Why the run ended; None before its end.
        is_over: Whether the last epoch is done and recorded. The evaluation of the final weights may still follow.
        evaluation: The evaluation of the final weights; only for a run with a folder, after its end.
    """

    def __iter__(self) -> Iterator[EpochReport]:
        """Train epoch by epoch until the end of the run; with a run folder, write its records.

        Raises:
            ConfigError: A logger cannot begin, or needs a run folder.
            Interrupted: Ctrl-C (a KeyboardInterrupt). The epoch that just ended has no report.
            EnvironmentFault: The environment or the reward model failed, or does not replay its running episodes.
            NumericalError: A loss, gradient or parameter is not finite.
            CheckpointError: The disk refused.
            RuntimeError: Another loop iterates over this run, or the state before an error could not be restored.
        """
        if self._phase is Phase.BROKEN:
            raise RuntimeError("an epoch of this run was cut short; its state is neither before nor after that epoch")
        if self._phase is not Phase.IDLE:
            raise RuntimeError("this run is being iterated over already")
        if self.settings.logger and not self._folder_path:
            raise ConfigError(f"logger: {', '.join(self.settings.logger)} needs a run folder; pass one to the Trainer")
        self._phase = Phase.BETWEEN_EPOCHS
        self._is_interrupted = False
        self._counters.start_clock()
        with contextlib.ExitStack() as stack:  # each is closed even if another one raises
            stack.callback(self._leave)
            stack.push(self._abandon_if_alone)
            try:
                self._open_records(stack)
                self._repeat_changes()
                with recognized():
                    with self._ranks.joint():
                        source = self._environments.open(self._state)
                        stack.callback(source.close)
                        self._state.attach(source)
                    self._evaluate_before()
                if fault := (yield from self._epochs(source)):
                    raise fault
                with recognized():
                    self._finish()
            except Exception as error:
                if isinstance(error, ActorCriticError) and error.drops_changes:
                    self.drop_last_changes()
                    raise
                log.error("the run failed in epoch %d", max(self.epoch, self.epoch_begun), exc_info=True)
                raise

    def _epochs(self, source: RolloutSource) -> Generator[EpochReport, None, ActorCriticError | None]:
        """Train until the last epoch or a reason to stop; with a run folder, end with a checkpoint.

        Returns:
            Why the running episodes could not be saved at the end; None if they were.
        """
        is_left = False
        try:
            if self.epoch:  # a signal may have stopped the run in its last epoch
                self._stop_if_a_rule_says_so()
            while True:
                with self._undisturbed():
                    if not self._goes_on():
                        break
                    self._repeat_changes()
                    if self._wants_snapshot:
                        self._state.take_snapshot()
                with postponed() as is_interrupted:
                    self._phase = Phase.IN_EPOCH
                    report = self._run_epoch(source)
                    self._phase = Phase.BETWEEN_EPOCHS
                self._is_interrupted |= is_interrupted()
                self._stop_if_a_rule_says_so()
                with self._undisturbed():
                    report = self._keep(report)
                if self._is_interrupted and self._ranks.is_alone:  # several ranks stop together
                    raise Interrupted
                yield report
        except BaseException as error:
            is_left = isinstance(error, GeneratorExit)
            if ends_this_rank_alone(error):
                self._ranks.abandon()
            if isinstance(error, RankFault) and not is_shared(error):
                raise self._ended_by(error) from None
            raise
        finally:
            with postponed():
                is_cut_short = self._phase is Phase.IN_EPOCH
                if is_cut_short:
                    source.close()  # otherwise another thread might still train
                fault = self._state.detach(is_cut_short)
                if is_left:
                    self._fail_later(fault)
                self._phase = Phase.BETWEEN_EPOCHS
                self._keep_last()
        return fault

    def _run_epoch(self, source: RolloutSource) -> EpochReport:
        """Collect a rollout, estimate advantages, and update the agent."""
        started = time.perf_counter()
        self.epoch_begun = epoch = self.epoch + 1
        self._seeds(epoch)
        with self._ranks.telling():
            rollout, actor = source.next()
            collected = time.perf_counter()
            rewards, model_rewards = self._rewards.of(rollout)
        outcomes = Outcomes.of(rollout, model_rewards).of_all(self._ranks)
        update = self.agent.prepare(rollout, rewards, epoch, actor)
        if self._learns_by_code_of_others:  # its random numbers must not depend on the environments'
            self._seeds(epoch, LEARNING)
        try:
            # Advantages, then the optimizer steps.
            result = source.learn(lambda: self.agent.learn(update), epoch == self.settings.num_epochs)
        except NumericalError as error:  # on every rank, since all take the same step
            if self._folder is None or not error.batch:
                raise shared(error) from None
            raise shared(keep_failed_batch(self._folder.path, epoch, error.batch, error)) from None
        before = self.env_steps
        self._counters.count(outcomes)
        ended = time.perf_counter()
        self._seconds |= rollout.seconds | {"update": ended - collected}
        counted = are_counted(epoch, self.settings.num_epochs)
        report = self._counters.report(
            result, (self.env_steps - before) / max(ended - started, 1e-9), self._seconds, dict(self._last_values),
            count_choices(rollout, self.agent.actions) if counted else None,
        )  # fmt: skip
        self._seconds = {}
        return report

    def _leave(self) -> None:
        """End an iteration over the run, also after an error."""
        self._counters.stop_clock()
        self._recorder = None
        self._phase = Phase.BROKEN if self._phase is Phase.IN_EPOCH else Phase.IDLE
        self._state.source = None
        self.close()
