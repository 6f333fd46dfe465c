"""What is wrong with a fleet file, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge.errors import ConfigError

MORE: Final = "edgectl fleet validate"


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """``line``, from 1: 0 for what has none. ``where``: the path in ``file``. A ``note`` stops nothing."""

    file: str
    line: int
    where: str
    what: str
    note: bool = False

    def __str__(self) -> str:
        return f"{self._place}: {self.what}"

    @property
    def _place(self) -> str:
        line = f":{self.line}" if self.line else ""
        return f"{self.file}{line}: {self.where}" if self.where != "$" else f"{self.file}{line}"

    def error(self, others: int = 0) -> ConfigError:
        """To be raised; ``others`` is how many more there are."""
        more = f" (and {others} more: {MORE})" if others else ""
        return ConfigError(self._place, self.what + more)
