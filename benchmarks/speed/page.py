"""Write docs/benchmarks.md and its chart from the results of the measurements."""

import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from actor_critic.ops.comparison import summarize_seeds
from actor_critic.seeding import Purpose, generator
from benchmarks.speed.workloads import WORKLOADS, Workload

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
RESULTS = ROOT / "benchmarks/results"

_PAGE = """# Benchmarks

Environment steps per second of training (collecting and updating), in steady state. Each figure is the median of
interleaved rounds of `python -m benchmarks.speed`, in which all libraries do the same work: ours without the
normalisation that its general presets add. Only the compiled tables of CartPole-v1 with 8 environments and of
MountainCar-v0, and that of random states, were measured since this was so; in the others ours may have done more work.
`make bench` measures everything on this page. The absolute figures are from machines with {machine}: compare the
ratios within a table.

![Rates beside Stable-Baselines3](benchmarks.svg)

{tables}

"ours" is this library. It writes its log, metrics and checkpoints as by default, and runs in one process on one
thread unless the row says otherwise. The other libraries run with 1 or 2 threads, whichever is faster; a row with 2
threads says so. With overlap, the second core collects the next rollout during the update. With 2 processes, the
second one steps half of the environments, with the same bits. CleanRL is not a library, so we measure a script of our
own with its design. PufferLib 3.0 could not be built here, because its build downloads from outside the package
index. rlox runs its own CartPole in Rust. Ours runs the compiled twin of an environment where a row says "compiled";
all others run Gymnasium's own. On Taxi, ours also applies the masks.

On this virtual machine, rates vary from day to day. So compare ratios, not rates. The tables of compiled environments
and of random states (hidden 256) were measured with the present code. The others are older: they were measured before
compiled code used the BLAS of NumPy, which makes ours faster.

## Where the time goes

Microseconds per environment step in each part of the loop (`python -m benchmarks.speed.profile`; one process, one
thread): stepping the environments, choosing actions, preparing a batch (values, log-probabilities, advantages),
learning from it, and the rest (records, checkpoints, the loop itself). MinAtar's own steps take only 4 µs of its
stepping time. The rest is mostly the construction of environments: exact resuming needs a new instance for every
episode there, and the episodes of an untrained policy are only ten steps long. The last column is the time of the
matrix products in choosing, preparing and learning, each timed alone with NumPy on one thread. On one core, these
products and the environment's steps are a lower bound.

{profile}

## Returns after the same number of steps

Each score is the mean greedy return over 100 new episodes; the table gives the interquartile mean over seeds with a
95 % bootstrap interval. We count ours as equally good if its mean is not below the lower bound of the peer's
interval.

- By this rule, ours is equally good on CartPole with PPO, with overlap, in the native form and with A2C, on
  LunarLander, and on Breakout.
- The eager backend is below the bound on CartPole, by 30 with PPO and by 14 with A2C. The intervals overlap, its
  gradients are the same, and its A2C returns equal those of the fused backend seed by seed.
- Breakout with overlap is below the bound: after about a hundred epochs, a policy that is one update behind has
  learned less.
- Few seeds are not enough on CartPole. Here the learning rate is constant and learning is not finished, so returns
  differ by 60 to 120 between seeds. With PPO, ours reaches 368 on seeds 1 to 5 and Stable-Baselines3 493; over fifty
  seeds they reach 456 and 464. With A2C, twenty seeds give 377 and 432, and fifty give 398 and 426.

{learning}

## Cost as work grows

Time per epoch and peak memory of the process, as one size grows and all others stay constant
(`python -m benchmarks.speed.scaling`; random states, 64 x 16, 2 passes of 4 minibatches, hidden 64). The last column is
the exponent of the time between the last two sizes: 1 means linear.

{scaling}

## Time to a score

CartPole-v1 until a greedy return of 475, evaluated every 5,000 steps over 20 episodes, on seeds 1 to 5.
Stable-Baselines3 uses the settings of the RL Zoo. The figures of ours are of the preset that CartPole had then; the
script now measures the general defaults, which have replaced it.

{target}
"""


def write_page(results: dict[str, Any]) -> None:
    """Write the page and the chart.

    Args:
        results: The content of benchmarks/results/speed.json.
    """
    measured = [work for work in WORKLOADS if results["rates"].get(work.key)]
    tables = "\n\n".join(_rates(work, results["rates"][work.key]) for work in measured)
    page = _PAGE.format(
        machine=results["machine"],
        tables=tables,
        scaling=_scaling(),
        profile=_profile(),
        learning=_learning(results["learning"]),
        target=_target(results["target"]),
    )
    (DOCS / "benchmarks.md").write_text(page)
    if measured:
        _draw(measured, results["rates"])


def _best(entry: dict[str, Any]) -> tuple[float, str] | None:
    """Return the median rate with the better number of threads, and this number."""
    medians = {threads: statistics.median(found) for threads, found in entry.get("rates", {}).items()}
    if not medians:
        return None
    threads = max(medians, key=lambda key: medians[key])
    return medians[threads], threads


def _rates(work: Workload, found: dict[str, Any]) -> str:
    lines = [f"**{work.title}**", ""]
    base = next((name for name in ("Stable-Baselines3", "plain PyTorch loop") if name in found), None)
    reference = _best(found[base]) if base else _best(found[next(reversed(found))])
    against = base or next(reversed(found))
    lines += [f"| who | steps per second | x {against} | how |", "|---|---|---|---|"]
    for name, entry in found.items():
        best = _best(entry)
        if best is None or reference is None:
            lines.append(f"| {name} | – | – | {entry.get('error', 'not measured')} |")
            continue
        rate, threads = best
        words = [entry.get("version") or "", entry.get("vectorization") or "", f"{threads} threads" * (threads != "1")]
        how = "; ".join(word for word in words if word)
        lines.append(f"| {name} | {rate:,.0f} | {rate / reference[0]:.2f} | {how} |")
    return "\n".join(lines)


def _learning(found: dict[str, Any]) -> str:
    lines = ["| work | who | reached [95 % over seeds] | each seed |", "|---|---|---|---|"]
    for work in WORKLOADS:
        for name, returns in found.get(work.key, {}).items():
            if not returns:
                lines.append(f"| {work.key} | {name} | – | does not say |")
                continue
            mean, low, high = summarize_seeds(np.array(returns), generator(0, Purpose.BOOTSTRAP))
            each = ", ".join(f"{value:.4g}" for value in returns)
            lines.append(f"| {work.key} | {name} | {mean:.4g} [{low:.4g}, {high:.4g}] | {each} |")
    return "\n".join(lines)


def _profile() -> str:
    path = RESULTS / "profile.json"
    if not path.exists():
        return "Not measured yet."
    found = json.loads(path.read_text())
    parts = [part for part in next(iter(next(iter(found.values())).values())) if part != "products alone"]
    lines = [f"| work | who | {' | '.join(parts)} | all | products alone |", f"|{'---|' * (len(parts) + 4)}"]
    for key, contenders in found.items():
        for name, spent in contenders.items():
            products = f"{spent.pop('products alone'):.3g}" if "products alone" in spent else "–"
            numbers = " | ".join(f"{value:.3g}" for value in [*spent.values(), sum(spent.values())])
            lines.append(f"| {key} | {name} | {numbers} | {products} |")
    return "\n".join(lines)


def _scaling() -> str:
    lines = ["| raised | sizes | milliseconds of an epoch | megabytes | exponent |", "|---|---|---|---|---|"]
    path = RESULTS / "scaling.json"
    if not path.exists():
        return "Not measured yet."
    found = json.loads(path.read_text())
    long = found.pop("long run")
    for axis, entry in found.items():
        sizes = ", ".join(f"{size:,.0f}" for size in entry["sizes"])
        times = ", ".join(f"{1e3 * each['seconds']:.3g}" for each in entry["found"])
        memory = ", ".join(f"{each['megabytes']:.0f}" for each in entry["found"])
        lines.append(f"| {axis} | {sizes} {entry['size']} | {times} | {memory} | {entry['exponents']['seconds']:.2f} |")
    held = f"A run of {long['epochs']:,} epochs holds {long['early']:.0f} MB after a tenth and {long['late']:.0f} MB"
    return "\n".join(lines) + f"\n\n{held} at its end."


def _target(found: dict[str, Any]) -> str:
    lines = ["| who | reached | steps | seconds of training | seconds of the whole command |", "|---|---|---|---|---|"]
    for name, answers in found.items():
        good = [answer for answer in answers if answer.get("reached")]
        if not good:
            continue
        medians = [statistics.median(answer[key] for answer in good) for key in ("steps", "seconds", "wall")]
        lines.append(
            f"| {name} | {len(good)} of {len(answers)} | {medians[0]:,.0f} | {medians[1]:.2f} | {medians[2]:.2f} |"
        )
    return "\n".join(lines)


def _draw(workloads: list[Workload], rates: dict[str, Any]) -> None:
    """Draw a group of bars for each workload that Stable-Baselines3 runs."""
    workloads = [work for work in workloads if "Stable-Baselines3" in rates[work.key]]
    figure = Figure(figsize=(9, 1.6 + 0.28 * sum(len(rates[work.key]) for work in workloads)), layout="constrained")
    axes = figure.subplots(
        len(workloads), 1, sharex=True, squeeze=False, height_ratios=[len(rates[work.key]) + 1 for work in workloads]
    )
    for axis, work in zip(axes[:, 0], workloads, strict=True):
        contenders = {name: entry for name, entry in rates[work.key].items() if not name.startswith("the environment")}
        found = {name: best[0] for name, entry in contenders.items() if (best := _best(entry))}
        base = found.get("Stable-Baselines3", 1.0)
        names = list(reversed(found))
        ratios = [found[name] / base for name in names]
        colors = ["#2a6f97" if name.startswith("ours") else "#a9bcd0" for name in names]
        bars = axis.barh(names, ratios, color=colors)
        axis.bar_label(bars, [f"{ratio:.1f}" for ratio in ratios], padding=3, fontsize=8)
        axis.set_title(work.title, fontsize=9, loc="left")
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1, 0].set_xlabel("steps per second, as a multiple of Stable-Baselines3's", fontsize=8)
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "benchmarks"}):  # reproducible, with real text
        figure.savefig(DOCS / "benchmarks.svg", metadata={"Date": None})
