// What moves on an AXI4 bus, and what a memory keeps of it.
#pragma once

#include <cstdint>
#include <cstring>
#include <tuple>
#include <vector>

constexpr size_t kOutstanding = 32;  // bursts a direction may have under way
constexpr size_t kEarlyBeats = 64;   // words of write data that may come before their address
constexpr int kOkay = 0, kSlaveError = 2, kDecodeError = 3, kIncrementing = 1;
constexpr uint64_t kNever = ~0ull;
constexpr uint64_t kPage = 4096;

struct Range {
    uint64_t first, end;
    bool meets(const Range& other) const { return first < other.end && other.first < end; }
    bool holds(const Range& other) const { return first <= other.first && other.end <= end; }
};

struct Word {
    uint32_t data[16];
    uint64_t strobe;
    bool last;
    bool operator==(const Word& o) const {
        return last == o.last && strobe == o.strobe && !std::memcmp(data, o.data, sizeof data);
    }
};

struct Request {
    int id;
    uint64_t address;
    int beats, size, burst;
    bool operator==(const Request& o) const {
        return std::tie(id, address, beats, size, burst) ==
               std::tie(o.id, o.address, o.beats, o.size, o.burst);
    }
};

struct Burst : Request {
    int done = 0;      // beats sent, or received
    uint64_t due = 0;   // cycle of its first beat or its response, once known
    uint64_t held = 0;  // cycle before which it is not answered, nor is any later one of its ID
    std::vector<Word> words;
    Burst(const Request& request) : Request(request) {}
    Range range(uint64_t word_bytes) const { return {address, address + beats * word_bytes}; }
    bool complete() const { return done == beats; }
};

template <typename Payload>
struct Channel {  // one that the accelerator drives
    bool valid = false, ready = false, held = false;
    Payload payload{}, before{};
    bool taken() const { return valid && ready; }
};

struct Answer {
    bool valid, last;
    int id, response;
    uint32_t data[16];
};

struct Counts {
    uint64_t bytes_read, bytes_written, read_bursts, write_bursts, transfers, writes_under_way,
        unstored_bytes;  // of writes that were answered, or will be
};
