"""What the page of a run shows besides its records: an episode, and a picture of the policy."""

from pathlib import Path
from typing import Any

from rich.console import Console

from actor_critic.agent import ActorCriticAgent
from actor_critic.cli.places import as_typed
from actor_critic.cli.screen import say_as_is
from actor_critic.errors import CheckpointError, ConfigError
from actor_critic.report import Group
from actor_critic.storage import find_checkpoint


def parts_of(
    group: Group, has_episode: bool, features: tuple[int, int] | None, trust_code: bool
) -> tuple[dict[str, Any], list[str]]:
    """Return the parts of a page that need the policy of a group's first run, and why parts are missing.

    Raises:
        ConfigError: There are no such features, or the run is not on random states.
    """
    from actor_critic.report import policy_picture, sections

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
        return {"extra": [sections.Section("Policy", charts=policy_picture.policy_pictures(agent, features))]}, []
    return {}, []


def write_page_at_the_end(screen: Console, folder: Path, agent: ActorCriticAgent | None = None) -> None:
    """Write the report of a run, or of a folder of several seeds, and say where it is."""
    from actor_critic.report import page  # imported here, because it takes long

    if page.write_run_page(folder, agent):
        say_as_is(screen, f"report: {as_typed(folder / page.PAGE)}")


def _agent(folder: Path, trust_code: bool) -> ActorCriticAgent:
    file, checkpoint = find_checkpoint(folder)
    return ActorCriticAgent.from_checkpoint(checkpoint, file, "cpu", trust_code=trust_code)
