"""Install each peer library in its own virtual environment.

    python -m benchmarks.peers.install [PEER ...]      # all of them by default

Writes ``benchmarks/.peers/PEER/``; an environment with the same requirements is kept. A peer that cannot be installed
is reported and skipped; only Stable-Baselines3 is required.
"""

import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ENVIRONMENTS = HERE.parent / ".peers"
NEEDED = "stable_baselines3"
CAUSE = re.compile(r"\w+Error: |^ERROR: ")  # lines of pip that contain the reason
LIMIT = 900  # seconds for one peer


def install(peer: str) -> tuple[bool, str]:
    """Install a peer; return whether it is installed, and how or why not."""
    requirements = HERE / "requirements" / f"{peer}.txt"
    if not requirements.exists():
        return False, f"cannot be had, because there is no {requirements.relative_to(HERE.parent.parent)}"
    folder = ENVIRONMENTS / peer
    stamp = folder / "installed.txt"
    if stamp.exists() and stamp.read_text() == requirements.read_text():
        return True, "there already"
    venv.create(folder, clear=True, with_pip=True)
    pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        result = subprocess.run([*pip, "-r", str(requirements)], capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        reason = f"installing took more than {LIMIT} s"
    else:
        if result.returncode == 0:
            stamp.write_text(requirements.read_text())
            return True, "installed"
        errors = [line.strip() for line in result.stderr.splitlines() if CAUSE.search(line)]
        reason = errors[-1] if errors else f"pip ended with {result.returncode}"
    shutil.rmtree(folder)
    return False, f"cannot be had, because {reason}"


def main() -> int:
    """Install the named peers, or all; return 1 if Stable-Baselines3 was requested and cannot be installed."""
    named = sys.argv[1:] or sorted(path.stem for path in (HERE / "requirements").glob("*.txt"))
    there = {}
    for peer in named:
        there[peer], how = install(peer)
        print(f"{peer}: {how}", flush=True)
    return 0 if there.get(NEEDED, True) else 1


if __name__ == "__main__":
    sys.exit(main())
