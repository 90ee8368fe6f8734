"""Ranks that are killed, machines that are lost, and links that are cut or slow."""

import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from actor_critic.errors import RankFault
from tests.faults.conftest import Campaign
from tests.faults.launched import Agent, Hosts, torchrun, two_hosts, why_no_hosts
from tests.faults.short_runs import EPOCHS, best_is_kept, digests, metrics, temporaries, train
from tests.nursery import wait_until

pytestmark = pytest.mark.slow

PATIENCE = 15  # rank_timeout
COMMAND = (*train(rank_timeout=PATIENCE), "--run-folder=checkpoints_run")
SLOW_TO_LEAVE = 90.0
"""Seconds in which torchrun ends after its ranks: it waits for other hosts that it cannot reach."""

needs_hosts = pytest.mark.skipif(bool(why_no_hosts()), reason=why_no_hosts())

Start = Callable[[], list[Agent]]


class Launcher:
    """Starts commands; what a failed test leaves running is ended."""

    def __init__(self) -> None:
        self._agents: list[Agent] = []

    def begin(self, start: Start) -> list[Agent]:
        """Start agents."""
        agents = start()
        self._agents += agents
        return agents

    def end_all(self) -> None:
        for agent in self._agents:
            agent.end_all()


@pytest.fixture
def launcher() -> Iterator[Launcher]:
    with ExitStack() as stack:
        launcher = Launcher()
        stack.callback(launcher.end_all)
        yield launcher


class Undisturbed:
    """The digests of runs that nothing happens to, by the number of ranks on each host."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._found: dict[tuple[int, int], dict[int, str]] = {}

    def __call__(self, hosts: int, ranks: int) -> dict[int, str]:
        if (hosts, ranks) not in self._found:
            folder = self._folder / f"{hosts}x{ranks}"
            if hosts == 1:
                _end_well([torchrun(folder, *COMMAND, ranks=ranks)], folder)
            else:
                with two_hosts(folder) as both:
                    _end_well(both.torchrun(*COMMAND, ranks=ranks), folder)
            self._found[hosts, ranks] = digests(folder)
        return self._found[hosts, ranks]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return Undisturbed(tmp_path_factory.mktemp("undisturbed"))


def _end_well(agents: list[Agent], folder: Path, expected: dict[int, str] | None = None) -> None:
    """Wait for a run to finish, and compare its digests."""
    for agent in agents:
        assert (agent.wait(), agent.errors, agent.left_behind()) == (0, [], []), agent.err
    if expected:
        assert digests(folder) == expected
        assert [row["digest"] for row in metrics(folder)] == list(expected.values())
    assert best_is_kept(folder)
    assert not temporaries(folder)


def _wait_for_a_moment(agents: list[Agent], folder: Path, chance: random.Random, ranks: int) -> dict[int, Agent]:
    """Wait until a random moment of a run; return the agents of its running ranks."""
    found: dict[int, Agent] = {}

    def have_begun() -> bool:
        found.clear()
        found.update({rank: agent for agent in agents for rank in agent.ranks()})
        return len(found) == ranks

    wait_until(have_begun, "the ranks")
    if chance.random() < 0.1:
        time.sleep(chance.uniform(0, 4))  # while they import, meet, or are set up
        return found
    epoch = chance.randrange(1, EPOCHS - 10)
    path = folder / "checkpoints_run" / f"epoch_{epoch:06d}.safetensors"
    wait_until(lambda: path.exists() or any(agent.has_ended for agent in agents), str(path))
    time.sleep(chance.uniform(0, 0.03))
    return found


def _end_with_one_error(agents: list[Agent], folder: Path, expected: dict[int, str], patience: float) -> None:
    """Wait for the end of a disturbed run: one error of each rank that lost another, no traceback, whole checkpoints.

    A rank is lost for all others, so each of them says so. A rank says nothing if torchrun's SIGTERM comes first. Where
    torchrun was killed, nobody tells the codes, and a rank ends with a checkpoint, or with an error if it was late.
    """
    began = time.monotonic()
    codes = [agent.wait(patience) for agent in agents]
    print(f"ended with {codes} after {time.monotonic() - began:.1f} s: {[agent.errors for agent in agents]}")
    print(f"ranks ended with {[agent.codes for agent in agents]}")
    for agent in agents:
        assert agent.left_behind() == []
        assert f"{Path(__file__).parents[2] / 'actor_critic'}" not in agent.err, agent.err  # a traceback of ours
        speakers = [error.split()[1].rstrip(",:") for error in agent.errors]
        assert len(set(speakers)) == len(speakers), agent.err
        if agent.codes:
            assert len(agent.errors) == agent.codes.count(RankFault.exit_code), agent.err
            assert set(agent.codes) <= {RankFault.exit_code, -signal.SIGKILL, -signal.SIGTERM, 128 + signal.SIGTERM}
    if all(code == 0 for code in codes):  # it came after the end
        assert digests(folder) == expected
    if (folder / "checkpoints_run").exists():
        assert digests(folder).items() <= expected.items()


def _kill(rank: int, agents: list[Agent]) -> bool:
    """Kill a rank; False where it has ended."""
    for agent in agents:
        if process := agent.ranks().get(rank):
            process.kill()
            return True
    return False


def test_a_killed_rank_is_restarted_and_the_run_comes_to_the_same_digests(
    campaign: Campaign, launcher: Launcher, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    expected = undisturbed(1, 2)
    for seed in campaign.tries("kill -9 of a rank, restarted by torchrun", 1, 12):
        chance, folder = random.Random(f"restart {seed}"), tmp_path / str(seed)
        agents = launcher.begin(
            lambda folder=folder: [torchrun(folder, *COMMAND, options=("--max-restarts=1", "--monitor-interval=0.1"))]
        )
        _wait_for_a_moment(agents, folder, chance, 2)
        _kill(chance.randrange(2), agents)
        (agent,) = agents
        assert agent.wait() == 0, agent.err
        assert agent.left_behind() == []
        assert len(agent.errors) <= 1  # of the other rank, unless torchrun's SIGTERM came first
        assert digests(folder) == expected
        assert [row["digest"] for row in metrics(folder)] == list(expected.values())
        assert best_is_kept(folder)
        assert not temporaries(folder)


def test_after_a_kill_the_same_command_goes_on_to_the_same_digests(
    campaign: Campaign, launcher: Launcher, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    expected = undisturbed(1, 2)
    for seed in campaign.tries("kill -9 of a rank or of torchrun, started again", 0, 12):
        chance, folder = random.Random(f"again {seed}"), tmp_path / str(seed)
        agents = launcher.begin(lambda folder=folder: [torchrun(folder, *COMMAND)])
        _wait_for_a_moment(agents, folder, chance, 2)
        if seed % 3 == 2:
            agents[0].kill()
        else:
            _kill(seed % 3, agents)
        _end_with_one_error(agents, folder, expected, PATIENCE + 20)
        _end_well(launcher.begin(lambda folder=folder: [torchrun(folder, *COMMAND)]), folder, expected)


def _on_two_hosts(
    hosts: Hosts,
    launcher: Launcher,
    chance: random.Random,
    expected: dict[int, str],
    disturb: Callable[[list[Agent], dict[int, Agent]], None],
    mend: Callable[[], None] = lambda: None,
    ranks: int = 1,
) -> None:
    """Disturb a run on two hosts, and start the same command again."""
    agents = launcher.begin(lambda: hosts.torchrun(*COMMAND, ranks=ranks, options=OPTIONS))
    disturb(agents, _wait_for_a_moment(agents, hosts.folder, chance, 2 * ranks))
    _end_with_one_error(agents, hosts.folder, expected, PATIENCE + SLOW_TO_LEAVE)
    mend()
    again = launcher.begin(lambda: hosts.torchrun(*COMMAND, ranks=ranks, options=OPTIONS))
    _end_well(again, hosts.folder, expected)


OPTIONS = ("--rdzv-conf=read_timeout=20", "--monitor-interval=0.1")


@needs_hosts
def test_a_rank_or_an_agent_of_another_host_is_killed(
    campaign: Campaign, launcher: Launcher, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    for seed in campaign.tries("kill -9 of a rank or of torchrun on one of two hosts", 0, 8):
        chance, ranks = random.Random(f"hosts {seed}"), 1 + seed % 2
        expected = undisturbed(2, ranks)

        victim = chance.randrange(2 * ranks)

        def disturb(agents: list[Agent], found: dict[int, Agent], seed: int = seed, victim: int = victim) -> None:
            if seed % 4 < 2:
                _kill(victim, agents)
            else:
                found[victim].kill()

        with two_hosts(tmp_path / str(seed)) as hosts:
            _on_two_hosts(hosts, launcher, chance, expected, disturb, ranks=ranks)


@needs_hosts
def test_a_cut_link_ends_the_run_and_the_same_command_goes_on(
    campaign: Campaign, launcher: Launcher, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    for seed in campaign.tries("cut link between two hosts", 1, 9):
        chance = random.Random(f"cut {seed}")
        with two_hosts(tmp_path / str(seed)) as hosts:
            ways = {
                0: (lambda *_: hosts.set(is_cut=True), lambda: hosts.set(is_cut=False)),
                1: (lambda *_: hosts.pull(0), lambda: hosts.plug(0)),
                2: (lambda *_: hosts.pull(1), lambda: hosts.plug(1)),
            }
            _on_two_hosts(hosts, launcher, chance, undisturbed(2, 1), *ways[seed % 3])


LINKS = [
    {"delay": 0.02, "rate": 10e6},
    {"loss": 0.02},
    {"delay": 0.01, "loss": 0.005},
    {"rate": 1e6},
]


@needs_hosts
def test_a_slow_or_lossy_link_changes_no_bit(
    campaign: Campaign, launcher: Launcher, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    for seed in campaign.tries("slow or lossy link between two hosts", 0, 9):
        chance, ranks = random.Random(f"slow {seed}"), 1 + seed // 4 % 2
        expected = undisturbed(2, ranks)
        with two_hosts(tmp_path / str(seed)) as hosts:
            agents = launcher.begin(lambda hosts=hosts, ranks=ranks: hosts.torchrun(*COMMAND, ranks=ranks))
            _wait_for_a_moment(agents, hosts.folder, chance, 2 * ranks)
            hosts.set(**LINKS[seed % 4])
            _end_well(agents, hosts.folder, expected)


@needs_hosts
def test_ranks_of_two_hosts_come_to_the_bits_of_one_host(undisturbed: Undisturbed) -> None:
    # With one rank on each host, a sum has two terms on two hosts as well as on one.
    assert undisturbed(2, 1) == undisturbed(1, 2)
