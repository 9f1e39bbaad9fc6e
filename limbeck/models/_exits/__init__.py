"""Models with early exits: heads on inner layers, by which inputs leave that need no more."""
