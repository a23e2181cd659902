"""A text continued on a device: the program of a whole model, from its prompt on."""
