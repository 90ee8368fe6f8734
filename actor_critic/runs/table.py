"""Table: columns of numbers by name."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from actor_critic.display import html_table
from actor_critic.errors import ActorCriticError
from actor_critic.ops.statistics import plainly

_SHOWN = 10


class Table(Mapping[str, npt.NDArray[np.float64]]):
    """Columns of numbers by name, all of one length; NaN where there is no value.

    ``table.to_pandas()`` is a data frame; other libraries read ``dict(table)``.
    """

    def __init__(self, columns: Mapping[str, npt.NDArray[np.float64]]) -> None:
        """Keep the columns."""
        self._columns = dict(columns)

    def __getitem__(self, name: str) -> npt.NDArray[np.float64]:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(next(iter(self._columns.values()), ()))

    def to_pandas(self) -> Any:
        """Return a pandas.DataFrame.

        Raises:
            ActorCriticError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise ActorCriticError("pandas is not installed: pip install pandas") from None
        return pandas.DataFrame(self._columns)

    def __repr__(self) -> str:
        return f"<Table of {self.rows} rows: {', '.join(self)}>"

    def _repr_html_(self) -> str:
        numbers = range(max(0, self.rows - _SHOWN), self.rows)
        rows = [[number, *(_shown(column[number]) for column in self.values())] for number in numbers]
        caption = f"the last {len(rows)} of {self.rows} rows" if self.rows > _SHOWN else ""
        return html_table(rows, ["", *self], caption)


def _shown(value: float) -> str:
    if not np.isfinite(value):
        return "" if np.isnan(value) else str(value)
    return f"{value:.0f}" if value == int(value) else plainly(float(value))
