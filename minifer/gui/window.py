"""The window itself: what can be done, by mouse and keys, and when it is redrawn."""

import dataclasses
import os
import urllib.parse

from .. import files
from ..errors import BackendUnavailable, NoFaceError, OutputError, SettingError
from ..faces.formats import IMAGE_ENDINGS
from ..faces.images import write_png
from .analysis import Analysis
from .bars import Bars
from .photo import PhotoView
from .state import State, Choice, draw, name_of, table
from .worker import Worker

__all__ = ["Window", "make_root", "path_of"]

#: Milliseconds between two looks at what the worker has found.
POLL = 40
LETTERS = 11  # points
PHOTOS = [("Photos", " ".join(f"*{ending}" for ending in IMAGE_ENDINGS)),
          ("All files", "*")]
HINT = ("Open a photo: Ctrl+O\n\nor paste its path above and press Enter{drop}.\n\n"
        "Add the models that analysis it: Ctrl+M.\n"
        "`minifer train ck` makes one.")


def make_root(scale=1.0):
    """Open an empty window; the photo can be dropped on it if tkinterdnd2 is there.

    Parameters
    ----------
    scale : float, default 1
        Enlarges letters and all that is measured in them: 0.5 to 4.

    Returns
    -------
    tkinter.Tk

    Raises
    ------
    BackendUnavailable
        If Python has no tkinter, or there is no display.
    SettingError
        If ``scale`` is out of its range.
    """
    if not .5 <= scale <= 4:
        raise SettingError(f"scale: expected 0.5 to 4, got {scale}.")
    try:
        import tkinter
    except ImportError as error:
        raise BackendUnavailable(
            f"The window needs tkinter, which this Python lacks ({error}). Install it: "
            "apt-get install python3-tk, or use a Python that was built with Tk."
        ) from error
    try:
        root = _droppable() or tkinter.Tk(className="minifer")
    except tkinter.TclError as error:
        raise BackendUnavailable(
            f"The window needs a display ({error}). Run it on a desktop, or set "
            "DISPLAY to one: DISPLAY=:0, or ssh -X.") from error
    _style(root, scale)
    return root


def _droppable():
    """A window that files can be dropped on, or None."""
    try:
        import tkinterdnd2
        return tkinterdnd2.TkinterDnD.Tk(className="minifer")
    except (ImportError, RuntimeError):  # its Tcl part is not there for every machine
        return None


def _style(root, scale):
    from tkinter import font, ttk
    # Points become pixels by the screen's resolution: twice as many on a dense one.
    root.tk.call("tk", "scaling", scale * float(root.tk.call("tk", "scaling")))
    for name in ("TkDefaultFont", "TkTextFont", "TkMenuFont"):
        font.nametofont(name, root=root).configure(size=LETTERS)
    if root.tk.call("tk", "windowingsystem") == "x11":
        ttk.Style(root).theme_use("clam")


def path_of(text):
    """The path in a text that was pasted or dropped.

    >>> path_of(' "my photo.png" '), path_of("file:///tmp/my%20photo.png")
    ('my photo.png', '/tmp/my photo.png')
    """
    text = text.strip().strip("\"'")
    if text.startswith("file:"):
        text = urllib.parse.unquote(urllib.parse.urlsplit(text).path)
    return os.path.expanduser(text)


class Window:
    """A window with a photo on the left and bars on the right.

    Parameters
    ----------
    root : tkinter.Tk
        As :func:`make_root` gives it; ``root.mainloop()`` runs the window.
    models : sequence of str
        Model files.
    photo : str
        A photo, or ``""``.
    device : str, default 'cpu'
    tta : bool, default False
        As for :class:`minifer.predict.Predictor`.

    Attributes
    ----------
    choice : Choice
    state : State
    status : tkinter.StringVar
        The line at the bottom.
    busy : bool
        Whether the worker is at work on the choice.
    """

    def __init__(self, root, models=(), photo="", device="cpu", tta=False):
        self.root = root
        self.choice, self.state, self.busy = Choice(), State(), False
        self.worker, self.analysis = Worker(), Analysis(device, tta)
        root.report_callback_exception = self._mistake
        root.protocol("WM_DELETE_WINDOW", self.close)
        self._build()
        self._polling = root.after(POLL, self._poll)
        models = tuple(dict.fromkeys(models))
        self.path.set(photo)
        self.choose(models=models, chosen=models[0] if models else "", photo=photo)

    # --- what the user can do ---------------------------------------------------

    def choose(self, **changes):
        """Change the choice, show at once what is known, and have the rest computed."""
        choice = self.choice = dataclasses.replace(self.choice, **changes)
        self._set_busy(True)
        self._show()
        self.worker.ask(lambda: self.analysis.fulfil(choice))

    def open_photo(self, path=None):
        """Show a photo; without ``path``, ask for one."""
        from tkinter import filedialog
        path = path or filedialog.askopenfilename(
            parent=self.root, title="Open a photo", filetypes=PHOTOS)
        if path:
            self.path.set(path)
            self.choose(photo=path_of(path), opened=self.choice.opened + 1)

    def add_models(self, paths=None):
        """Add model files; without ``paths``, ask for some."""
        from tkinter import filedialog
        paths = paths or filedialog.askopenfilenames(
            parent=self.root, title="Add models",
            filetypes=[("Models", "*.npz"), ("All files", "*")])
        models = tuple(dict.fromkeys([*self.choice.models, *paths]))
        if models != self.choice.models:
            self.choose(models=models, chosen=self.choice.chosen or models[0])

    def remove_model(self, path):
        """Take a model out of the window."""
        models = tuple(one for one in self.choice.models if one != path)
        chosen = self.choice.chosen
        if chosen == path:
            chosen = models[0] if models else ""
        self.choose(models=models, chosen=chosen)

    def export_picture(self):
        """Ask for a name, and write the photo as it is drawn."""
        self._export("picture", ".png", lambda path, state, choice: write_png(
            path, draw(state, choice)))

    def export_table(self):
        """Ask for a name, and write all numbers."""
        self._export("table", ".csv", lambda path, state, choice: files.write_text(
            path, table(state, choice)))

    def _export(self, what, ending, write):
        from tkinter import filedialog
        choice = self.choice
        if not (self.busy or self.state.faces):
            return self.status.set(f"There is no {what} to export yet. "
                                   + self.state.summary(choice))
        stem = os.path.splitext(os.path.basename(choice.photo))[0]
        path = filedialog.asksaveasfilename(
            parent=self.root, title=f"Export the {what}", defaultextension=ending,
            initialfile=f"{stem}_faces{ending}")
        if path:
            self.worker.ask(lambda: self._written(path, choice, write), must=True)
        return None

    def _written(self, path, choice, write):
        """Yield, in the background, all that was wished for; then write the file."""
        for state in self.analysis.fulfil(choice):
            if not isinstance(state, State):
                yield state
        if not state.faces:
            raise NoFaceError("Nothing was exported. " + state.summary(choice))
        if os.path.exists(path) and os.path.samefile(path, state.photo):
            raise OutputError(f"{path} is the photo itself. Choose another name.")
        yield f"Writing {path} …"
        write(path, state, choice)
        yield f"Wrote {path}."

    def close(self):
        """Close the window at once; what is being written is still finished."""
        self.root.after_cancel(self._polling)
        self.root.destroy()
        self.worker.close()

    # --- what it looks like -----------------------------------------------------

    def _build(self):
        from tkinter import font, ttk
        root = self.root
        em = font.nametofont("TkDefaultFont", root=root).metrics("linespace")
        root.title("minifer")
        root.geometry(f"{min(84 * em, root.winfo_screenwidth())}x"
                      f"{min(34 * em, root.winfo_screenheight())}")
        root.minsize(40 * em, 20 * em)
        root.columnconfigure(0, weight=1)
        root.rowconfigure(1, weight=1)
        self._menu()
        self._tools(ttk.Frame(root, padding=em // 3)).grid(sticky="ew")
        halves = ttk.PanedWindow(root, orient="horizontal")
        drop = self._accept_drops()
        self.photo = PhotoView(halves, HINT.format(drop=", or drop it here" * drop))
        self.bars = Bars(halves)
        halves.add(self.photo.canvas, weight=1)
        halves.add(self.bars.frame, weight=1)
        halves.grid(sticky="nsew")
        self.photo.canvas.configure(width=33 * em)
        self.bars.canvas.configure(width=49 * em)
        self._bottom(ttk.Frame(root, padding=em // 3)).grid(sticky="ew")

    def _menu(self):
        import tkinter
        actions = [("Open photo…", "o", self.open_photo),
                   ("Add models…", "m", self.add_models),
                   ("Export picture…", "s", self.export_picture),
                   ("Export table…", "e", self.export_table),
                   ("Quit", "q", self.close)]
        bar = tkinter.Menu(self.root)
        menu = tkinter.Menu(bar, tearoff=False)
        for text, key, action in actions:
            menu.add_command(label=text, command=action, underline=0,
                             accelerator=f"Ctrl+{key.upper()}")
            self.root.bind(f"<Control-{key}>", lambda event, do=action: do())
        bar.add_cascade(label="File", menu=menu, underline=0)
        self.remove = tkinter.Menu(bar, tearoff=False)
        bar.add_cascade(label="Remove model", menu=self.remove, underline=0)
        self.root.configure(menu=bar)

    def _tools(self, frame):
        import tkinter
        from tkinter import ttk
        self.path = tkinter.StringVar(self.root)
        self.chosen = ttk.Combobox(frame, state="readonly", width=14)
        self.chosen.bind("<<ComboboxSelected>>", lambda event: self.choose(
            chosen=self.choice.models[self.chosen.current()]))
        self.heat = tkinter.BooleanVar(self.root)
        self.with_eyes = tkinter.BooleanVar(self.root)
        entry = ttk.Entry(frame, textvariable=self.path)
        entry.bind("<Return>", lambda event: self.open_photo(self.path.get()))
        self.root.bind("<Control-l>", lambda event: entry.focus_set())
        row = [ttk.Button(frame, text="Open photo…", command=self.open_photo), entry,
               ttk.Button(frame, text="Add models…", command=self.add_models),
               ttk.Label(frame, text="Labels:"), self.chosen,
               ttk.Checkbutton(frame, text="Where it looked", variable=self.heat,
                               command=lambda: self.choose(heat=self.heat.get())),
               ttk.Checkbutton(frame, text="Only faces with eyes",
                               variable=self.with_eyes, command=lambda: self.choose(
                                   with_eyes=self.with_eyes.get()))]
        for at, widget in enumerate(row):
            widget.grid(row=0, column=at, sticky="ew", padx=2)
        frame.columnconfigure(1, weight=1)
        return frame

    def _bottom(self, frame):
        import tkinter
        from tkinter import ttk
        self.status = tkinter.StringVar(self.root)
        line = ttk.Label(frame, textvariable=self.status)
        line.grid(row=0, column=0, sticky="ew")
        line.bind("<Configure>", lambda event: line.configure(wraplength=event.width))
        frame.columnconfigure(0, weight=1)
        return frame

    def _accept_drops(self):
        if not hasattr(self.root, "drop_target_register"):
            return False
        self.root.drop_target_register("DND_Files")
        self.root.dnd_bind("<<Drop>>", self._drop)
        return True

    def _drop(self, event):
        """Open the first file that was dropped; some programs hand over none."""
        paths = self.root.tk.splitlist(event.data)
        if paths:
            self.open_photo(paths[0])
        else:
            self.status.set("What was dropped is no file. Open a photo: Ctrl+O.")
        return event.action

    # --- what is new --------------------------------------------------------------

    def _poll(self):
        for result in self.worker.results():
            if isinstance(result, State):
                self.state = result
                self._show()
            elif result is None:
                self._set_busy(False)
            else:
                self.status.set(result)
        self._polling = self.root.after(POLL, self._poll)

    def _set_busy(self, busy):
        self.busy = busy
        self.root.configure(cursor="watch" if busy else "")

    def _show(self):
        choice, state = self.choice, self.state
        self.root.title(" - ".join(filter(None, [os.path.basename(choice.photo),
                                                 "minifer"])))
        self.photo.show(state, choice)
        self.bars.show(state, choice)
        self.chosen.configure(values=[name_of(path) for path in choice.models])
        self.chosen.set(name_of(choice.chosen) if choice.chosen else "")
        self.remove.delete(0, "end")
        for path in choice.models:
            self.remove.add_command(label=name_of(path), command=lambda path=path:
                                    self.remove_model(path))
        self.status.set(state.summary(choice))

    def _mistake(self, kind, error, trace):
        """Say what went wrong in a callback in the window, not in the console."""
        if issubclass(kind, KeyboardInterrupt):
            return self.close()
        return self.status.set(f"A mistake in minifer, please report it: {error!r}")
