"""Recordings of a run: one greedy episode every ``video_interval`` epochs, and one of the final weights."""

from dataclasses import dataclass

from actor_critic.agent import ActorCriticAgent
from actor_critic.errors import ConfigError, NotMadeError
from actor_critic.evaluation import encode_gif, encode_text, record_episode
from actor_critic.process import recognized
from actor_critic.training.evaluations import beside_training
from actor_critic.training.training_environments import EVALUATING, GlobalSeeds, TrainingEnvironments

_MOST_FRAMES = 500  # of a recording, spread over the episode, so that memory and file stay small


@dataclass(frozen=True)
class Video:
    """A recorded episode.

    Attributes:
        suffix: ".gif" or ".txt".
        data: The content of the file.
    """

    suffix: str
    data: bytes


class Videos:
    """Records the agent of a run."""

    def __init__(self, agent: ActorCriticAgent, environments: TrainingEnvironments, seeds: GlobalSeeds) -> None:
        """Begin.

        Args:
            agent: The agent.
            environments: The training environments; some must be closed during a recording.
            seeds: Seeds the global generators.
        """
        self._agent = agent
        self._environments = environments
        self._seeds = seeds
        self._interval = agent.settings.video_interval

    def check(self, may_close: bool) -> None:
        """Record one step, if the run is to be recorded, so that it fails before training if it fails.

        Args:
            may_close: Whether the training environments may be closed, because nobody steps them now.

        Raises:
            ConfigError: The environment cannot render, or a package is not installed.
            EnvironmentFault: It returned a frame that is neither an image nor a text.
        """
        if self._interval is None:
            return
        try:
            with recognized():
                try:
                    self._record(max_steps=1)
                except NotMadeError:
                    if not may_close:
                        raise
                    self._environments.close()  # some environments allow only one instance
                    self._record(max_steps=1)
        except ConfigError as error:
            raise ConfigError(f"video_interval: {self._interval} is not possible: {error}") from error

    def if_due(self, epoch: int) -> Video | None:
        """Record the weights after an epoch if a recording is due; else return None."""
        if self._interval is None or epoch % self._interval:
            return None
        with recognized():
            self._seeds(epoch, EVALUATING)
            return beside_training(self._environments, "video_interval", self._record)

    def after(self, epoch: int) -> Video | None:
        """Record the final weights, with the training environments closed."""
        if self._interval is None:
            return None
        self._environments.close()  # some environments allow only one instance
        self._seeds(epoch, EVALUATING)
        return self._record()

    def _record(self, max_steps: int | None = None) -> Video:
        episode = record_episode(self._agent, max_frames=_MOST_FRAMES, max_steps=max_steps)
        if episode.is_text:
            return Video(".txt", encode_text(episode))
        return Video(".gif", encode_gif(episode))
