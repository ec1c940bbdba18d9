"""The left half of the window: the photo with boxes, as large as there is room."""

from .state import draw

__all__ = ["PhotoView", "picture_of"]

GROUND, FAINT = "#2b2b2b", "#dddddd"


def picture_of(pixels, master):
    """Pixels (H, W, 3), uint8 RGB, as a picture that Tk can show."""
    import tkinter
    height, width = pixels.shape[:2]
    head = f"P6 {width} {height} 255 ".encode()
    return tkinter.PhotoImage(master=master, data=head + pixels.tobytes(), format="PPM")


class PhotoView:
    """A canvas with a state's photo, or with what to do as long as there is none.

    Parameters
    ----------
    parent : widget
    hint : str
        What to do.

    Attributes
    ----------
    canvas : tkinter.Canvas
    """

    def __init__(self, parent, hint):
        import tkinter
        self.hint = hint
        self.canvas = tkinter.Canvas(parent, background=GROUND, highlightthickness=0,
                                     width=1, height=1)
        self.canvas.bind("<Configure>", lambda event: self._later())
        self.canvas.bind("<Destroy>", lambda event: self._no_more())
        self._shown = self._picture = self._waiting = None

    def show(self, state, choice):
        """Draw it, as soon as the window has nothing better to do."""
        self._shown = state, choice
        self._later()

    def _later(self):
        if self._waiting is None:  # of many changes of size only the last counts
            self._waiting = self.canvas.after_idle(self._draw)

    def _no_more(self):
        if self._waiting is not None:
            self.canvas.after_cancel(self._waiting)

    def _draw(self):
        self._waiting = None
        canvas = self.canvas
        width, height = canvas.winfo_width(), canvas.winfo_height()
        canvas.delete("all")
        if self._shown is None or min(width, height) < 10:
            return
        state, choice = self._shown
        if state.picture is None:
            canvas.create_text(width / 2, height / 2, text=self.hint, fill=FAINT,
                               width=.8 * width, justify="center", tags="hint")
            return
        pixels = draw(state, choice, (width, height))
        self._picture = picture_of(pixels, canvas)  # Tk keeps no reference of its own
        canvas.create_image(width / 2, height / 2, image=self._picture, tags="photo")
