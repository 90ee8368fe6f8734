"""The result of an evaluation: returns with intervals, as an object, a JSON document and one line of text."""

from dataclasses import dataclass, field
from typing import Any

from actor_critic.display import html_table
from actor_critic.ops.statistics import Summary, plainly

_INTERVAL = "95% bootstrap interval over the episodes of this one policy; it says nothing about other seeds"


@dataclass(frozen=True)
class Reference:
    """Mean reward of the best and of a uniform policy on the same states, if the reward model knows both.

    Attributes:
        optimum: Mean reward of the best action in every state.
        uniform: Mean reward of choosing uniformly at random.
    """

    optimum: float
    uniform: float

    def normalized(self, mean: float) -> float | None:
        """(mean − uniform) / (optimum − uniform): 0 for uniform choice, 1 for the optimum."""
        span = self.optimum - self.uniform
        return (mean - self.uniform) / span if span else None


@dataclass(frozen=True)
class ModeResult:
    """Results of one mode, greedy or sampled.

    Attributes:
        returns: Returns in the environment's own rewards.
        model_returns: Returns in the reward model's rewards; None without a model.
        mean_length: Mean steps of an episode.
        cut: Number of episodes that ``evaluation_max_steps`` cut, if the environment has no step limit; their partial
            returns count.
        truncated: Number of episodes that any step limit ended; None in results of older versions.
        episode_returns: The return of each episode, in no order that matters; empty in results of older versions.
    """

    returns: Summary
    model_returns: Summary | None
    mean_length: float
    cut: int = 0
    truncated: int | None = None
    episode_returns: tuple[float, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Evaluation:
    """Returns of one policy.

    Attributes:
        environment: Id of the environment.
        episodes: Number of episodes in each mode.
        modes: "greedy" (the most probable actions), "sampled" and perhaps "random" (uniformly among the allowed).
        reference: Optimum and uniform choice, for random states.
    """

    environment: str
    episodes: int
    modes: dict[str, ModeResult]
    reference: Reference | None

    @property
    def greedy(self) -> Summary:
        """Return the returns of the most probable actions."""
        return self.modes["greedy"].returns

    @property
    def sampled(self) -> Summary:
        """Return the returns of sampled actions."""
        return self.modes["sampled"].returns

    def to_document(self) -> dict[str, Any]:
        """Return a JSON document; every interval states what it covers."""
        document: dict[str, Any] = {"environment": self.environment, "episodes": self.episodes}
        for name, result in self.modes.items():
            document[name] = {**_summary_document(result.returns), "mean_length": result.mean_length}
            if result.cut:
                document[name]["cut"] = result.cut
            if result.truncated is not None:
                document[name]["truncated"] = result.truncated
            if result.episode_returns:
                document[name]["episode_returns"] = list(result.episode_returns)
            if result.model_returns:
                document[name]["model_return"] = _summary_document(result.model_returns)
            if self.reference:
                document[name]["normalized"] = self.reference.normalized(result.returns.mean)
        if self.reference:
            document["optimum"] = self.reference.optimum
            document["uniform"] = self.reference.uniform
        return document

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "Evaluation":
        """Read what :meth:`to_document` returned.

        Raises:
            LookupError: A field is missing.
            TypeError: A field has the wrong type.
            ValueError: A field contains a text instead of a number.
        """
        modes = {}
        for name in ("greedy", "sampled", *(["random"] if "random" in document else [])):
            entry = document[name]
            model = _summary(entry["model_return"]) if "model_return" in entry else None
            truncated = int(entry["truncated"]) if "truncated" in entry else None
            length, cut = float(entry["mean_length"]), int(entry.get("cut", 0))
            returns = tuple(float(each) for each in entry.get("episode_returns", ()))
            modes[name] = ModeResult(_summary(entry), model, length, cut, truncated, returns)
        has_reference = "optimum" in document
        reference = Reference(float(document["optimum"]), float(document["uniform"])) if has_reference else None
        return cls(str(document["environment"]), int(document["episodes"]), modes, reference)

    def figures(self) -> dict[str, float | None]:
        """Return the mean returns by name, as in the records of a run."""
        greedy, sampled = self.modes["greedy"], self.modes["sampled"]
        models = [mode.model_returns.mean if mode.model_returns else None for mode in (greedy, sampled)]
        return dict(zip(EVALUATED, (greedy.returns.mean, sampled.returns.mean, *models), strict=True))

    def cuts(self) -> list[str]:
        """Return a line for each mode with episodes that were cut."""
        return [
            f"{name}: {result.cut} of {self.episodes} episodes were cut by evaluation_max_steps; their partial returns "
            f"count"
            for name, result in self.modes.items()
            if result.cut
        ]

    def _repr_html_(self) -> str:
        rows = []
        for name, result in self.modes.items():
            summaries = [result.returns, *([result.model_returns] if result.model_returns else [])]
            cells = [f"{plainly(each.mean)} [{plainly(each.low)}, {plainly(each.high)}]" for each in summaries]
            rows.append([name, *cells, f"{result.mean_length:.1f}"])
        has_model = any(result.model_returns for result in self.modes.values())
        header = ["policy", "return", *(["model return"] if has_model else []), "mean length"]
        return html_table(rows, header, f"{self.environment}, {self.episodes} episodes each")

    def describe(self) -> str:
        """Return the evaluation in one line."""
        parts = []
        for name, result in self.modes.items():
            returns = result.returns
            part = f"{name} {plainly(returns.mean)} [{plainly(returns.low)}, {plainly(returns.high)}]"
            parts.append(part + (f" (model {plainly(result.model_returns.mean)})" if result.model_returns else ""))
        if self.reference:
            parts.append(f"optimum {plainly(self.reference.optimum)}")
            parts.append(f"uniform {plainly(self.reference.uniform)}")
        return "; ".join([f"{', '.join(parts)} over {self.episodes} episodes", *self.cuts()])


EVALUATED = [f"evaluation_{mode}_{what}" for what in ("return", "model_return") for mode in ("greedy", "sampled")]


def _summary(document: dict[str, Any]) -> Summary:
    interval = document["interval"]
    return Summary(*(float(number) for number in (
        document["mean"], document["std"], interval["low"], interval["high"], interval["level"]
    )))  # fmt: skip


def _summary_document(summary: Summary) -> dict[str, Any]:
    return {
        "mean": summary.mean,
        "std": summary.std,
        "interval": {"low": summary.low, "high": summary.high, "level": summary.level, "meaning": _INTERVAL},
    }
