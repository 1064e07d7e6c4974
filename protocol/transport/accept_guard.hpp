// libzmq's listeners, kept within bounds. Private to protocol/transport.
//
// Its ipc listener aborts the process when there is no descriptor left for a connection (EMFILE is
// not among the errors it tolerates, zeromq/libzmq#1306), and none of its listeners has a limit. So
// accept4() is ours: without a descriptor it waits a moment and says ENFILE, which is tolerated;
// over the limit of TCP connections it closes the new one.
#pragma once

#include <cstddef>
#include <cstdint>

namespace export_worker::transport {

// Pulls the definition of accept4() into the program; without it the library's is used.
void guard_accept();
// Connections to `port` over `count_max` are closed at once. [any-thread]
void limit_tcp(std::uint16_t port, std::size_t count_max);
// How many there are now, as libzmq's monitor says. [any-thread]
void set_tcp_count(std::size_t count);

}  // namespace export_worker::transport
