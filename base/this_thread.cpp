#include "base/this_thread.hpp"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

namespace export_worker {

void name_this_thread(const std::string& name) {
    constexpr std::size_t kNameBytesMax = 15;
    (void)::pthread_setname_np(::pthread_self(), name.substr(0, kNameBytesMax).c_str());
}

void give_way_to_other_threads() {
    // About a tenth of what others get when all of them want to run. A refusal costs nothing.
    constexpr int kNice = 10;
    (void)::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNice);
}

}  // namespace export_worker
