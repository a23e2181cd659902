// hw/matmul/matmul.py
#pragma once

#include "abi.h"
#include "array.h"
#include "beats.h"
#include "channel_words.h"
#include "drain.h"
#include "encoder.h"
#include "events.h"
#include "fetch.h"
#include "marks.h"
#include "read.h"
#include "requant.h"
#include "sequencer.h"
#include "spikes.h"
#include "stream.h"
#include "train.h"

struct MatrixPath {
    static constexpr uint32_t kMatmuls = 4;
    const Params& p;
    SpikeBuffer spikes;
    EventQueue events;
    GroupMarks marks;
    Queue<Event> event_queue;
    Fetcher fetcher;
    Queue<RowWords> row_queue;
    SpikeTrain train;
    Beats beats;
    Queue<Nothing> beat_queue;
    Queue<Nothing> scale_queue;
    Sequencer sequencer;
    PEArray array;
    ChannelWords channel_words;
    Queue<Tile> tile_queue{4};
    Drain drain;
    Requantizer requant;
    Buffer<Nothing> results;
    // What each unit has to do, one entry a MATMUL.
    Queue<Walk> walks{kMatmuls};
    Queue<const Instruction*> fetches{kMatmuls}, sequences{kMatmuls}, loads{kMatmuls};
    Queue<Nothing> codings{kMatmuls};
    Queue<uint32_t> groups{kMatmuls};
    Queue<DrainMatmul> drains{kMatmuls};
    // registers
    uint32_t under_way[2] = {0, 0};
    bool first_tile = true;
    bool o_row_valid = false;
    Row o_row;
    uint32_t firing = 0;
    // combinational
    bool both = false, handed = false;

    explicit MatrixPath(const Params& p)
        : p(p), spikes(p), marks(p), event_queue(p.event_depth), fetcher(p), row_queue(p.event_depth),
          beats(p), beat_queue(p.beat_depth), scale_queue(p.scale_depth), sequencer(p),
          channel_words(p), drain(p) {}

    bool i_encode_ready() const { return walks.i_ready(); }
    bool i_ready() const {
        return walks.i_ready() && fetches.i_ready() && codings.i_ready() && sequences.i_ready() &&
               loads.i_ready() && drains.i_ready() && (!p.grouped || groups.i_ready());
    }
    bool bank_busy() const { return under_way[0] || under_way[1]; }
    bool draining() const {
        return drain.busy(tile_queue.o_valid()) || requant.busy(drain.o_valid) || results.o_valid();
    }

    // From the results back to memory's words and the encoder's batch: a ready depends on the
    // readies behind it.
    void comb(ReadPort& read, const Encoder& encoder) {
        requant.comb(results.i_ready());
        sequencer.comb(train.o_valid, train.o, sequences.o_valid(), sequences.o(),
                       beat_queue.o_valid(), array.idle(), array.storing(),
                       tile_queue.i_ready());
        drain.comb(drains.o_valid(), drains.o(), tile_queue.o_valid(), tile_queue.o(),
                   channel_words.loaded, encoder.scales_ready, !array.loads,
                   requant.i_ready(), scale_queue.o_valid());
        ReadPort::Client& weights = read.clients[kWeights];
        beats.comb(row_queue.o_valid(), row_queue.o(), weights.queue.o_valid(),
                   beat_queue.i_ready(), scale_queue.i_ready());
        train.comb(codings.o_valid(), sequencer.i_ready);
        fetcher.comb_request(row_queue.i_ready());
        weights.comb(fetcher.o_valid, fetcher.o);
        fetcher.comb(fetches.o_valid(), fetches.o(), weights.i_ready(), row_queue.i_ready());
        both = fetcher.i_ready && event_queue.i_ready();
        marks.comb_offer(events.o_valid, events.o, groups.o_valid(), groups.o());
        marks.comb(events.o_valid, events.o, groups.o_valid(), both);
        events.comb(walks.o_valid(), walks.o(), encoder.o_batch_valid, spikes, marks.i_ready);
        handed = marks.o_valid && both;
        ReadPort::Client& words = read.clients[kChannelWords];
        channel_words.comb(loads.o(), words.queue.o_valid());
        words.comb(channel_words.o_request_valid, channel_words.o_request);
    }

    void count(Counters& counters) {
        const Event& event = marks.o;
        const bool row = handed && !event.end && !event.group_end, mark = handed && event.end;
        counters.row_segments += row;
        counters.synaptic_operations += sequencer.synaptic_operations();
        if (first_tile) {
            counters.events += row;
            firing += row;
            if (mark) counters.silent_channels += event.channel - firing;
        }
        if (mark) {
            first_tile = event.last;
            firing = 0;
        }
    }

    // `matmul` is a MATMUL that is accepted, `encoding` says that an ENCODE is. Who takes a payload
    // is clocked before who holds it, and queues come last.
    void clock(const Instruction* matmul, bool encoding, uint32_t tokens, bool bank,
               const ReadPort& read, const Encoder& encoder, bool row_ready, bool word_ready) {
        if (matmul) issue(matmul, tokens, bank);
        if (encoding) walks.put({});
        if (drain.i_matmul_ready) --under_way[drains.o().bank];
        if (handed) event_queue.put(marks.o);
        if (fetcher.o_rows_valid && row_queue.i_ready()) row_queue.put(fetcher.o_rows);
        if (beats.o_valid && beat_queue.i_ready()) beat_queue.put({});
        if (beats.o_scales_valid && scale_queue.i_ready()) scale_queue.put({});
        if (sequencer.o_tile_valid && tile_queue.i_ready()) tile_queue.put(sequencer.o_tile);

        const ReadPort::Client& words = read.clients[kChannelWords];
        results.clock(requant.o_valid(), {}, word_ready);
        requant.clock(drain.o_valid);
        const bool drain_row = drain.o_row_valid() && !o_row_valid;
        if (row_ready) o_row_valid = false;
        if (drain_row) {
            o_row_valid = true;
            o_row = drain.o_row();
        }
        drain.clock(drains.o(), tile_queue.o(), drain_row, requant.i_ready());
        array.clock(sequencer.o_valid, sequencer.last_step, sequencer.loads());
        sequencer.clock(tile_queue.i_ready(), train.o.last, drain.release);
        train.clock(event_queue.o_valid(), event_queue.o(), sequencer.i_ready);
        beats.clock(beat_queue.i_ready());
        channel_words.clock(loads.o_valid(), loads.o(), words.i_ready(), words.queue.o_valid(),
                            drain.release_words);
        fetcher.clock(handed, marks.o, fetches.o_valid(), fetches.o());
        marks.clock(events.o, groups.o(), both);
        events.clock(walks.o(), spikes);
        const bool batch = events.i_batch_ready && encoder.o_batch_valid;
        spikes.clock(encoder.o_counts_valid && !encoder.storing, encoder.written_token,
                     encoder.written_group, batch ? encoder.site : nullptr);

        event_queue.clock(train.i_ready);
        row_queue.clock(beats.i_rows_ready);
        beat_queue.clock(sequencer.i_beats_ready);
        scale_queue.clock(drain.i_scales_ready);
        tile_queue.clock(drain.i_tile_ready);
        walks.clock(events.i_ready);
        fetches.clock(fetcher.i_matmul_ready);
        codings.clock(train.i_coding_ready);
        groups.clock(marks.i_group_ready);
        sequences.clock(sequencer.i_matmul_ready);
        loads.clock(channel_words.i_ready);
        drains.clock(drain.i_matmul_ready);
    }

  private:
    void issue(const Instruction* matmul, uint32_t tokens, bool bank) {
        walks.put({matmul});
        fetches.put(matmul);
        codings.put({});
        groups.put(matmul->group_channels);
        sequences.put(matmul);
        loads.put(matmul);
        drains.put({matmul, tokens, bank});
        ++under_way[bank];
    }
};
