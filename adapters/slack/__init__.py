"""Slack as a platform: an app in a workspace, over Socket Mode. Knows no other platform."""

from __future__ import annotations

from adapters.slack.adapter import SlackAdapter

__all__ = ["SlackAdapter"]
