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

// A leading underscore: the C library's own name of a function. _ZN...: C++ functions of libstdc++,
// named in the text. docs/plugin_abi.md has the others; a test compares.
//
// Left out, because innocent code imports them: syscall and prctl (Rust's standard library, to name
// threads), pthread_sigmask, pthread_setaffinity_np and their kin for a thread of one's own, abort,
// dup, setvbuf and textdomain (a static libstdc++), setbuf (a static libcrypto). The probe finds
// what they change.
constexpr auto kEffects = std::to_array<Effect>({
    {"a plugin starts no processes",
     "fork vfork _Fork __fork __libc_fork __vfork clone __clone forkpty daemon system "
     "__libc_system "
     "popen wordexp execve execv execvp execvpe execl execlp execle execveat fexecve "
     "posix_spawn posix_spawnp rexec rexec_af"},
    {"a plugin does not end the daemon or one of its threads",
#if !defined(EXPORT_WORKER_COVERAGE)  // The runtime of gcov in every image imports it.
     "exit "
#endif
     "_exit _Exit quick_exit err errx verr verrx error error_at_line argp_error svc_exit "
     "pthread_exit thrd_exit pthread_cancel pthread_kill_other_threads_np"},
    {"a plugin sends no signals; abort() ends the daemon if nothing else will do",
     "raise gsignal kill killpg tgkill pthread_kill sigqueue pthread_sigqueue pidfd_send_signal "
     "alarm ualarm setitimer"},
    {"signals belong to the daemon; pthread_sigmask() is for one thread, and must be put back",
     "signal ssignal sigaction __sigaction __libc_sigaction sigset sigignore siginterrupt "
     "bsd_signal sysv_signal __sysv_signal sigvec sigprocmask sigblock sigsetmask sighold sigrelse "
     "sigpause __sigpause __xpg_sigpause sigsuspend __sigsuspend sigwait sigwaitinfo sigtimedwait "
     "__sigtimedwait sigreturn sigstack"},
    {"it would control the process or trace another one",
     "ptrace arch_prctl __arch_prctl personality process_vm_writev process_madvise"},
    {"it would close or replace descriptors of the daemon",
     "close_range closefrom dup2 __dup2 dup3 fcloseall freopen freopen64"},
    {"it would change the environment of the whole process", "setenv putenv unsetenv clearenv"},
    {"it would change the working directory, root or umask of the whole process",
     "chdir fchdir chroot umask unshare setns pivot_root"},
    {"it would change users, groups or the session of the whole process",
     "setuid setgid seteuid setegid setreuid setregid setresuid setresgid setfsuid setfsgid "
     "setgroups initgroups capset setsid setpgid __setpgid setpgrp tcsetpgrp login_tty vhangup"},
    {"it would change the limits or memory settings of the whole process",
     "setrlimit setrlimit64 prlimit prlimit64 ulimit vlimit mlockall munlockall mallopt "
     "__libc_mallopt pthread_setattr_default_np"},
    {"it would change the priority of the daemon or its processors; pthread_setschedparam() and "
     "pthread_setaffinity_np() are for threads of the plugin",
     "nice setpriority sched_setscheduler __sched_setscheduler sched_setparam sched_setaffinity"},
    {"it would change the locale of the whole process; newlocale() and uselocale() are for one "
     "thread",
     "setlocale"},
    {"it would change the machine",
     "settimeofday clock_settime clock_adjtime adjtime adjtimex __adjtimex ntp_adjtime sethostname "
     "setdomainname mount umount umount2 swapon swapoff reboot acct init_module create_module "
     "delete_module ioperm iopl"},
    {"std::locale::global() changes the locale of the whole process", "_ZNSt6locale6globalERKS_"},
    {"std::filesystem::current_path(path) changes the working directory of the whole process",
     "_ZNSt10filesystem12current_pathERKNS_7__cxx114pathE "
     "_ZNSt10filesystem12current_pathERKNS_7__cxx114pathERSt10error_code"},
    {"std::set_terminate(), std::set_unexpected() and std::set_new_handler() change the whole "
     "process",
     "_ZSt13set_terminatePFvvE _ZSt14set_unexpectedPFvvE _ZSt15set_new_handlerPFvvE"},
    {"std::pmr::set_default_resource() changes the allocator of the whole process",
     "_ZNSt3pmr20set_default_resourceEPNS_15memory_resourceE"},
    {"what it registers outlives the plugin",
     "on_exit at_quick_exit __cxa_at_quick_exit pthread_atfork __register_atfork"},
    {"it would block or change the standard streams of the daemon",
     "setbuffer setlinebuf flockfile ftrylockfile "
     "__fsetlocking"},
    {"it would change OpenSSL for the whole process; use an OSSL_LIB_CTX of its own",
     "EVP_set_default_properties EVP_default_properties_enable_fips OPENSSL_cleanup "
     "OSSL_LIB_CTX_set0_default OSSL_PROVIDER_unload CRYPTO_set_mem_functions "
     "CONF_modules_load_file CONF_modules_unload ENGINE_set_default "
     "RAND_set_rand_method RAND_set_DRBG_type"},
    {"a timer of the process outlives the plugin, and its signals end the daemon", "timer_create"},
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

Verdict<void> check_imports(const ElfFacts& facts, const std::vector<std::string>& allowed) {
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
