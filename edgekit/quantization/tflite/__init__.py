"""int8 TFLite files: which tensors get scales, and rewrites of what the quantizer left."""
