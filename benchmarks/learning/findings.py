"""Calibrate the findings: train good and broken runs, and count what is found in them.

    python -m benchmarks.learning.findings [--at-once N]

A good run uses settings that are known to work, and counts if it reaches 90 % of the best score. A broken run has one
planted fault, which its findings should name. The thresholds were chosen on seeds 1 to 3, so this uses others. Run
folders are kept in benchmarks/.runs/findings, so a stopped script continues there, and a change of the findings is
counted without training again. Writes docs/findings.md.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actor_critic.config import Config, Layer, resolve
from actor_critic.files import write_durably
from actor_critic.ops.statistics import plainly
from actor_critic.report import SEEDS_DISAGREE, Group, Records, find, find_in_group, read_records
from benchmarks.learning.digest import digest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks/.runs/findings"
RESULTS = ROOT / "benchmarks/results/findings.json"
PAGE = ROOT / "docs/findings.md"
GOOD_SEEDS, BROKEN_SEEDS = (4, 5, 6), (4,)  # the thresholds were chosen on 1 to 3
_OWN = "benchmarks.learning.problems"


@dataclass(frozen=True)
class Case:
    """Runs of one kind.

    Attributes:
        name: Its name in the table.
        settings: What they train.
        good: The greedy return from which a run counts as good; None if the run is broken.
        named: For a broken run, the findings of which at least one must appear.
        seeds: Its seeds.
    """

    name: str
    settings: dict[str, Any]
    good: float | None = None
    named: tuple[str, ...] = field(default=())
    seeds: tuple[int, ...] = field(default=())

    def __post_init__(self) -> None:
        """Take the usual seeds if none are given."""
        object.__setattr__(self, "seeds", self.seeds or (BROKEN_SEEDS if self.good is None else GOOD_SEEDS))


def _on(environment: str, steps: int, **others: Any) -> dict[str, Any]:
    return {"environment": environment, "total_timesteps": steps, **others}


_CARTPOLE = _on("CartPole-v1", 50_000, preset="none")
_ACROBOT = _on("Acrobot-v1", 200_000, preset="none")
_MOUNTAIN = _on("MountainCar-v0", 300_000, preset="none")
_LAKE = _on("FrozenLake-v1", 100_000, preset="none")
_TAXI = _on("Taxi-v4", 200_000, preset="none")
_CLIFF = _on("CliffWalking-v1", 200_000, preset="none", max_episode_steps=200)
_CORRIDOR = _on(f"{_OWN}:Corridor-v0", 50_000, preset="none")

CASES = (
    Case("CartPole, 50k steps", _CARTPOLE, 475),
    Case("CartPole, 200k steps", _CARTPOLE | {"total_timesteps": 200_000}, 475),
    Case("CartPole, small batches", _on(
        "CartPole-v1", 100_000, preset="none", batch_size=256, num_minibatches=1, update_epochs=20, gamma=0.98,
        gae_lambda=0.8), 475),
    Case("CartPole, A2C", _on("CartPole-v1", 500_000, algorithm="a2c", preset="none"), 475),
    Case("Acrobot", _ACROBOT, -90),
    Case("Acrobot, 16 environments", _ACROBOT | {
        "num_envs": 16, "num_steps": 256, "num_minibatches": 64, "update_epochs": 4, "learning_rate": 0.0003,
        "anneal_lr": False, "gamma": 0.99, "gae_lambda": 0.94, "min_advantage_std": 0.0, "ent_coef": 0.0,
        "target_kl": "off"}, -90),
    Case("MountainCar", _MOUNTAIN, -115),
    Case("FrozenLake", _LAKE, 0.68),
    Case("Taxi with masks", _TAXI, 7.0),
    Case("CliffWalking, limit 200", _CLIFF, -20),
    Case("FrozenLake 8x8, not slippery", _on(
        "FrozenLake8x8-v1", 100_000, preset="none", environment_kwargs={"is_slippery": False}), 1),
    Case("one reward at the end", _CORRIDOR, 0.95),
    Case("rewards in the thousands", _on(f"{_OWN}:Thousands-v0", 50_000, preset="none"), 475_000),
    Case("observations in the thousands", _on(f"{_OWN}:FarAway-v0", 50_000, preset="none"), 475),
    Case("random states", _on("random-states", 640_000), 0.2),
    Case("random states, PPO", _on("random-states", 200_000, algorithm="ppo"), 0.2),
    Case("CartPole, learning rate 0.1", _CARTPOLE | {"learning_rate": 0.1, "target_kl": "off"}, None,
         ("update-too-large", "clipping-often", "entropy-collapsed")),
    Case("Acrobot, learning rate 0.05", _ACROBOT | {"learning_rate": 0.05, "target_kl": "off"}, None,
         ("update-too-large", "clipping-often", "entropy-collapsed")),
    Case("FrozenLake, learning rate 0.1", _LAKE | {"learning_rate": 0.1, "target_kl": "off"}, None,
         ("update-too-large", "clipping-often", "entropy-collapsed")),
    Case("MountainCar, 80 passes", _MOUNTAIN | {"update_epochs": 80, "target_kl": "off", "learning_rate": 0.003}, None,
         ("update-too-large", "clipping-often")),
    Case("CartPole, learning rate 1e-6", _CARTPOLE | {"learning_rate": 1e-6}, None,
         ("nothing-moves", "policy-uniform")),
    Case("FrozenLake, learning rate 1e-6", _LAKE | {"learning_rate": 1e-6}, None,
         ("nothing-moves", "policy-uniform")),
    Case("Taxi, learning rate 1e-6", _TAXI | {"learning_rate": 1e-6}, None,
         ("nothing-moves", "policy-uniform")),
    Case("CartPole, entropy 10", _CARTPOLE | {"ent_coef": 10.0}, None, ("policy-uniform",)),
    Case("FrozenLake, entropy 3", _LAKE | {"ent_coef": 3.0}, None, ("policy-uniform",)),
    Case("Acrobot, entropy 3", _ACROBOT | {"ent_coef": 3.0}, None, ("policy-uniform",)),
    Case("CartPole, no value loss", _CARTPOLE | {"vf_coef": 0.0}, None, ("critic-useless",)),
    Case("Acrobot, no value loss", _ACROBOT | {"vf_coef": 0.0}, None, ("critic-useless",)),
    Case("MountainCar, no value loss", _MOUNTAIN | {"vf_coef": 0.0}, None,
         ("critic-useless", "constant-return", "no-better-than-random")),
    Case("rewards in the thousands, unscaled", _on(
        f"{_OWN}:Thousands-v0", 50_000, preset="none", normalize_rewards=False, min_advantage_std=0.0), None,
        ("large-rewards", "critic-useless")),
    Case("no reward", _on(f"{_OWN}:Rewarded-v0", 30_000, preset="none", environment_kwargs={"kind": "none"}), None,
         ("no-reward",)),
    Case("constant return", _on(f"{_OWN}:Rewarded-v0", 30_000, preset="none", environment_kwargs={"kind": "constant"}),
         None, ("constant-return",)),
    Case("random reward", _on(f"{_OWN}:Rewarded-v0", 30_000, preset="none", environment_kwargs={"kind": "noise"}), None,
         ("no-better-than-random",)),
    Case("MountainCar, 2k steps", _MOUNTAIN | {"total_timesteps": 2_000}, None,
         ("constant-return", "no-episode", "no-better-than-random")),
    Case("CartPole, 500 steps", _CARTPOLE | {"total_timesteps": 500}, None, ("few-updates",)),
    Case("MountainCar, 25k steps", _MOUNTAIN | {"total_timesteps": 25_000}, None, ("still-improving",)),
    Case("LunarLander, 50k steps", _on("LunarLander-v3", 50_000, preset="none"), None, ("still-improving",)),
    Case("FrozenLake, gamma 0.1", _LAKE | {"gamma": 0.1}, None, ("no-better-than-random",)),
    Case("a reward never found", _on(
        "FrozenLake8x8-v1", 20_000, preset="none", environment_kwargs={"is_slippery": True}), None,
        ("no-reward", "no-better-than-random")),
    Case("CartPole, learning rate not annealed, 0.02", _CARTPOLE | {
        "learning_rate": 0.02, "anneal_lr": False, "target_kl": "off", "total_timesteps": 200_000}, None,
        ("was-better", "update-too-large")),
    Case("CartPole, learning rate 0.1 with target_kl", _CARTPOLE | {"learning_rate": 0.1}, None, ("update-too-large",)),
    Case("masks that leave one action in three of four states", _on(
        f"{_OWN}:Repeat-v0", 20_000, preset="none", environment_kwargs={"masked": 5, "forced": 0.75}), None,
        ("masks-leave-one-action",)),
    Case("FrozenLake 8x8, A2C, five seeds", _on(
        "FrozenLake8x8-v1", 100_000, algorithm="a2c", preset="none", environment_kwargs={"is_slippery": False}), None,
        (SEEDS_DISAGREE,), (4, 5, 6, 7, 8)),
)  # fmt: skip


THRESHOLDS = {
    "few-updates": ("fewer than 10 epochs", "ours"),
    "no-episode": ("no training episode ended", "–"),
    "no-reward": ("every training return is 0, and the final policy returns no more", "–"),
    "constant-return": (
        "all training returns are equal, the final policy returns no more, and the run began with random weights", "–"),
    "no-better-than-random": (
        "the interval of the better mode overlaps with that of random actions on the same episodes (random states: "
        "holds the mean of a uniform choice)", "–"),
    "ends-at-the-limit": ("a step limit ends half of the greedy episodes, and their mean return is negative", "ours"),
    "greedy-is-stuck": (
        "the greedy interval is below the sampled one, by more than a tenth of the improvement", "SB3, issue 1063"),
    "large-rewards": ("more than 10 a step, and rewards are not normalised", "ours"),
    "critic-useless": (
        "explained variance below 0.05 in every tenth of the run after the second", "SB3's logger page (0); ours"),
    "update-too-large": (
        "mean KL above 1.5 times target_kl; above 0.02 without one; or target_kl ended the epochs of the first half "
        "after less than half of their optimizer steps", "SB3's rule to stop; rsl_rl; share: ours"),
    "clipping-often": ("mean clip fraction above 0.3", "Sample Factory's metrics page"),
    "nothing-moves": (
        "mean KL below 0.001 and clip fraction below 0.001, and the policy is uniform, or not clearly "
        "better than at the beginning",
        "SB3, issue 25"),
    "entropy-collapsed": (
        "after a fifth of the run below 5 % of its largest value", "Jones, Debugging RL; ML-Agents; share: ours"),
    "masks-leave-one-action": ("in more than half of the states the mask allowed a single action", "ours"),
    "policy-uniform": ("in the last tenth above 90 % of its largest value", "Jones; ML-Agents; share: ours"),
    "was-better": (
        "the last tenth, and the evaluation, are below the best by more than 30 % of the whole improvement, and the "
        "policy was not uniform throughout", "ours"),
    "still-improving": (
        "the last fifth of a run that was not stopped is above the one before by more than 25 % of the whole "
        "improvement", "ours"),
    SEEDS_DISAGREE: (
        "of several seeds: the evaluation is more than half of the improvement below the median of three or more",
        "ours"),
}  # fmt: skip

_PAGE = """# Findings

At the end of a run, `actor-critic train` says what an expert would notice about it: what was seen, what it means, and
what to try. In Python, `diagnose` returns the same findings for a run folder:

```python
from actor_critic import Config, Trainer, diagnose

config = Config(environment="MountainCar-v0", preset="none", total_timesteps=5_000, learning_rate=1e-6, seed=1)
for report in Trainer(config, run_folder="runs/slow"):
    pass
for finding in diagnose("runs/slow"):
    print(finding.name, "-", finding.describe())
```

If the policy is not clearly better than at the beginning of the run, random actions play the same episodes as the
policy, and the table of the evaluation has a third row.

A finding is a reason to look, no verdict. These are the thresholds. They were chosen on runs with seeds 1 to 3; the
counts are of other seeds: 4 to 6 for settings that work, 4 for planted faults (one with 4 to 8). "Good" counts runs
that reached at least about 90 % of the best score with settings that are known to work; "others" counts runs with a
planted fault and those that fell short.

The first four are about what the run had to learn from. If one of them appears, the others are left out, because they
would only name its effects.

| finding | when | source | in good runs | in others |
|---|---|---|---|---|
{rows}

{alarmed} of {good} good runs (of {kinds} kinds) had a finding other than `still-improving`.

`target_kl` can hide a learning rate that is too large: the first optimizer step of an epoch moves the policy far, and
the others are skipped, so the mean KL stays small. Therefore the share of steps that were taken counts too. With the
defaults it was 0.76 or more in the first half of 10 runs (CartPole, Acrobot, FrozenLake, MountainCar and Taxi, two
seeds each), and 0.44 or less in 10 runs with learning rates that are too large.

Which seeds fall short depends on the last bits of sums, and so on the processor, for which the BLAS library chooses its
kernels. On one machine, CliffWalking with seed 4 returns −13 with `OPENBLAS_CORETYPE=SkylakeX`, and −200 with
`OPENBLAS_CORETYPE=Haswell`. So one seed that falls short is no sign that a change of the code did harm. Of 12 seeds
(4 to 15) with each of the two kernels, this many were good:

| settings | SkylakeX | Haswell |
|---|---|---|
| CliffWalking, limit 200 | 11 of 12 | 11 of 12 |
| one reward at the end | 11 of 12 | 12 of 12 |
| Taxi with masks | 11 of 12 | 11 of 12 |
| rewards in the thousands | 12 of 12 | 12 of 12 |
| CartPole, small batches | 9 of 12 | 7 of 12 |

`seeds-disagree` is about the runs of several seeds together (`train --seeds`, `report`). Here it counts for the seeds
that fell short.

## Planted faults

| fault | named in | all findings, with the number of runs |
|---|---|---|
{faults}

`python -m benchmarks.learning.findings` repeats this. If stopped, it continues where it was.
"""


def folder_of(case: Case, seed: int) -> Path:
    """Return the run folder of a case and seed; another one if a default changes."""
    name = "".join(letter if letter.isalnum() else "_" for letter in case.name)
    settings = resolve(Layer("case", Config(**case.settings, seed=seed))).settings
    return FOLDER / f"{name}-{seed}-{digest({'num_epochs': settings.num_epochs}, settings)[:12]}"


def train(name: str, seed: int) -> None:
    """Train one run into its folder; runs in a process of its own."""
    import torch

    from actor_critic import Trainer

    torch.set_num_threads(1)
    case = next(case for case in CASES if case.name == name)
    folder = folder_of(case, seed)
    shutil.rmtree(folder, ignore_errors=True)
    for _ in Trainer(Config(**case.settings, seed=seed), folder):
        pass


def records_of(case: Case, seed: int) -> Records:
    """Return the records of a case and seed, after training if they are missing."""
    folder = folder_of(case, seed)
    if not (folder / "evaluation.json").exists() or read_records(folder).evaluation is None:
        command = [sys.executable, "-m", "benchmarks.learning.findings", "--run", case.name, str(seed)]
        result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        if result.returncode:
            raise RuntimeError(f"{case.name}, seed {seed}: {result.stderr[-2000:]}")
    return read_records(folder)


def summary(case: Case, seed: int, records: Records) -> dict[str, Any]:
    """Return the score of a run and the names of its findings."""
    assert records.evaluation is not None
    score = records.evaluation.greedy.mean
    is_good = case.good is not None and score >= case.good
    return {"case": case.name, "seed": seed, "greedy": score, "good": is_good, "found": [f.name for f in find(records)]}


def note_disagreement(runs: list[dict[str, Any]], case: Case, records: list[Records]) -> None:
    """Add the finding about several seeds of a case to those that fell short."""
    group = Group(case.name, [folder_of(case, seed) for seed in case.seeds], records)
    short = {seed for finding, seeds in find_in_group(group) if finding.name == SEEDS_DISAGREE for seed in seeds}
    for run in runs:
        if run["case"] == case.name and run["seed"] in short:
            run["found"].append(SEEDS_DISAGREE)


def page(runs: list[dict[str, Any]]) -> str:
    """Return the page: how often each finding appears in good runs and in all others, and what names each fault."""
    good, others = ([run for run in runs if run["good"] is is_good] for is_good in (True, False))
    rows = []
    for name, (threshold, source) in THRESHOLDS.items():
        shares = [f"{sum(name in run['found'] for run in group)} of {len(group)}" for group in (good, others)]
        rows.append(f"| `{name}` | {threshold} | {source} | {' | '.join(shares)} |")
    faults = []
    for case in CASES:
        if case.good is None:
            ran = [run for run in runs if run["case"] == case.name]
            named = sum(not set(case.named).isdisjoint(run["found"]) for run in ran)
            counts = Counter(name for run in ran for name in run["found"])
            listed = ", ".join(f"{name} {count}" for name, count in counts.most_common())
            faults.append(f"| {case.name} | {named} of {len(ran)} | {listed or '–'} |")
    alarmed = sum(bool(set(run["found"]) - {"still-improving"}) for run in good)
    return _PAGE.format(
        rows="\n".join(rows),
        faults="\n".join(faults),
        alarmed=alarmed,
        good=len(good),
        kinds=sum(case.good is not None for case in CASES),
    )


def main() -> None:
    """Train the missing runs, then count the findings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--at-once", type=int, default=2, help="runs at a time")
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    said = parser.parse_args()
    if said.run:
        train(said.run[0], int(said.run[1]))
        return
    jobs = [(case, seed) for case in CASES for seed in case.seeds]
    with ThreadPoolExecutor(said.at_once) as pool:
        read = list(pool.map(lambda job: records_of(*job), jobs))
    runs = [summary(*job, records) for job, records in zip(jobs, read, strict=True)]
    for case in CASES:
        of_case = [records for (each, _), records in zip(jobs, read, strict=True) if each is case]
        note_disagreement(runs, case, of_case)
    for run in runs:
        print(f"{run['case']}, seed {run['seed']}: greedy {plainly(run['greedy'])}, {', '.join(run['found']) or '–'}")
    write_durably(RESULTS, (json.dumps(runs, indent=1) + "\n").encode())
    PAGE.write_text(page(runs))
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
