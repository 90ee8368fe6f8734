"""Functional environments in compiled code. Importing this package loads Numba."""

from actor_critic.environments.functional.compiled.executor import CompiledExecutor, as_bytes
from actor_critic.environments.functional.compiled.kernel import Kernel, address, call_observe, call_reset, call_step

__all__ = ["CompiledExecutor", "Kernel", "address", "as_bytes", "call_observe", "call_reset", "call_step"]
