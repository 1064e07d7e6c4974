#include "exportctl/interrupt.hpp"

namespace export_worker::exportctl {
namespace {

volatile std::sig_atomic_t interrupt_seen = 0;

extern "C" void on_interrupt(int) {
    interrupt_seen = 1;
}

}  // namespace

InterruptGuard::InterruptGuard() {
    interrupt_seen = 0;
    ::sigaction(SIGINT, nullptr, &before_);
    if (before_.sa_handler == SIG_IGN) return;
    struct sigaction action {};
    action.sa_handler = on_interrupt;
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    ::sigaction(SIGINT, &action, nullptr);
}

InterruptGuard::~InterruptGuard() {
    ::sigaction(SIGINT, &before_, nullptr);
}

bool interrupted() {
    return interrupt_seen != 0;
}

}  // namespace export_worker::exportctl
