"""How fast voices are trained, and whether the memory that a training asks for is what it takes.

    python -m benchmarks.training [--tiny]

The real training (`models.training.voice`) of a GPT-2 of medium shape, all of it, and of a LoRA
adapter on a Llama of a billion weights; both have random weights, which are as slow as trained
ones. Tokens a second are those between two updates, without checkpoints, and the share of the
device's peak is what the model has to compute for them against a large multiplication of matrices
in the same precision, measured in the same process.
"""
