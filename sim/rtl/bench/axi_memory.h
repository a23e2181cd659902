// AXI4 memory over a mapped file: timing, random stalls, faults on request, the protocol's checks.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <vector>

#include "axi.h"
#include "trace.h"

class Memory {
  public:
    Channel<Request> ar, aw;
    Channel<Word> w;
    Answer r{}, b{};
    Counts counts{};
    char fault[200] = "";
    std::vector<Range> writable, failing[2], withheld[2];  // the last two: reads, writes
    uint64_t withheld_cycles = kNever;  // in which a withheld burst is not answered
    int failure = kSlaveError;
    bool data_first = false;  // a write's address is taken only once its data are seen
    Range first_failure{};  // first word of a read, or burst, that was answered with `failure`
    Trace trace;

    bool open(const char* path, uint64_t bytes, uint64_t word_bytes, uint64_t latency,
              double stalls, uint64_t seed) {
        if (bytes_) munmap(bytes_, limit_);
        trace.close();
        *this = Memory();
        const int file = ::open(path, O_RDWR);
        if (file < 0) return false;
        void* map = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        close(file);
        if (map == MAP_FAILED) return false;
        bytes_ = static_cast<uint8_t*>(map);
        limit_ = bytes;
        word_bytes_ = word_bytes;
        latency_ = latency;
        stall_below_ = static_cast<uint64_t>(stalls * 4294967296.0);
        random_ = seed_ = seed;
        return true;
    }

    void reset() {
        reads_.clear();
        writes_.clear();
        early_.clear();
        counts.unstored_bytes = 0;
        ar = aw = Channel<Request>();
        w = Channel<Word>();
        r = b = Answer();
        random_ = seed_;  // stalls depend on the seed alone, not on what ran before
    }

    void settle() {}  // its answers are registers

    void cycle(bool r_ready, bool b_ready) {
        ++now_;
        check_held("AR", ar);
        check_held("AW", aw);
        check_held("W", w);
        if (ar.taken()) take_read(ar.payload);
        if (aw.taken()) take_write(aw.payload);
        if (w.taken()) early_.push_back(w.payload), ++counts.transfers;
        pair_words();
        if (r.valid && r_ready) r.valid = false, ++counts.transfers;
        if (b.valid && b_ready) b.valid = false, ++counts.transfers;
        if (!r.valid && !stalled()) send_word();
        if (!b.valid && !stalled()) send_response();
        ar.ready = waiting(reads_) < kOutstanding && !stalled();
        aw.ready = waiting(writes_) < kOutstanding && sees_data() && !stalled();
        w.ready = early_.size() < kEarlyBeats && !stalled();
        counts.writes_under_way = writes_.size() + early_.size() + b.valid;
    }

    // Bursts that are not answered yet, or whose answer has not been taken.
    size_t reads_under_way() const { return reads_.size() + r.valid; }

    // What is withheld for ever, and will be of no program.
    void forget_lost() {
        const auto lost = [](const Burst& burst) { return burst.held == kNever; };
        for (auto* bursts : {&reads_, &writes_})
            bursts->erase(std::remove_if(bursts->begin(), bursts->end(), lost), bursts->end());
    }

    bool withholds(uint64_t address) const { return withholds({address, address + 1}); }
    bool withholds(const Range& range) const {
        const auto is_held = [&](const Burst& burst) {
            return burst.held > 0 && burst.range(word_bytes_).meets(range);
        };
        return std::any_of(reads_.begin(), reads_.end(), is_held) ||
               std::any_of(writes_.begin(), writes_.end(), is_held);
    }

    void pace(uint64_t latency, double stalls) {
        latency_ = latency;
        stall_below_ = static_cast<uint64_t>(stalls * 4294967296.0);
    }

    // The same checks and counts of a bus on which something else answers: all channels as they are
    // in this cycle.
    void observe(bool r_ready, bool b_ready) {
        ++now_;
        check_held("AR", ar);
        check_held("AW", aw);
        check_held("W", w);
        if (ar.taken()) take_read(ar.payload);
        if (aw.taken()) take_write(aw.payload);
        if (w.taken()) {
            early_.push_back(w.payload), ++counts.transfers;
            counts.unstored_bytes += __builtin_popcountll(w.payload.strobe);
        }
        pair_words();
        if (r.valid && r_ready) see_word();
        if (b.valid && b_ready) see_response();
        counts.writes_under_way = writes_.size() + early_.size();
    }

    // The bytes, for a DRAM whose words come and go in an order of its own.
    void load(uint64_t at, uint64_t bytes, void* data) {
        std::memset(data, 0, bytes);
        if (at < limit_) std::memcpy(data, bytes_ + at, std::min(bytes, limit_ - at));
    }

    void keep(uint64_t at, uint64_t bytes, const uint8_t* data, uint64_t mask) {
        for (uint64_t i = 0; i < bytes; ++i) {
            if (mask >> i & 1) continue;
            if (at + i >= limit_) return complain("the DRAM's byte 0x%" PRIx64 " was written", at + i);
            bytes_[at + i] = data[i];
            --counts.unstored_bytes;
        }
    }

  private:
    uint8_t* bytes_ = nullptr;
    uint64_t limit_ = 0, word_bytes_ = 8, latency_ = 1, stall_below_ = 0;
    uint64_t seed_ = 0, random_ = 0, now_ = 0;
    std::deque<Burst> reads_, writes_;  // in the order of their addresses' handshakes
    std::deque<Word> early_;
    bool holds_ = false;  // something is withheld, or was

    uint64_t random() {  // splitmix64
        uint64_t z = random_ += 0x9e3779b97f4a7c15;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }
    // What is withheld takes no room: memory goes on taking what is offered.
    size_t waiting(const std::deque<Burst>& bursts) const {
        if (!holds_) return bursts.size();
        const auto counts = [](const Burst& burst) { return !burst.held; };
        return std::count_if(bursts.begin(), bursts.end(), counts);
    }
    uint64_t held(bool write, const Burst& burst, const std::deque<Burst>& before) {
        const auto meets = [&](const Range& range) { return range.meets(burst.range(word_bytes_)); };
        uint64_t until = 0;
        if (std::any_of(withheld[write].begin(), withheld[write].end(), meets))
            until = withheld_cycles == kNever ? kNever : now_ + withheld_cycles;
        for (const Burst& other : before)
            if (other.id == burst.id) until = std::max(until, other.held);
        holds_ |= until > 0;
        return until;
    }
    // A word without its address waits, here or on the bus; AXI4 lets a memory ask for that.
    bool sees_data() const {
        const bool next = writes_.empty() || writes_.back().complete();
        return !data_first || !early_.empty() || (w.valid && !w.ready && next);
    }
    bool stalled() { return stall_below_ && (random() >> 32) < stall_below_; }
    // Outputs are registers: what is decided in cycle n is seen in cycle n + 1.
    uint64_t due() { return now_ + latency_ - 1 + (stall_below_ ? random() % (latency_ + 1) : 0); }

    __attribute__((format(printf, 2, 3))) void complain(const char* format, ...) {
        if (*fault) return;  // the first one is the cause
        const int used = snprintf(fault, sizeof fault, "cycle %" PRIu64 ": ", now_);
        va_list values;
        va_start(values, format);
        vsnprintf(fault + used, sizeof fault - used, format, values);
        va_end(values);
    }

    template <typename Payload>
    void check_held(const char* name, Channel<Payload>& channel) {
        if (channel.held && !channel.valid) complain("%sVALID fell before %sREADY", name, name);
        if (channel.held && channel.valid && !(channel.payload == channel.before))
            complain("the payload of %s changed before %sREADY", name, name);
        channel.held = channel.valid && !channel.ready;
        channel.before = channel.payload;
    }

    bool sound(const char* kind, const Request& q) {
        const Range range = Burst(q).range(word_bytes_);
        const uint64_t at = q.address;
        if (q.burst != kIncrementing)
            complain("%s burst at 0x%" PRIx64 " must be of type 1 (INCR), not %d", kind, at, q.burst);
        else if (word_bytes_ != 1ull << q.size)
            complain("%s burst at 0x%" PRIx64 " must have words of %" PRIu64 " bytes, not %d", kind,
                     at, word_bytes_, 1 << q.size);
        else if (at % word_bytes_)
            complain("%s burst at 0x%" PRIx64 " must start at a whole word", kind, at);
        else if (at / kPage != (range.end - 1) / kPage)
            complain("%s burst of %d words at 0x%" PRIx64 " crosses 4 KiB", kind, q.beats, at);
        else if (range.end > limit_)
            complain("%s burst of %d words at 0x%" PRIx64 " ends beyond the memory's 0x%" PRIx64,
                     kind, q.beats, at, limit_);
        else
            return true;
        return false;
    }

    // Data must not depend on which of two bursts the memory serves first; AXI orders only writes
    // of one ID among themselves.
    void check_order(bool write, const Burst& burst) {
        const Range range = burst.range(word_bytes_);
        for (const Burst& other : writes_)
            if (!other.held && range.meets(other.range(word_bytes_)) &&
                !(write && other.id == burst.id))
                complain("%s burst at 0x%" PRIx64 " meets the unfinished write burst at 0x%" PRIx64,
                         write ? "write" : "read", burst.address, other.address);
        for (const Burst& other : reads_)
            if (write && !other.held && range.meets(other.range(word_bytes_)))
                complain("write burst at 0x%" PRIx64 " meets the unfinished read burst at 0x%" PRIx64,
                         burst.address, other.address);
    }

    void take_read(const Request& request) {
        ++counts.transfers, ++counts.read_bursts;
        if (!sound("read", request)) return;
        Burst burst(request);
        check_order(false, burst);
        burst.due = due();
        burst.held = held(false, burst, reads_);
        reads_.push_back(burst);
    }

    void take_write(const Request& request) {
        ++counts.transfers, ++counts.write_bursts;
        if (!sound("write", request)) return;
        Burst burst(request);
        check_order(true, burst);
        burst.held = held(true, burst, writes_);
        writes_.push_back(burst);
    }

    void pair_words() {
        for (Burst& burst : writes_) {
            while (!burst.complete() && !early_.empty()) {
                burst.words.push_back(early_.front());
                early_.pop_front();
                if (burst.words.back().last != (++burst.done == burst.beats))
                    complain("WLAST is %d in word %d of %d of the write burst at 0x%" PRIx64,
                             burst.words.back().last, burst.done, burst.beats, burst.address);
                if (burst.complete()) burst.due = due();
                if (burst.complete() && burst.held) store_all(burst);  // only the answer is missing
            }
        }
    }

    // In order without stalls; with them, any burst that is the oldest of its ID may come next.
    int choose(const std::deque<Burst>& bursts, bool writes) {
        size_t ready[kOutstanding], count = 0;
        uint64_t seen = 0;
        for (size_t i = 0; i < bursts.size(); ++i) {
            const Burst& burst = bursts[i];
            const bool oldest = !(seen >> burst.id & 1);
            seen |= 1ull << burst.id;
            if (burst.held > now_) continue;
            if (oldest && (!writes || burst.complete()) && burst.due <= now_) ready[count++] = i;
            if (!stall_below_) break;
        }
        if (!count) return -1;
        return static_cast<int>(ready[stall_below_ ? random() % count : 0]);
    }

    int response(bool write, const Range& range) const {
        const auto& bad = failing[write];
        const auto hit = [&](const Range& f) { return f.meets(range); };
        return std::any_of(bad.begin(), bad.end(), hit) ? failure : kOkay;
    }
    void note(int response, const Range& range) {
        if (response != kOkay && !first_failure.end) first_failure = range;
    }

    void send_word() {
        const int index = choose(reads_, false);
        if (index < 0) return;
        Burst& burst = reads_[index];
        const uint64_t at = burst.address + burst.done * word_bytes_;
        std::memcpy(r.data, bytes_ + at, word_bytes_);
        r.valid = true;
        r.id = burst.id;
        r.response = response(false, {at, at + word_bytes_});
        note(r.response, {at, at + word_bytes_});
        r.last = ++burst.done == burst.beats;
        counts.bytes_read += word_bytes_;
        if (r.last) reads_.erase(reads_.begin() + index);
    }

    std::deque<Burst>::iterator oldest(std::deque<Burst>& bursts, int id) {
        return std::find_if(bursts.begin(), bursts.end(), [&](const Burst& q) { return q.id == id; });
    }

    void see_word() {
        ++counts.transfers;
        const auto burst = oldest(reads_, r.id);
        if (burst == reads_.end()) return complain("a word was read that nobody asked for");
        counts.bytes_read += word_bytes_;
        if (r.last != (++burst->done == burst->beats))
            complain("RLAST is %d in word %d of %d of the read burst at 0x%" PRIx64, r.last,
                     burst->done, burst->beats, burst->address);
        if (burst->complete()) reads_.erase(burst);
    }

    void see_response() {
        ++counts.transfers;
        const auto burst = oldest(writes_, b.id);
        if (burst == writes_.end() || !burst->complete())
            return complain("a write was answered that was not complete");
        for (int i = 0; i < burst->beats; ++i)
            permit(burst->address + i * word_bytes_, burst->words[i], b.response);
        writes_.erase(burst);
    }

    void send_response() {
        const int index = choose(writes_, true);
        if (index < 0) return;
        const Burst& burst = writes_[index];
        b.valid = true;
        b.id = burst.id;
        b.response = response(true, burst.range(word_bytes_));
        note(b.response, burst.range(word_bytes_));
        if (!burst.held) store_all(burst);
        writes_.erase(writes_.begin() + index);
    }

    void store_all(const Burst& burst) {
        const int response = this->response(true, burst.range(word_bytes_));
        for (int i = 0; i < burst.beats; ++i)
            store(burst.address + i * word_bytes_, burst.words[i], response);
    }

    void store(uint64_t at, const Word& word, int response) {
        permit(at, word, response);
        for (uint64_t i = 0; i < word_bytes_; ++i)
            if (word.strobe >> i & 1 && response == kOkay)
                bytes_[at + i] = word.data[i / 4] >> (i % 4 * 8);
    }

    void permit(uint64_t at, const Word& word, int response) {
        if (response == kOkay) trace.write(at, word_bytes_, word.strobe, word.data);
        for (uint64_t i = 0; i < word_bytes_; ++i) {
            if (!(word.strobe >> i & 1)) continue;
            const Range byte{at + i, at + i + 1};
            const auto hit = [&](const Range& range) { return range.holds(byte); };
            if (!std::any_of(writable.begin(), writable.end(), hit))
                complain("0x%" PRIx64 " was written and lies in no output", byte.first);
            ++counts.bytes_written;
        }
    }
};
