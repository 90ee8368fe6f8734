"""Where the time of a run goes.

    python benchmarks/shares.py

Times the parts of the loop, epoch after epoch, on the works of speed.py that one process does on one thread: stepping
the environments, choosing actions, preparing a batch (values, log-probabilities, advantages), learning from it, and all
that is left (records, checkpoints, the loop). The eager backend is what there was before the fused one. Writes
benchmarks/results/shares.json, which docs/benchmarks.md shows.
"""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from page import SHARES
from works import WORKS, Contender, Work

from actor_critic import Config, Trainer

PARTS = ("stepping", "choosing", "preparing", "learning")
SECONDS = 10  # of each measurement


def main() -> None:
    """Measure every work on both backends."""
    found: dict[str, Any] = {}
    for work in WORKS:
        named = {contender.name: contender for contender in work.contenders if contender.task == "speed"}
        for name, contender in named.items():
            is_plain = contender.script == "ours.py" and not {"threads", "overlap"} & set(contender.settings)
            if is_plain:
                found.setdefault(work.key, {})[name] = measured = _measure(work, contender)
                print(f"{work.key}: {name}: {measured}", flush=True)
    SHARES.write_text(json.dumps(found, indent=1) + "\n")


def _measure(work: Work, contender: Contender) -> dict[str, float]:
    """Microseconds per environment step, in each part."""
    spent = dict.fromkeys(PARTS, 0.0)

    def timed(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                spent[part] += time.perf_counter() - started

        return call

    settings = {"preset": "none"} | work.settings if work.settings else {}
    config = Config(**settings | contender.settings, num_epochs=10**6)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(config, Path(folder) / "run")
        environment, agent = trainer._environment, trainer.agent
        environment.step_choices = timed("stepping", environment.step_choices)  # type: ignore[method-assign]
        agent.choose = timed("choosing", agent.choose)  # type: ignore[method-assign]
        agent.prepare = timed("preparing", agent.prepare)  # type: ignore[method-assign]
        agent.learn = timed("learning", agent.learn)  # type: ignore[method-assign]
        started, steps = 0.0, 0
        for report in trainer:
            if report.epoch == 1:  # compiling, first allocations
                spent.update(dict.fromkeys(PARTS, 0.0))
                started, steps = time.perf_counter(), report.env_steps
            elif time.perf_counter() - started > SECONDS:
                break
        whole = time.perf_counter() - started
    spent["the rest"] = whole - sum(spent.values())
    return {part: round(1e6 * seconds / (report.env_steps - steps), 2) for part, seconds in spent.items()}


if __name__ == "__main__":
    main()
