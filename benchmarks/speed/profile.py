"""Profile a run: measure where its time goes.

    python -m benchmarks.speed.profile

Measures the parts of the loop on the workloads with one process and one thread: stepping the environments, choosing
actions, preparing a batch (values, log-probabilities, advantages), learning from it, and the rest (records,
checkpoints, the loop). For the fused backend, the matrix products of its networks are also timed alone: together with
the environment, they are a lower limit for any implementation. Writes benchmarks/results/profile.json for
docs/benchmarks.md.
"""

import contextlib
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from actor_critic import Config, Trainer
from actor_critic.backends.fused.backend import FusedBackend
from actor_critic.backends.fused.layers import INPUTS, OUTPUTS, SIDE, filters
from actor_critic.environments import FunctionalVectorEnv
from actor_critic.rollouts import Sequential
from benchmarks.speed.page import RESULTS
from benchmarks.speed.stepping import Compiled
from benchmarks.speed.workloads import OURS, WORKLOADS, Contender, Workload

PARTS = ("collecting", "stepping", "preparing", "learning")
PRODUCTS = "products alone"
SECONDS = 10  # of each measurement


def main() -> None:
    """Measure every workload on both backends."""
    found: dict[str, Any] = {}
    for work in WORKLOADS:
        named = {contender.name: contender for contender in work.contenders if contender.task == "speed"}
        for name, contender in named.items():
            is_plain = contender.module == OURS and not {"threads", "overlap"} & set(contender.settings)
            if is_plain:
                found.setdefault(work.key, {})[name] = measured = _measure(work, contender)
                print(f"{work.key}: {name}: {measured}", flush=True)
    (RESULTS / "profile.json").write_text(json.dumps(found, indent=1) + "\n")


def _measure(work: Workload, contender: Contender) -> dict[str, float]:
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
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        trainer = Trainer(config, Path(folder) / "run")
        environment, agent = trainer._environments.current, trainer.agent
        environment.step_indices = timed("stepping", environment.step_indices)  # type: ignore[method-assign]
        collect = Sequential.next  # of any collector
        stack.callback(setattr, Sequential, "next", collect)
        Sequential.next = timed("collecting", collect)  # type: ignore[method-assign]
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
    spent["the rest"] = whole - spent["collecting"] - spent["preparing"] - spent["learning"]
    if isinstance(environment, FunctionalVectorEnv) and environment.is_compiled:  # it is stepped within the collector
        rate = Compiled(environment.environment, trainer.settings.num_envs).rate()
        spent["stepping"] = (report.env_steps - steps) / rate
    spent["choosing"] = spent.pop("collecting") - spent["stepping"]
    found = {part: seconds / (report.env_steps - steps) for part, seconds in spent.items()}
    if isinstance(agent._backend, FusedBackend):
        found[PRODUCTS] = _products(trainer, agent._backend)
    return {part: round(1e6 * seconds, 2) for part, seconds in found.items()}


def _products(trainer: Trainer, backend: FusedBackend) -> float:
    """Return the seconds per environment step of all matrix products: acting, preparing a batch, and learning."""
    settings = trainer.settings
    policy, value = backend.policy.layers, backend._value
    is_single = settings.update_epochs * settings.num_minibatches == 1  # then no log-probabilities are prepared
    acting = _forward(policy, settings.num_envs) / settings.num_envs
    preparing = sum(_forward(layers, settings.batch_size) for layers in ([value] if is_single else [policy, value]))
    size = settings.minibatch_size
    learning = sum(_forward(layers, size) + _backward(layers, size) for layers in (policy, value))
    return acting + preparing / settings.batch_size + settings.update_epochs * learning / size


def _forward(layers: npt.NDArray[np.int64], rows: int) -> float:
    return sum(_product(*sizes) for sizes in _sizes(layers, rows))


def _backward(layers: npt.NDArray[np.int64], rows: int) -> float:
    sizes = _sizes(layers, rows)
    of_weights = sum(_product(inputs, places, outputs) for places, inputs, outputs in sizes)
    return of_weights + sum(_product(places, outputs, inputs) for places, inputs, outputs in sizes[1:])


def _sizes(layers: npt.NDArray[np.int64], rows: int) -> list[tuple[int, int, int]]:
    """Return (rows, inputs, outputs) of the product of each layer; a convolution has a row per output position."""
    found = []
    for layer in layers:
        if layer[SIDE]:
            count, entries, places, _ = filters(layer, rows)
            found.append((rows * places, entries, count))
        else:
            found.append((rows, int(layer[INPUTS]), int(layer[OUTPUTS])))
    return found


def _product(rows: int, inner: int, columns: int) -> float:
    """Return the seconds of one matrix product on one thread."""
    left, right = np.ones((rows, inner), np.float32), np.ones((columns, inner), np.float32).T
    out = np.empty((rows, columns), np.float32)
    best, spent = float("inf"), 0.0
    while spent < 0.05:
        started = time.perf_counter()
        for _ in range(10):
            np.dot(left, right, out)
        spent += time.perf_counter() - started
        best = min(best, (time.perf_counter() - started) / 10)
    return best


if __name__ == "__main__":
    main()
