"""Policies as files for others: their weights as safetensors, or acting itself as a graph for TorchScript or ONNX."""
