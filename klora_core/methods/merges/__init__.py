"""One file a family of merges: the paper's equations as pure functions, then its row for the table."""
