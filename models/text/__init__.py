"""The text engine: continuous batching over plain transformers models. Lives in the model process;
knows no frames.

    engine      takes requests in, and brings all of them on step by step
    network     one forward of the model over several rows
    rows        keys and values of the conversations under way
    kept        those of conversations that wait for their next turn
    adapters    LoRA
    sampling    the choice of a token
    loading     from the directory to the device
    int8        the same with 8-bit weights, on a CPU
    int8_form   makes that form once, and keeps it
"""

from models.text.engine import Slot, TransformersEngine

__all__ = ["Slot", "TransformersEngine"]
