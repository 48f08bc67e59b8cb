"""How layers are written as ONNX, where torch.onnx alone would spell them out."""
