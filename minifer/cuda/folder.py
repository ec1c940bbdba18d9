"""Where the CUDA text lies: ``kernels/`` of a checkout, or of the installed package."""

import pathlib

__all__ = ["FOLDER"]

_PACKAGE = pathlib.Path(__file__).resolve().parents[1]

#: The folder of the ``.cu`` and ``.cuh`` files, with ``emulator/`` in it.
FOLDER = next(folder for folder in (_PACKAGE / "kernels", _PACKAGE.parent / "kernels")
              if folder.is_dir())
