"""Train a new head on a network that knows ImageNet: python examples/train_transfer.py

--data takes fer2013.csv, a folder with train/CLASS and test/CLASS, or a folder with
the .npy samples ck/ and google/, whose labels are soft. --weights takes the body's
weights, as torchvision or Keras hands them out; nothing is downloaded. The frozen
part looks at each image once, and what it makes of it is kept on disk. What is written
into --out is what train_ck.py writes.

The story is in main(), step by step. `minifer train transfer` is the same without the
words; train_ck.py explains what is the same here.
"""

from minifer import random
from minifer.commands.cli import ArgumentParser, run
from minifer.evaluation.metrics import evaluate
from minifer.runs import Transfer, load_best
from minifer.runs.options import stop_rule, trainer_options
from minifer.runs.transfer import OPTIMIZERS
from minifer.training.trainer import Trainer


def main(argv=None, prog="train_transfer.py"):
    """Tell the whole story; return the evaluation."""
    transfer = Transfer.start(argv, ArgumentParser(
        prog=prog, description=__doc__.split("\n")[0]))
    args = transfer.args

    # The weights are read first, so that a wrong file is not found out after the data.
    # Without any the body is as it was drawn at random: good for trying, no more.
    faces = transfer.load()
    print(faces.summary(), flush=True)
    training, validation, test, protocol, leaky = transfer.split(faces)

    # Our faces must come to the network as ImageNet's photos did: in three channels,
    # large, with their mean and scale, which torchvision and Keras chose differently.
    steps = transfer.steps(training)

    # A ResNet has learnt from a million photos to see edges, textures, parts of things.
    # A few thousand faces could not teach it that. So its body keeps its weights, and
    # only the last stage and a new dense layer, which knows our classes, learn.
    random.set_rng(args.seed)
    network = transfer.network(len(faces.classes))
    transfer.load_weights(network)
    model = transfer.model(network, faces.classes, steps)

    # What the frozen body makes of an image is the same in every epoch. So it looks at
    # each once, its features are kept on disk, and the learner is the head alone, with
    # features for images: minutes rather than hours. This cannot be where the body
    # learns, too (--train-all), or the images change each time (--flip, ...).
    # The answers are labels, or of soft samples targets (N, K): half way from neutral
    # to happy a face is both, and the cross-entropy takes that as it is.
    learner, prepare, pairs = transfer.inputs(network, steps, [training, validation,
                                                               test])
    trainer = Trainer(learner, OPTIMIZERS[args.optimizer], prepare=prepare,
                      **trainer_options(args, training))
    result = trainer.fit(*pairs[0], valid=pairs[1], epochs=args.epochs,
                         stop=stop_rule(args.stop), folder=args.out, resume=args.resume,
                         model=model, progress=transfer.progress)

    # The model file holds body and head of the best epoch, ready for photos.
    best = load_best(network, args.out)
    probabilities = trainer.predict(pairs[2][0])
    evaluation = evaluate(probabilities, test.labels, faces.classes, test.subjects,
                          protocol=protocol, seed=args.seed, leaky=leaky)
    transfer.write(faces, test, result, best, probabilities, evaluation)
    return evaluation


if __name__ == "__main__":
    run(main)
