"""The search itself: trials in processes of their own, until the study has all of them; then the confirmation."""

import json
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from actor_critic.errors import ActorCriticError, ConfigError
from actor_critic.files import write_durably
from actor_critic.ops.statistics import interquartile_mean
from actor_critic.search.confirmation import FOLDER, confirm, fresh_seeds
from actor_critic.search.page import write_page
from actor_critic.search.plan import Plan
from actor_critic.search.results import Confirmation, SweepResult, TrialResult, best_of, documents, front_of
from actor_critic.search.study import POINTS, Study
from actor_critic.search.trial_process import Outcome, TrialProcess, why
from actor_critic.storage import new_folder
from actor_critic.training import Start, start_here

RECORD, WINNER = "sweep.json", "best.json"

_PATIENCE = 0.2  # seconds between two looks at signals
_UPKEEP = 5.0  # seconds between two heartbeats, and two looks at trials of other processes
_FIRST = 3  # trials that all fail end the search

_STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


class Search:
    """One process of a search.

    Attributes:
        folder: Its folder.
    """

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        tell: Callable[[str], None],
        is_stopped: Callable[[], bool],
        start: Start = start_here,
    ) -> None:
        """Open the study, or begin it.

        Args:
            plan: What to search.
            folder: The folder; it exists.
            tell: Takes lines for the user.
            is_stopped: Whether the user has asked to stop.
            start: Starts the process of a trial, here or on another machine.

        Raises:
            ConfigError: The storage cannot be used, or the study has another plan.
        """
        self.folder = folder
        self._plan = plan
        self._tell = tell
        self._is_stopped = is_stopped
        self._start = start
        self._study = Study(plan, folder)
        self._running: list[tuple[optuna.Trial, TrialProcess]] = []
        self._looked_after = 0.0
        self._failures: dict[int, Exception] = {}

    def run(self) -> SweepResult:
        """Search until all trials are done or the user stops, then confirm the winner.

        Raises:
            ActorCriticError: The first trials all failed; the exit code is that of the first one.
            ConfigError: The storage cannot be used any more.
        """
        try:
            with self._study.errors():
                self._study.release_dead()
                self._keep()
                self._search()
                is_done = not self._study.unfinished()
                result = self._result(None, False)
                self._keep_winner(result)
            confirmation, is_confirmed = self._confirm(result) if is_done else (None, False)
            with self._study.errors():
                self._keep(confirmation)
                result = self._result(confirmation, is_done and is_confirmed)
                base = self._plan.base
                if result.is_finished and base.report:
                    write_page(self._study.of_optuna, result, base.environment, base.algorithm)
                return result
        finally:
            self._study.close()

    # --- trials ---

    def _search(self) -> None:
        has_told = False
        try:
            while True:
                self._begin_trials()
                if not self._running:
                    if self._is_stopped() or not self._study.unfinished():
                        return
                    if not has_told:
                        has_told = True
                        self._tell(f"waiting for trials of other processes: {_numbers(self._study.unfinished())}")
                wait([pipe for _, process in self._running for pipe in process.pipes], _PATIENCE)
                if not self._running:
                    time.sleep(_PATIENCE)  # without pipes, the line before does not wait
                if self._is_stopped():
                    for _, process in self._running:
                        process.stop()
                self._attend()
                self._look_after()
        finally:
            self._end_all()

    def _begin_trials(self) -> None:
        while len(self._running) < self._plan.at_a_time() and not self._is_stopped():
            trial = self._study.begin()
            if trial is None:
                return
            values = self._study.values_of(trial)
            try:
                settings = self._plan.settings_of(values)
            except ConfigError as error:  # a combination of values that contradict each other
                self._fail(trial, error)
                continue
            folder = new_folder(self.folder / f"trial_{trial.number:04d}")
            self._study.keep(trial, "folder", str(folder))
            points = POINTS if self._study.prunes else 0
            self._running.append((trial, TrialProcess(settings, folder, self._plan.trial_seeds, points, self._start)))

    def _attend(self) -> None:
        """Answer the points of learning curves, and take outcomes."""
        for entry in list(self._running):
            trial, process = entry
            if (point := process.point()) is not None:
                process.answer(self._study.report(trial, *point) or self._is_stopped())
            for outcome in process.ended():
                self._running.remove(entry)
                self._take(trial, outcome)

    def _take(self, trial: optuna.Trial, outcome: Outcome) -> None:
        if isinstance(outcome, Exception):
            self._fail(trial, outcome)
            return
        if outcome is None:
            self._study.fail(trial, "it was stopped", is_tried_again=True)
            self._tell(f"trial {trial.number}: stopped")
            return
        self._study.keep(trial, "seconds", outcome["seconds"])
        if "pruned_at" in outcome:
            self._study.keep(trial, "pruned_at", outcome["pruned_at"])
            self._study.prune(trial)
        else:
            scores = [float(document[self._plan.score]["mean"]) for document in outcome["evaluations"]]
            score = interquartile_mean(np.array(scores))
            if not np.isfinite(score):
                self._fail(trial, ActorCriticError(f"its score is {score}"))
                return
            self._study.keep(trial, "scores", scores)
            self._study.finish(trial, score, outcome["seconds"])
        self._tell_of(trial.number)

    def _fail(self, trial: optuna.Trial, error: Exception) -> None:
        self._failures[trial.number] = error
        self._study.fail(trial, why(error))
        self._tell_of(trial.number)
        finished = [each for each in self._study.trials() if each.state.is_finished()]
        if all(each.state == TrialState.FAIL for each in finished) and len(finished) >= min(_FIRST, self._plan.trials):
            raise _AllFailed(len(finished), next(iter(self._failures.values())))

    def _tell_of(self, number: int) -> None:
        """Tell of a finished trial, and keep the record."""
        trials = self._trials()
        done = sum(each.state in ("complete", "pruned", "failed") for each in trials)
        line = next((each.describe() for each in trials if each.number == number), f"trial {number} was taken over")
        self._tell(f"[{done}/{max(self._plan.trials, len(trials))}] {line}")
        self._keep()

    def _look_after(self) -> None:
        """Say that the trials of this process are alive, and look for trials of dead processes."""
        if time.monotonic() - self._looked_after > _UPKEEP:
            self._looked_after = time.monotonic()
            for trial, _ in self._running:
                self._study.beat(trial)
            self._study.release_dead()

    def _end_all(self) -> None:
        """After an error: stop the trials, and propose their values again."""
        for _, process in self._running:
            process.stop()
        while self._running:
            wait([pipe for _, process in self._running for pipe in process.pipes])
            for entry in list(self._running):
                trial, process = entry
                if process.point() is not None:
                    process.answer(True)
                if process.ended():
                    self._running.remove(entry)
                    self._study.fail(trial, "it was stopped", is_tried_again=True)

    # --- results ---

    def _trials(self) -> list[TrialResult]:
        return [self._trial(each) for each in self._study.trials()]

    def _trial(self, trial: FrozenTrial) -> TrialResult:
        notes = trial.user_attrs
        is_complete = trial.state == TrialState.COMPLETE
        folder = Path(notes["folder"]) if "folder" in notes else None
        if folder is not None and folder.is_relative_to(self.folder):
            folder = folder.relative_to(self.folder)
        return TrialResult(
            trial.number,
            _STATES[trial.state],
            self._study.values_of(trial),
            trial.values[0] if is_complete and trial.values else None,
            notes.get("seconds"),
            tuple(notes.get("scores", ())),
            notes.get("pruned_at"),
            str(folder) if folder is not None else None,
            notes.get("error"),
        )

    def _result(self, confirmation: Confirmation | None, is_finished: bool) -> SweepResult:
        trials = self._trials()
        best = best_of(trials)
        front = front_of(trials) if self._plan.objective == "score,time" else [best] if best else []
        settings = None
        if best:
            settings = self._plan.settings_of(best.values).replace(seed=self._plan.base.seed)
        return SweepResult(self.folder, tuple(trials), best, tuple(front), settings, confirmation, is_finished)

    def _keep_winner(self, result: SweepResult) -> None:
        if result.settings:
            _write(self.folder / WINNER, result.settings.to_document())

    def _keep(self, confirmation: Confirmation | None = None) -> None:
        """Write the record of the search."""
        trials = self._trials()
        best = best_of(trials)
        record: dict[str, Any] = {"study": self._plan.study or "sweep", **self._plan.to_document()}
        record["trials"] = documents(trials)
        record["best"] = best.number if best else None
        if self._plan.objective == "score,time":
            record["front"] = [trial.number for trial in front_of(trials)]
        if confirmation:
            record["confirmation"] = confirmation.to_document()
        _write(self.folder / RECORD, record)

    # --- confirmation ---

    def _confirm(self, result: SweepResult) -> tuple[Confirmation | None, bool]:
        """Confirm the winner.

        Returns:
            The comparison, and whether nothing is left to do.
        """
        if result.best is None or result.settings is None or not self._plan.confirm_seeds or self._is_stopped():
            return None, not self._is_stopped()
        base = self._plan.base
        if result.settings.to_document() == base.to_document():
            self._tell("no trial was better than the settings without search, so there is nothing to confirm")
            return None, True
        if self._study.begun_in != str(self.folder):
            self._tell(f"the winner is confirmed where the study began, in {self._study.begun_in}")
            return None, True
        seeds = fresh_seeds(self._plan)
        self._tell(
            f"confirming trial {result.best.number} beside the settings without search on {len(seeds)} fresh seeds, "
            f"in {FOLDER}/"
        )
        found = confirm(
            self._plan,
            self.folder,
            result.best.number,
            result.settings,
            self._tell,
            self._is_stopped,
            self._start,
        )
        return found, found is not None or not self._is_stopped()


class _AllFailed(ActorCriticError):  # noqa: N818 - the trials failed, not the program
    """The first trials all failed; the message is that of the first."""

    def __init__(self, count: int, first: Exception) -> None:
        words = "the first trial" if count == 1 else f"the first {count} trials all"
        super().__init__(f"{words} failed: {why(first)}")
        self.exit_code = first.exit_code if isinstance(first, ActorCriticError) else ActorCriticError.exit_code


def _numbers(numbers: list[int]) -> str:
    return " ".join(map(str, numbers))


def _write(path: Path, document: dict[str, Any]) -> None:
    try:
        write_durably(path, (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from None
