"""How long it takes to find something among 100,000 passages, and to index them.

The files are made up: words by Zipf's law, in the places where people put them. Vectors are random,
which costs a search what real ones cost. Both sides of a search are those of the daemon; only the
embedder, whose speed is its model's, answers at once.
"""

from benchmarks.knowledge.course import measure

__all__ = ["measure"]
