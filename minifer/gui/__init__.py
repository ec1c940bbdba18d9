"""The window: a photo, the faces on it, and what several models say of each.

``state.py`` is what is shown, ``analysis.py`` the work, ``worker.py`` the thread that
does it, ``window.py`` the window with ``photo.py`` and ``bars.py`` as its two halves.
The window draws what is in one :class:`~.state.Choice` and one :class:`~.state.State`;
everything the user does makes another choice.
"""

from .window import Window, make_root

__all__ = ["Window", "make_root"]
