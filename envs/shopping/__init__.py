"""Shopping: a shop that behaves like WebShop's: search, look, choose options, buy."""
