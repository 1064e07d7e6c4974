// What code can change for its whole process or for the thread that calls it: limits, signals,
// locale, working directory, descriptors and their kin, as names and texts that can be compared.
//
// Reading changes nothing. What the kernel does not tell is left out of both readings.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace export_worker::plugins {

struct Setting {
    std::string name;  // "umask", "limit of open files", "descriptor 2", ...
    std::string value;
};
using Settings = std::vector<Setting>;

// Of all threads: resource limits, signal dispositions, interval timers, locale, directories,
// umask, users, environment and so on. [any-thread]; not while another thread changes the
// environment.
[[nodiscard]] Settings read_process_settings();
// Of the calling thread: signal mask, scheduling, locale, floating-point mode, capabilities.
[[nodiscard]] Settings read_thread_settings();
// Each open descriptor: what it is open on, and its flags. [any-thread]
[[nodiscard]] Settings read_descriptors();
// The same of stdin, stdout and stderr alone.
[[nodiscard]] Settings read_stdio();
// What may be in use while a plugin lives, and must be given back: POSIX timers, locked memory.
[[nodiscard]] Settings read_loans();

// Of this process. 0: unknown. [any-thread]
[[nodiscard]] std::size_t count_threads();

struct SettingChange {
    std::string name;
    std::string from;
    std::string to;
    std::string hint;  // What the author of a plugin does instead.
};

// Whether `name` is as a SettingChange has it in `from` or `to`.
[[nodiscard]] bool has_value(const Settings& settings, const std::string& name,
                             const std::string& shown);

// "NAME was FROM, is TO". The values of environment variables are not in it: they may be secrets.
[[nodiscard]] std::string to_text(const SettingChange& change);

// The first setting of `before` that has another value in `after` or is missing there.
[[nodiscard]] std::optional<SettingChange> first_change(const Settings& before,
                                                        const Settings& after);
// The first setting of `after` that `before` does not have.
[[nodiscard]] std::optional<SettingChange> first_addition(const Settings& before,
                                                          const Settings& after);

}  // namespace export_worker::plugins
