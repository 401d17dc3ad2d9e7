"""The faces of the simulated provider: one a protocol, named like the module that speaks it in `nbkit.protocols`."""
