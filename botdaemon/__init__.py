"""The daemon: one road from a message to its answer. Knows no platform SDK and no model library."""

__version__ = "0.1.0"
