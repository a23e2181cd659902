/* See spikeloom.h. */
#include "spikeloom.h"

#define CHUNK_BYTES 256u
#define WORD_BYTES 8u
#define ID_WORDS 8u

/* Where a step fails, the function that takes it fails alike. */
#define TRY(step)                     \
    do {                              \
        int result_ = (step);         \
        if (result_ != SPIKELOOM_OK)  \
            return result_;           \
    } while (0)

static int get(const struct spikeloom_bus *bus, uint32_t offset, uint32_t *value) {
    return bus->read(bus->context, offset, value) ? SPIKELOOM_LOST : SPIKELOOM_OK;
}

static int put(const struct spikeloom_bus *bus, uint32_t offset, uint32_t value) {
    return bus->write(bus->context, offset, value) ? SPIKELOOM_LOST : SPIKELOOM_OK;
}

static int get_memory(const struct spikeloom_bus *bus, uint64_t address, void *data, size_t n) {
    return bus->read_memory(bus->context, address, data, n) ? SPIKELOOM_LOST : SPIKELOOM_OK;
}

static int put_memory(const struct spikeloom_bus *bus, uint64_t address, const void *data,
                      size_t n) {
    return bus->write_memory(bus->context, address, data, n) ? SPIKELOOM_LOST : SPIKELOOM_OK;
}

/* Reading the low half latches the high one. */
static int get_wide(const struct spikeloom_bus *bus, uint32_t low_offset, uint64_t *value) {
    uint32_t low, high;
    TRY(get(bus, low_offset, &low));
    TRY(get(bus, low_offset + 4u, &high));
    *value = (uint64_t)high << 32 | low;
    return SPIKELOOM_OK;
}

int spikeloom_identify(const struct spikeloom_bus *bus, char fingerprint[65]) {
    static const char digits[] = "0123456789abcdef";
    uint32_t word, i, nibble;
    TRY(get(bus, SPIKELOOM_VERSION, &word));
    if (word >> 8 != SPIKELOOM_REGISTERS_VERSION >> 8)
        return SPIKELOOM_UNKNOWN;
    for (i = 0; i < ID_WORDS; i++) {
        TRY(get(bus, SPIKELOOM_ID0 + 4u * i, &word));
        for (nibble = 0; nibble < 8u; nibble++)
            fingerprint[63u - 8u * i - nibble] = digits[word >> 4u * nibble & 0xFu];
    }
    fingerprint[64] = '\0';
    return SPIKELOOM_OK;
}

int spikeloom_require(const struct spikeloom_bus *bus, const char *fingerprint) {
    char own[65];
    unsigned i;
    TRY(spikeloom_identify(bus, own));
    for (i = 0; i < sizeof own; i++) {
        if (own[i] != fingerprint[i]) /* the zero at the end of either, too */
            return SPIKELOOM_OTHER_HARDWARE;
    }
    return SPIKELOOM_OK;
}

int spikeloom_load(const struct spikeloom_bus *bus, uint64_t address, const void *data,
                   size_t bytes) {
    return put_memory(bus, address, data, bytes);
}

int spikeloom_check(const struct spikeloom_bus *bus, uint64_t address, const void *data,
                    size_t bytes, uint64_t *wrong) {
    const uint8_t *expected = (const uint8_t *)data;
    uint8_t chunk[CHUNK_BYTES];
    while (bytes) {
        size_t i, n = bytes < CHUNK_BYTES ? bytes : CHUNK_BYTES;
        TRY(get_memory(bus, address, chunk, n));
        for (i = 0; i < n; i++) {
            if (chunk[i] != expected[i]) {
                *wrong = address + i;
                return SPIKELOOM_DIFFERS;
            }
        }
        address += n;
        expected += n;
        bytes -= n;
    }
    return SPIKELOOM_OK;
}

int spikeloom_clear(const struct spikeloom_bus *bus, uint64_t address, uint64_t bytes) {
    static const uint8_t zeros[CHUNK_BYTES] = {0};
    while (bytes) {
        size_t n = bytes < CHUNK_BYTES ? (size_t)bytes : CHUNK_BYTES;
        TRY(put_memory(bus, address, zeros, n));
        address += n;
        bytes -= n;
    }
    return SPIKELOOM_OK;
}

/* Eight bytes that no other word has: its address, stirred, so that all bits are tried. */
static void stir(uint64_t address, uint8_t word[WORD_BYTES]) {
    uint64_t value = address ^ address >> 29;
    unsigned i;
    value *= 0x9E3779B97F4A7C15u;
    value ^= value >> 32;
    for (i = 0; i < WORD_BYTES; i++)
        word[i] = (uint8_t)(value >> 8u * i);
}

static int put_word(const struct spikeloom_bus *bus, uint64_t address) {
    uint8_t word[WORD_BYTES];
    stir(address, word);
    return put_memory(bus, address, word, WORD_BYTES);
}

static int check_word(const struct spikeloom_bus *bus, uint64_t address, uint64_t *wrong) {
    uint8_t word[WORD_BYTES];
    stir(address, word);
    return spikeloom_check(bus, address, word, WORD_BYTES, wrong);
}

static int test_data_lines(const struct spikeloom_bus *bus, uint64_t first, uint64_t *wrong) {
    unsigned bit, inverted, i;
    for (bit = 0; bit < 8u * WORD_BYTES; bit++) {
        for (inverted = 0; inverted < 2u; inverted++) {
            uint8_t word[WORD_BYTES];
            for (i = 0; i < WORD_BYTES; i++)
                word[i] = (uint8_t)((i == bit / 8u ? 1u << bit % 8u : 0u) ^ (inverted ? 0xFFu : 0u));
            TRY(put_memory(bus, first, word, WORD_BYTES));
            TRY(spikeloom_check(bus, first, word, WORD_BYTES, wrong));
        }
    }
    return SPIKELOOM_OK;
}

/* Addresses that differ from the first, or the last, in one line. */
static int test_address_lines(const struct spikeloom_bus *bus, uint64_t first, uint64_t end,
                              uint64_t *wrong) {
    int checks;
    for (checks = 0; checks < 2; checks++) {
        unsigned corner;
        for (corner = 0; corner < 2u; corner++) {
            uint64_t base = corner ? end - WORD_BYTES : first, line = 0;
            do {
                uint64_t address = base ^ line;
                if (address >= first && address < end)
                    TRY(checks ? check_word(bus, address, wrong) : put_word(bus, address));
                line = line ? line << 1 : WORD_BYTES;
            } while (line && line < end);
        }
    }
    return SPIKELOOM_OK;
}

int spikeloom_test_memory(const struct spikeloom_bus *bus, uint64_t first, uint64_t end,
                          uint64_t *wrong) {
    uint64_t address;
    if (first >= end || first % WORD_BYTES || end % WORD_BYTES)
        return SPIKELOOM_REFUSED;
    TRY(test_data_lines(bus, first, wrong));
    TRY(test_address_lines(bus, first, end, wrong));
    for (address = first; address < end; address += WORD_BYTES)
        TRY(put_word(bus, address));
    for (address = first; address < end; address += WORD_BYTES)
        TRY(check_word(bus, address, wrong));
    return SPIKELOOM_OK;
}

static int between_looks(const struct spikeloom_bus *bus) {
    return bus->wait && bus->wait(bus->context) ? SPIKELOOM_LOST : SPIKELOOM_OK;
}

int spikeloom_abort(const struct spikeloom_bus *bus, uint32_t looks) {
    uint32_t status, looked;
    TRY(get(bus, SPIKELOOM_STATUS, &status));
    if (!(status & SPIKELOOM_STATUS_BUSY))
        return SPIKELOOM_OK;
    for (looked = 0; looked < looks; looked++) {
        if (looked == 0 || looked == looks / 2u) /* a second one gives up answers that are owed */
            TRY(put(bus, SPIKELOOM_CONTROL, SPIKELOOM_CONTROL_ABORT));
        TRY(get(bus, SPIKELOOM_STATUS, &status));
        if (!(status & SPIKELOOM_STATUS_BUSY))
            return SPIKELOOM_OK;
        TRY(between_looks(bus));
    }
    return SPIKELOOM_UNENDED;
}

int spikeloom_start(const struct spikeloom_bus *bus, uint64_t program,
                    const struct spikeloom_settings *settings, uint32_t watchdog, uint32_t looks) {
    TRY(spikeloom_abort(bus, looks));
    TRY(put(bus, SPIKELOOM_PROGRAM_LOW, (uint32_t)program));
    TRY(put(bus, SPIKELOOM_PROGRAM_HIGH, (uint32_t)(program >> 32)));
    if (settings) {
        TRY(put(bus, SPIKELOOM_FIRST_POSITION, settings->first_position));
        TRY(put(bus, SPIKELOOM_PROMPT_END, settings->prompt_end));
        TRY(put(bus, SPIKELOOM_END_POSITION, settings->end_position));
        TRY(put(bus, SPIKELOOM_STOP_TOKEN, settings->stop_token));
    }
    TRY(put(bus, SPIKELOOM_WATCHDOG, watchdog));
    TRY(put(bus, SPIKELOOM_IRQ_STATUS, SPIKELOOM_IRQ_ENDED));
    TRY(put(bus, SPIKELOOM_IRQ_ENABLE, SPIKELOOM_IRQ_ENDED));
    return put(bus, SPIKELOOM_CONTROL, SPIKELOOM_CONTROL_START);
}

int spikeloom_poll(const struct spikeloom_bus *bus, int *ended, uint32_t *position) {
    uint32_t status;
    TRY(get(bus, SPIKELOOM_IRQ_STATUS, &status));
    *ended = (status & SPIKELOOM_IRQ_ENDED) != 0;
    return get(bus, SPIKELOOM_POSITION, position);
}

int spikeloom_end(const struct spikeloom_bus *bus, uint32_t looks) {
    int ended = 0;
    uint32_t position, error;
    while (looks--) {
        TRY(spikeloom_poll(bus, &ended, &position));
        if (ended) {
            TRY(put(bus, SPIKELOOM_IRQ_STATUS, SPIKELOOM_IRQ_ENDED));
            TRY(get(bus, SPIKELOOM_ERROR, &error));
            return error ? SPIKELOOM_FAILED : SPIKELOOM_OK;
        }
        TRY(between_looks(bus));
    }
    return SPIKELOOM_UNENDED;
}

int spikeloom_failure(const struct spikeloom_bus *bus, struct spikeloom_failure *failure) {
    uint32_t id;
    TRY(get(bus, SPIKELOOM_ERROR, &failure->error));
    TRY(get(bus, SPIKELOOM_POSITION, &failure->position));
    TRY(get_wide(bus, SPIKELOOM_FAULT_ADDRESS_LOW, &failure->address));
    TRY(get(bus, SPIKELOOM_FAULT_ID, &id));
    failure->kind = id >> 8 & 3u;
    failure->client = id & 0xFFu;
    return SPIKELOOM_OK;
}

int spikeloom_counters(const struct spikeloom_bus *bus, uint64_t counters[SPIKELOOM_COUNTERS]) {
    uint32_t i;
    for (i = 0; i < SPIKELOOM_COUNTERS; i++)
        TRY(get_wide(bus, SPIKELOOM_CYCLES_LOW + 8u * i, &counters[i]));
    return SPIKELOOM_OK;
}

const char *spikeloom_error_name(uint32_t error) {
    switch ((enum spikeloom_error)error) {
    case SPIKELOOM_ERROR_NONE: return "NONE";
    case SPIKELOOM_ERROR_BAD_MAGIC: return "BAD_MAGIC";
    case SPIKELOOM_ERROR_BAD_FINGERPRINT: return "BAD_FINGERPRINT";
    case SPIKELOOM_ERROR_BAD_INSTRUCTION: return "BAD_INSTRUCTION";
    case SPIKELOOM_ERROR_READ_FAILED: return "READ_FAILED";
    case SPIKELOOM_ERROR_WRITE_FAILED: return "WRITE_FAILED";
    case SPIKELOOM_ERROR_BAD_TOKEN: return "BAD_TOKEN";
    case SPIKELOOM_ERROR_ABORTED: return "ABORTED";
    case SPIKELOOM_ERROR_WATCHDOG: return "WATCHDOG";
    }
    return "?";
}
