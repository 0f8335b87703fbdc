"""A shop that behaves like WebShop: search, look, choose options, buy."""
