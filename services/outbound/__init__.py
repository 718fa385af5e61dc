"""HTTP to hosts outside our network, protected against SSRF. Independent of the product's domain."""
