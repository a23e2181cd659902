"""The contract between hardware and software: parameters, instructions, registers, fingerprint."""
