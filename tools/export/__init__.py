"""Builds the models of a profile into the repository.

Read __main__, profile_file, build, then text_and_image_encoders, vae, causal_transformer and how the last two start,
then graph and build_record.
"""
