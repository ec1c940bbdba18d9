"""What ranks do, without starting any."""

import numpy as np
import pytest
from hypothesis import given, strategies

from minifer import layers
from minifer.errors import SettingError
from minifer.ranks import Part, Ranks, connect, connected
from minifer.random import Stream
from minifer.training import Batches, CutMix
from minifer.training.mixing import soft_targets


class One(Ranks):
    """One of several ranks; sums are taken elsewhere."""

    def __init__(self, rank, size):
        self.rank, self.size = rank, size


@given(strategies.integers(0, 200), strategies.integers(1, 70))
def test_parts_are_contiguous_and_alike(n, size):
    ends = [One(rank, size).part(n) for rank in range(size)]
    assert ends[0][0] == 0 and ends[-1][1] == n
    assert all(before[1] == after[0] for before, after in zip(ends, ends[1:]))
    sizes = [stop - start for start, stop in ends]
    assert max(sizes) - min(sizes) <= 1


@given(strategies.integers(1, 40), strategies.integers(1, 9))
def test_the_parts_weights_add_up_to_one(n, size):
    parts = [Part(One(rank, size)) for rank in range(size)]
    for part in parts:
        taken = part.take(n)
        assert taken.stop > taken.start  # one for company, at least
        assert part.empty == (part.weight == 0)
    assert sum(part.weight for part in parts) == pytest.approx(1, abs=1e-15)


def test_an_empty_part_adds_nothing():
    part = Part(One(0, 3))
    assert part.take(2) == slice(0, 1) and part.empty
    assert part.sum(np.ones(2)).tolist() == [0, 0]
    assert part.whole(10) == 20  # 10 pixels of the image that it computes for company


@given(strategies.integers(1, 12), strategies.integers(1, 5), strategies.integers(1, 9))
def test_parts_of_a_mask_are_the_mask(n, size, units):
    whole = Stream(3, "dropout").keep_mask((n, units), .5)
    found = []
    for rank in range(size):
        stream, part = Stream(3, "dropout"), Part(One(rank, size))
        rows = part.take(n)
        stream.part = part
        mask = stream.keep_mask((rows.stop - rows.start, units), .5)
        found += [] if part.empty else [mask]
    assert np.array_equal(np.concatenate(found), whole)


@pytest.mark.parametrize("mix", [None, CutMix()])
@pytest.mark.parametrize("augment", [None, lambda images, numbers, epoch: images + 1])
def test_parts_of_batches_are_the_batches(augment, mix):
    images = np.arange(7 * 4, dtype=np.uint8).reshape(7, 1, 2, 2)

    def batches(part=None):
        flip = Stream(5, "augment")
        labels = np.arange(7) if mix is None else soft_targets(np.arange(7), 7)
        found = Batches(images, labels, "cpu", 3, flip=flip, augment=augment,
                        part=part, mix=mix, mixing=Stream(5, "mix"))
        found.begin([6, 2, 0, 1, 3, 5, 4], epoch=1)
        return found

    whole, parts = batches(), [Part(One(rank, 2)) for rank in range(2)]
    shared = [batches(part) for part in parts]
    for number in range(whole.count):
        x, y = whole.batch(number)
        mine = [(*one.batch(number), part.empty) for one, part in zip(shared, parts)]
        assert np.array_equal(np.concatenate([a for a, _, e in mine if not e]), x)
        assert np.array_equal(np.concatenate([b for _, b, e in mine if not e]), y)


def test_sharing_ends_with_its_block():
    network = layers.batch_norm(layers.DenseLayer(layers.dropout((None, 3)), 2))
    part, norm = Part(One(0, 2)), network.input_layer
    stream = norm.input_layer.input_layer.stream
    with pytest.raises(ZeroDivisionError), layers.sharing(network, part):
        assert norm.part is stream.part is part
        1 / 0
    assert norm.part is stream.part is None


def test_one_alone_does_what_it_is_told_to():
    ranks = connect("alone")
    assert ranks is connected() and ranks.writes
    assert ranks.lead(lambda: 3) == 3 and ranks.gather(4) == [4]
    assert ranks.any(True) and not ranks.any(False)
    ranks.agree({"seed": 1})
    with pytest.raises(SettingError, match="it is wrong"):
        ranks.lead(lambda: (_ for _ in ()).throw(SettingError("it is wrong")))


def test_ranks_of_no_such_name_are_refused():
    with pytest.raises(SettingError, match="one of alone, mpi, nccl, got 'many'"):
        connect("many")


def test_facts_that_differ_are_named():
    ranks = One(0, 2)
    ranks.gather = lambda facts: [facts, {**facts, "seed": 2}]
    with pytest.raises(SettingError, match="same seed on all 2 ranks, got 1 on rank 0, "
                                           "2 on rank 1") as found:
        ranks.agree({"epochs": 3, "seed": 1})
    assert found.value.on_all_ranks
