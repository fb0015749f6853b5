"""Makes of imported conversations what a model learns from. Knows no kind of export, and no torch.

In a dataset's directory:

    messages.sqlite3                            what was imported (`models.exports.collection`)
    train.jsonl, validation.jsonl, test.jsonl   sessions (`sessions`), split by time
    dataset.json                                what they are made of (`card`)
    README.md                                   the same to read
"""
