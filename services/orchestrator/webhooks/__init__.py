"""How webhooks reach their receivers: claimed, signed, sent, recorded. Pure: the database and HTTP are behind ports."""
