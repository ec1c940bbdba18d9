"""A network among scikit-learn's estimators: python examples/scikit_learn.py

How wide should the network be, and how fast should it learn? A grid search answers by
cross-validation. The folds are made of people, not of pictures: a face that is judged
has never been trained on. `pip install minifer[sklearn]`.
"""

import tempfile

import numpy as np
from sklearn.model_selection import GridSearchCV, GroupKFold, GroupShuffleSplit

from minifer import data, layers, nonlinearities
from minifer.commands.cli import run_script
from minifer.estimator import NetworkClassifier

EMOTIONS = ["anger", "happiness", "surprise"]


def load_faces(subjects):
    """Draw people's faces: images (N, 1, 32, 32), names of emotions, and people."""
    with tempfile.TemporaryDirectory() as folder:
        roots = data.make_faces(folder, subjects, EMOTIONS, frames=(2, 2))
        faces = data.load_ck(*roots, last=0.5, size=32, cache=False)
    names = np.array(faces.classes)[faces.labels]
    return (faces.images / 128 - 1).astype("float32"), names, faces.subjects


def small(input_shape, num_classes, num_filters=8):
    """A convolution, pooling, and a dense layer."""
    network = layers.InputLayer((None, *input_shape))
    network = layers.Conv2DLayer(network, num_filters, filter_size=5)
    network = layers.MaxPool2DLayer(network, pool_size=4)
    return layers.DenseLayer(network, num_classes,
                             nonlinearity=nonlinearities.softmax)


def main(subjects=24, epochs=8, jobs=2):
    """Search, and judge what was found on people who had no part in it."""
    X, y, people = load_faces(subjects)
    (seen, unseen), = GroupShuffleSplit(1, random_state=0).split(X, y, people)

    judge = NetworkClassifier(small, epochs=epochs, batch_size=16, random_state=0)
    grid = {"network__num_filters": [2, 8], "learning_rate": [0.01, 0.05]}
    search = GridSearchCV(judge, grid, cv=GroupKFold(3), n_jobs=jobs)
    search.fit(X[seen], y[seen], groups=people[seen])

    results = search.cv_results_
    for options, score in zip(results["params"], results["mean_test_score"]):
        print(f"{score:6.1%}  {options}")
    print(f"best: {search.best_params_}")
    print(f"of {len(set(people[unseen]))} people it never met: "
          f"{search.score(X[unseen], y[unseen]):.1%}")
    return search


if __name__ == "__main__":
    run_script(main)
