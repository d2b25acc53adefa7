"""The crash harness: what really happened, as three sides saw it, and whether the books agree.

``faults`` stands between any two and cuts, delays and resets; ``callers`` asks in every dialect, leaves at every
phase and writes down what it got; the mock provider keeps the truth about what it answered and what it would
invoice; ``crashes`` kills the gateway in the middle of it, at random or at the points of ``points``;
``evidence`` reads what is left of all this, and ``check`` decides. docs/crash-harness.md tells how to run it.
"""
