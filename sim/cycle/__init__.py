"""The cycle device: the functional device and an exact model of the time that the RTL takes."""
