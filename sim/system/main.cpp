// The simulated system as a process: bytes of a TCP connection are those of the board's UART.
// It listens on a port that it prints, serves one connection after the other, and keeps its state
// between them, as a board does. Time stands still while nobody is connected.

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "Vtop.h"

constexpr int kCyclesAtOnce = 64;  // between two looks at the connection
constexpr int kResetCycles = 4;

class Line {  // the connection, or none
  public:
    bool open() {
        listener_ = socket(AF_INET, SOCK_STREAM, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t length = sizeof address;
        auto* any = reinterpret_cast<sockaddr*>(&address);
        if (bind(listener_, any, length) || listen(listener_, 1)) return false;
        if (getsockname(listener_, any, &length)) return false;
        printf("%d\n", ntohs(address.sin_port));
        return !fflush(stdout);
    }

    bool connected() const { return client_ >= 0; }

    void wait() {
        client_ = accept(listener_, nullptr, nullptr);
        const int on = 1;
        if (connected()) setsockopt(client_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }

    // Sends what is there to be sent, and takes what has come.
    void exchange() {
        for (size_t sent = 0; connected() && sent < out.size();) {
            const ssize_t count = send(client_, &out[sent], out.size() - sent, MSG_NOSIGNAL);
            if (count <= 0) return hang_up();
            sent += count;
        }
        out.clear();
        if (next < in.size()) return;
        in.resize(1 << 16);
        const ssize_t count = recv(client_, in.data(), in.size(), MSG_DONTWAIT);
        const bool later = count < 0 && (errno == EAGAIN || errno == EINTR);
        in.resize(count > 0 ? count : 0);
        next = 0;
        if (count <= 0 && !later) hang_up();
    }

    std::vector<uint8_t> in, out;
    size_t next = 0;  // of `in`

  private:
    int listener_ = -1, client_ = -1;

    void hang_up() {
        close(client_);
        client_ = -1;
        in.clear();
        out.clear();
        next = 0;
    }
};

class System {
  public:
    System() {
        top_.serial_source_ready = 1;
        top_.rst = 1;
        for (int i = 0; i < kResetCycles; ++i) edge();
        top_.rst = 0;
    }

    void cycle(Line& line) {
        const bool offers = line.next < line.in.size();
        top_.serial_sink_valid = offers;
        if (offers) top_.serial_sink_data = line.in[line.next];
        top_.clk = 0;
        top_.eval();
        if (offers && top_.serial_sink_ready) ++line.next;
        if (top_.serial_source_valid) line.out.push_back(top_.serial_source_data);
        top_.clk = 1;
        top_.eval();
    }

  private:
    VerilatedContext context_;
    Vtop top_{&context_};

    void edge() {
        top_.clk = 0;
        top_.eval();
        top_.clk = 1;
        top_.eval();
    }
};

int main() {
    static System system;
    Line line;
    if (!line.open()) {
        perror("the simulated system cannot listen");
        return 1;
    }
    for (;;) {
        while (!line.connected()) line.wait();
        for (int i = 0; i < kCyclesAtOnce; ++i) system.cycle(line);
        line.exchange();
    }
}
