"""The public API: proto in, domain, proto out. Servicers decide nothing and catch nothing."""
