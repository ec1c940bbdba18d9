"""What the tests of the window work with: three small models and a drawn photo."""

import numpy as np

from helpers import runs
from minifer import layers, models, nonlinearities, random
from minifer.data import EMOTIONS
from minifer.faces.cropping import CropSettings
from minifer.faces.images import write_png
from minifer.faces.preprocessing import ColourPreprocessing, Preprocessing
from minifer.weights.model_file import Model, save_model

MOODS = ("glad", "sad", "so so")


def save_models(folder):
    """A CNN, an MLP and a ResNet of different classes and sizes: paths, as str."""
    random.set_rng(2)
    mlp = layers.InputLayer((None, 1, 16, 16))
    mlp = layers.DenseLayer(mlp, 3, nonlinearity=nonlinearities.softmax)
    resnet = models.resnet([1, 1, 1, 1], bottleneck=False, num_classes=8, size=32,
                           width=4)
    whole = CropSettings(size=16, mode="whole")
    kinds = {
        "cnn": Model(runs.network(size=24, classes=7), EMOTIONS,
                     Preprocessing(CropSettings(size=24)).to_dict()),
        "mlp": Model(mlp, MOODS, Preprocessing(whole).to_dict()),
        "resnet": Model(resnet, ("neutral", *EMOTIONS), ColourPreprocessing.imagenet(
            "torch", whole, size=32).to_dict())}
    for name, model in kinds.items():
        save_model(folder / f"{name}.npz", model)
    return [str(folder / f"{name}.npz") for name in kinds]


def two_people():
    """Side by side, the second one smaller: uint8 (490, 960)."""
    picture = np.full((490, 960), 128, np.uint8)
    picture[:, :640] = runs.faces()[0]
    picture[100:345, 640:] = runs.faces()[2][::2, ::2]
    return picture


def save_photo(path, picture):
    """Write it, and return its path as str."""
    write_png(path, picture)
    return str(path)
