"""`i2v share`: the commands of links to assets and collections."""
