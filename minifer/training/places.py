"""Where a run begins: at its beginning, or where its folder's checkpoint says."""

import os

from ..errors import SettingError
from ..files import remove_leftovers
from .checkpoint import begun_with, load_checkpoint, peek
from .interrupts import where
from .position import beginning, check_position

__all__ = ["CHECKPOINT", "MODEL", "begin"]

CHECKPOINT, MODEL = "checkpoint.npz", "model.npz"


def begin(folder, resume, network, update, settings):
    """Find where a run begins, and put network and update rule into that state.

    Parameters
    ----------
    folder : str or None
    resume : bool
    network, update, settings
        As for :func:`minifer.training.checkpoint.load_checkpoint`; a ``last_batch`` of
        None is what the run began with.

    Returns
    -------
    place : dict
        JSON-ready.
    last_batch : str
    then : dict or None
        The surroundings with which a run began that goes on.

    Raises
    ------
    SettingError
        If an interrupted run stands there that is not to be continued.
    """
    place = beginning()
    last_batch = settings["last_batch"]
    if folder is None:
        return place, last_batch or "deal", None
    path = os.path.join(folder, CHECKPOINT)
    for name in (CHECKPOINT, MODEL):
        remove_leftovers(os.path.join(folder, name))
    if not os.path.exists(path):
        return place, last_batch or "deal", None
    if resume:
        noted, then = begun_with(path)
        last_batch = last_batch or noted["last_batch"]
        place = load_checkpoint(path, network, update,
                                settings | {"last_batch": last_batch},
                                check_position)
        return place | {"finished": False}, last_batch, then
    if not peek(path).get("finished", False):
        raise SettingError(
            f"{path}: an interrupted run stands here ({where(peek(path))}). "
            "Continue it with --resume, or choose another folder.")
    return place, last_batch or "deal", None
