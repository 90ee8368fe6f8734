"""The flat buffer: all parameters in one tensor, all gradients in another."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from actor_critic.errors import NumericalError


class FlatParameters:
    """All parameters of some modules as views into one contiguous float32 tensor, their gradients into another.

    One optimizer step, one norm, one copy then touch one array. Autograd accumulates into an existing gradient in
    place, so the views hold through training.

    Attributes:
        values: [P] float32, every parameter in order of first appearance; a shared one is there once.
        gradients: [P] float32, their gradients.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        """Move the parameters of ``modules`` into one buffer; their values are kept.

        Args:
            modules: Whose parameters; all on one device.

        Raises:
            TypeError: A parameter is not float32, or parameters live on different devices.
        """
        self._modules = modules
        first = self._parameters()[0]
        size = sum(parameter.numel() for parameter in self._parameters())
        self.values = torch.empty(size, dtype=torch.float32, device=first.device)
        self.gradients = torch.zeros(size, dtype=torch.float32, device=first.device)
        self._zeros = torch.zeros_like(self.values)
        self._bind()

    def check(self) -> None:
        """Make sure that every parameter is a view of the buffer, taking over those that were replaced.

        Loading weights in place keeps the views; assigning ``parameter.data`` or a new parameter does not.

        Raises:
            TypeError: A parameter is not float32 any more (``.double()``, ``.half()``), moved to another device, or
                there are more or fewer numbers than the buffer holds (tied, added or reshaped parameters).
        """
        if not self._is_as_bound():
            self._bind()

    def _is_as_bound(self) -> bool:
        """Whether the same parameters stand at the same places as when they were bound; on the way of every update."""
        return (
            [id(member) for members in self._inside for member in members.values()] == self._identities
            and [parameter.data_ptr() for parameter in self._bound] == self._places
            and [p.grad.data_ptr() if p.grad is not None else 0 for p in self._bound] == self._gradient_places
        )

    def check_finite(self) -> None:
        """Make sure that every parameter is a finite number.

        Raises:
            NumericalError: One is not.
        """
        # Zero times anything finite is zero, and times anything else is not: one pass, and nothing is allocated.
        if self.values.is_cpu:
            with np.errstate(invalid="ignore"):
                product = float(self.values.numpy().dot(self._zeros.numpy()))  # torch would wake other threads
        else:
            product = float(torch.dot(self.values, self._zeros))
        if product != 0.0:
            raise NumericalError("a parameter is not finite; lower learning_rate or max_grad_norm")

    def _parameters(self) -> list[nn.Parameter]:
        """Return the present parameters in order of first appearance; a shared one appears once."""
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
            # All at once, before any view is moved: a parameter may be looking at another one's place.
            self.values.copy_(torch.cat([parameter.reshape(-1) for parameter in parameters]))
            offset = 0
            for parameter in parameters:
                piece = slice(offset, offset + parameter.numel())
                parameter.data = self.values[piece].view_as(parameter)
                parameter.grad = self.gradients[piece].view_as(parameter)
                offset += parameter.numel()
        # What the modules consist of and where it lies, for the next check.
        self._inside: list[dict[str, Any]] = [
            members
            for module in self._modules
            for inner in module.modules()
            for members in (inner._modules, inner._parameters)
        ]
        self._held = [member for members in self._inside for member in members.values()]  # so that no id is given anew
        self._identities = [id(member) for member in self._held]
        self._bound = parameters
        self._places = [parameter.data_ptr() for parameter in parameters]
        self._gradient_places = [p.grad.data_ptr() for p in parameters if p.grad is not None]
