"""Train a network on FER2013: python examples/train_fer2013.py --data fer2013.csv

--data takes the csv, or a folder with train/CLASS and test/CLASS. A fifth of the
training part chooses the epoch; the test part is looked at once, at the end.
What is written into --out is what train_ck.py writes.

The story is in main(), step by step. `minifer train fer2013` is the same without the
words; train_ck.py explains what is the same here.
"""

from minifer import random
from minifer.commands.cli import ArgumentParser, run
from minifer.evaluation.metrics import evaluate
from minifer.runs import FER2013, load_best
from minifer.runs.fer2013 import OPTIMIZERS
from minifer.runs.options import stop_rule, trainer_options
from minifer.training.trainer import Trainer
from minifer.weights.model_file import load_params


def main(argv=None, prog="train_fer2013.py"):
    """Tell the whole story; return the evaluation."""
    fer = FER2013.start(argv, ArgumentParser(prog=prog,
                                             description=__doc__.split("\n")[0]))
    args = fer.args

    # 35,887 pictures found by searching the web for the words of seven expressions:
    # 48x48 pixels, many mislabelled, some blank, hundreds there twice. Blank ones and
    # copies leave the training part first, or a test image might have been learnt.
    faces = fer.load()
    print(faces.summary(), flush=True)

    # Nobody is known by name here, so a "subject" is a set of copies: these stay
    # together when a fifth of the training part is set aside to choose the epoch.
    training, validation, test, protocol, leaky = fer.split(faces)

    # The network, from a few dense layers to six convolutions. The pictures are faces
    # already: none is looked for, their pixels are scaled and that is all.
    random.set_rng(args.seed)
    network = fer.network(len(faces.classes))
    if args.weights:
        load_params(args.weights, network)
    steps = fer.steps()
    model = fer.model(network, faces.classes, steps)

    # Noisy labels are learnt by heart in no time. Against it help images that change a
    # little each time (--flip --rotation 10 ...), and large weights that cost (--l2).
    trainer = Trainer(network, OPTIMIZERS[args.optimizer], prepare=steps,
                      penalty=fer.penalty(network), **trainer_options(args, training))
    result = trainer.fit(training.images, fer.targets(training, training.labels),
                         valid=validation and (validation.images, validation.labels),
                         epochs=args.epochs, stop=stop_rule(args.stop), folder=args.out,
                         resume=args.resume, model=model, progress=fer.progress)

    # The best epoch, judged on the part that the data set's makers kept for it. People
    # agree on these labels in two of three cases; mind that when you read the number.
    best = load_best(network, args.out)
    if args.refit:  # the number of epochs stands: once more, on what chose it as well
        trainer, best, _ = fer.refit([training, validation], result, args.out)
    probabilities = fer.judge(trainer, test.images)
    evaluation = evaluate(probabilities, test.labels, faces.classes, test.subjects,
                          protocol=protocol, seed=args.seed, leaky=leaky)
    fer.write(faces, test, result, best, probabilities, evaluation)
    return evaluation


if __name__ == "__main__":
    run(main)
