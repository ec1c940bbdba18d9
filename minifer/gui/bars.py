"""The right half of the window: a row for each face, bars for each model."""

from ..faces.images import load_cv2
from ..report.annotate import COLORS
from .photo import picture_of
from .state import name_of, shown

__all__ = ["Bars"]

PAPER, INK, GREY, TRACK = "#ffffff", "#222222", "#666666", "#eef1f3"
BEST, OTHER, ALARM = "#0072b2", "#a3bfce", "#a33b00"


class Bars:
    """The right half, drawn on one canvas that scrolls by wheel, arrows and Page keys.

    All lengths are lines of text, so that they grow with the letters.

    Parameters
    ----------
    parent : widget

    Attributes
    ----------
    frame : ttk.Frame
        The canvas and its scroll bars.
    canvas : tkinter.Canvas
        Tags: ``face-1`` on what belongs to a face, ``model-0`` on a model's.
    """

    def __init__(self, parent):
        import tkinter
        from tkinter import font, ttk
        self.frame = ttk.Frame(parent)
        self.font = font.nametofont("TkDefaultFont", root=parent)
        self.bold = self.font.copy()
        self.bold.configure(weight="bold")
        self.canvas = tkinter.Canvas(self.frame, background=PAPER, takefocus=True,
                                     highlightthickness=1, highlightcolor=BEST)
        down = ttk.Scrollbar(self.frame, command=self.canvas.yview)
        across = ttk.Scrollbar(self.frame, command=self.canvas.xview,
                               orient="horizontal")
        self.canvas.configure(yscrollcommand=down.set, xscrollcommand=across.set)
        self.canvas.grid(row=0, column=0, sticky="nsew")
        down.grid(row=0, column=1, sticky="ns")
        across.grid(row=1, column=0, sticky="ew")
        self.frame.rowconfigure(0, weight=1)
        self.frame.columnconfigure(0, weight=1)
        self._keys()
        self._pictures = []

    def _keys(self):
        canvas = self.canvas
        canvas.bind("<Button-1>", lambda event: canvas.focus_set())
        for view, keys in [(canvas.yview_scroll, {
                "<Up>": (-1, "units"), "<Down>": (1, "units"),
                "<Prior>": (-1, "pages"), "<Next>": (1, "pages"),
                "<Button-4>": (-3, "units"), "<Button-5>": (3, "units")}),
                (canvas.xview_scroll, {"<Left>": (-1, "units"),
                                       "<Right>": (1, "units")})]:
            for key, step in keys.items():
                canvas.bind(key, lambda event, view=view, step=step: view(*step))
        canvas.bind("<MouseWheel>", lambda event: canvas.yview_scroll(
            -1 if event.delta > 0 else 1, "units"))

    def show(self, state, choice):
        """Redraw all faces and models."""
        self.canvas.delete("all")
        self._pictures = []
        line = self.font.metrics("linespace")
        widths = [self._width(verdict, line) for verdict in state.verdicts]
        rows = max([len(verdict.classes) for verdict in state.verdicts], default=0)
        height = (max(rows, 3) + 2.5) * line
        top = .5 * line
        for place, face in enumerate(shown(state, choice) or [None]):
            left = .5 * line
            if face:
                self._face(state, face, left, top, COLORS[place % len(COLORS)])
                left += 5 * line
            for number, (verdict, width) in enumerate(zip(state.verdicts, widths)):
                tags = (f"model-{number}", f"face-{face.number}" if face else "no-face")
                self._cell(verdict, face, left, top, width, tags)
                left += width + 1.5 * line
            top += height
        right = (self.canvas.bbox("all") or [0] * 4)[2]
        self.canvas.configure(scrollregion=(0, 0, right + line, top),
                              yscrollincrement=line, xscrollincrement=line)

    def _width(self, verdict, line):
        title = self.bold.measure(name_of(verdict.path))
        if verdict.problem:
            return max(title, 14 * line)
        return max(title, self._names(verdict) + 8 * line)

    def _names(self, verdict):
        return max((self.bold.measure(name) for name in verdict.classes), default=0)

    def _write(self, x, y, text, fill=INK, font=None, **options):
        self.canvas.create_text(x, y, text=text, fill=fill, font=font or self.font,
                                **{"anchor": "nw"} | options)

    def _face(self, state, face, left, top, colour):
        """The face, small, with its number in the colour of its box."""
        cv2 = load_cv2()
        scale = state.small.shape[1] / state.picture.shape[1]
        x, y, width, height = (round(scale * value) for value in face.box)
        part = state.small[y:y + height, x:x + width]
        line = self.font.metrics("linespace")
        side = 4 * line
        self._pictures.append(picture_of(cv2.resize(part, (side, side)), self.canvas))
        tags = f"face-{face.number}"
        self.canvas.create_image(left, top, image=self._pictures[-1], anchor="nw",
                                 tags=tags)
        self.canvas.create_rectangle(left, top + side, left + side, top + side
                                     + 1.3 * line, width=0, tags=tags,
                                     fill="#%02x%02x%02x" % colour)
        self._write(left + side / 2, top + side + .65 * line, str(face.number),
                    font=self.bold, anchor="center", tags=(tags, "number"))
        eyes = f"{face.eyes or 'no'} eye{'' if face.eyes == 1 else 's'}"
        self._write(left + side / 2, top + side + 1.9 * line, eyes, GREY,
                    anchor="center", tags=tags)

    def _cell(self, verdict, face, left, top, width, tags):
        """A model's name, and a bar for each of its classes."""
        line = self.font.metrics("linespace")
        self._write(left, top, name_of(verdict.path), font=self.bold,
                    tags=(*tags, "title"))
        if verdict.problem:
            self._write(left, top + 1.3 * line, verdict.problem, ALARM, width=width,
                        tags=(*tags, "problem"))
            return
        values = (verdict.saturations[face.number - 1]
                  if face and verdict.saturations else {})
        best = max(values, key=values.get, default=None)
        bar = left + self._names(verdict) + .6 * line
        for row, name in enumerate(verdict.classes):
            y = top + (1.3 + row) * line
            self._write(left, y, name, font=self.bold if name == best else None,
                        tags=(*tags, "class"))
            if name in values:
                self._bar(bar, y, line, values[name], name == best, tags)

    def _bar(self, x, y, line, value, best, tags):
        track = 5 * line
        for length, fill in [(track, TRACK), (track * value, BEST if best else OTHER)]:
            self.canvas.create_rectangle(x, y + .2 * line, x + length, y + .8 * line,
                                         width=0, fill=fill, tags=(*tags, "bar"))
        self._write(x + track + .4 * line, y, f"{value:.0%}", tags=(*tags, "value"),
                    font=self.bold if best else None)
