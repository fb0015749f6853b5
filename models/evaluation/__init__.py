"""Says whether a trained voice is better than what it was made from, and what it gives away.

    evaluate    all of it, into the run's directory
    questions   what they are asked, from a dataset
    candidates  the models that are compared
    answers     what they say in conversations that were held back
    perplexity  how well they foresee what the person said there
    overlap     BLEU, chrF and ROUGE against what the person said
    style       how much the answers read like the person's
    leaks       what of the training messages comes out again
    canaries    whether planted secrets do
    figures     the result, and what may go live
    report      the same to read
    plots       the same to look at
    blind       a page on which friends guess which answer was real

Only `evaluate`, `candidates`, `answers`, `perplexity` and `canaries` import torch.
"""
