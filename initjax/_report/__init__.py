"""What weights are, held to what was promised: reports, comparisons, plots."""
