"""Tests that need a CUDA GPU; ``sh tests/gpu/run.sh FOLDER`` runs them and the GPU benchmark."""

import pytest
import torch

ON_GPU = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no CUDA GPU"),
]
"""The marks of each module here."""

GPU = "cuda"
"""The device of these tests."""
