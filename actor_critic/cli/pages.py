"""What the page of a run shows besides its records: an episode, and a picture of the policy."""

import base64
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from actor_critic.agent import ActorCriticAgent
from actor_critic.cli.places import absolute, as_typed
from actor_critic.cli.screen import say_as_is
from actor_critic.errors import ActorCriticError, CheckpointError, ConfigError
from actor_critic.evaluation import encode_gif, record_episode
from actor_critic.report import Group
from actor_critic.storage import find_checkpoint

if TYPE_CHECKING:
    from actor_critic.report import Episode

_FRAMES = 102
_WITHOUT_COLORS = re.compile(r"\x1b\[[0-9;]*m")


def page_path(output: str) -> Path:
    """Return the absolute path of a page.

    Raises:
        ConfigError: It is no name of a page, so it may be that of a file that must not be replaced.
    """
    if not output.lower().endswith((".html", ".htm")):
        raise ConfigError(f"--output: {output} is not allowed; expected a name that ends with .html")
    return absolute(output)


def parts_of(
    group: Group, has_episode: bool, features: tuple[int, int] | None, trust_code: bool
) -> tuple[dict[str, Any], list[str]]:
    """Return the parts of a page that need the policy of a group's first run, and why parts are missing.

    Raises:
        ConfigError: There are no such features, or the run is not on random states.
    """
    from actor_critic.report import Section, policy_pictures

    is_random_states = group.settings.is_random_states
    if features and not is_random_states:
        raise ConfigError(f"--features: {group.name} is a run on {group.settings.environment}, not on random states")
    if not is_random_states and not has_episode:
        return {}, []
    try:
        agent = _agent(group.folders[0], trust_code)
    except CheckpointError as error:
        return {}, [f"no {'picture of the policy' if is_random_states else 'episode'}: {error}"]
    if is_random_states:
        return {"extra": [Section("Policy", charts=policy_pictures(agent, features))]}, []
    try:
        return {"episode": _episode(agent)}, []
    except ActorCriticError as error:
        return {}, [f"no episode: {error}"]


def _episode(agent: ActorCriticAgent) -> "Episode":
    from actor_critic.report import Episode

    recorded = record_episode(agent, max_frames=_FRAMES)
    is_whole = len(recorded.frames) > recorded.length
    note = recorded.describe() + ("" if is_whole else f"; {len(recorded.frames)} frames of it are shown")
    if recorded.is_text:
        return Episode(note, texts=[_WITHOUT_COLORS.sub("", str(frame)) for frame in recorded.frames])
    return Episode(note, image=f"data:image/gif;base64,{base64.b64encode(encode_gif(recorded)).decode()}")


def write_page_at_the_end(screen: Console, folder: Path, agent: ActorCriticAgent | None = None) -> None:
    """Write the report of a run, or of a folder of several seeds, and say where it is."""
    from actor_critic.report import PAGE, write_run_page  # imported here, because it takes long

    if write_run_page(folder, agent):
        say_as_is(screen, f"report: {as_typed(folder / PAGE)}")


def _agent(folder: Path, trust_code: bool) -> ActorCriticAgent:
    file, checkpoint = find_checkpoint(folder)
    return ActorCriticAgent.from_checkpoint(checkpoint, file, "cpu", trust_code=trust_code)
