"""Platforms: one adapter each, events in and letters out. None knows another, the store or a model."""
