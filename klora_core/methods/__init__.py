"""One file a method, each a pure function from scores and parameters to a plan."""
