"""The required result of an odd environment: the optimum or a one-line error, and nothing left behind."""

import contextlib
import gc
import json
import logging
import multiprocessing.forkserver
import multiprocessing.resource_tracker
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import psutil
import torch

from actor_critic import ActorCriticAgent, ActorCriticError, Config, ConfigError, EnvironmentFault, Trainer, evaluate
from actor_critic.imports import Objects
from tests.nursery import Nursery
from tests.odd.environment import RECORD, UNREADABLE, WRAPPERS
from tests.odd.faults import BROKEN, exceptions
from tests.odd.problems import Odd
from tests.odd.strategies import Case
from tests.plain import PLAIN

ENOUGH = 0.95
"""Share of the optimum at which training ends; a policy that samples actions rarely reaches the whole."""

PPO: dict[str, Any] = {
    "algorithm": "ppo", **PLAIN, "num_envs": 8, "num_steps": 16, "update_epochs": 4, "num_minibatches": 4,
    "clip_coef": 0.2, "hidden_dim": 32, "hidden_layers": 1, "learning_rate": 0.01, "gamma": 0.0, "num_epochs": 80,
    "evaluation_episodes": 6, "checkpoint_interval": 1000,
}  # fmt: skip
A2C: dict[str, Any] = {
    "algorithm": "a2c", **PLAIN, "num_envs": 8, "num_steps": 16, "hidden_dim": 32, "hidden_layers": 1,
    "learning_rate": 0.02, "gamma": 0.0, "num_epochs": 500, "evaluation_episodes": 6,
    "checkpoint_interval": 1000,
}  # fmt: skip


def config_of(case: Case, **changes: Any) -> Config:
    """Return the config of a case's run."""
    odd = case.odd
    base = A2C if case.settings.get("algorithm") == "a2c" else PPO
    limited = odd.ending == "max_episode_steps of its registration"
    fields = {
        **base,
        "environment": f"tests.odd.environment:{'OddLimited' if limited else 'Odd'}-v0",
        "environment_kwargs": {"odd": odd.to_document()},
        "wrappers": [WRAPPERS[name] for name in case.wrappers],
        **case.settings,
        **changes,
    }
    if odd.ending == "max_episode_steps of the settings":
        fields["max_episode_steps"] = odd.length
    return Config(**fields)


def episode_length(case: Case) -> int:
    """Return the steps of an episode, which equal its best return."""
    odd = case.odd
    length = 4 if odd.ending == "max_episode_steps of its registration" else odd.length
    return min(length, 3) if "one that ends episodes" in case.wrappers else length


def judge(case: Case, folder: Path) -> None:
    """Run a case, and raise AssertionError if a promise does not hold."""
    RECORD.clear()
    if case.settings.get("workers"):  # the forkserver outlives its workers
        multiprocessing.forkserver.ensure_running()
        multiprocessing.resource_tracker.ensure_running()
    before = left_behind_by()
    with surroundings(folder):
        try:
            learn(case, folder)
        except ActorCriticError as error:
            assert_is_clear(case, error)
    if left_behind_by() != before:
        gc.collect()  # unreferenced objects do not count as left behind
    assert RECORD.forbidden == [], RECORD.forbidden[0]
    assert RECORD.open_now == 0 or case.odd.fault_call == "close", f"{RECORD.open_now} instances were not closed"
    assert left_behind_by() == before, f"left behind: {left_behind_by()} where there was {before}"


def must_be_refused(odd: Odd) -> bool:
    """Return whether every run must fail; a close that raises does not make a run fail."""
    return never_runs(odd) or (odd.fault is not None and odd.fault_call != "close" and RECORD.fired)


def never_runs(odd: Odd) -> bool:
    """Return whether it is refused before the first step."""
    return odd.unsupported is not None or odd.mask == UNREADABLE


def learn(case: Case, folder: Path) -> None:
    """Train to the optimum, and compare returns of training, evaluation, play by hand and a saved agent."""
    best = float(episode_length(case))
    run_folder = folder / "run" if case.has_folder else None
    trainer = Trainer(config_of(case), run_folder)
    for report in trainer:
        if report.mean_return is not None and report.mean_return >= ENOUGH * best and not must_run_on(case.odd):
            trainer.stop("learned")
    assert not must_be_refused(case.odd), "it ran as if nothing were wrong"
    mean = report.mean_return
    assert mean is not None and ENOUGH * best <= mean <= best + 1e-3, f"training came to {mean} of {best}"
    evaluation = evaluate(trainer.agent, episodes=max(6, round(40 / best)))
    greedy, sampled = evaluation.greedy.mean, evaluation.sampled.mean
    assert 0.9 * best <= greedy <= best + 1e-3, f"greedy evaluation {greedy} of {best}, training {mean}"
    assert 0.8 * best <= sampled <= best + 1e-3, f"sampled evaluation {sampled} of {best}, training {mean}"
    assert evaluation.modes["greedy"].mean_length == best
    trainer.agent.save(folder / "saved.safetensors")
    loaded = ActorCriticAgent.load(folder / "saved.safetensors")
    with surroundings(folder):  # side effects during play by hand do not count
        play_by_hand(case, trainer.agent, loaded, best)
    if case.is_compared:
        assert_twin_is_the_same(case)
    if case.is_repeated:
        assert_stopped_run_is_the_same(case, folder)


def must_run_on(odd: Odd) -> bool:
    """Return whether a fault has not happened yet."""
    return odd.fault is not None and odd.fault_call != "close" and not RECORD.fired


def play_by_hand(case: Case, agent: ActorCriticAgent, loaded: ActorCriticAgent, best: float) -> None:
    """Act on observations exactly as the environment returns them."""
    config = config_of(replace(case, odd=replace(case.odd, fault=None)))
    assert config.environment is not None and config.environment_kwargs is not None
    env = gym.make(
        config.environment,
        max_episode_steps=config.max_episode_steps,
        disable_env_checker=True,
        **config.environment_kwargs,
    )
    for name in case.wrappers:
        env = Objects().load(WRAPPERS[name], "wrappers")(env)
    if config.frame_stack:
        env = gym.wrappers.FrameStackObservation(env, config.frame_stack)
    is_in_observation = case.odd.mask == 'observation["action_mask"]'
    earned = []
    bare: Any = env.unwrapped
    for seed in range(max(4, round(20 / best))):
        observation, _ = env.reset(seed=1000 + seed)
        state = other_state = None
        total, ended = 0.0, False
        while not ended:
            mask = None if case.odd.mask is None or is_in_observation else bare.mask
            acted: Any = agent.act(observation, state=state, action_mask=mask, deterministic=True)
            again: Any = loaded.act(observation, state=other_state, action_mask=mask, deterministic=True)
            if agent.has_memory:
                (acted, state), (again, other_state) = acted, again
            assert str(acted) == str(again), f"the saved agent does {again}, the agent itself {acted}"
            assert np.isfinite(agent.value(observation)[0] if agent.has_memory else agent.value(observation))
            observation, _, terminated, truncated, _ = env.step(acted)
            total += bare.earned
            ended = bool(terminated or truncated)
        earned.append(total)
    env.close()
    assert np.mean(earned) >= 0.85 * best, f"by hand {earned} of {best}"


def plain(odd: Odd) -> Odd:
    """Return the same environment without oddities that must not affect training."""
    same = odd.mask == 'observation["action_mask"]' or odd.mask is None
    return Odd(
        odd.observation, odd.action, odd.signal, odd.length, odd.ending,
        mask=odd.mask if same else 'info["action_mask"]',
    )  # fmt: skip


def weights(case: Case) -> torch.Tensor:
    """Return the weights after two epochs."""
    trainer = Trainer(config_of(case, num_epochs=2))
    for _ in trainer:
        pass
    return trainer.agent.parameters.values.clone()


def assert_twin_is_the_same(case: Case) -> None:
    twin = Case(plain(case.odd), case.settings, case.wrappers)
    assert torch.equal(weights(case), weights(twin)), "a plain twin of the environment comes to other weights"


def assert_stopped_run_is_the_same(case: Case, folder: Path) -> None:
    """Check that a resumed run has the same result as a run that was never stopped."""
    digests = []
    for name in ("whole", "stopped"):
        trainer = Trainer(config_of(case, num_epochs=4), folder / name)
        for report in trainer:
            if name == "stopped" and report.epoch == 2:
                trainer.stop("by the test")
        if name == "stopped":
            trainer = Trainer.resume(folder / name, trust_code=True)
            for _ in trainer:
                pass
        digests.append(trainer.digest)
        if trainer.settings.replay == "none":
            return  # a warning announced it
    assert digests[0] == digests[1], "a run that was stopped and resumed came to other bits"


def assert_is_clear(case: Case, error: ActorCriticError) -> None:
    """Check that the error has the right class and one line that names the cause."""
    odd, text = case.odd, str(error)
    is_due = odd.fault is not None and (RECORD.fired or case.settings.get("workers"))
    assert never_runs(odd) or is_due, f"refused: {text}"
    assert text and len(text.splitlines()) == 1, f"not one line: {text!r}"
    assert "Odd" in text, f"names no environment: {text!r}"
    if never_runs(odd):
        assert isinstance(error, ConfigError), f"{type(error).__name__}: {text}"
        assert any(word in text for word in ("space", "actions", "action_masks")), f"does not name it: {text!r}"
        return
    is_early = odd.mask is not None and "property" in odd.mask  # it is read when the environment is made, too
    kinds: Any = ConfigError if odd.fault_call in ("constructor", "space") else EnvironmentFault
    kinds = (ConfigError, EnvironmentFault) if odd.fault_call == "mask" and is_early else kinds
    assert isinstance(error, kinds), f"{type(error).__name__}: {text}"
    if odd.fault in BROKEN:
        assert BROKEN[odd.fault].word in text, f"does not say what is wrong: {text!r}"
    else:
        name = type(exceptions()[odd.fault]).__name__
        assert name in text, f"does not name {name}: {text!r}"
        assert not text.rstrip().endswith(":"), f"ends in nothing: {text!r}"
    if odd.fault_call in ("reset", "step"):
        assert "step" in text or odd.fault_call in text, f"does not say when: {text!r}"


@contextlib.contextmanager
def surroundings(folder: Path) -> Iterator[None]:
    """Work in a folder, and afterwards restore all process state that an environment may change."""
    kept = (
        Path.cwd(), dict(os.environ), np.geterr(), np.get_printoptions(), torch.get_default_dtype(),
        torch.is_grad_enabled(), torch.get_num_threads(), sys.stdout, sys.stderr, gc.isenabled(),
        sys.getrecursionlimit(), logging.root.handlers[:], logging.root.level, logging.root.manager.disable,
        {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)},
        (random.getstate(), np.random.get_state(), torch.get_rng_state()),
    )  # fmt: skip
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        logging.root.handlers[:] = []  # pytest's handlers keep errors alive, and the objects in them
        folder.mkdir(exist_ok=True)
        os.chdir(folder)
        try:
            yield
        finally:
            cwd, environment, errors, printing, dtype, grad, threads, out, err, collects, limit, *rest = kept
            handlers, level, disabled, signals, generators = rest
            os.chdir(cwd)
            os.environ.clear()
            os.environ.update(environment)
            np.seterr(**errors)
            np.set_printoptions(**printing)
            torch.set_default_dtype(dtype)
            torch.set_grad_enabled(grad)
            torch.set_num_threads(threads)
            sys.stdout, sys.stderr = out, err
            (gc.enable if collects else gc.disable)()
            sys.setrecursionlimit(limit)
            logging.root.handlers[:], logging.root.level = handlers, level
            logging.disable(disabled)
            for number, handler in signals.items():
                signal.signal(number, handler)
            random.setstate(generators[0])
            np.random.set_state(generators[1])
            torch.set_rng_state(generators[2])
    ours = [str(w.message) for w in warned if not any(word in str(w.message) for word in ("odd:", "WARN:"))]
    assert not ours, f"warned: {ours[0]}"


def left_behind_by() -> dict[str, Any]:
    """Return what a run may leave in this process: threads, children and files."""
    me = psutil.Process()
    children = [
        child.pid
        for child in me.children()
        if not any(word in " ".join(child.cmdline()) for word in ("forkserver", "resource_tracker"))
    ]
    threads = [thread.name for thread in threading.enumerate()]
    opened = []
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the descriptor of the listing itself
            opened.append(str(Path("/proc/self/fd", descriptor).readlink()))
    # Python keeps shared memory for later processes.
    return {"threads": threads, "children": children, "files": sorted(name for name in opened if "/pym-" not in name)}


def judge_commands(case: Case, folder: Path, nursery: Nursery) -> None:
    """Run a case as a user does, each command in its own process."""
    best = episode_length(case)
    config = config_of(case, target_return=ENOUGH * best)
    code = exit_code(case.odd)

    def run(expected: set[int], *arguments: str) -> str:
        process = nursery.start(folder, *arguments)
        ended, errors = process.wait(), process.err
        what = f"{arguments[0]}: exit code {ended}: {errors[-500:]}"
        assert process.left_behind() == [], what
        assert "Traceback" not in errors, what
        assert len([line for line in errors.splitlines() if line.startswith("error:")]) == (ended != 0), what
        assert ended in expected, what
        return process.out

    environment = [str(config.environment), "--environment-kwargs", json.dumps(config.environment_kwargs)]
    environment += ["--wrappers", ",".join(config.wrappers)] if config.wrappers else []
    environment += ["--max-episode-steps", str(config.max_episode_steps)] if config.max_episode_steps else []
    # A check may end before the fault. If the environment cannot be made, the exit code is 2, else 3.
    run({0, 2, 3} if case.odd.fault else {2, 3} if code else {0}, "check", *environment)
    config.save(folder / "config.json")
    run({code}, "train", "--config", "config.json")
    if code:
        return
    (run_folder,) = folder.glob("checkpoints_*")
    document = json.loads(run({0}, "evaluate", str(run_folder), "--json", "--trust-code"))
    assert 0.9 * best <= document["greedy"]["mean"] <= best + 1e-3, document
    more = json.loads((run_folder / "settings.json").read_text())["num_epochs"] + 1
    run({0}, "resume", str(run_folder), "--trust-code", "--num-epochs", str(more))


def exit_code(odd: Odd) -> int:
    """Return the expected exit code of a training command."""
    if never_runs(odd) or (odd.fault is not None and odd.fault_call in ("constructor", "space")):
        return ConfigError.exit_code
    return EnvironmentFault.exit_code if odd.fault is not None and odd.fault_call != "close" else 0
