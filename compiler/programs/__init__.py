"""What is compiled: layers, a whole model, a model for several devices."""
