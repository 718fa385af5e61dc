"""`i2v batch`: many videos of one input, with a journal in their folder, so that a second call makes what is missing.

Reading order: row, sources, plan, journal, maker, run, prices, command.
"""
