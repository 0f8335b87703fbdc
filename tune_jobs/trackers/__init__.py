"""Trackers: the curves of a run on TensorBoard, W&B, MLflow and Prometheus."""
