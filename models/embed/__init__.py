"""Puts the meaning of texts into vectors, with directories of sentence-transformers. Knows no
frames.

`layout` needs no torch and is used on both sides of the socket; `engine` lives in the model
process.
"""
