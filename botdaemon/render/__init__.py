"""Neutral Markdown into what one platform shows. Knows no adapter: only its `Traits`.

Three steps, a module each: `layout` parses the Markdown into styled text (`flow`), `split` cuts
styled text into messages, `paint` writes styled text in a platform's dialect. Because the cut is
made between parsing and painting, a style that is cut in two is closed and opened again by
construction, and a message can never hold half of a fence or a tag.
"""

from __future__ import annotations

from botdaemon.render.aloud import aloud
from botdaemon.render.paint import render
from botdaemon.render.split import CONTINUES, Split, draft, split

__all__ = ["CONTINUES", "Split", "aloud", "draft", "render", "split"]
