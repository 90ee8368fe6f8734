"""The batch of an update that failed, kept for debugging."""

from pathlib import Path

import safetensors.torch
from torch import Tensor

from actor_critic.errors import NumericalError
from actor_critic.files import write_durably


def keep_failed_batch(folder: Path, epoch: int, batch: dict[str, Tensor], error: NumericalError) -> NumericalError:
    """Write a batch beside the checkpoints of its run, as a plain safetensors file.

    Args:
        folder: The run folder.
        epoch: The epoch that failed.
        batch: Tensors by name.
        error: What happened.

    Returns:
        The error, and where the batch is.
    """
    path = folder / f"failed_epoch_{epoch:06d}.safetensors"
    # Copies: some of them share their memory, which safetensors refuses.
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in batch.items()}
    try:
        write_durably(path, safetensors.torch.save(tensors, {"error": str(error), "epoch": str(epoch)}))
    except OSError as refused:
        return NumericalError(f"{error}; the batch could not be kept in {path}: {refused.strerror or refused}")
    return NumericalError(f"{error}; the batch is kept in {path}")
