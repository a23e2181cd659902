// hw/memory/port.py
#pragma once

#include <cstdint>

enum ReadClient {
    kProgram, kRecords, kVectors, kA, kB, kChannelWords, kWeights, kReadClients
};

struct Segment {  // a run of memory words; bursts are such runs too
    uint64_t address = 0;
    uint32_t words = 0;
};
