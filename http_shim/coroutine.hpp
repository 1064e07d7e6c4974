// Asio's coroutines on the one io_context there is. Its executor by name: the one that stands for
// any executor costs an allocation and a detour for each completion.
#pragma once

#include <utility>  // awaitable.hpp of Boost 1.74 uses std::exchange without it.

#include <chrono>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace export_worker::http_shim {

using Executor = boost::asio::io_context::executor_type;
template <typename T>
using Awaitable = boost::asio::awaitable<T, Executor>;
inline constexpr boost::asio::use_awaitable_t<Executor> use_awaitable;
using Clock = std::chrono::steady_clock;
using Timer = boost::asio::basic_waitable_timer<Clock, boost::asio::wait_traits<Clock>, Executor>;
// A connected socket: TCP or Unix.
using Stream = boost::asio::basic_stream_socket<boost::asio::generic::stream_protocol, Executor>;

}  // namespace export_worker::http_shim
