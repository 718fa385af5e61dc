"""`i2v webhooks`: the commands of endpoints that get a tenant's events."""
