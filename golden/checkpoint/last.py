"""The last tensor of each thread, for checkpoints whose tensors are made as a whole."""

import threading
from collections.abc import Callable

from torch import Tensor

__all__ = ["Last"]


class Last(threading.local):
    """Remembers the tensor that this thread asked for last."""

    def __init__(self) -> None:
        self._name: str | None = None
        self._tensor: Tensor | None = None

    def get(self, name: str, make: Callable[[str], Tensor]) -> Tensor:
        """Return a tensor by its name; it is made unless it was the last."""
        if self._tensor is None or self._name != name:
            self._tensor = None  # not two at once
            self._name, self._tensor = name, make(name)
        return self._tensor
