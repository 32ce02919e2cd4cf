"""Lists of parameters, and checkpoints of any size written from plans."""
