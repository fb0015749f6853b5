"""Platforms: one adapter each, events in, letters out. None knows another, the store or a model."""
