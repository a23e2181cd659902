"""All mutations, those of each room of `hw/` in a file of its own."""

from tests.mutations import control, matmul, memory, spike, top, vector
from tests.mutations.mutation import Mutation

__all__ = ["MUTATIONS"]

MUTATIONS: list[Mutation] = [
    mutation
    for room in (control, matmul, memory, spike, top, vector)
    for mutation in room.MUTATIONS
]
