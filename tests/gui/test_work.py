"""The work behind the window: no screen is needed for any of it."""

import csv
import io
import threading

import numpy as np
import pytest

from helpers import gui_models
from minifer.data import EMOTIONS
from minifer.errors import ShapeError
from minifer.faces.cropping import find_faces
from minifer.gui import analysis as module
from minifer.gui.analysis import Analysis
from minifer.gui.state import Verdict, FoundFace, State, Choice, draw, name_of, table
from minifer.gui.worker import Worker
from minifer.predict.predictor import Predictor


def choice_of(photo, models, **more):
    return Choice(photo=photo, models=tuple(models), chosen=models[0], **more)


def last(analysis, choice):
    *_, state = analysis.fulfil(choice)
    return state


# --- the analysis -------------------------------------------------------------------

def test_every_face_is_judged_by_every_model(photo, models):
    state = last(Analysis(), choice_of(photo, models))
    boxes = find_faces(gui_models.two_people(), which="all")
    assert [face.box for face in state.faces] == [tuple(box) for box in boxes.tolist()]
    assert [(face.number, face.eyes) for face in state.faces] == [(1, 2), (2, 2)]
    assert [verdict.classes for verdict in state.verdicts] == [
        EMOTIONS, gui_models.MOODS, ("neutral", *EMOTIONS)]
    for verdict in state.verdicts:
        assert not verdict.problem and len(verdict.saturations) == 2
        for values in verdict.saturations:
            assert tuple(values) == verdict.classes
            assert sum(values.values()) == pytest.approx(1)


def test_a_model_says_what_it_says_elsewhere(photo, models):
    faces = Predictor.load(models[0]).photo(photo).faces
    state = last(Analysis(), choice_of(photo, models))
    assert list(state.verdicts[0].saturations) == [face.saturations for face in faces]


def test_the_faces_come_before_the_models_have_looked(photo, models):
    states = [step for step in Analysis().fulfil(choice_of(photo, models))
              if isinstance(step, State)]
    assert [[len(verdict.saturations) for verdict in state.verdicts]
            for state in states] == [[0, 0, 0], [2, 0, 0], [2, 2, 0], [2, 2, 2]]


def test_nothing_is_worked_out_twice(photo, models, monkeypatch):
    analysis = Analysis()
    first = last(analysis, choice_of(photo, models))
    monkeypatch.setattr(Predictor, "saturations", None)
    monkeypatch.setattr(module, "find_faces", None)
    again = last(analysis, choice_of(photo, models, with_eyes=True))
    assert again.verdicts == first.verdicts


def test_a_photo_opened_again_is_read_again(photo, models):
    analysis = Analysis()
    assert last(analysis, choice_of(photo, models)).faces
    gui_models.save_photo(photo, np.full((99, 99), 9, np.uint8))
    assert not last(analysis, choice_of(photo, models, opened=1)).faces


def test_the_heat_map_is_that_of_the_chosen_model(photo, models):
    state = last(Analysis(), choice_of(photo, models, heat=True))
    assert [heat.shape for heat in state.heat] == [(24, 24), (24, 24)]
    assert all(0 <= heat.min() <= heat.max() <= 1 for heat in state.heat)


def test_a_network_without_convolution_has_no_heat_map(photo, models):
    choice = Choice(photo=photo, models=tuple(models), chosen=models[1], heat=True)
    state = last(Analysis(), choice)
    assert not state.heat and len(state.verdicts[1].saturations) == 2
    assert "mlp has no heat map" in state.summary(choice)
    assert state.summary(choice).startswith("two.png (960×490): 2 faces, 3 models.")


def broken(folder):
    (folder / "broken.npz").write_bytes(b"no model")
    return str(folder / "broken.npz")


def test_a_wrong_model_does_not_stop_the_others(photo, models, tmp_path):
    choice = choice_of(photo, [broken(tmp_path), str(tmp_path / "none.npz"), *models])
    state = last(Analysis(), choice)
    bad, missing, *good = state.verdicts
    assert "broken.npz" in bad.problem and "none.npz" in missing.problem
    assert all(len(verdict.saturations) == 2 for verdict in good)
    line = state.summary(choice)
    assert "2 faces, 3 models." in line and bad.problem in line and "\n" not in line


def test_a_network_of_another_size_than_its_crops(photo, models, monkeypatch):
    def saturations(self, crops):
        raise ShapeError("expected 24x24")
    monkeypatch.setattr(Predictor, "saturations", saturations)
    state = last(Analysis(), choice_of(photo, models[:1]))
    assert state.verdicts[0].problem == f"{models[0]}: expected 24x24"


@pytest.mark.parametrize("content, words", [
    (None, "no such file"), (b"", "empty"), (b"Dear reader", "cannot be decoded")],
    ids=["missing", "empty", "text"])
def test_a_photo_that_cannot_be_read(models, tmp_path, content, words):
    if content is not None:
        (tmp_path / "p.jpg").write_bytes(content)
    choice = choice_of(str(tmp_path / "p.jpg"), models)
    state = last(Analysis(), choice)
    assert words in state.summary(choice) and state.picture is None
    assert [verdict.classes for verdict in state.verdicts][0] == EMOTIONS


# --- the state -------------------------------------------------------------------

FACES = (FoundFace(1, (10, 20, 30, 30), 2), FoundFace(2, (60, 20, 20, 20), 0))
PICTURE = np.full((100, 120, 3), 90, np.uint8)
SAYS = Verdict("m/model.npz", ("a", "b"), ({"a": .25, "b": .75}, {"a": 1., "b": 0.}))
SHEET = State("p.png", PICTURE, PICTURE, FACES, (SAYS,))


def test_the_table_has_a_line_for_each_number():
    rows = list(csv.DictReader(io.StringIO(table(SHEET, Choice()))))
    assert [(row["face"], row["class"], float(row["saturation"])) for row in rows] == [
        ("1", "a", .25), ("1", "b", .75), ("2", "a", 1), ("2", "b", 0)]
    assert rows[0] == {"photo": "p.png", "face": "1", "left": "10", "top": "20",
                       "width": "30", "height": "30", "eyes": "2",
                       "model": "m/model.npz", "class": "a", "saturation": "0.250000"}


def test_faces_without_eyes_are_dropped_and_numbers_stay():
    choice = Choice(with_eyes=True)
    rows = list(csv.DictReader(io.StringIO(table(SHEET, choice))))
    assert {row["face"] for row in rows} == {"1"}
    assert "1 face (1 without eyes dropped), 1 model." in SHEET.summary(choice)
    blind = State("p.png", PICTURE, PICTURE, FACES[1:], (SAYS,))
    assert "1 face, but no eyes found" in blind.summary(choice)
    assert len(table(blind, choice).splitlines()) == 1


def test_the_photo_is_drawn_on_a_copy():
    before = PICTURE.copy()
    drawn = draw(SHEET, Choice(), (300, 250))
    assert drawn.shape == (250, 300, 3)
    assert (drawn[50:125, 26] != 90).any(axis=-1).all()  # the left edge of a box
    assert np.array_equal(PICTURE, before)
    assert draw(SHEET, Choice()).shape == (600, 720, 3)  # enlarged, to be readable


def test_heat_colours_the_face_alone():
    hot = State("p.png", PICTURE, PICTURE, FACES[:1], (SAYS,), (np.eye(4) * 0 + 1,))
    cold = draw(hot, Choice(), (480, 400))
    warm = draw(hot, Choice(heat=True), (480, 400))
    changed = (cold != warm).any(axis=-1)
    assert changed[90:190, 50:150].mean() > .9 and not changed[:, 200:].any()


def test_models_are_called_by_file_or_folder():
    assert [name_of(path) for path in ["/runs/ck/model.npz", "x/mlp.npz", "net"]] == [
        "ck", "mlp", "net"]


# --- the worker ------------------------------------------------------------------

@pytest.fixture
def worker():
    worker = Worker()
    yield worker
    worker.close()


def test_a_newer_job_overtakes_an_older(worker):
    running, go_on, told = threading.Event(), threading.Event(), threading.Event()

    def slow():
        running.set()
        assert go_on.wait(20)
        yield "old"
        yield "must not be reached"

    def new():
        yield "new"
        told.set()

    worker.ask(slow)
    assert running.wait(20)
    worker.ask(lambda: iter(["never started"]))
    worker.ask(new)
    go_on.set()
    assert told.wait(20)
    worker.ask(lambda: iter(()), must=True)
    assert list(worker.results())[:1] == ["new"]


def test_what_must_be_done_is_done_before_the_end(worker):
    done = []
    worker.ask(lambda: iter(["dropped"]))
    worker.ask(lambda: iter([done.append(1)]), must=True)
    worker.close()
    assert done == [1]


@pytest.mark.parametrize("error, text", [
    (ShapeError("4x4 expected"), "4x4 expected"),
    (ZeroDivisionError("by zero"), "please report it: ZeroDivisionError('by zero')")])
def test_errors_are_results(worker, error, text):
    def job():
        yield "started"
        raise error

    worker.ask(job, must=True)
    worker.ask(lambda: iter(["alive"]), must=True)
    worker.close()
    started, failed, end, alive, _ = worker.results()
    assert (started, end, alive) == ("started", None, "alive")
    assert failed.endswith(text)
