"""Without scikit-learn the room opens, and says what is missing when it is used."""

import subprocess
import sys

PROGRAM = """
import sys
sys.modules["sklearn"] = None  # as if it were not installed
from minifer import errors, models
from minifer.estimator import NetworkClassifier
try:
    NetworkClassifier(models.mlp, epochs=3)
except errors.BackendUnavailable as error:
    print(error)
"""


def test_without_scikit_learn_it_says_what_to_install():
    done = subprocess.run([sys.executable, "-c", PROGRAM], text=True,
                          capture_output=True, check=True)
    assert done.stdout == ("NetworkClassifier: expected scikit-learn, got none. "
                           "Install it: pip install minifer[sklearn].\n")
