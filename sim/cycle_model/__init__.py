"""The cycle model of the RTL, in C++, and its compiled form as seen from Python."""
