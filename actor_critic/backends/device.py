"""The device that a setting names."""

import re

import torch

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
