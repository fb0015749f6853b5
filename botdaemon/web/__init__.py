"""The HTTP server of the daemon: its life, its guards and its health. Knows no page and no API."""

from botdaemon.web.figures import metrics_page
from botdaemon.web.server import Server

__all__ = ["Server", "metrics_page"]
