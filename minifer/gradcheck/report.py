"""What a gradient check found: a row for each array, and the table of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..notebook import Cell, paragraph, table

__all__ = ["Report", "Row"]


@dataclass(frozen=True)
class Row:
    """What was found for one array.

    ``error`` is the largest relative error over all probes that are not kinks, and
    ``note`` says where the worst element is, or what else is wrong. Each of
    ``directions`` is a step of the whole array, each of ``elements`` of one number.
    """

    name: str
    shape: tuple
    directions: int
    elements: int
    kinks: int
    error: float
    tolerance: float
    note: str = ""

    @property
    def probes(self) -> int:
        """Directions and elements, together."""
        return self.directions + self.elements

    @property
    def directional(self) -> bool:
        """Whether the array was too large for all its elements to be probed."""
        return self.directions > 0

    @property
    def ok(self) -> bool:
        """Whether the error is in tolerance and most probes could be judged."""
        return self.error <= self.tolerance and 2 * self.kinks <= self.probes

    @property
    def verdict(self) -> str:
        """'ok', 'WRONG' or 'UNDECIDED', with the number of kinks."""
        if not self.error <= self.tolerance:
            return "WRONG"
        kinks = f" ({self.kinks} at a kink)" if self.kinks else ""
        return ("ok" if self.ok else "UNDECIDED") + kinks

    @property
    def probed(self) -> str:
        """How many probes of which kind, in words."""
        kinds = [f"{count} {what}" for count, what in (
            (self.directions, "directions"), (self.elements, "elements")) if count]
        return ", ".join(kinds) or "none"

    @property
    def judged(self) -> str:
        """The verdict, and what there is to say."""
        return self.verdict + (f", {self.note}" if self.note else "")

    def joined(self, other: Row) -> Row:
        """This row and further probes of the same array as one."""
        return replace(self.at_worst(other),
                       directions=self.directions + other.directions,
                       elements=self.elements + other.elements,
                       kinks=self.kinks + other.kinks)

    def at_worst(self, other: Row) -> Row:
        """This row, with the error of another if that is larger."""
        if not other.error > self.error:
            return self
        return replace(self, error=other.error, note=other.note)


@dataclass(frozen=True)
class Report:
    """A table of rows; ``ok`` if all are."""

    rows: tuple

    @property
    def ok(self) -> bool:
        return all(row.ok for row in self.rows)

    def __str__(self):
        lines = [f"{'parameter':<20}{'shape':<20}{'probes':<28}"
                 f"{'largest error':>13}  verdict"]
        for row in self.rows:
            lines.append(f"{row.name:<20}{str(row.shape):<20}{row.probed:<28}"
                         f"{row.error:>13.1e}  {row.judged}")
        return "\n".join(lines)

    def _repr_html_(self):
        rows = [[row.name, str(row.shape), row.probed, f"{row.error:.1e}",
                 Cell(row.judged, "" if row.ok else ";color:#d55e00;font-weight:600")]
                for row in self.rows]
        return table(["parameter", "shape", "probes", "largest error", "verdict"],
                     rows) + paragraph("all right" if self.ok else "not all right")
