"""Engines, the model process and training. Knows neither the store nor any platform."""
