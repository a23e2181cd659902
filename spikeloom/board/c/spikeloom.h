/* A driver for Spikeloom accelerators: C99, no allocation, no operating system, no library.
 *
 * The caller says how registers and memory are reached; everything else is here, in the order in
 * which it is needed: identify, test the memory, load, start, poll, counters. Every function returns
 * one of enum spikeloom_result. Registers and error codes are in spikeloom_regs.h; addresses of the
 * memory are those that the accelerator sees, as a compiled directory's manifest.json has them.
 */
#ifndef SPIKELOOM_H
#define SPIKELOOM_H

#include <stddef.h>
#include <stdint.h>

#include "spikeloom_regs.h"

#ifdef __cplusplus
extern "C" {
#endif

enum spikeloom_result {
    SPIKELOOM_OK = 0,
    SPIKELOOM_LOST,           /* the bus failed: a function of the caller's returned other than 0 */
    SPIKELOOM_UNKNOWN,        /* VERSION reads as of no accelerator that this driver knows */
    SPIKELOOM_OTHER_HARDWARE, /* the program is for hardware of another fingerprint */
    SPIKELOOM_DIFFERS,        /* memory does not read as it was written */
    SPIKELOOM_UNENDED,        /* not at rest, or no end, within the looks that were granted */
    SPIKELOOM_FAILED,         /* the program ended with an error: see spikeloom_failure */
    SPIKELOOM_REFUSED         /* what is asked for is not what the function takes */
};

struct spikeloom_bus {
    void *context; /* is passed to each function */
    int (*read)(void *context, uint32_t offset, uint32_t *value);
    int (*write)(void *context, uint32_t offset, uint32_t value);
    int (*read_memory)(void *context, uint64_t address, void *data, size_t bytes);
    int (*write_memory)(void *context, uint64_t address, const void *data, size_t bytes);
    int (*wait)(void *context); /* between two looks: sleep, or wait for irq; NULL: look at once */
};

struct spikeloom_settings { /* of a whole model; layers need none */
    uint32_t first_position, prompt_end, end_position, stop_token;
};

struct spikeloom_failure {
    uint32_t error;    /* enum spikeloom_error */
    uint32_t position; /* register POSITION */
    uint64_t address;  /* of the first fault, where kind is not 0 */
    uint32_t kind;     /* enum spikeloom_fault of spikeloom_regs.h */
    uint32_t client;   /* of a read: enum spikeloom_client */
};

/* Whether an accelerator answers; its fingerprint as 64 hexadecimal digits and a zero. */
int spikeloom_identify(const struct spikeloom_bus *bus, char fingerprint[65]);

/* Whether it has the fingerprint that a manifest names. */
int spikeloom_require(const struct spikeloom_bus *bus, const char *fingerprint);

/* Test memory from `first` to `end`, multiples of 8, whose bytes are lost: data lines, address
 * lines, a pattern everywhere. `wrong` is the first address that differs. Anything else, or no
 * memory at all, is refused, and nothing touched. */
int spikeloom_test_memory(const struct spikeloom_bus *bus, uint64_t first, uint64_t end,
                          uint64_t *wrong);

/* Write one region; check one. `wrong` is the first address that differs. Check all regions when
 * all are loaded: one that lands on another is seen only then. */
int spikeloom_load(const struct spikeloom_bus *bus, uint64_t address, const void *data,
                   size_t bytes);
int spikeloom_check(const struct spikeloom_bus *bus, uint64_t address, const void *data,
                    size_t bytes, uint64_t *wrong);
int spikeloom_clear(const struct spikeloom_bus *bus, uint64_t address, uint64_t bytes);

/* Bring it to rest: abort what runs. `looks` bounds how often STATUS is looked at; after half of
 * them, answers that memory still owes are given up. */
int spikeloom_abort(const struct spikeloom_bus *bus, uint32_t looks);

/* Start the program whose header is at `program`; what runs is aborted first. `watchdog` is in
 * cycles, 0 for none; `settings` may be NULL. */
int spikeloom_start(const struct spikeloom_bus *bus, uint64_t program,
                    const struct spikeloom_settings *settings, uint32_t watchdog, uint32_t looks);

/* Look once whether it has ended, and how far it is: tokens up to `position` are in memory. */
int spikeloom_poll(const struct spikeloom_bus *bus, int *ended, uint32_t *position);

/* Wait for the end; SPIKELOOM_FAILED where the program ended with an error. */
int spikeloom_end(const struct spikeloom_bus *bus, uint32_t looks);

/* What the last run's error says; `failure->error` is 0 after a good run. */
int spikeloom_failure(const struct spikeloom_bus *bus, struct spikeloom_failure *failure);

/* All counters of the last run, by enum spikeloom_counter. */
int spikeloom_counters(const struct spikeloom_bus *bus, uint64_t counters[SPIKELOOM_COUNTERS]);

/* The name of a code of register ERROR, "?" for one that this driver does not know. */
const char *spikeloom_error_name(uint32_t error);

#ifdef __cplusplus
}
#endif
#endif
