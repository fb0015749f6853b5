"""How the starter model is made. Knows nothing of the daemon that serves it."""
