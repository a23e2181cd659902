// Ends programs in every way there is, at random cycles, and runs a good one after each.
//
//     spikeloom_top PLAN ROUNDS SEED
//
// PLAN, which sim/rtl/aborts.py writes, names registers, the memory's bytes before and after, and
// bad programs. Each round runs the program with one disturbance, holds what the registers say
// against what was done, and runs it again, undisturbed and without a reset: every byte of memory
// must be the expected one. The memory checks the bus in every cycle. Prints how often each way was
// taken, and how it ended; at the first thing that is wrong, a sentence, and exits with 1.

#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "axi_memory.h"

#include "Vtop.h"
#include "verilated.h"

using std::string;

enum Error { kNone, kRead = 4, kWrite = 5, kAborted = 7, kWatchdog = 8 };
enum Kind { kNoFault, kReadFault, kWriteFault, kInstructionFault };
constexpr uint64_t kBusy = 1, kDone = 2, kFailed = 4, kEnding = 8, kStart = 1, kAbort = 2;
constexpr uint64_t kPatience = 10'000'000, kWatchdogCycles = 2'000, kAnswerCycles = 100;

struct BadProgram {
    uint64_t address, mask, error, fault;  // a byte, its bits to invert, and what is told then
};

struct Plan {
    std::map<string, uint64_t> registers, settings;
    std::vector<BadProgram> bad;
    std::vector<Range> writable, readable;
    string before, after;
    uint64_t program = 0, word_bytes = 8;

    explicit Plan(const char* path) {
        std::ifstream file(path);
        for (string line, kind, name; std::getline(file, line);) {
            std::istringstream words(line);
            words >> kind;
            Range range{};
            BadProgram wrong{};
            if (kind == "register") words >> name >> registers[name];
            if (kind == "setting") words >> name >> settings[name];
            if (kind == "program") words >> program;
            if (kind == "word_bytes") words >> word_bytes;
            if (kind == "before") words >> before;
            if (kind == "after") words >> after;
            if (kind == "writable") words >> range.first >> range.end, writable.push_back(range);
            if (kind == "readable") words >> range.first >> range.end, readable.push_back(range);
            if (kind == "bad")
                words >> wrong.address >> wrong.mask >> wrong.error >> wrong.fault,
                    bad.push_back(wrong);
        }
    }
};

static string contents(const string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

class Bench {
  public:
    std::map<string, uint64_t> tally;
    uint64_t cycles = 0;

    Bench(const Plan& plan, uint64_t seed)
        : plan_(plan), before_(contents(plan.before)), after_(contents(plan.after)), random_(seed) {
        const string work = plan.before + ".work";
        std::ofstream(work, std::ios::binary) << before_;
        const int file = ::open(work.c_str(), O_RDWR);
        void* map = mmap(nullptr, before_.size(), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        close(file);
        if (map == MAP_FAILED || !memory_.open(work.c_str(), before_.size(), plan.word_bytes, 1, 0, seed))
            fail("the memory cannot be mapped");
        bytes_ = static_cast<char*>(map);
        memory_.writable = plan.writable;
        hard_reset();
    }

    void round() {
        const struct {
            const char* name;
            int weight;
            void (Bench::*run)();
        } ways[] = {
            {"abort", 50, &Bench::abort},
            {"abort while idle", 3, &Bench::abort_idle},
            {"abort, lost responses", 8, &Bench::give_up},
            {"watchdog, lost responses", 8, &Bench::lose},
            {"watchdog, late responses", 8, &Bench::delay},
            {"watchdog, nothing wrong", 2, &Bench::watch},
            {"SLVERR", 8, &Bench::slave_error},
            {"DECERR", 5, &Bench::decode_error},
            {"wrong program", 5, &Bench::wrong_program},
            {"reset", 3, &Bench::reset},
        };
        int choice = below(100);
        auto way = std::begin(ways);
        for (; choice >= way->weight; ++way) choice -= way->weight;
        way_ = way->name;
        prepare();
        (this->*way->run)();
        write("IRQ_STATUS", 1);
        write("WATCHDOG", 0);
        memory_.forget_lost();
        way_ += ", the run after it";
        prepare();
        start();
        expect_irq(kPatience);
        good_end();
        write("IRQ_STATUS", 1);
        run_cycles_ = cycles - started_;
    }

  private:
    const Plan& plan_;
    const string before_, after_;
    VerilatedContext context_;
    Vtop top_{&context_};
    Memory memory_;
    char* bytes_ = nullptr;
    uint64_t random_, started_ = 0, run_cycles_ = 5'000;
    string way_ = "start";

    uint64_t below(uint64_t limit) {  // splitmix64
        uint64_t z = random_ += 0x9e3779b97f4a7c15;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return (z ^ (z >> 31)) % limit;
    }
    Range any_word(const std::vector<Range>& ranges) {
        const Range& range = ranges[below(ranges.size())];
        const uint64_t word = plan_.word_bytes;
        const uint64_t at = (range.first + below(range.end - range.first)) / word * word;
        return {at, at + word};
    }

    [[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 2, 3))) {
        std::printf("%s, cycle %" PRIu64 ": ", way_.c_str(), cycles);
        va_list values;
        va_start(values, format);
        std::vprintf(format, values);
        va_end(values);
        std::printf("\n");
        std::exit(1);
    }

    void cycle() {
        top_.clk = 0;
        top_.eval();
        Memory& m = memory_;
        m.ar.valid = top_.m_axi_arvalid;
        m.ar.payload = {top_.m_axi_arid, top_.m_axi_araddr, top_.m_axi_arlen + 1,
                        top_.m_axi_arsize, top_.m_axi_arburst};
        m.aw.valid = top_.m_axi_awvalid;
        m.aw.payload = {top_.m_axi_awid, top_.m_axi_awaddr, top_.m_axi_awlen + 1,
                        top_.m_axi_awsize, top_.m_axi_awburst};
        m.w.valid = top_.m_axi_wvalid;
        std::memcpy(m.w.payload.data, &top_.m_axi_wdata, sizeof top_.m_axi_wdata);
        m.w.payload.strobe = top_.m_axi_wstrb;
        m.w.payload.last = top_.m_axi_wlast;
        if (top_.rst)
            m.reset();
        else
            m.cycle(top_.m_axi_rready, top_.m_axi_bready);
        top_.clk = 1;
        top_.eval();
        top_.m_axi_arready = m.ar.ready, top_.m_axi_awready = m.aw.ready;
        top_.m_axi_wready = m.w.ready;
        top_.m_axi_rvalid = m.r.valid, top_.m_axi_rid = m.r.id, top_.m_axi_rresp = m.r.response;
        top_.m_axi_rlast = m.r.last;
        std::memcpy(&top_.m_axi_rdata, m.r.data, sizeof top_.m_axi_rdata);
        top_.m_axi_bvalid = m.b.valid, top_.m_axi_bid = m.b.id, top_.m_axi_bresp = m.b.response;
        top_.eval();
        ++cycles;
        if (*m.fault) fail("the memory saw: %s", m.fault);
    }

    void run_for(uint64_t count) {
        for (; count && !top_.irq; --count) cycle();
    }

    // The register port.
    void write(const char* name, uint64_t value) {
        top_.s_axil_awaddr = plan_.registers.at(name);
        top_.s_axil_wdata = value;
        top_.s_axil_wstrb = 0xF;
        top_.s_axil_awvalid = top_.s_axil_wvalid = top_.s_axil_bready = 1;
        top_.eval();
        if (!top_.s_axil_awready) fail("a register write is not taken");
        cycle();
        top_.s_axil_awvalid = top_.s_axil_wvalid = 0;
        if (!top_.s_axil_bvalid || top_.s_axil_bresp) fail("a register write has no response");
        cycle();
    }
    uint64_t read(const char* name) {
        top_.s_axil_araddr = plan_.registers.at(name);
        top_.s_axil_arvalid = top_.s_axil_rready = 1;
        top_.eval();
        if (!top_.s_axil_arready) fail("a register read is not taken");
        cycle();
        top_.s_axil_arvalid = 0;
        if (!top_.s_axil_rvalid || top_.s_axil_rresp) fail("a register read has no response");
        const uint64_t value = top_.s_axil_rdata;
        cycle();
        return value;
    }

    void hard_reset() {
        top_.rst = 1;
        for (int i = 0; i < 3; ++i) cycle();
        top_.rst = 0;
        write("PROGRAM_LOW", plan_.program);
        write("PROGRAM_HIGH", plan_.program >> 32);
        write("IRQ_ENABLE", 1);
        for (const auto& [name, value] : plan_.settings) write(name.c_str(), value);
    }

    void prepare() {
        for (int write : {0, 1}) memory_.failing[write].clear(), memory_.withheld[write].clear();
        memory_.withheld_cycles = kNever;
        memory_.first_failure = {};
        const int latencies[] = {1, 2, 20, 60};
        memory_.pace(latencies[below(4)], below(2) ? 0 : below(6) / 10.0);
        memory_.data_first = below(2);
        std::memcpy(bytes_, before_.data(), before_.size());
    }
    void start() {
        write("CONTROL", kStart);
        started_ = cycles;
    }
    void expect_irq(uint64_t limit) {
        run_for(limit);
        if (!top_.irq) fail("no end within %" PRIu64 " cycles, STATUS is %" PRIu64, limit, read("STATUS"));
    }
    void expect(const char* name, uint64_t expected) {
        const uint64_t value = read(name);
        if (value != expected)
            fail("%s must be %#" PRIx64 ", not %#" PRIx64, name, expected, value);
    }
    void expect_end(uint64_t error) {
        ++tally[way_ + ": error " + std::to_string(error)];
        expect("ERROR", error);
        expect("STATUS", error ? kDone | kFailed : kDone);
    }
    void expect_fault(uint64_t kind, uint64_t address) {
        const uint64_t id = read("FAULT_ID");
        if (id >> 8 != kind) fail("the fault's kind must be %" PRIu64 ", not %" PRIu64, kind, id >> 8);
        const uint64_t told = read("FAULT_ADDRESS_LOW") | read("FAULT_ADDRESS_HIGH") << 32;
        if (told != address)
            fail("the fault must be at %#" PRIx64 ", not %#" PRIx64, address, told);
    }
    void expect_settled() {
        if (memory_.reads_under_way() || memory_.counts.writes_under_way)
            fail("the end came with %zu reads and %" PRIu64 " writes under way",
                 memory_.reads_under_way(), memory_.counts.writes_under_way);
    }
    void good_end() {
        expect_end(kNone);
        expect_fault(kNoFault, 0);
        for (size_t i = 0; i < after_.size(); ++i)
            if (bytes_[i] != after_[i])
                fail("byte %#zx must be %#x, not %#x", i, after_[i] & 255, bytes_[i] & 255);
    }
    // A run that was to be ended may have come to its own end before.
    void expect_aborted_or_good() {
        if (read("ERROR") == kNone) return good_end();
        expect_end(kAborted);
        expect_fault(kNoFault, 0);
    }

    void abort() {
        start();
        run_for(below(run_cycles_ + run_cycles_ / 8));
        write("CONTROL", below(2) ? kAbort : kAbort | kStart);
        expect_irq(kPatience);
        expect_settled();
        expect_aborted_or_good();
        for (uint64_t i = 0; read("STATUS") & kBusy; ++i)
            if (i > kAnswerCycles) fail("an abort while idle does not end");
    }
    void abort_idle() {
        const uint64_t status = read("STATUS");
        for (uint64_t i = below(3) + 1; i; --i) write("CONTROL", kAbort);
        for (uint64_t i = 0; read("STATUS") & kBusy; ++i)
            if (i > kAnswerCycles) fail("an abort while idle does not end");
        expect("STATUS", status);
        if (top_.irq) fail("an abort while idle raises the interrupt");
        ++tally[way_];
    }
    void withhold() {
        const bool write = below(4) == 0;
        const Range word = any_word(write ? plan_.writable : plan_.readable);
        memory_.withheld[write].push_back(word);
    }
    void give_up() {
        withhold();
        start();
        run_for(below(run_cycles_ + run_cycles_ / 8));
        write("CONTROL", kAbort);
        run_for(500);
        if (!top_.irq) {
            expect("STATUS", kBusy | kEnding);
            run_for(500);
            if (!top_.irq) write("CONTROL", kAbort);
            expect_irq(1'000);
            ++tally[way_ + ": given up"];
        }
        expect_aborted_or_good();
    }
    void expect_watchdog_or_good() {
        if (read("ERROR") == kNone) return good_end();
        expect_end(kWatchdog);
        const uint64_t id = read("FAULT_ID") >> 8;
        const uint64_t told = read("FAULT_ADDRESS_LOW") | read("FAULT_ADDRESS_HIGH") << 32;
        if ((id != kReadFault && id != kWriteFault) || !memory_.withholds(told))
            fail("the fault is at %#" PRIx64 ", and that was not withheld", told);
    }
    void lose() {
        withhold();
        write("WATCHDOG", kWatchdogCycles);
        start();
        expect_irq(kPatience);
        const bool withheld = memory_.withholds({0, before_.size()});
        if (withheld != (read("ERROR") == kWatchdog))
            fail("ERROR is %" PRIu64 " with a response %s", read("ERROR"), withheld ? "lost" : "by response");
        expect_watchdog_or_good();
    }
    void delay() {
        withhold();
        memory_.withheld_cycles = 500 + below(4'000);
        write("WATCHDOG", kWatchdogCycles);
        start();
        expect_irq(kPatience);
        if (read("ERROR") == kNone) return good_end();
        expect_end(kWatchdog);
    }
    void watch() {
        write("WATCHDOG", kWatchdogCycles);
        start();
        expect_irq(kPatience);
        good_end();
    }
    void memory_error(int response) {
        const bool write = below(4) == 0;
        memory_.failure = response;
        memory_.failing[write].push_back(any_word(write ? plan_.writable : plan_.readable));
        start();
        expect_irq(kPatience);
        expect_settled();
        if (!memory_.first_failure.end) return good_end();
        expect_end(write ? kWrite : kRead);
        expect_fault(write ? kWriteFault : kReadFault, memory_.first_failure.first);
    }
    void slave_error() { memory_error(kSlaveError); }
    void decode_error() { memory_error(kDecodeError); }
    void wrong_program() {
        const BadProgram& bad = plan_.bad[below(plan_.bad.size())];
        bytes_[bad.address] ^= bad.mask;
        start();
        expect_irq(kPatience);
        expect_settled();
        expect_end(bad.error);
        expect_fault(kInstructionFault, bad.fault);
    }
    void reset() {
        start();
        run_for(below(run_cycles_));
        hard_reset();
        expect("STATUS", 0);
        ++tally[way_];
    }
};

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    const Plan plan(argv[1]);
    Bench bench(plan, std::strtoull(argv[3], nullptr, 10));
    for (uint64_t rounds = std::strtoull(argv[2], nullptr, 10); rounds; --rounds) bench.round();
    for (const auto& [what, count] : bench.tally) std::printf("%s\t%" PRIu64 "\n", what.c_str(), count);
    std::printf("cycles\t%" PRIu64 "\n", bench.cycles);
}
