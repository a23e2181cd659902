"""The passes: lower, tile, place, schedule, emit."""
