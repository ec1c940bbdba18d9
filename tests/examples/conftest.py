"""A small FER2013 for the scripts that train on it."""

import pytest

from helpers import runs


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Class folders as FER2013's: 12 training and 3 public test images of a class."""
    return runs.write_fer(tmp_path_factory.mktemp("data") / "fer2013", 12, 3)
