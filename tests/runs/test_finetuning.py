"""Fine-tuning: pictures of any size and colour, class numbers from 1."""

import numpy as np
import pytest

from helpers import runs
from helpers.devices import DEVICES
from minifer.data import EMOTIONS
from minifer.errors import NoFaceError, SettingError, ShapeError
from minifer.faces.cropping import CropSettings
from minifer.faces.images import write_png
from minifer.faces.preprocessing import Preprocessing
from minifer.predict.predictor import Predictor
from minifer.runs.finetuning import fine_tune
from minifer.weights.model_file import Model, load_model

STEPS = Preprocessing(CropSettings(size=16))
#: One person is told from the other: call the first sadness, the second surprise.
CLASSES = np.array([6, 6, 7, 7])


def new_model(dropout=0.5):
    net = runs.network(size=16, classes=7)
    net.input_layer.input_layer.p = dropout
    return Model(net, EMOTIONS, STEPS.to_dict())


def grey():
    """(4, 1, 490, 640)."""
    return np.stack(runs.faces())[:, None]


def tune(images, classes=CLASSES, epochs=3, **options):
    """The values after fine-tuning a new model, and what was left out."""
    model = new_model()
    result, no_face = fine_tune(model, images, classes, epochs=epochs,
                                learning_rate=0.02, **options)
    return runs.values(model.network), no_face, result


def wall():
    return np.full((1, 490, 640), 128, np.uint8)


def test_it_learns_the_given_classes(tmp_path):
    model = new_model(dropout=0.0)
    result, no_face = fine_tune(model, grey(), CLASSES, epochs=60, learning_rate=0.02,
                                folder=tmp_path)
    losses = [row["train_loss"] for row in result.history]
    assert losses[-1] < losses[0] / 2 and no_face == []
    saved = load_model(tmp_path / "model.npz")
    assert np.array_equal(runs.values(saved.network), runs.values(model.network))
    assert saved.classes == EMOTIONS
    for path, expected in zip(photos(tmp_path), CLASSES):
        face, = Predictor(saved).photo(path, which="largest").faces
        assert face.label == EMOTIONS[expected - 1]


def photos(folder):
    """The pictures as files."""
    for i, photo in enumerate(runs.faces()):
        write_png(folder / f"{i}.png", photo)
        yield folder / f"{i}.png"


def test_colour_and_grey_are_the_same_picture():
    expected, _, _ = tune(grey())
    colour, no_face, _ = tune(np.repeat(grey(), 3, axis=1))
    assert np.array_equal(colour, expected) and no_face == []


def test_red_green_and_blue_do_not_count_alike():
    """Only the luma makes the drawn face visible: it is in the green channel."""
    colour = np.full((4, 3, 490, 640), 128, np.uint8)
    colour[:, 1] = grey()[:, 0]
    seen_in_green, no_face, _ = tune(colour)
    assert no_face == []
    assert not np.array_equal(seen_in_green, tune(grey())[0])


def test_pictures_of_different_sizes():
    pictures = list(grey())
    pictures[1] = pictures[1][:, 20:, 30:-10]
    pictures[2] = np.repeat(pictures[2][:, :, 50:-50], 3, axis=0)
    values, no_face, _ = tune(pictures)
    assert no_face == []
    assert not np.array_equal(values, runs.values(new_model().network))


def test_a_list_is_the_same_as_an_array():
    assert np.array_equal(tune(list(grey()))[0], tune(grey())[0])


def test_pictures_without_a_face_are_listed_and_left_out():
    pictures = list(grey())
    with_walls = [wall(), pictures[0], pictures[1], wall(), *pictures[2:]]
    values, no_face, _ = tune(with_walls, np.array([1, 6, 6, 2, 7, 7]))
    assert no_face == [0, 3]
    assert np.array_equal(values, tune(pictures)[0])


def test_no_face_at_all():
    before = runs.values(new_model().network)
    model = new_model()
    with pytest.raises(NoFaceError, match="got 2 without one"):
        fine_tune(model, [wall(), wall()], [1, 2])
    assert np.array_equal(runs.values(model.network), before)


def test_no_pictures():
    with pytest.raises(NoFaceError, match="got 0"):
        fine_tune(new_model(), [], np.array([], int))


@pytest.mark.parametrize("classes", [
    [0, 7, 6, 7], [8, 7, 6, 7], [-1, 7, 6, 7], [6.0, 7.0, 6.0, 7.0],
    [6.5, 7, 6, 7], [True] * 4, ["6", "7", "6", "7"], [None] * 4,
    [6, 7, float("nan"), 7]],
    ids=["0", "8", "-1", "floats", "6.5", "bools", "texts", "none", "nan"])
def test_classes_are_whole_numbers_from_1_to_7(classes):
    model = new_model()
    with pytest.raises(SettingError, match=r"1\.\.7.*1 is 'anger'"):
        fine_tune(model, grey(), classes)
    assert np.array_equal(runs.values(model.network), runs.values(new_model().network))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32, np.uint64])
def test_classes_of_any_integer_type(dtype):
    assert np.array_equal(tune(grey(), CLASSES.astype(dtype))[0], tune(grey())[0])


def test_a_class_number_trains_its_own_output():
    """Class k is output k-1: its bias moves up, that of the others down."""
    model = new_model()
    fine_tune(model, grey(), [3, 3, 3, 3], epochs=1, learning_rate=0.01)
    bias = model.network.b.value
    assert bias[2] > 0 and (np.delete(bias, 2) < 0).all()


@pytest.mark.parametrize("images, classes", [
    (lambda: grey(), [6, 7, 6]), (lambda: grey(), [[6], [7], [6], [7]]),
    (lambda: grey(), 6), (lambda: grey()[:, 0], CLASSES),
    (lambda: np.repeat(grey(), 2, axis=1), CLASSES),
    (lambda: np.repeat(grey(), 4, axis=1), CLASSES),
    (lambda: grey().transpose(0, 2, 3, 1), CLASSES),
    (lambda: grey() / 255, CLASSES),
    (lambda: [*grey()[:3], runs.faces()[3]], CLASSES)],
    ids=["3 classes", "a column", "one class", "N×H×W", "2 channels", "4 channels",
         "N×H×W×1", "floats", "one H×W"])
def test_wrong_shapes(images, classes):
    with pytest.raises(ShapeError):
        fine_tune(new_model(), images(), classes)


def test_the_same_seed_gives_the_same_model():
    first, again, other = (tune(grey(), seed=seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_without_epochs_it_goes_on_until_the_loss_settles():
    model = new_model(dropout=0.0)
    result, _ = fine_tune(model, grey(), CLASSES, learning_rate=0.05)
    losses = [row["train_loss"] for row in result.history]
    assert abs(losses[-1] - losses[-2]) <= 0.0001 and len(losses) > 2


@pytest.mark.parametrize("device", DEVICES)
def test_another_device_gives_the_same_model(device):
    here, _, _ = tune(grey())
    there, _, _ = tune(grey(), device=device)
    for a, b in zip(here, there):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-4)
