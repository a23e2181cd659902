"""The compiler: layers of a trained model to programs and memory images, one file a pass."""
