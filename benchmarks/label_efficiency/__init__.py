"""How many labels a search costs: Emberline's strategies, the published protocol and other tools, on known truth.

Run ``python -m benchmarks.label_efficiency run``, then ``table`` and ``plot``; ``--help`` says the rest.
"""
