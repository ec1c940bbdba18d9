"""The window under Xvfb, driven by keys and clicks, and watched for freezing."""

import csv
import gc
import os
import time
import types

import cv2
import numpy as np
import pytest

from helpers import display, gui_models
from minifer.data import EMOTIONS
from minifer.faces.images import read_colour
from minifer.gui import Window, make_root, window

pytestmark = pytest.mark.skipif(bool(display.missing()), reason=display.missing())
filedialog = pytest.importorskip("tkinter.filedialog", reason=display.missing())

ROOTS = []  # an interpreter of Tk must end in the thread that began it


@pytest.fixture(scope="module")
def screen():
    return display.screen()


class Driver:
    """Somebody in front of a window."""

    def __init__(self, models=(), photo=""):
        self.root = make_root()
        ROOTS.append(self.root)
        self.window = Window(self.root, models, photo)
        # Keys for a window that is not on the screen yet are lost.
        self.until(lambda: not self.window.busy and self.root.winfo_viewable())

    def until(self, condition, seconds=30):
        """Let the window run until something is the case."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, self.status
            self.root.dooneevent()  # waits for the next event; the window polls

    def settle(self):
        """Until all work is done and drawn."""
        self.until(lambda: not self.window.busy)
        self.root.update()

    @property
    def status(self):
        return self.window.status.get()

    def press(self, key, widget=None):
        widget = widget or self.root
        widget.focus_force()
        self.until(lambda: self.root.focus_get() is widget)
        widget.event_generate(key)
        self.root.update()

    def widget(self, kind, text=None):
        """The tool of a kind that says ``text``."""
        found, todo = [], [self.root]
        while todo:
            one = todo.pop()
            todo += one.winfo_children()
            if one.winfo_class() == kind and text in (None, *(
                    [one["text"]] if "text" in one.keys() else [])):
                found.append(one)
        only, = found
        return only

    def paste(self, path):
        """Put a path into the entry and press Enter."""
        self.press("<Control-l>")
        self.until(lambda: getattr(self.root.focus_get(), "winfo_class", str)()
                   == "TEntry")
        entry = self.root.focus_get()
        entry.delete(0, "end")
        entry.insert(0, path)
        self.press("<Return>", entry)
        self.settle()

    def tick(self, text):
        self.press("<space>", self.widget("TCheckbutton", text))
        self.settle()

    def texts(self, *tags):
        """What stands on the right, of things with all these tags."""
        canvas = self.window.bars.canvas
        items = set.intersection(*(set(canvas.find_withtag(tag)) for tag in tags))
        return [canvas.itemcget(item, "text") for item in sorted(items)]

    def has_photo(self):
        return bool(self.window.photo.canvas.find_withtag("photo"))


@pytest.fixture
def sit_down(screen, monkeypatch, capfd):
    """Open a window; in the end close it, and nothing stands in the console."""
    monkeypatch.setenv("DISPLAY", screen)
    drivers = []

    def call(*words):
        drivers.append(Driver(*words))
        return drivers[-1]
    yield call
    for driver in drivers:
        driver.press("<Control-q>")
        assert not driver.window.worker._thread.is_alive()
    drivers.clear()
    gc.collect()  # pictures and fonts, too
    out, err = capfd.readouterr()
    assert out + err == ""


# --- a photo and its faces -------------------------------------------------------

def test_an_empty_window_says_what_to_do(sit_down):
    driver = sit_down()
    driver.root.update()
    hint, = driver.window.photo.canvas.find_withtag("hint")
    text = driver.window.photo.canvas.itemcget(hint, "text")
    assert "Ctrl+O" in text and "Ctrl+M" in text and "minifer train" in text
    assert driver.status == "Open a photo: Ctrl+O."


def test_a_photo_is_dropped_on_the_window(sit_down, monkeypatch, photo):
    import tkinter
    bound = {}

    class Droppable(tkinter.Tk):  # what tkinterdnd2 adds to it
        def drop_target_register(self, *kinds):
            assert kinds == ("DND_Files",)

        def dnd_bind(self, event, function):
            bound[event] = function

    monkeypatch.setattr(window, "_droppable", Droppable)
    driver = sit_down()
    canvas = driver.window.photo.canvas  # drawn once the window has its size
    driver.until(lambda: canvas.find_withtag("hint"))
    assert "or drop it here" in canvas.itemcget("hint", "text")
    file = os.path.join(os.path.dirname(photo), "one photo.png")
    os.rename(photo, file)

    def drop(data):
        return bound["<<Drop>>"](types.SimpleNamespace(data=data, action="copy"))
    assert drop("") == "copy" and driver.status.startswith("What was dropped is no")
    assert drop(f"{{{file}}} {photo}") == "copy"
    driver.settle()
    assert driver.window.choice.photo == file and "2 faces" in driver.status


def test_two_rows_for_three_models(sit_down, models, photo):
    driver = sit_down(models)
    assert driver.texts("model-0", "class") == list(EMOTIONS)  # before any photo
    driver.paste(f'"{photo}"')
    assert driver.status == "two.png (960×490): 2 faces, 3 models."
    assert driver.has_photo() and driver.root.title() == "two.png - minifer"
    assert driver.texts("number") == ["1", "2"]
    for face in ("face-1", "face-2"):
        assert driver.texts(face, "title") == ["cnn", "mlp", "resnet"]
        for model, classes in enumerate([EMOTIONS, gui_models.MOODS,
                                         ("neutral", *EMOTIONS)]):
            values = driver.texts(face, f"model-{model}", "value")
            assert driver.texts(face, f"model-{model}", "class") == list(classes)
            assert len(values) == len(classes)
            assert 100 - len(values) <= sum(int(v[:-1]) for v in values) <= (
                100 + len(values))


def test_bars_are_as_long_as_what_they_show(sit_down, models, photo):
    driver = sit_down(models, photo)
    driver.settle()
    canvas = driver.window.bars.canvas
    items = [item for item in canvas.find_withtag("bar")
             if {"face-1", "model-1"} <= set(canvas.gettags(item))]
    lengths = [right - left for left, _, right, _ in map(canvas.coords, items)]
    shares = np.array(lengths[1::2]) / lengths[0]
    values = driver.window.state.verdicts[1].saturations[0].values()
    np.testing.assert_allclose(shares, list(values), atol=.01)


def test_models_come_and_go(sit_down, models, photo, monkeypatch):
    driver = sit_down((), photo)
    assert "Add a model" in driver.status
    monkeypatch.setattr(filedialog, "askopenfilenames", lambda **options: models[:2])
    driver.press("<Control-m>")
    driver.settle()
    assert driver.texts("face-1", "title") == ["cnn", "mlp"]
    monkeypatch.setattr(filedialog, "askopenfilenames", lambda **options: "")
    driver.press("<Control-m>")
    driver.window.remove.invoke(0)
    driver.settle()
    assert driver.texts("face-1", "title") == ["mlp"]
    assert driver.window.chosen.get() == "mlp"


def test_where_it_looked(sit_down, models, photo):
    driver = sit_down(models, photo)
    driver.tick("Where it looked")
    assert len(driver.window.state.heat) == 2 and "heat map" not in driver.status
    box = driver.widget("TCombobox")
    box.current(1)
    driver.press("<<ComboboxSelected>>", box)
    driver.settle()
    assert driver.window.choice.chosen == models[1]
    assert "mlp has no heat map" in driver.status and driver.has_photo()


def test_only_faces_with_eyes(sit_down, models, tmp_path):
    picture = gui_models.two_people()
    picture[200:228, 765:868] = 150  # paint over the eyes of the smaller face
    driver = sit_down(models, gui_models.save_photo(tmp_path / "p.png", picture))
    assert driver.texts("number") == ["1", "2"]
    driver.tick("Only faces with eyes")
    assert driver.texts("number") == ["1"]
    assert "1 face (1 without eyes dropped)" in driver.status


# --- export ----------------------------------------------------------------------

def save_as(monkeypatch, path):
    monkeypatch.setattr(filedialog, "asksaveasfilename", lambda **options: str(path))


def test_export(sit_down, models, photo, tmp_path, monkeypatch):
    driver = sit_down(models, photo)
    save_as(monkeypatch, tmp_path / "out.png")
    driver.press("<Control-s>")
    driver.until(lambda: driver.status == f"Wrote {tmp_path / 'out.png'}.")
    drawn, plain = read_colour(tmp_path / "out.png"), read_colour(photo)
    assert drawn.shape == plain.shape
    assert .005 < (drawn != plain).any(axis=2).mean() < .5
    save_as(monkeypatch, tmp_path / "out.csv")
    driver.press("<Control-e>")
    driver.until(lambda: driver.status == f"Wrote {tmp_path / 'out.csv'}.")
    with open(tmp_path / "out.csv", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 2 * (7 + 3 + 8)


def test_export_never_harms(sit_down, models, photo, tmp_path, monkeypatch):
    driver = sit_down(models, photo)
    with open(photo, "rb") as file:
        before = file.read()
    for path, words in [(photo, "is the photo itself"),
                        (tmp_path / "none" / "x.png", "could not be written")]:
        save_as(monkeypatch, path)
        driver.press("<Control-s>")
        driver.until(lambda: words in driver.status)
    with open(photo, "rb") as file:
        assert file.read() == before
    assert os.listdir(tmp_path) == ["two.png"]
    save_as(monkeypatch, "")  # the dialog was cancelled
    driver.press("<Control-s>")


# --- what can be the matter ------------------------------------------------------

def test_it_says_what_is_the_matter(sit_down, models, photo, tmp_path):
    driver = sit_down([str(tmp_path / "gone.npz"), *models])
    assert "gone.npz" in driver.status
    assert "gone.npz" in driver.texts("model-0", "problem")[0]
    gui_models.save_photo(tmp_path / "wall.png", np.full((200, 300), 128, np.uint8))
    (tmp_path / "text.jpg").write_text("Dear reader")
    for name, words in [("wall.png", "no face found"), ("text.jpg", "cannot be decod"),
                        ("none.png", "no such file"), ("two.png", "2 faces, 3 models")]:
        driver.paste(str(tmp_path / name))
        assert name in driver.status and words in driver.status
        assert driver.has_photo() == (name in ("wall.png", "two.png"))
        driver.press("<Control-e>" if name == "wall.png" else "<Control-l>")
    assert driver.texts("number") == ["1", "2"]


def test_nothing_to_export(sit_down):
    driver = sit_down()
    driver.press("<Control-e>")
    assert driver.status.startswith("There is no table to export yet.")


def huge(folder):
    """A photo of 50 megapixels."""
    picture = cv2.resize(gui_models.two_people(), (9900, 5054))
    cv2.imwrite(str(folder / "huge.jpg"), picture)
    return str(folder / "huge.jpg")


def test_fifty_megapixels_do_not_freeze_it(sit_down, models, tmp_path):
    driver = sit_down(models)
    path, beats = huge(tmp_path), []

    def beat():
        beats.append(time.monotonic())
        job.append(driver.root.after(10, beat))

    job = [driver.root.after(10, beat)]
    driver.paste(path)
    driver.root.after_cancel(job[-1])
    assert "huge.jpg (9900×5054): 2 faces, 3 models." in driver.status
    assert np.diff(beats).max() < .5 * (beats[-1] - beats[0])
    assert len(beats) > 10


def test_the_last_photo_wins(sit_down, models, photo, tmp_path):
    driver = sit_down(models)
    for path in [huge(tmp_path), str(tmp_path / "none.png"), photo]:
        driver.window.open_photo(path)
    driver.settle()
    assert driver.status == "two.png (960×490): 2 faces, 3 models."


def test_closing_while_it_works(sit_down, models, tmp_path):
    driver = sit_down(models)
    driver.window.open_photo(huge(tmp_path))  # sit_down closes it now


def test_our_own_mistakes_are_said_in_the_window(sit_down, monkeypatch):
    driver = sit_down()
    monkeypatch.setattr(Window, "choose", None)
    driver.tick("Where it looked")
    assert "please report it" in driver.status


# --- the screen ------------------------------------------------------------------

def test_it_can_be_resized(sit_down, models, photo):
    driver = sit_down(models, photo)
    canvas = driver.window.photo.canvas
    driver.settle()
    wide = canvas.winfo_width()
    driver.root.geometry("950x600")
    driver.until(lambda: canvas.winfo_width() < wide)
    driver.root.update()
    item, = canvas.find_withtag("photo")
    left, _, right, _ = canvas.bbox(item)
    assert right - left == canvas.winfo_width()


def test_all_tools_are_reached_by_tab(sit_down, models, photo):
    driver = sit_down(models, photo)
    seen, at = [], driver.root.focus_get() or driver.root
    for _ in range(12):
        at = at.tk_focusNext()
        seen.append(at.winfo_class())
    assert {"TButton", "TEntry", "TCombobox", "TCheckbutton", "Canvas"} <= set(seen)


def test_everything_grows_with_the_letters(screen, monkeypatch):
    monkeypatch.setenv("DISPLAY", screen)
    sizes = []
    for scale in (1, 2):
        root = make_root(scale)
        ROOTS.append(root)
        window = Window(root)
        sizes.append([root.tk.call("font", "metrics", "TkDefaultFont", "-linespace"),
                      window.bars.canvas.winfo_reqwidth()])
        window.close()
    np.testing.assert_allclose(np.divide(*sizes[::-1]), 2, rtol=.15)
