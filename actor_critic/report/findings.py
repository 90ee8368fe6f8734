"""What an expert would notice about a run: each finding says what was seen, what it means, and what to try.

docs/findings.md lists the thresholds with their sources, and how often each finding appears in good and broken runs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from actor_critic.ops.statistics import plainly
from actor_critic.report.records import Records, read_records
from actor_critic.storage import here

FEW_UPDATES = 10
COLLAPSED, UNIFORM = 0.05, 0.9  # shares of the largest entropy
LARGE_REWARD = 10.0
LARGE_KL, LARGE_KL_SHARE = 0.02, 1.5  # without a target; as a multiple of the target
FEW_STEPS_TAKEN = 0.5  # share of the optimizer steps of an epoch
LARGE_CLIP_FRACTION = 0.3
SMALL_KL, SMALL_CLIP_FRACTION = 0.001, 0.001
USELESS = 0.05  # explained variance
MOSTLY_FORCED = 0.5
STILL_IMPROVING, WAS_BETTER = 0.25, 0.3  # shares of the whole improvement


@dataclass(frozen=True)
class Finding:
    """Something that an expert would notice about a run.

    Attributes:
        name: A short name, the same in every run.
        seen: What was seen, with figures.
        meaning: What it means.
        remedy: What to try, with the settings as flags.
    """

    name: str
    seen: str
    meaning: str
    remedy: str

    def describe(self) -> str:
        """Return the finding in one line of three sentences."""
        seen, meaning = (text[0].upper() + text[1:] for text in (self.seen, self.meaning))
        return f"{seen}. {meaning}. Try {self.remedy}."


Rule = Callable[[Records], Finding | None]

_NO_SIGNAL = "a longer run, an easier start, or a reward for progress (--reward-model with --reward-mode add)"


def _few_updates(run: Records) -> Finding | None:
    if run.epochs >= FEW_UPDATES or run.has_reached_its_target:
        return None
    epochs = "epoch" if run.epochs == 1 else "epochs"
    return Finding(
        "few-updates",
        f"the run had {run.epochs} {epochs}",
        "a policy seldom learns much in so few updates",
        f"--total-timesteps {10 * run.settings.total_timesteps}",
    )


def _no_episode(run: Records) -> Finding | None:
    if run.metrics["episodes"][-1] > 0:
        return None
    return Finding(
        "no-episode",
        f"no training episode ended in {run.metrics['env_steps'][-1]:,.0f} steps",
        "the training return is unknown, and an end that is worth something was never reached",
        f"--total-timesteps {10 * run.settings.total_timesteps}, or shorter episodes with --max-episode-steps",
    )


def _no_reward(run: Records) -> Finding | None:
    if _only_return(run) != 0.0:
        return None
    return Finding(
        "no-reward",
        f"every training episode returned 0 ({run.metrics['episodes'][-1]:,.0f} episodes)",
        "no reward was ever seen, so there was nothing to learn from",
        _NO_SIGNAL,
    )


def _constant_return(run: Records) -> Finding | None:
    only = _only_return(run)
    if not only or not run.is_new:
        return None
    return Finding(
        "constant-return",
        f"every training episode returned {plainly(only)}",
        "nothing that the policy did has changed the return yet, so there was nothing to learn from",
        _NO_SIGNAL,
    )


def _only_return(run: Records) -> float | None:
    """Return the return of all training episodes; None if they differ, or if the final policy returns more."""
    returns = run.learned_from[np.isfinite(run.learned_from)]
    if not len(returns) or (returns != returns[0]).any():
        return None
    if run.best_mode and run.best_mode[1].returns.low > run.metrics["mean_return"][-1]:
        return None
    return float(returns[0])


def _no_better_than_random(run: Records) -> Finding | None:
    if run.evaluation is None or run.best_mode is None:
        return None
    name, best = run.best_mode
    if reference := run.evaluation.reference:
        highest, other = reference.uniform, f"a uniform choice {plainly(reference.uniform)}"
    elif run.random:
        highest, other = run.random.returns.high, f"random actions {plainly(run.random.returns.mean)}"
    else:
        return None
    if best.returns.low > highest:
        return None
    return Finding(
        "no-better-than-random",
        f"{name} actions return {plainly(best.returns.mean)}, {other}",
        "the evaluation cannot tell the policy from one that has learned nothing",
        f"--total-timesteps {10 * run.settings.total_timesteps}, and look at the rewards with actor-critic check",
    )


def _ends_at_the_limit(run: Records) -> Finding | None:
    if run.evaluation is None:
        return None
    greedy, count = run.evaluation.modes["greedy"], run.evaluation.episodes
    if greedy.truncated is None or greedy.truncated < 0.5 * count or greedy.returns.mean >= 0:
        return None
    ended_earlier = np.nanmin(run.metrics["mean_length"]) < 0.99 * greedy.mean_length
    return Finding(
        "ends-at-the-limit",
        f"a step limit ended {greedy.truncated} of {count} greedy episodes, and they return "
        f"{plainly(greedy.returns.mean)}",
        "the policy stays in episodes that cost more the longer they last"
        if ended_earlier
        else "if an episode can also end before its limit, no policy of this run has found out how",
        f"--total-timesteps {3 * run.settings.total_timesteps}, or more exploration with --ent-coef "
        f"{_twice(run.settings.ent_coef)}",
    )


def _greedy_is_stuck(run: Records) -> Finding | None:
    if run.evaluation is None:
        return None
    greedy, sampled = run.evaluation.greedy, run.evaluation.sampled
    if greedy.high >= sampled.low:
        return None
    start = run.mean("mean_return", 0.0, 0.1)
    if not sampled.mean - greedy.mean > 0.1 * abs(sampled.mean - (start if np.isfinite(start) else 0.0)):
        return None
    return Finding(
        "greedy-is-stuck",
        f"greedy actions return {plainly(greedy.mean)}, sampled actions {plainly(sampled.mean)}",
        "the most probable actions alone do worse, often because they repeat for ever",
        "sampled actions where the policy is used, or --anneal-ent and a longer run to make it decided",
    )


def _entropy_collapsed(run: Records) -> Finding | None:
    early, most = run.mean("entropy", 0.15, 0.25), float(run.metrics["entropy"].max())
    if not run.is_new or not early < COLLAPSED * most or run.is_near_the_optimum:
        return None
    return Finding(
        "entropy-collapsed",
        f"after a fifth of the run the entropy was {plainly(early)}, of {plainly(most)} at most",
        "the policy stopped exploring early",
        f"--ent-coef {_twice(run.settings.ent_coef)}, or --learning-rate {run.settings.learning_rate / 3:.1g}",
    )


def _masks_leave_one_action(run: Records) -> Finding | None:
    if not run.forced > MOSTLY_FORCED:
        return None
    return Finding(
        "masks-leave-one-action",
        f"in {run.forced:.0%} of the states the mask allowed a single action",
        "nothing is decided there, and these states dilute every update",
        "an environment that plays forced moves by itself, and look at the masks with actor-critic check",
    )


def _policy_uniform(run: Records) -> Finding | None:
    if not _is_uniform(run):
        return None
    last = run.mean("entropy", 0.9)
    smaller = f"--ent-coef {run.settings.ent_coef / 10:.1g}" if run.settings.ent_coef else "a higher learning rate"
    return Finding(
        "policy-uniform",
        f"the entropy is {plainly(last)}, of {plainly(float(run.metrics['entropy'].max()))} at most",
        "the policy still chooses almost at random",
        f"{smaller} or a longer run, and see whether the rewards depend on the actions",
    )


def _is_uniform(run: Records) -> bool:
    return run.is_new and run.mean("entropy", 0.9) > UNIFORM * float(run.metrics["entropy"].max())


def _was_always_uniform(run: Records) -> bool:
    entropy = run.metrics["entropy"]
    return run.is_new and float(np.nanmin(entropy)) > UNIFORM * float(np.nanmax(entropy))


def _critic_useless(run: Records) -> Finding | None:
    tenths = [run.mean("explained_variance", tenth / 10, (tenth + 1) / 10) for tenth in range(2, 10)]
    most = max((share for share in tenths if np.isfinite(share)), default=np.nan)
    # In an episode of one step, the value of a policy that knows nothing is the same everywhere.
    if not most < USELESS or np.nanmax(run.metrics["mean_length"]) == 1.0:
        return None
    return Finding(
        "critic-useless",
        f"after the first fifth of the run the value function explained at most {max(0.0, most):.0%} of the variance "
        f"of the returns",
        "it predicts returns no better than their mean would, so advantages are mostly noise, or the observations do "
        "not tell what follows",
        _scaled(run, f"--vf-coef {_twice(run.settings.vf_coef)} or more passes (--update-epochs)"),
    )


def _scaled(run: Records, otherwise: str) -> str:
    missing = [name for name in ("normalize_rewards", "normalize_observations") if not getattr(run.settings, name)]
    return " ".join(f"--{name.replace('_', '-')}" for name in missing) or otherwise


def _large_rewards(run: Records) -> Finding | None:
    size = np.abs(run.learned_from / run.metrics["mean_length"])
    size = size[np.isfinite(size)]
    if run.settings.normalize_rewards or not len(size) or not size.mean() > LARGE_REWARD:
        return None
    return Finding(
        "large-rewards",
        f"a step earns about {plainly(float(size.mean()))} and rewards are not scaled",
        "the value function starts near 0 and needs long to reach such returns",
        "--normalize-rewards",
    )


def _update_too_large(run: Records) -> Finding | None:
    target = run.settings.target_kl
    limit = LARGE_KL if target is None else LARGE_KL_SHARE * target
    kl = run.mean("approx_kl")
    if kl > limit:
        of = "" if target is None else f" (target_kl {target:g})"
        seen = f"an epoch moves the policy by a KL divergence of {plainly(kl)}{of}"
    elif (taken := _steps_taken(run)) < FEW_STEPS_TAKEN:
        seen = f"in the first half of the run target_kl ended the epochs after {taken:.0%} of their optimizer steps"
    else:
        return None
    return Finding(
        "update-too-large",
        seen,
        "updates are too large to trust the advantages that they are based on",
        f"--learning-rate {run.settings.learning_rate / 3:.1g}"
        + (" or fewer passes (--update-epochs)" if run.settings.update_epochs > 1 else ""),
    )


def _steps_taken(run: Records) -> float:
    """Return the share of the optimizer steps that ``target_kl`` let happen in the first half; NaN if unknown."""
    if run.settings.target_kl is None or run.changed & {"update_epochs", "target_kl"}:
        return np.nan
    return run.mean("optimizer_steps", 0.0, 0.5) / (run.settings.optimizer_steps / run.settings.num_epochs)


def _clipping_often(run: Records) -> Finding | None:
    share = run.mean("clip_fraction")
    if run.settings.clip_coef is None or not share > LARGE_CLIP_FRACTION:
        return None
    return Finding(
        "clipping-often",
        f"{share:.0%} of probability ratios are outside the clip range",
        "updates often go further than the loss rewards",
        f"--learning-rate {run.settings.learning_rate / 3:.1g} or fewer passes (--update-epochs)",
    )


def _nothing_moves(run: Records) -> Finding | None:
    kl, clipped = run.mean("approx_kl"), run.mean("clip_fraction")
    is_fine = run.random is None and not _is_uniform(run)
    if _steps_taken(run) < FEW_STEPS_TAKEN:  # the KL is small because most steps were skipped
        return None
    if run.settings.clip_coef is None or is_fine or not kl < SMALL_KL or not clipped < SMALL_CLIP_FRACTION:
        return None
    return Finding(
        "nothing-moves",
        f"an epoch moves the policy by a KL divergence of {plainly(kl)}",
        "updates are too small to learn in this number of steps",
        f"--learning-rate {min(1.0, 10 * run.settings.learning_rate):.1g} or more passes (--update-epochs)",
    )


def _still_improving(run: Records) -> Finding | None:
    if not run.is_over or not run.improvement or run.is_near_the_optimum or run.has_reached_its_target:
        return None
    before, rose = run.mean("mean_return", 0.6, 0.8), run.mean("mean_return", 0.8)
    last = float(run.metrics["mean_return"][-1])
    if not rose - before > STILL_IMPROVING * run.improvement or not last > before:
        return None
    is_annealed = run.settings.anneal_lr and run.epochs == run.settings.num_epochs
    annealed = ", while the learning rate fell to 0" if is_annealed else ""
    return Finding(
        "still-improving",
        f"the training return rose from {plainly(before)} to {plainly(last)} in the last fifth{annealed}",
        "the run ended before the policy had learned all it could",
        f"--total-timesteps {3 * run.settings.total_timesteps}",
    )


def _was_better(run: Records) -> Finding | None:
    if not run.improvement or _was_always_uniform(run):  # random actions have lucky episodes too
        return None
    returns = run.metrics["mean_return"]
    best, last = float(np.nanmax(returns)), run.mean("mean_return", 0.9)
    if run.best_mode:
        last = max(last, run.best_mode[1].returns.mean)
    if not best - last > WAS_BETTER * run.improvement:
        return None
    return Finding(
        "was-better",
        f"the training return was {plainly(best)} after epoch {int(np.nanargmax(returns)) + 1}, and is "
        f"{plainly(last)} at the end",
        "the policy has lost what it had learned",
        f"best.safetensors, which keeps the best weights, and --learning-rate {run.settings.learning_rate / 3:.1g}"
        + ("" if run.settings.anneal_lr else " or --anneal-lr"),
    )


def _twice(coefficient: float) -> str:
    return f"{2 * coefficient:g}" if coefficient else "0.01"


CAUSES: tuple[Rule, ...] = (_few_updates, _no_episode, _no_reward, _constant_return)
"""Rules about what a run had to learn from. If one of them has a finding, the others would only name its effects."""

RULES: tuple[Rule, ...] = (
    _no_better_than_random,
    _ends_at_the_limit,
    _greedy_is_stuck,
    _large_rewards,
    _critic_useless,
    _update_too_large,
    _clipping_often,
    _nothing_moves,
    _entropy_collapsed,
    _masks_leave_one_action,
    _policy_uniform,
    _was_better,
    _still_improving,
)


def find(records: Records) -> list[Finding]:
    """Return the findings about a run, the most important first."""
    if not records.epochs:
        return []
    for rules in (CAUSES, RULES):
        if findings := [finding for rule in rules if (finding := rule(records))]:
            return findings
    return []


def diagnose(run_folder: str | Path) -> list[Finding]:
    """Return the findings about the run in a folder, the most important first.

    Raises:
        ConfigError: The path is no run folder, or its settings are not valid.
        CheckpointError: A file is missing, damaged or not readable.
    """
    return find(read_records(here() / run_folder))
