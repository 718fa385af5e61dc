"""`i2v assets`: the commands of the asset library. A file has the commands of one noun."""
