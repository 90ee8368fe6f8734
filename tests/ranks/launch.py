"""Start programs on several ranks of this machine."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def on_ranks(
    size: int, *words: str, folder: Path, options: tuple[str, ...] = (), seconds: float = 240.0
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m WORDS`` on several ranks in a folder, and return what torchrun returned and printed."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={size}", *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [*torchrun, "-m", *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=seconds,
        check=False,
    )  # fmt: skip
