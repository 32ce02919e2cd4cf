"""MkDocs hook: a page for every law, made of the classes."""
