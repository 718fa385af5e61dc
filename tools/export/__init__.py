"""Builds the models of a profile into the repository.

Read __main__, profile, build, then encoders, vae, transformer and how the last two start, then graph and stamp.
"""
