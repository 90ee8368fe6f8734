"""The device that a setting names."""

import re

import torch

from actor_critic.errors import ConfigError


def choose_device(name: str) -> torch.device:
    """Return the device that a setting names; "auto" is the first CUDA GPU if there is one, else the CPU.

    Raises:
        ConfigError: The device does not exist.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        name = "cuda" if count else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d{1,2})?", name):
        raise ConfigError(f'device: "{name}" is not allowed; expected "auto", "cpu", "cuda" or "cuda:N"')
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= count:
        raise ConfigError(f'device: "{name}" is not there: PyTorch sees {count} CUDA GPUs; expected "auto" or "cpu"')
    return device
