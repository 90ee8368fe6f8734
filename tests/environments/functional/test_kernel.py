"""Compiled loops of several environments in one process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

KERNEL = """
from actor_critic.environments.functional import make_twin
from actor_critic.environments.functional.compiled import Kernel
for name in {names}:
    twin = make_twin(name, {{}})
    kernel = Kernel(twin.functions, twin.layout)
    assert kernel.was_cached is {was_cached}, name
"""
COMPARE = """
import numpy as np
from actor_critic.environments.functional import FunctionalVectorEnv, PythonExecutor
from actor_critic.environments.functional.compiled import CompiledExecutor
for name in {names}:
    twin = make_twin(name, {{}})
    compiled, python = (FunctionalVectorEnv(twin, 3, kind(twin)) for kind in (CompiledExecutor, PythonExecutor))
    random = np.random.default_rng(0)
    assert np.array_equal(compiled.begin(1).observations, python.begin(1).observations), name
    for _ in range(60):
        actions = random.integers(0, twin.action_space.n, (3, 1))
        found, expected = compiled.step_indices(actions), python.step_indices(actions)
        assert np.array_equal(found.observations, expected.observations), name
        assert np.array_equal(found.rewards, expected.rewards), name
"""


def _python(code: str, folder: Path) -> None:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(folder)}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr


def test_code_that_different_processes_compiled_works_in_one_process(tmp_path: Path) -> None:
    names = ("CliffWalking-v1", "Taxi-v4")  # compiled functions of the same names, in each process the first ones
    for name in names:
        _python(KERNEL.format(names=[name], was_cached=False), tmp_path / "compiled")
    _python(KERNEL.format(names=names, was_cached=True) + COMPARE.format(names=names), tmp_path / "compiled")
