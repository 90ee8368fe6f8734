"""The device that a setting names, and what a GPU needs: repeatable kernels, and an error where its memory ends."""

import contextlib
import os
import re
from types import TracebackType

import torch

from actor_critic.config import Settings
from actor_critic.errors import ConfigError


def choose_device(name: str, rank_on_this_host: int = 0) -> torch.device:
    """Return the device that a setting names; "auto" is a CUDA GPU if there is one, else the CPU.

    Args:
        name: "auto", "cpu", "cuda" or "cuda:N".
        rank_on_this_host: Each rank of a machine uses the next one of its GPUs for "auto" and "cuda".

    Raises:
        ConfigError: The device does not exist.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        name = "cuda" if count else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d{1,2})?", name):
        raise ConfigError(f'device: "{name}" is not allowed; expected "auto", "cpu", "cuda" or "cuda:N"')
    if name == "cuda" and rank_on_this_host:
        name = f"cuda:{rank_on_this_host % max(count, 1)}"
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= count:
        raise ConfigError(f'device: "{name}" is not there: PyTorch sees {count} CUDA GPUs; expected "auto" or "cpu"')
    return device


def why_automatic(device: torch.device) -> str:
    """Return why "auto" is this GPU, in words for the log."""
    name = torch.cuda.get_device_name(device)
    return f"{device}, because PyTorch sees a CUDA GPU ({name}); small networks may be faster with device=cpu"


def moved(settings: Settings, name: str) -> Settings:
    """Return the settings of a saved agent for another device; a backend for another kind of device is chosen again.

    Args:
        settings: The resolved settings.
        name: The other device, as a setting names it.

    Raises:
        ConfigError: The device does not exist.
    """
    if torch.device(settings.device).type != choose_device(name).type:
        settings = settings.replace(backend="auto")
    return settings.replace(device=name)


def make_repeatable(device: torch.device) -> None:
    """Let the kernels of a GPU give the same bits in each run, in full float32; nothing changes for the CPU.

    PyTorch has one such choice for a process. Convolutions would otherwise round to TF32, which has 10 bits of
    precision. Where an operation of the user's encoder has no repeatable kernel, PyTorch warns and names it.
    """
    if device.type != "cuda":
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when the first matrix product begins
    torch.use_deterministic_algorithms(True, warn_only=True)
    setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)  # noqa: B010 - unknown to type checkers
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


_EXHAUSTED = ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")


class enough_memory(contextlib.ContextDecorator):  # noqa: N801 - used as a function
    """Report the end of a GPU's memory in the block as ConfigError, with the settings to change."""

    def __enter__(self) -> None:
        """Begin the block."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Report the error of the block.

        Raises:
            ConfigError: The memory of a GPU did not suffice.
        """
        if isinstance(error, RuntimeError) and is_out_of_memory(error):
            needed = re.search(r"[Tt]ried to allocate ([\d.]+ \w+)", str(error))
            more = f", {needed[1]} at once" if needed else ""
            raise ConfigError(
                f"device: the memory of the GPU does not suffice{more}; use more num_minibatches, a smaller batch_size "
                f"(num_envs, num_steps) or a smaller hidden_dim, end other programs that use this GPU, or use "
                f"device=cpu"
            ) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that the memory of a GPU did not suffice."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "CU" in str(error) and any(text in str(error) for text in _EXHAUSTED)
