"""One way to rank units a file; the file's name is its name in a recipe."""
