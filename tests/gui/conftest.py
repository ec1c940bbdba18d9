"""Models and a photo for the window, as files."""

import pytest

from helpers import gui_models


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return gui_models.save_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def photo(tmp_path):
    return gui_models.save_photo(tmp_path / "two.png", gui_models.two_people())
