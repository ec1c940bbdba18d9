"""Faces are followed by their boxes, and their saturations smoothed by the clock."""

import math

import numpy as np
import pytest

from minifer.errors import SettingError
from minifer.predict.predictor import Face
from minifer.predict.tracking import Tracker, overlap


def face(x, y=0, side=100, glad=0.5):
    return Face((x, y, side, side), {"glad": glad, "sad": 1 - glad})


def numbers(tracks):
    return [track.number for track in tracks]


@pytest.mark.parametrize("a, b", [
    ((0, 0, 10, 10), (0, 0, 10, 10)), ((0, 0, 10, 10), (5, 5, 10, 10)),
    ((0, 0, 10, 10), (10, 0, 10, 10)), ((2, 3, 20, 9), (4, 5, 6, 7)),
    ((0, 0, 4, 4), (30, 30, 4, 4))])
def test_overlap_as_pixels_are_counted(a, b):
    grids = np.zeros((2, 50, 50), bool)
    for grid, (x, y, w, h) in zip(grids, (a, b)):
        grid[y:y + h, x:x + w] = True
    expected = np.logical_and(*grids).sum() / np.logical_or(*grids).sum()
    assert overlap(a, b) == overlap(b, a) == pytest.approx(expected)


def test_faces_keep_their_numbers_in_whatever_order_they_come():
    tracker = Tracker()
    assert numbers(tracker.update([face(0), face(300)], 0.0)) == [1, 2]
    assert numbers(tracker.update([face(310), face(5)], 0.1)) == [2, 1]
    assert numbers(tracker.update([face(600), face(10)], 0.2)) == [3, 1]
    assert numbers(tracker.update([face(320), face(595)], 0.3)) == [2, 3]


def test_the_largest_overlap_wins():
    """The new face lies on the old place too, but less."""
    tracker = Tracker()
    tracker.update([face(0)], 0.0)
    assert numbers(tracker.update([face(40), face(10)], 0.1)) == [2, 1]


def test_a_box_elsewhere_is_another_face():
    tracker = Tracker(least=0.3)
    tracker.update([face(0)], 0.0)
    assert numbers(tracker.update([face(70)], 0.1)) == [2]  # 30 of 170 are shared


def test_a_face_comes_back_within_the_patience():
    for gap, number in [(0.9, 1), (1.1, 2)]:
        tracker = Tracker(patience=1.0)
        tracker.update([face(0)], 0.0)
        assert tracker.update([], gap / 2) == ()
        assert numbers(tracker.update([face(0)], gap)) == [number]


def test_the_average_is_the_formula():
    tracker, s = Tracker(smooth=0.4), None
    before = 0.0
    for seconds, x in [(0.0, 0.2), (0.1, 0.9), (0.15, 0.4), (0.7, 1.0)]:
        track, = tracker.update([face(0, glad=x)], seconds)
        a = 1 - math.exp(-(seconds - before) / 0.4)
        s = x if s is None else s + a * (x - s)
        before = seconds
        assert track.saturations["glad"] == pytest.approx(s)
        assert sum(track.saturations.values()) == pytest.approx(1)
        assert track.label == ("glad" if s > 0.5 else "sad")


def test_smoothing_does_not_depend_on_the_frame_rate():
    ends = []
    for fps in (5, 50):
        tracker = Tracker(smooth=0.5)
        tracker.update([face(0, glad=0.0)], 0.0)
        for k in range(1, fps + 1):
            track, = tracker.update([face(0, glad=1.0)], k / fps)
        ends.append(track.saturations["glad"])
    assert ends == pytest.approx([1 - math.exp(-2)] * 2)


def test_without_smoothing_each_frame_stands_for_itself():
    tracker = Tracker(smooth=0)
    tracker.update([face(0, glad=0.1)], 0.0)
    track, = tracker.update([face(0, glad=0.9)], 0.1)
    assert track.saturations == {"glad": 0.9, "sad": pytest.approx(0.1)}
    assert track.caption == "1: glad 90 %"


@pytest.mark.parametrize("wrong", [{"smooth": -1}, {"smooth": math.nan}, {"least": 1.1},
                                   {"patience": -0.1}, {"smooth": math.inf}])
def test_wrong_settings(wrong):
    with pytest.raises(SettingError, match=next(iter(wrong))):
        Tracker(**wrong)
