"""Draws pictures with diffusers. Knows no daemon, no chat and no frames.

`manners`, `metadata` and `sources` need no torch and are used on both sides of the socket; the rest
lives in the model process.
"""
