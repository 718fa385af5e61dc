"""Builds the models of a profile into the repository.

Reading order: __main__, profile, profile_file, build, text_and_image_encoders, vae, wan_transformer,
causal_transformer, graph, build_record.
"""
