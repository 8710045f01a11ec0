"""A package, so that no installed one of this name (label-studio-converter brings one) comes before it."""
