"""Softened targets and mixtures of images, against their formulas."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from helpers import runs
from minifer import updates
from minifer.errors import SettingError
from minifer.training import CutMix, Mixup, Trainer
from minifer.training.mixing import soft_targets

IMAGES = np.arange(5 * 2 * 6 * 7, dtype=np.float32).reshape(5, 2, 6, 7)
TARGETS = np.eye(5, 3, dtype=np.float32) + np.float32(1 / 8)


def test_soft_targets():
    np.testing.assert_allclose(soft_targets([2, 0], 4, .2),
                               [[.05, .05, .85, .05], [.85, .05, .05, .05]], rtol=1e-6)
    soft = np.array([[.5, .5, 0, 0]])
    np.testing.assert_allclose(soft_targets(soft, 4, .2), [[.45, .45, .05, .05]],
                               rtol=1e-6)
    assert (soft_targets([1, 1], 2) == [[0, 1], [0, 1]]).all()


@pytest.mark.parametrize("smoothing", [-.1, 1, float("nan"), "some"])
def test_only_shares_smooth(smoothing):
    with pytest.raises(SettingError, match="label smoothing: expected"):
        soft_targets([0], 2, smoothing)


@pytest.mark.parametrize("kind", [Mixup, CutMix])
@pytest.mark.parametrize("alpha", [0, -1, float("inf"), float("nan"), "x"])
def test_only_positive_alphas(kind, alpha):
    with pytest.raises(SettingError, match=f"{kind.__name__}: expected alpha > 0"):
        kind(alpha)


@settings(max_examples=50, deadline=None)
@given(alpha=st.floats(.05, 5), seed=st.integers(0, 999))
def test_mixup_is_the_weighted_mean_of_pairs(alpha, seed):
    x, t = Mixup(alpha)(IMAGES, TARGETS, np.random.default_rng(seed))
    rng = np.random.default_rng(seed)
    share = rng.beta(alpha, alpha)
    partners = rng.permutation(5)
    for i, j in enumerate(partners):
        np.testing.assert_allclose(x[i], share * IMAGES[i] + (1 - share) * IMAGES[j],
                                   rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(t[i], share * TARGETS[i] + (1 - share) * TARGETS[j],
                                   rtol=1e-5)
    assert x.dtype == t.dtype == np.float32


@settings(max_examples=100, deadline=None)
@given(alpha=st.floats(.05, 5), seed=st.integers(0, 999))
def test_cutmix_counts_the_pixels_it_takes(alpha, seed):
    kept = IMAGES.copy()
    x, t = CutMix(alpha)(IMAGES, TARGETS, np.random.default_rng(seed))
    rng = np.random.default_rng(seed)
    rng.beta(alpha, alpha)
    partners = rng.permutation(5)
    assert (IMAGES == kept).all()
    own = x == IMAGES  # no two images share a pixel's value, but with themselves
    for i, j in enumerate(partners):
        assert (own[i] | (x[i] == IMAGES[j])).all()
        if i != j:
            share = own[i].mean()
            np.testing.assert_allclose(
                t[i], share * TARGETS[i] + (1 - share) * TARGETS[j], rtol=1e-5)
            rows, columns = np.where(~own[i, 0])
            if len(rows):  # a rectangle, the same in all channels
                assert not own[i, :, rows.min():rows.max() + 1,
                               columns.min():columns.max() + 1].any()


@pytest.mark.parametrize("mix", [Mixup(.3), CutMix()])
def test_training_on_mixtures_resumes_exactly_and_knows_its_setting(tmp_path, mix):
    images, labels = runs.pictures(40)

    def trained(folder, epochs, seed=1, mix=mix):
        net = runs.network(seed)
        Trainer(net, updates.adam, prepare=runs.STEPS, batch_size=16, mix=mix).fit(
            images, labels, epochs=epochs, folder=folder, resume=True)
        return runs.values(net)

    trained(tmp_path / "a", 1)
    assert (trained(tmp_path / "a", 3, seed=5) == trained(tmp_path / "b", 3)).all()
    with pytest.raises(SettingError, match="mix = "):
        trained(tmp_path / "a", 4, mix=Mixup(.31))
