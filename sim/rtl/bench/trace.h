// What the accelerator did, a record at a time, in a file that may be read while it grows.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

enum class TraceKind : uint64_t { kWrite, kBatch, kCounts };

struct TraceRecord {  // sim/rtl/bench/trace.py knows it too
    TraceKind kind;
    uint64_t address, strobe;  // of a write: bytes of the word that were stored
    uint8_t data[64];          // the word; of spikes, the payload
};

class Trace {
  public:
    // Writes that meet [first, end) are recorded, and what enters the spike buffer if asked for.
    bool open(const char* path, uint64_t first, uint64_t end, bool spikes) {
        close();
        file_ = ::open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
        first_ = first, end_ = end, spikes_ = spikes;
        return file_ >= 0;
    }

    void close() {
        if (file_ >= 0) ::close(file_);
        file_ = -1;
    }

    void write(uint64_t address, uint64_t bytes, uint64_t strobe, const void* data) {
        if (file_ >= 0 && strobe && address < end_ && first_ < address + bytes)
            put({TraceKind::kWrite, address, strobe, {}}, data, bytes);
    }

    void spikes(bool batch, const void* payload, uint64_t bytes) {
        if (file_ >= 0 && spikes_)
            put({batch ? TraceKind::kBatch : TraceKind::kCounts, 0, 0, {}}, payload, bytes);
    }

  private:
    int file_ = -1;
    uint64_t first_ = 0, end_ = 0;
    bool spikes_ = false;

    void put(TraceRecord record, const void* data, uint64_t bytes) {
        std::memcpy(record.data, data, bytes);
        // At once: a reader waits for it, and the simulation takes far longer than the call.
        if (::write(file_, &record, sizeof record) != sizeof record) close();
    }
};
