"""Pictures of a data set: what is drawn is what is there."""

import numpy as np
import pytest
from matplotlib.colors import to_rgba

from helpers.planting import CLASSES, N, columns
from minifer.data import SplitDataset
from minifer.errors import SettingError
from minifer.report.data_pictures import brightness_boxes, class_bars, sample_grid
from minifer.report.style import BLUE, GREY, ORANGE, save


def words(figure):
    figure.draw_without_rendering()
    return [artist.get_text() for artist in figure.findobj(
        lambda artist: hasattr(artist, "get_text"))]


def test_bars_are_as_long_as_the_shares():
    data = SplitDataset(**columns())
    figure = class_bars(data)
    bars = [patch for patch in figure.axes[0].patches if patch.get_width() > 0]
    assert len(bars) == 9
    np.testing.assert_allclose([bar.get_height() for bar in bars], 100 / 3)
    assert {"40", "20", "train (120)", "test (60)", *CLASSES} <= set(words(figure))
    edges = sorted((bar.get_x(), bar.get_x() + bar.get_width()) for bar in bars)
    assert all(left[1] <= right[0] for left, right in zip(edges, edges[1:]))


def test_boxes_show_medians_and_outliers():
    values = columns()
    values["images"][0] = 0
    values["images"][1] = 255
    data = SplitDataset(**values)
    figure = brightness_boxes(data)
    lines = {tuple(line.get_ydata()) for line in figure.axes[0].lines}
    mean = data.images.mean(axis=(1, 2, 3)) / 255
    expected = np.median(mean[(data.labels == 2) & (data.usage == "validation")])
    assert any(np.allclose(line, [expected] * 2) for line in lines if len(line) == 2)
    assert (0.,) in lines and (1.,) in lines
    assert any("2 outside 0.1 to 0.9" in text for text in words(figure))


def test_a_row_a_class():
    values = columns()
    values["labels"] = np.where(np.arange(N) == 2, 2, np.arange(N) % 2)
    values["images"][:] = (values["labels"] * 50).reshape(-1, 1, 1, 1)
    data = SplitDataset(**values)
    figure = sample_grid(data, per_class=4)
    shown = [[ax.images[0].get_array() for ax in figure.axes[4 * k:4 * k + 4]
              if ax.images] for k in range(3)]
    assert [len(row) for row in shown] == [4, 4, 1]
    for k, row in enumerate(shown):
        assert (np.array(row) == 50 * k).all()
    assert set(CLASSES) <= set(words(figure))


def test_a_grid_shows_other_images_for_another_seed():
    data = SplitDataset(**columns())
    grids = [np.array([ax.images[0].get_array() for ax in
                       sample_grid(data, seed=seed).axes]) for seed in (0, 0, 1)]
    assert np.array_equal(grids[0], grids[1]) and not np.array_equal(*grids[1:])
    assert len({image.tobytes() for image in grids[0]}) == 15
    with pytest.raises(SettingError, match="per_class: .*got 0"):
        sample_grid(data, per_class=0)


def test_pictures_save_to_the_same_bytes(tmp_path):
    data = SplitDataset(**columns())
    for draw in (class_bars, brightness_boxes, sample_grid):
        for name in ("one.png", "two.png"):
            save(draw(data), tmp_path / name)
        one, two = [(tmp_path / name).read_bytes() for name in ("one.png", "two.png")]
        assert one == two


def test_parts_have_colours_of_their_own():
    figure = class_bars(SplitDataset(**columns()))
    colors = [container[0].get_facecolor() for container in figure.axes[0].containers]
    assert colors == [to_rgba(color) for color in (BLUE, ORANGE, GREY)]
