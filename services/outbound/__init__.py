"""HTTP to hosts outside our network, protected against SSRF. Knows no product noun."""
