"""int8 ONNX files: graphs said in operators with int8 kernels, ranges, and QDQ or dynamic forms."""
