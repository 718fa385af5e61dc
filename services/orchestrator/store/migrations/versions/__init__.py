"""One file a change of the schema, named after what it adds."""
