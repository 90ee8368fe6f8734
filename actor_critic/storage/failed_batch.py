"""Saves the batch of a failed update, for debugging."""

from pathlib import Path

import safetensors.torch
from torch import Tensor

from actor_critic.errors import NumericalError
from actor_critic.files import write_durably


def keep_failed_batch(folder: Path, epoch: int, batch: dict[str, Tensor], error: NumericalError) -> NumericalError:
    """Write a batch to the run folder, as a plain safetensors file.

    Args:
        folder: The run folder.
        epoch: The epoch that failed.
        batch: Tensors by name.
        error: The error of the update.

    Returns:
        The error with the path of the batch.
    """
    path = folder / f"failed_epoch_{epoch:06d}.safetensors"
    # Copies, because safetensors refuses tensors that share memory.
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in batch.items()}
    try:
        write_durably(path, safetensors.torch.save(tensors, {"error": str(error), "epoch": str(epoch)}))
    except OSError as refused:
        return NumericalError(f"{error}; the batch could not be kept in {path}: {refused.strerror or refused}")
    return NumericalError(f"{error}; the batch is kept in {path}")
