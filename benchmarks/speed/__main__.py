"""Measure the speed of training, compared with other libraries.

    python -m benchmarks.speed [--rounds N] [--learning] [--target] [WORKLOAD ...]

All contenders do the same work: same environment, networks, rollout, passes and minibatches. Each measurement runs in
its own process. A round runs all measurements in sequence, and a result is the median over rounds. Peers run in their
own virtual environments (see benchmarks.peers.install), with the better of 1 and 2 threads. Ours writes its run folder,
log and checkpoints as by default. Start-up, compilation and the first epoch are left out.

--learning trains ours and the peers on many seeds, to check that all learn the same in the same number of steps; a
stopped measurement continues. --target measures the time to a greedy return of 475 on CartPole-v1. Without either
option, rates are measured. benchmarks/results/speed.json stores the results, from which docs/benchmarks.md is written.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import torch

from benchmarks.speed.page import RESULTS, ROOT, write_page
from benchmarks.speed.workloads import OURS, PEERS, WORKLOADS, Contender, Workload

FOUND = RESULTS / "speed.json"
SECONDS = 300  # limit of one measurement
TARGET_SEEDS = range(1, 6)


def _run(module: str, job: dict[str, Any], threads: int) -> dict[str, Any]:
    """Run one measurement; return the answer of its module and the wall-clock seconds of the process."""
    peer = module.removeprefix("peers.")
    python = Path(sys.executable) if module == OURS else ROOT / f"benchmarks/.peers/{peer}/bin/python"
    if not python.exists():
        return {"error": f"{peer} is not installed: python -m benchmarks.peers.install {peer}"}
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    started = time.perf_counter()
    try:
        result = subprocess.run(
            [str(python), "-m", f"benchmarks.{module}", json.dumps(job)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"not done within {SECONDS} s"}
    lines = result.stdout.splitlines()
    if not lines or not lines[-1].startswith("{"):
        return {"error": (result.stderr.strip().splitlines() or ["nothing was printed"])[-1]}
    answer: dict[str, Any] = json.loads(lines[-1])
    return answer | {"wall": time.perf_counter() - started}


def _job(work: Workload, contender: Contender, **fields: Any) -> dict[str, Any]:
    job = {"task": contender.task, "threads": 1, "seed": 1, "epochs": contender.epochs, "episodes": 100}
    job |= {"target": None, "work": work.settings, **fields}
    return job | ({"settings": contender.settings} if contender.module == OURS else {})


def _measure_rates(workloads: list[Workload], rounds: int, results: dict[str, Any]) -> None:
    for work in workloads:
        results["rates"][work.key] = {}
    for _ in range(rounds):
        for work in workloads:
            for contender in work.contenders:
                for threads in contender.threads:
                    answer = _run(contender.module, _job(work, contender, threads=threads), threads)
                    entry = results["rates"][work.key].setdefault(contender.name, {"version": answer.get("version")})
                    for note in ("error", "notes", "vectorization"):
                        if answer.get(note):
                            entry[note] = answer[note]
                    if "rate" in answer:
                        entry.setdefault("rates", {}).setdefault(str(threads), []).append(round(answer["rate"]))
                    shown = answer.get("error") or f"{answer['rate']:,.0f}/s"
                    print(f"{work.key}: {contender.name}, {threads} threads: {shown}", flush=True)
        _save(results)


def _measure_learning(workloads: list[Workload], results: dict[str, Any]) -> None:
    for work in workloads:
        if work.learning_epochs is None:
            continue
        # Variants of ours with different numbers; more threads or workers give the same bits.
        ours = [
            c
            for c in work.contenders
            if c.module == OURS and c.task == "speed" and not {"threads", "workers"} & set(c.settings)
        ]
        peers = [Contender(PEERS[name], f"peers.{name}", 0) for name in work.learners]
        found = results["learning"].setdefault(work.key, {})
        for contender in [*ours, *peers]:
            returns = found.setdefault(contender.name, [])
            for seed in range(len(returns) + 1, work.learning_seeds + 1):
                job = _job(work, contender, task="learn", epochs=work.learning_epochs, seed=seed)
                answer = _run(contender.module, job, 1)
                shown = answer.get("error") or f"{answer['return']:.1f}"
                print(f"{work.key}: {contender.name}, seed {seed}: {shown}", flush=True)
                if "return" in answer:
                    returns.append(answer["return"])
            _save(results)


def _measure_target(results: dict[str, Any]) -> None:
    """Measure each with its best published settings: our defaults, and those of the RL Zoo for Stable-Baselines3."""
    work = Workload("target", "", WORKLOADS[0].settings | {"zoo": True}, ())
    for name, module in (("ours", OURS), ("Stable-Baselines3", "peers.stable_baselines3")):
        results["target"][name] = []
        for seed in TARGET_SEEDS:
            contender = Contender(name, module, 0 if module == OURS else 391)
            answer = _run(module, _job(work, contender, task="learn", target=475, seed=seed, episodes=1), 1)
            print(f"target: {name}, seed {seed}: {answer}", flush=True)
            results["target"][name].append(answer)
    _save(results)


def _machine() -> str:
    versions = f"Python {platform.python_version()}, PyTorch {torch.__version__.partition('+')[0]}"
    return f"{psutil.cpu_count()} cores, {platform.machine()}, {versions}"


def _save(results: dict[str, Any]) -> None:
    FOUND.write_text(json.dumps(results, indent=1) + "\n")
    write_page(results)


def main() -> None:
    """Parse the command line, measure, and write the page."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.speed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=", ".join(work.key for work in WORKLOADS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--learning", action="store_true")
    parser.add_argument("--target", action="store_true")
    parser.add_argument("--page", action="store_true", help="only write the page from what was measured")
    said = parser.parse_args()
    if unknown := set(said.workloads) - {work.key for work in WORKLOADS}:
        parser.error(f"no such workload: {', '.join(sorted(unknown))}")
    workloads = [work for work in WORKLOADS if work.key in said.workloads or not said.workloads]
    results = json.loads(FOUND.read_text()) if FOUND.exists() else {"rates": {}, "learning": {}, "target": {}}
    if not said.page:
        results["machine"] = _machine()
    if said.learning:
        _measure_learning(workloads, results)
    if said.target:
        _measure_target(results)
    if not (said.learning or said.target or said.page):
        _measure_rates(workloads, said.rounds, results)
    _save(results)


if __name__ == "__main__":
    main()
