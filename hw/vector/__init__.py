"""What is done with vectors between the matrices: norms, rotation, softmax, SwiGLU, argmax."""
