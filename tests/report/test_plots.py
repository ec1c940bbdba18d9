"""Pictures: what is drawn is what was given, and every picture can be saved."""

import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

from minifer.errors import OutputError, SettingError, ShapeError
from minifer.report import plots
from minifer.report.annotate import COLORS

CLASSES = ("anger", "fear", "joy")
HISTORY = [{"epoch": k, "train_loss": 2 / k, "valid_loss": 1 + 1 / k,
            "valid_accuracy": accuracy, "seconds": 2.5, "learning_rate": .01}
           for k, accuracy in enumerate([.2, .5, .7, .6, .7], start=1)]


def rng(seed=0):
    return np.random.default_rng(seed)


def words(figure):
    """All the text in a figure."""
    figure.figure.draw_without_rendering()
    found = figure.figure.findobj(lambda artist: hasattr(artist, "get_text"))
    return "\n".join(artist.get_text() for artist in found)


def picture(figure):
    """The first image of a figure."""
    return np.ma.filled(figure.axes[0].images[0].get_array(), np.nan)


def every_picture():
    yield plots.learning_curves(HISTORY)
    yield plots.learning_curves([{"epoch": 1, "train_loss": 2.}])
    yield plots.confusion_matrix([[3, 1, 0], [0, 0, 0], [2, 2, 5]], CLASSES)
    yield plots.filters(rng().normal(size=(8, 1, 5, 5)))
    yield plots.filters(np.zeros((40, 3, 3, 3)))
    yield plots.filters(rng().normal(size=(2, 64, 1, 1)))
    yield plots.activations(rng().normal(size=(5, 9, 9)), np.zeros((12, 12)))
    yield plots.most_wrong(np.zeros((2, 8, 8)), np.eye(3)[[0, 1]], [2, 0], CLASSES)
    yield plots.most_wrong(np.zeros((2, 8, 8)), np.eye(3)[[0, 1]], [0, 1], CLASSES)


@pytest.mark.parametrize("number", range(9))
def test_every_picture_saves_to_the_same_bytes(tmp_path, number):
    for name in ("one.png", "two.png"):
        plots.save(list(every_picture())[number], tmp_path / name)
    one, two = [(tmp_path / name).read_bytes() for name in ("one.png", "two.png")]
    assert one.startswith(b"\x89PNG") and one == two
    assert b"Software" not in one and b"matplotlib" not in one.lower()


def test_only_png_into_folders_that_exist(tmp_path):
    with pytest.raises(SettingError, match=r"ends in \.png"):
        plots.save(Figure(), tmp_path / "picture.jpg")
    with pytest.raises(OutputError, match="could not be written"):
        plots.save(Figure(), tmp_path / "missing" / "picture.png")


def test_pyplot_is_never_touched():
    code = ("import sys; from minifer import plots; "
            "assert 'matplotlib' not in sys.modules and 'cv2' not in sys.modules; "
            "plots.confusion_matrix([[1]], ['joy']); "
            "assert 'matplotlib.pyplot' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_learning_curves_draw_the_history():
    loss, accuracy = plots.learning_curves(HISTORY).axes
    training, validation = loss.get_lines()[:2]
    np.testing.assert_allclose(training.get_ydata(), [2, 1, 2 / 3, .5, .4])
    np.testing.assert_allclose(validation.get_ydata(), [2, 1.5, 4 / 3, 1.25, 1.2])
    np.testing.assert_allclose(accuracy.get_lines()[0].get_ydata(),
                               [20, 50, 70, 60, 70])


def test_the_first_of_the_best_epochs_is_marked():
    text = words(plots.learning_curves(HISTORY))
    assert "best epoch 3: 70%" in text and "best epoch 3: 1.33" in text
    assert "5 epochs · 2.5 s an epoch · learning rate 0.01" in text
    assert "best epoch 5: 70%" in words(plots.learning_curves(HISTORY, best_epoch=5))


def test_a_change_of_the_learning_rate_is_told():
    history = [*HISTORY, HISTORY[0] | {"epoch": 6, "learning_rate": .001}]
    assert "learning rate 0.01 → 0.001" in words(plots.learning_curves(history))


def test_learning_curves_without_validation(tmp_path):
    history = [{"epoch": k, "train_loss": 2., "valid_accuracy": None} for k in (1, 2)]
    for best in None, len(history):  # a Trainer names the last one
        figure = plots.learning_curves(history, best_epoch=best)
        text = words(figure)
        assert "no validation set" in text and "best epoch" not in text
        plots.save(figure, tmp_path / "curves.png")


def test_confusion_cells_hold_counts_and_row_percent():
    ax = plots.confusion_matrix([[3, 1], [0, 4]], ["calm", "joy"],
                                protocol="hold-out by subject")
    text = words(ax).splitlines()
    for cell in ["3", "75%", "1", "25%", "0", "4", "100%", "calm (4)", "joy (4)",
                 "n = 8 · 87.5% right", "hold-out by subject"]:
        assert cell in text
    assert "0%" not in text  # a nought alone is calmer
    np.testing.assert_allclose(picture(ax.figure), [[.75, .25], [0, 1]])


def test_a_long_protocol_leaves_a_small_confusion_matrix_its_room(tmp_path):
    ax = plots.confusion_matrix([[3, 1], [0, 4]], ["calm", "joy"],
                                protocol=20 * "word ")
    plots.save(ax, tmp_path / "confusion.png")
    assert ax.get_window_extent().width > 200


def test_confusion_draws_where_it_is_told():
    ax = Figure().subplots()
    assert plots.confusion_matrix([[1]], ["joy"], ax=ax) is ax


def test_filters_of_one_channel_stand_in_rows():
    W = rng().normal(size=(7, 1, 2, 2))
    grid = picture(plots.filters(W))  # 4 columns of 2 pixels, gaps of 1
    assert grid.shape == (5, 11)
    for k in range(7):
        y, x = 3 * (k // 4), 3 * (k % 4)
        np.testing.assert_array_equal(grid[y:y + 2, x:x + 2], W[k, 0])
    assert np.isnan(grid).sum() == 5 * 11 - 7 * 4


@pytest.mark.parametrize("f, c", [(4, 2), (2, 4)])
def test_filters_of_several_channels_lie_wide(f, c):
    W = rng().normal(size=(f, c, 2, 2))
    grid = picture(plots.filters(W))
    assert grid.shape == (5, 11)
    last_of_first_row = W[f - 1, 0] if f > c else W[0, c - 1]
    np.testing.assert_array_equal(grid[:2, 9:], last_of_first_row)


def test_filters_share_one_scale_around_zero():
    image = plots.filters([[[[-3., 1.]]]]).axes[0].images[0]
    assert image.get_clim() == (-3, 3)


def test_too_many_filters_are_cut_and_it_is_said():
    text = words(plots.filters(np.ones((5, 4, 1, 1)), count=3))
    assert "5 filters of 1 × 1 on 4 channels, first 3 × 3 shown" in text


def test_activations_scale_each_map_and_count_the_silent():
    maps = np.stack([np.zeros((2, 2)), [[2., 4.], [6., 2.]]])
    figure = plots.activations(maps, np.zeros((4, 4)))
    grid = np.ma.filled(figure.axes[1].images[0].get_array(), np.nan)
    np.testing.assert_array_equal(grid[:, 3:], [[0, .5], [1, 0]])
    assert "2 maps of 2 × 2" in words(figure) and "1 silent" in words(figure)


def test_most_wrong_shows_the_surest_mistakes_first():
    rows = [[.9, .1, 0], [.2, .8, 0], [.3, .1, .6], [.05, .95, 0]]
    images = np.arange(4)[:, None, None] * np.ones((4, 3, 3))
    figure = plots.most_wrong(images, rows, [0, 2, 0, 0], CLASSES, count=2)
    assert [ax.images[0].get_array()[0, 0] for ax in figure.axes] == [3, 1]
    assert [ax.get_title() for ax in figure.axes] == ["fear 95%", "fear 80%"]
    assert [ax.texts[0].get_text() for ax in figure.axes] == [
        "true: anger", "true: joy"]
    assert "3 of n = 4 wrong" in words(figure)


@pytest.mark.parametrize("call", [
    lambda: plots.learning_curves([]),
    lambda: plots.confusion_matrix([[1, 2]], ["joy"]),
    lambda: plots.filters(np.zeros((3, 5, 5))),
    lambda: plots.activations(np.zeros((1, 3, 5, 5)), np.zeros((5, 5))),
    lambda: plots.most_wrong(np.zeros((2, 4, 4)), np.eye(3), [0, 1], CLASSES),
    lambda: plots.annotate_photo(np.zeros((9, 9)), [], []),
    lambda: plots.annotate_photo(np.zeros((9, 9, 4), np.uint8), [], []),
    lambda: plots.annotate_photo(np.zeros(9, np.uint8), [], []),
    lambda: plots.annotate_photo(np.zeros((9, 9), np.uint8), [(1, 1, 4, 4)], []),
    lambda: plots.annotate_photo(np.zeros((9, 9), np.uint8), [1, 1, 4, 4], ["joy"]),
])
def test_bad_input_is_refused(call):
    with pytest.raises(ShapeError, match="expected"):
        call()


# Photos

SATURATIONS = {"anger": .03, "fear": .1, "joy": .87}


def white(photo):
    """How many pixels are light and grey: the letters, on a dark photo."""
    return int((photo.min(axis=2) > 120).sum())


def test_a_photo_without_faces_comes_back_in_colour():
    photo = rng().integers(0, 256, (20, 30), dtype=np.uint8)
    result = plots.annotate_photo(photo, [], [])
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, np.stack([photo] * 3, axis=2))


def test_the_photo_itself_is_not_drawn_on():
    photo = np.zeros((200, 200, 3), np.uint8)
    assert plots.annotate_photo(photo, [(50, 50, 90, 90)], ["joy"]).any()
    assert not photo.any()


def test_box_and_plate_have_the_colour_of_their_face():
    photo = np.zeros((300, 400, 3), np.uint8)
    boxes = [(20, 60, 100, 100), (240, 60, 100, 100)]
    result = plots.annotate_photo(photo, boxes, ["joy", "fear"])
    for (x, y, w, h), color in zip(boxes, COLORS):
        for place in [(y, x + 50), (y + h - 1, x + 50), (y + 50, x)]:
            assert tuple(result[place]) == color


@pytest.mark.parametrize("text", ["happiness 87%", "joy\nunsure", SATURATIONS])
@pytest.mark.parametrize("x", [0, 150, 300])
@pytest.mark.parametrize("y", [0, 150, 300])
def test_no_letter_is_lost_at_the_edges(text, x, y):
    photo = np.zeros((400, 400), np.uint8)
    middle = plots.annotate_photo(photo, [(150, 150, 100, 100)], [text])
    result = plots.annotate_photo(photo, [(x, y, 100, 100)], [text])
    assert white(result) == white(middle) > 50


def test_a_label_too_wide_for_the_photo_is_made_smaller():
    photo = np.zeros((300, 100), np.uint8)
    text = "one very long answer indeed"
    result = plots.annotate_photo(photo, [(10, 60, 50, 50)], [text])
    columns = np.flatnonzero((result.min(axis=2) > 120).any(axis=0))
    assert 2 < columns.min() < 20 and 85 < columns.max() < 98


def test_a_label_too_high_for_the_photo_is_made_smaller():
    photo = np.zeros((120, 1200), np.uint8)
    result = plots.annotate_photo(photo, [(10, 10, 100, 100)], ["ooo\n" * 8])
    light = (result.min(axis=2) > 120).any(axis=1)
    assert (np.diff(light.astype(int)) == 1).sum() == 8  # lines of text


@pytest.mark.parametrize("text", ["joy", SATURATIONS])
def test_labels_leave_faces_and_each_other_free(text):
    photo = np.full((600, 900), 90, np.uint8)
    boxes = [(100, 200, 120, 120), (260, 200, 120, 120), (600, 300, 150, 150)]
    result = plots.annotate_photo(photo, boxes, [text] * 3)
    for x, y, w, h in boxes:
        inside = result[y + 10:y + h - 10, x + 10:x + w - 10]
        assert (inside == 90).all()
    alone = [white(plots.annotate_photo(photo, [box], [text])) for box in boxes]
    assert white(result) == sum(alone)


def test_text_grows_with_the_photo():
    def letters(side):
        photo = np.zeros((side, side), np.uint8)
        box = np.array([[3, 3, 4, 4]]) * side // 10
        return white(plots.annotate_photo(photo, box, ["joy"]))
    assert 3 < letters(800) / letters(400) < 5  # an area: four times


def test_text_is_readable_on_white_too():
    photo = np.full((400, 400), 255, np.uint8)
    result = plots.annotate_photo(photo, [(100, 150, 150, 150)], ["joy 87%"])
    plate = result[122:147, 108:150]  # 31 pixels high, above the box
    assert np.median(plate) < 80 and plate.max() > 200


def test_bars_are_as_long_as_the_saturations():
    def bar(saturation):
        photo = plots.annotate_photo(np.zeros((400, 400), np.uint8),
                                     [(20, 100, 100, 100)], [{"joy": saturation}])
        panel = photo[:95, 26:]  # above the box, without the coloured edge
        return (panel == COLORS[0]).all(axis=2).sum(axis=1).max()

    none, half, full = bar(0), bar(.5), bar(1.)
    assert none == 1 and full > 30
    assert abs((full - none) - 2 * (half - none)) <= 1  # whole pixels
    assert bar(1.5) == full


def test_accents_are_dropped_and_other_letters_asked():
    photo = np.zeros((400, 400), np.uint8)
    box = [(100, 150, 150, 150)]
    plain, accented, foreign, asked = (
        plots.annotate_photo(photo, box, [text])
        for text in ("sreca", "sreća", "гнев", "????"))
    np.testing.assert_array_equal(plain, accented)
    np.testing.assert_array_equal(foreign, asked)


@pytest.mark.parametrize("shape", [(1, 1), (48, 48), (20, 300), (300, 20)])
@pytest.mark.parametrize("text", ["", "happiness 87%", {}, SATURATIONS])
def test_no_photo_is_too_small_to_come_back(shape, text):
    photo = np.zeros(shape, np.uint8)
    result = plots.annotate_photo(photo, [(0, 0, *shape[::-1])], [text])
    assert result.shape == (*shape, 3)


@pytest.mark.parametrize("name", ["a $x_{$ b", "\udcea", "\x1b[2J", "\\$a$", "$", "$$"])
def test_a_name_is_text_whatever_is_in_it(tmp_path, name):
    """No formula, no half letter: neither in titles nor beside axes."""
    figure = plots.confusion_matrix(np.eye(2, dtype=int), [name, "b"], title=name)
    plots.save(figure, tmp_path / "c.png")
    plain = plots.confusion_matrix(np.eye(2, dtype=int), ["a", "b"], title="a")
    plots.save(plain, tmp_path / "p.png")
    assert (tmp_path / "c.png").read_bytes() != (tmp_path / "p.png").read_bytes()
