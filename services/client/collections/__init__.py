"""`i2v collections`: the commands of collections of assets."""
