"""What is put in place of PyTorch's own while a model is exported, for converters to follow it."""
