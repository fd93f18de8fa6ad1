"""The noise of a device, or of a model that a job brings."""
