"""Models by rule: patterns of paths, and what they give the leaves."""
