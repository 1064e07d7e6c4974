// The calling thread's floating-point controls: rounding, exception masks, flush-to-zero. A library
// linked with -Ofast changes them behind everybody's back when it is loaded.
#pragma once

#include <cfenv>
#include <cstdint>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace export_worker::plugins {

class FpState {
public:
    FpState() {
        (void)std::fegetenv(&environment_);
        control_ = read_control();
    }
    [[nodiscard]] bool still_holds() const { return read_control() == control_; }
    void restore() const { (void)std::fesetenv(&environment_); }

    // Without the sticky results of operations.
    [[nodiscard]] static std::uint64_t read_control() {
#if defined(__x86_64__)
        constexpr unsigned kStatusFlags = 0x3f;  // Sticky results of operations, not controls.
        return (_mm_getcsr() & ~kStatusFlags) |
               (static_cast<std::uint64_t>(std::fegetround()) << 32);
#else
        std::uint64_t fpcr = 0;
        asm volatile("mrs %0, fpcr" : "=r"(fpcr));
        return fpcr;
#endif
    }

private:
    std::fenv_t environment_{};
    std::uint64_t control_ = 0;
};

}  // namespace export_worker::plugins
