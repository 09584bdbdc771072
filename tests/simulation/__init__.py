"""A seeded simulation of the real rules in virtual time: the same seed is the same run, fault by fault."""
