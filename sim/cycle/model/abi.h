// What sim/cycle/device.py hands over and gets back; its ctypes structures have the same members.
#pragma once

#include <cstdint>

struct Params {  // of hw.contract.params.HwParams, or derived from them
    uint32_t lanes, tile_outputs;
    uint32_t axi_bytes, max_burst_words, fetch_depth, beat_depth, event_depth;
    uint32_t scan_width, encode_lanes;
    uint32_t header_words, slot_words;
    uint32_t threshold_latency, neuron_latency, mantissa_width, divide_latency;
    uint32_t grouped, scale_depth;
};

struct Extent {  // of a tile: its outputs, words and beats of its row segments, words of scales
    uint32_t outputs, row_words, row_beats, scale_words;
};

enum class Opcode : uint32_t {
    kEnd = 1, kEncode, kMatmul, kVector, kStore, kToken, kNext, kPrefill, kLayers
};
enum class VectorOp : uint32_t { kCopy, kAdd, kNorm, kRotate, kSwiglu, kSoftmax, kArgmax };

struct Instruction {  // as it is executed: addresses and lengths with what is added to them
    Opcode opcode;
    uint32_t layered, fence, by_position;
    // ENCODE; STORE, its heads as tokens. An event is a channel that the event queue hands on.
    uint32_t tokens, channels;
    uint64_t source, source_stride, exponents;  // bytes
    uint32_t largest_exponent;
    const uint8_t* threshold_widths;     // of each token: bits of V
    const uint32_t* event_channels;      // of each event
    const uint32_t* first_events;        // of each bitmap word, and one beyond the last
    // MATMUL
    uint32_t weight_width, has_bias, strided, tiles;
    uint32_t group_channels, scale_parts;  // 0 without groups; words of outputs a word of scales has
    Extent full, last;                   // of every tile but the last, and of the last
    uint64_t weights, channel_words, destination, destination_stride;  // bytes
    const uint16_t* steps;               // of each event: cycles of the array for one beat
    const uint32_t* spikes;              // of each event: nonzero steps of all tokens
    // VECTOR, which has a destination too
    VectorOp operation;
    uint32_t rows, elements, a_by_token, b_by_position, b_same;
    uint32_t passes, binary;             // over a row of a; whether b is read
    uint64_t a, b, stride;               // bytes
    const uint8_t* row_shifts;               // of each row, until NORM's or SOFTMAX's number fits
    // STORE
    uint32_t values;
    uint64_t codes, codes_stride, scales, scales_stride;  // bytes
    // TOKEN, NEXT, PREFILL, LAYERS
    uint32_t slots, layers, record_count, ends;  // ends: the program, with this TOKEN
    uint64_t records;                    // bytes; of TOKEN its table of numbers

    const Extent& extent(uint32_t tile) const { return tile == tiles - 1 ? last : full; }
};

struct Host {  // what it sets before the start
    uint64_t program;  // bytes
    uint32_t slots;    // that the program has, says its header
    uint32_t first_position, prompt_end, end_position;
};

struct Timing {  // of the memory, see sim/rtl/bench/axi_memory.h
    uint64_t memory_bytes, latency;
    double stalls;
    uint64_t seed;
    uint64_t idle_cycles;  // of the memory before the start
    uint64_t data_first;   // whether it takes a write's address only with its data
};

struct Counters {  // hw.contract.regs.COUNTERS
    uint64_t cycles, events, silent_channels, synaptic_operations, row_segments;
    uint64_t weight_bytes_read, dram_bytes_read, dram_bytes_written, read_bursts;
    uint64_t array_cycles, stall_cycles, encode_cycles, vector_cycles, drain_cycles, idle_cycles;
};
