"""Train the headline network on CK+: python examples/train_ck.py

Without folders it draws a data set of its own, of faces that belong to nobody.
With --images and --labels it takes CK+ as distributed, or photos laid out
alike. It writes into --out: model.npz (all that prediction needs), history.csv,
run.json, report.md, report.html and pictures.

The story is in main(), step by step. `minifer train ck` is the same without the words.
"""

import minifer
from minifer import random
from minifer.commands.cli import ArgumentParser, run
from minifer.evaluation.metrics import evaluate
from minifer.faces.cropping import CropSettings
from minifer.faces.preprocessing import Preprocessing
from minifer.runs import CK, load_best
from minifer.runs.options import stop_rule, trainer_options
from minifer.training.trainer import Trainer
from minifer.weights.model_file import load_params


def main(argv=None, prog="train_ck.py"):
    """Tell the whole story; return the evaluation."""
    # The options are read, the device is found and the folder made before any work
    # that would be in vain without them.
    ck = CK.start(argv, ArgumentParser(prog=prog, description=__doc__.split("\n")[0]))
    args = ck.args
    if args.folds is not None:
        return ck.run()  # what follows, once for each fold, and one report for all

    # The data. In CK+ a person goes from a neutral face to the peak of an expression;
    # the last frames of a sequence show it, and get its label. On each frame the face
    # is found and cut out: grey values 0..255, (N, 1, 96, 96).
    faces = ck.load()
    print(faces.summary(), flush=True)

    # Three parts, and no person in two of them. Frames of one sequence are near copies:
    # a network that met a person in training has seen the answer. The first part
    # trains, the second chooses the best epoch, the third is judged once, at the end.
    training, validation, test, protocol, leaky = ck.split(faces)

    # The network: two convolutions, each followed by max-pooling, two dense layers, and
    # a softmax that says how much of each expression a face shows. Its weights begin at
    # random, or where another training left them.
    random.set_rng(args.seed)
    network = minifer.models.ck96(num_classes=len(faces.classes))
    if args.weights:
        load_params(args.weights, network)

    # What the network gets to see: a face's pixels, scaled. The model file remembers
    # these steps, for a photo must later go through the very same ones.
    steps = Preprocessing(CropSettings(mode=args.faces))
    model = ck.model(network, faces.classes, steps)

    # Training: mini-batches in random order, the cross-entropy of what the network says
    # and the label, its gradient, a step of Nesterov's momentum; dropout against
    # learning by heart. After each epoch a checkpoint, which --resume continues.
    trainer = Trainer(network, prepare=steps, **trainer_options(args, training))
    result = trainer.fit(training.images, ck.targets(training, training.labels),
                         valid=(validation.images, validation.labels),
                         epochs=args.epochs, stop=stop_rule(args.stop), folder=args.out,
                         resume=args.resume, model=model, progress=ck.progress)

    # The best epoch is seldom the last one, so go back to it. Then the verdict, on
    # people whom the network has never met; the interval draws people, not frames.
    best = load_best(network, args.out)
    if args.refit:  # the number of epochs stands: once more, on what chose it as well
        trainer, best, _ = ck.refit([training, validation], result, args.out)
    probabilities = ck.judge(trainer, test.images)  # (N, 7), each row sums to 1
    evaluation = evaluate(probabilities, test.labels, faces.classes, test.subjects,
                          protocol=protocol, seed=args.seed, leaky=leaky)

    # A number is worth what stands beside it: the protocol, the versions, the command
    # line that gives it again, and pictures of the mistakes. First all is written, and
    # then the verdict is printed.
    ck.write(faces, test, result, best, probabilities, evaluation)
    return evaluation


if __name__ == "__main__":
    run(main)
