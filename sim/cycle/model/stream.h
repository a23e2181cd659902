// hw/common/stream.py
#pragma once

#include <cstdint>
#include <vector>

struct Nothing {};  // payload of a stream whose data do not matter for time

// First-in first-out buffer of stream payloads: Amaranth's SyncFIFOBuffered, at least 2 deep. In
// each cycle `put` comes before the blocks' clock edges and `clock` after them, so that they all
// see the queue as it was.
template <typename Payload>
class Queue {
  public:
    explicit Queue(uint32_t depth) : inner_depth_(depth - 1) {
        uint32_t places = 2;
        while (places < depth + 1) places *= 2;
        items_.resize(places);
        mask_ = places - 1;
    }

    bool i_ready() const { return inner_level_ != inner_depth_; }
    bool o_valid() const { return o_valid_; }
    const Payload& o() const { return items_[consume_ & mask_]; }

    void put(const Payload& payload) {  // a transfer of the input
        items_[produce_++ & mask_] = payload;
        written_ = true;
    }

    void clock(bool o_ready) {
        const bool inner_read = inner_level_ && (!o_valid_ || o_ready);
        consume_ += o_valid_ && o_ready;
        inner_level_ += written_;
        inner_level_ -= inner_read;
        o_valid_ = inner_read || (o_valid_ && !o_ready);
        written_ = false;
    }

  private:
    uint32_t inner_depth_, mask_, inner_level_ = 0, produce_ = 0, consume_ = 0;
    bool o_valid_ = false, written_ = false;
    std::vector<Payload> items_;
};

// Two payloads that wait: whether one more has room depends on registers only.
template <typename Payload>
class Buffer {
  public:
    bool i_ready() const { return !waits_; }
    bool o_valid() const { return o_valid_; }
    const Payload& o() const { return o_; }

    void clock(bool i_valid, const Payload& i, bool o_ready) {
        if (!o_valid_ || o_ready) {
            o_valid_ = waits_ || i_valid;
            o_ = waits_ ? second_ : i;
            waits_ = false;
        } else if (i_valid && !waits_) {
            second_ = i;
            waits_ = true;
        }
    }

  private:
    bool o_valid_ = false, waits_ = false;
    Payload o_{}, second_{};
};
