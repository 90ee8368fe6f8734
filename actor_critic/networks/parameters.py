"""The flat buffer: one tensor for all parameters, and one for all gradients."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from actor_critic.errors import NumericalError


class FlatParameters:
    """All parameters of some modules as views of one contiguous float32 tensor, and their gradients of another.

    So an optimizer step, a norm or a copy works on one array. Autograd accumulates gradients in place, so the views
    stay valid during training.

    Attributes:
        values: [P] float32, all parameters in order of first appearance; a shared one appears once.
        gradients: [P] float32, the gradients in the same order.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        """Move the parameters of ``modules`` into one buffer; their values are kept.

        Args:
            modules: The modules; all on one device.

        Raises:
            TypeError: A parameter is not float32, or parameters live on different devices.
        """
        self._modules = modules
        first = self._parameters()[0]
        size = sum(parameter.numel() for parameter in self._parameters())
        self.values = torch.empty(size, dtype=torch.float32, device=first.device)
        self.gradients = torch.zeros(size, dtype=torch.float32, device=first.device)
        self._bind()

    def check(self) -> None:
        """Make sure that every parameter is a view of the buffer; copy replaced parameters into it.

        Loading weights in place keeps the views; assigning ``parameter.data`` or a new parameter does not.

        Raises:
            TypeError: A parameter is no longer float32 (``.double()``, ``.half()``), is on another device, or the
                number of parameters has changed (tied, added or reshaped parameters).
        """
        if not self._is_as_bound():
            self._bind()

    def _is_as_bound(self) -> bool:
        """Return whether parameters and gradients are still the bound ones; fast, because every update calls it."""
        return (
            [*map(id, chain.from_iterable(map(dict.values, self._inside)))] == self._identities
            and [*map(Tensor.data_ptr, self._bound)] == self._places
            and [0 if (grad := p.grad) is None else grad.data_ptr() for p in self._bound] == self._gradient_places
        )

    def check_finite(self) -> None:
        """Make sure that all parameters are finite.

        Raises:
            NumericalError: A parameter is not finite.
        """
        if self.values.is_cpu:
            is_finite = bool(np.isfinite(self.values.numpy()).all())  # PyTorch would use other threads
        else:
            is_finite = bool(torch.isfinite(self.values).all())
        if not is_finite:
            raise NumericalError("a parameter is not finite; lower learning_rate or max_grad_norm")

    def _parameters(self) -> list[nn.Parameter]:
        """Return the current parameters in order of first appearance; a shared one appears once."""
        return list({id(p): p for module in self._modules for p in module.parameters()}.values())

    def _bind(self) -> None:
        parameters = self._parameters()
        for parameter in parameters:
            if parameter.dtype != torch.float32 or parameter.device != self.values.device:
                raise TypeError(
                    f"a parameter is {parameter.dtype} on {parameter.device}; training needs torch.float32 on "
                    f"{self.values.device}: build a new agent for another device, and leave the dtype as it is"
                )
        size = sum(parameter.numel() for parameter in parameters)
        if size != len(self.values):
            raise TypeError(
                f"the networks hold {size} numbers, but were built with {len(self.values)}: build a new agent"
            )
        with torch.no_grad():
            # Copy all before moving any view, since a parameter may be a view of the place of another one.
            self.values.copy_(torch.cat([parameter.reshape(-1) for parameter in parameters]))
            offset = 0
            for parameter in parameters:
                piece = slice(offset, offset + parameter.numel())
                parameter.data = self.values[piece].view_as(parameter)
                parameter.grad = self.gradients[piece].view_as(parameter)
                offset += parameter.numel()
        # The members of the modules and their addresses, for the next check.
        self._inside: list[dict[str, Any]] = [
            members
            for module in self._modules
            for inner in module.modules()
            for members in (inner._modules, inner._parameters)
        ]
        self._held = [member for members in self._inside for member in members.values()]  # keeps ids from being reused
        self._identities = [id(member) for member in self._held]
        self._bound = parameters
        self._places = [parameter.data_ptr() for parameter in parameters]
        self._gradient_places = [p.grad.data_ptr() for p in parameters if p.grad is not None]
