"""What bots remember: learned in the background from what was said, told to a bot for a turn. Knows
the store and text models, and no platform."""

from botdaemon.memory.along import Lull, remember_along
from botdaemon.memory.briefing import briefing_of
from botdaemon.memory.habits import Habits
from botdaemon.memory.scribe import Scribe

__all__ = ["Habits", "Lull", "Scribe", "briefing_of", "remember_along"]
