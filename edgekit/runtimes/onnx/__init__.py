"""The ONNX file itself, read in a child: what it holds, in what order, how often, how much."""
