"""Trains voices: from a dataset's directory to a model or an adapter that can be served. Knows no
export and no daemon.

    plan         what is asked for, and the numbers that follow from it
    base         what is trained: a model from a directory, or a new one with a tokenizer of its own
    material     the dataset as tokens, in the order in which they are learned
    memory       what it takes, and whether there is that much
    run          one training from beginning to end
    loop         the updates, by transformers' Trainer
    record       whose a directory is
    checkpoints  what a killed training goes on from
    progress     how far it is, and the picture of the losses
    product      the directory that comes out
    card         what was trained on what, and how
"""

from models.training.voice.card import TrainingCard
from models.training.voice.plan import Plan, Shape
from models.training.voice.progress import Progress
from models.training.voice.run import train

__all__ = ["Plan", "Progress", "Shape", "TrainingCard", "train"]
