"""Which function reads which operator: the tables of all files, put together."""

from . import (arithmetic, convolutions, losses, normalising, pools, recurrent,
               shapes)

__all__ = ["TABLE"]

#: Operator -> ``read(graph, node)``, which returns a value, or one for each output.
TABLE = {op: read for file in (arithmetic, convolutions, losses, normalising, pools,
                               recurrent, shapes) for op, read in file.TABLE.items()}
