"""Verbs: one use case a module, async functions over a :class:`gateway.usecases.runtime.Runtime`."""
