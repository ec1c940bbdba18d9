"""Which function reads which operator: the tables of all files, put together."""

from . import arithmetic, convolutions, normalising, pools, shapes

__all__ = ["TABLE"]

#: Operator -> ``read(graph, node)``, which returns a value, or one for each output.
TABLE = {op: read for file in (arithmetic, convolutions, normalising, pools, shapes)
         for op, read in file.TABLE.items()}
