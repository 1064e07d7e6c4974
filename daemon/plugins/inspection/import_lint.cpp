#include "daemon/plugins/inspection/import_lint.hpp"

#include <algorithm>
#include <array>
#include <unordered_map>

namespace export_worker::plugins {
namespace {

struct Effect {
    std::string_view why;
    const char* imports;  // Separated by blanks.
};

// Two underscores: the names behind functions of the C library's static part. _ZN...: C++ functions
// of libstdc++, named in the text.
constexpr auto kEffects = std::to_array<Effect>({
    {"a plugin starts no processes",
     "fork vfork _Fork __fork __vfork clone forkpty daemon system popen wordexp execve execv "
     "execvp "
     "execvpe execl execlp execle execveat fexecve posix_spawn posix_spawnp"},
    {"a plugin does not end the daemon or one of its threads",
#if !defined(EXPORT_WORKER_COVERAGE)  // The runtime of gcov in every image imports it.
     "exit "
#endif
     "_exit _Exit quick_exit err errx verr verrx error error_at_line pthread_exit thrd_exit"},
    {"signals belong to the daemon",
     "signal sigaction __sigaction sigset sigignore siginterrupt bsd_signal sysv_signal "
     "__sysv_signal kill killpg sigqueue alarm ualarm setitimer"},
    {"it would change the environment of the whole process", "setenv putenv unsetenv clearenv"},
    {"it would change the working directory, root or umask of the whole process",
     "chdir fchdir chroot umask unshare setns"},
    {"it would change users or groups of the whole process",
     "setuid setgid seteuid setegid setreuid setregid setresuid setresgid setgroups initgroups "
     "setsid setpgid setpgrp"},
    {"it would change the limits or memory settings of the whole process",
     "setrlimit setrlimit64 prlimit prlimit64 mlockall munlockall mallopt closefrom"},
    {"it would change the locale of the whole process; newlocale() and uselocale() are for one "
     "thread",
     "setlocale"},
    {"std::locale::global() changes the locale of the whole process", "_ZNSt6locale6globalERKS_"},
    {"std::filesystem::current_path(path) changes the working directory of the whole process",
     "_ZNSt10filesystem12current_pathERKNS_7__cxx114pathE "
     "_ZNSt10filesystem12current_pathERKNS_7__cxx114pathERSt10error_code"},
    {"std::set_terminate() and std::set_new_handler() change the whole process",
     "_ZSt13set_terminatePFvvE _ZSt15set_new_handlerPFvvE"},
    {"what it registers outlives the plugin",
     "on_exit at_quick_exit __cxa_at_quick_exit pthread_atfork __register_atfork"},
    {"a plugin loads no code", "dlopen dlmopen"},
});

using Forbidden = std::unordered_map<std::string_view, std::string_view>;

const Forbidden& forbidden() {
    static const Forbidden kByName = [] {
        Forbidden out;
        for (const Effect& effect : kEffects) {
            std::string_view rest = effect.imports;
            while (!rest.empty()) {
                const std::size_t end = std::min(rest.find(' '), rest.size());
                out.emplace(rest.substr(0, end), effect.why);
                rest.remove_prefix(std::min(end + 1, rest.size()));
            }
        }
        return out;
    }();
    return kByName;
}

bool contains(const std::vector<std::string>& names, std::string_view name) {
    return std::ranges::find(names, name) != names.end();
}

// Nothing but libstdc++ itself imports this alias of newlocale().
bool has_static_libstdcxx(const ElfFacts& facts) {
    return contains(facts.imports, "__newlocale") && !contains(facts.needed, "libstdc++.so.6");
}

}  // namespace

std::string_view forbidden_import(std::string_view name) {
    const auto found = forbidden().find(name);
    return found == forbidden().end() ? std::string_view() : found->second;
}

Judged<void> check_imports(const ElfFacts& facts, const std::vector<std::string>& allowed) {
    for (const std::string& name : facts.imports) {
        const std::string_view why = forbidden_import(name);
        if (why.empty() || contains(allowed, name)) continue;
        if (name == "setlocale" && has_static_libstdcxx(facts)) continue;
        return refuse({"lint", "inspection", "no import of " + name, "it: " + std::string(why),
                       "remove the call; nm -D --undefined-only shows what a file imports, and "
                       "-Wl,--gc-sections drops code of static libraries that nothing calls; what "
                       "is never called may stand "
                       "in [plugin.NAME] allow_imports"});
    }
    return {};
}

}  // namespace export_worker::plugins
