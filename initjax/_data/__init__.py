"""Weights by data: what a batch makes of them, apart from the laws, which are pure."""
