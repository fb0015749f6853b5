"""Trains the starter image bot on pictures the project draws itself. Knows no downloads.

    python -m models.training.painter --out models/painter

world       what can be in a picture
render      a scene as pixels
captions    a scene as words, and all words there are
judge       whether a picture shows a scene, read from the pixels alone
pictures    freshly drawn pictures as tensors
build       the untrained pipeline
train       the three stages of training
evaluate    how often the pictures are right
card        what the directory says of itself
"""
