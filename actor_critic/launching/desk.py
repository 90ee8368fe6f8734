"""Desk: where a command and its jobs on the cluster leave messages and files for each other."""

from collections import defaultdict
from pathlib import Path
from typing import Any

from actor_critic.files import write_durably
from actor_critic.launching.luggage import read_folder


class Desk:
    """Messages between a command and its jobs, and the run folders of the jobs.

    It is a Ray actor on the machine of the command, so the folders are on the disk of the command.
    """

    def __init__(self) -> None:
        """Start without messages."""
        self._from_jobs: dict[str, list[Any]] = defaultdict(list)
        self._to_jobs: dict[str, list[Any]] = defaultdict(list)
        self._stopped: set[str] = set()
        self._attempts: dict[str, str] = {}

    def stop(self, job: str) -> None:
        """Note that a job is to stop, also one that begins again later."""
        self._stopped.add(job)

    def exchange(self, job: str, messages: list[Any]) -> tuple[list[Any], bool]:
        """Leave messages of a job, and return those for it, and whether it is to stop."""
        self._from_jobs[job] += messages
        return self._to_jobs.pop(job, []), job in self._stopped

    def look(self, job: str, messages: list[Any]) -> list[Any]:
        """Leave messages for a job, and return those of it."""
        self._to_jobs[job] += messages
        return self._from_jobs.pop(job, [])

    def begin(self, job: str, attempt: str, folder: str) -> dict[str, bytes]:
        """Begin an attempt of a job, and return what an earlier one has left of its runs.

        Args:
            job: The job.
            attempt: The attempt; the desk keeps no files of earlier attempts from here on.
            folder: The folder of the job, on the machine of the command.
        """
        self._attempts[folder] = attempt
        self._to_jobs.pop(job, None)
        files = read_folder(Path(folder)) if Path(folder).is_dir() else {}
        runs = {Path(name).parent for name in files if name.endswith(".safetensors")}  # others begin again
        return {name: data for name, data in files.items() if any(Path(name).is_relative_to(run) for run in runs)}

    def keep(self, folder: str, attempt: str, changed: dict[str, bytes], names: set[str]) -> None:
        """Write the changed files of a folder, then remove those that the job does not have any more.

        Args:
            folder: The folder, on the machine of the command.
            attempt: The attempt that sends them.
            changed: The files by their relative paths.
            names: All files of the job.
        """
        if self._attempts.get(folder) != attempt:
            return
        root = Path(folder)
        root.mkdir(parents=True, exist_ok=True)
        # Checkpoints last: one that is there has all records up to its epoch.
        for name in sorted(changed, key=lambda name: (name.endswith(".safetensors"), name)):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            write_durably(root / name, changed[name])
        for name in read_folder(root).keys() - names:
            (root / name).unlink(missing_ok=True)


def open_desk() -> Any:
    """Start a desk on this machine, and return its handle."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here: Any = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor: Any = ray.remote(Desk)
    return actor.options(num_cpus=0, scheduling_strategy=here).remote()
