"""What may execute the bytes it is given is not to be had in the package: `make check` refuses it."""

import subprocess
import sys
from pathlib import Path

import pytest

FORBIDDEN = [
    "import pickle",
    "from pickle import loads",
    "import pickle as harmless",
    "import cloudpickle",
    "import dill",
    "import marshal",
    "from marshal import loads",
    "import shelve",
    "import joblib\n\njoblib.load('x')",
    "from joblib import load",
    "import torch\n\ntorch.load('x')",
    "from torch import load",
    "import torch\n\ntorch.save({}, 'x')",
    "import torch\n\ntorch.jit.load('x')",
    "import torch.hub",
    "import torch.package",
    "import numpy as np\n\nnp.load('x')",
    "import numpy\n\nnumpy.load('x')",
    "from numpy import load",
    "eval('1')",
    "exec('pass')",
    "import builtins\n\nbuiltins.eval('1')",
    "import builtins\n\nbuiltins.exec('pass')",
]
EXECUTES = ("TID251", "S102", "S301", "S302", "S307")


def _found(code: str, name: str) -> list[str]:
    """The rules about execution that a file of this name would break."""
    words = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--no-cache",
        "--output-format",
        "concise",
        "--stdin-filename",
        name,
    ]
    root = Path(__file__).parents[1]
    result = subprocess.run([*words, "-"], input=f"{code}\n", cwd=root, capture_output=True, text=True)
    assert result.returncode in (0, 1), result.stderr
    return [rule for rule in EXECUTES if f" {rule} " in result.stdout]


@pytest.mark.parametrize("code", FORBIDDEN)
def test_the_package_may_not_use_it_and_tests_may(code: str) -> None:
    assert _found(code, "actor_critic/x.py")
    assert _found(code, "actor_critic/backends/fused/x.py")
    assert not _found(code, "tests/x.py")


def test_what_is_harmless_is_allowed() -> None:
    assert not _found("import json\n\nimport safetensors.torch\n\njson.loads('1')", "actor_critic/x.py")
