#include "protocol/transport/zap_handler.hpp"

#include <array>
#include <vector>

#include "base/assert.hpp"
#include "base/io.hpp"
#include "base/log.hpp"
#include "base/shared_limits.hpp"
#include "base/this_thread.hpp"
#include "protocol/transport/curve.hpp"

namespace export_worker::transport {
namespace {

constexpr const char* kEndpoint = "inproc://zeromq.zap.01";
constexpr std::size_t kFrames = 7;  // Version, id, domain, address, identity, mechanism, key.

}  // namespace

Result<std::unique_ptr<ZapHandler>> ZapHandler::open(zmq::context_t& context,
                                                     const std::string& clients_file) {
    std::unique_ptr<ZapHandler> out(new ZapHandler(context, clients_file));
    out->stamp_ = file_version(clients_file);
    EW_TRY(out->clients_, read_curve_clients(clients_file));
    out->socket_.set(zmq::sockopt::linger, 0);
    out->socket_.bind(kEndpoint);
    out->thread_ = std::thread([handler = out.get()] { handler->run(); });
    return out;
}

ZapHandler::ZapHandler(zmq::context_t& context, const std::string& clients_file)
    : clients_file_(clients_file), socket_(context, zmq::socket_type::rep) {}

ZapHandler::~ZapHandler() {
    stopping_.store(true);
    if (thread_.joinable()) thread_.join();
}

// An exception ends the process: without this thread, everybody would be let in.
void ZapHandler::run() {
    name_this_thread("zap");
    socket_.set(zmq::sockopt::rcvtimeo, static_cast<int>(limits::kAuthFilesInterval.count()) / 4);
    while (!stopping_.load()) {
        look_at_file();
        answer_one();
    }
}

void ZapHandler::look_at_file() {
    std::string stamp = file_version(clients_file_);
    if (stamp == stamp_) return;
    stamp_ = std::move(stamp);
    auto clients = read_curve_clients(clients_file_);
    if (!clients) {
        log_error("{}; the keys before go on being let in", clients.error().message);
        return;
    }
    clients_ = std::move(*clients);
    log_info("{}: {} keys may connect", clients_file_, clients_.size());
}

void ZapHandler::answer_one() {
    std::vector<zmq::message_t> frames;
    zmq::message_t frame;
    if (!socket_.recv(frame)) return;
    frames.push_back(std::move(frame));
    while (frames.back().more()) {
        zmq::message_t next;
        EW_ASSERT(socket_.recv(next).has_value());
        frames.push_back(std::move(next));
    }
    const bool curve =
        frames.size() == kFrames && frames[5].to_string_view() == "CURVE" && frames[6].size() == 32;
    std::array<char, 41> key{};
    if (curve) ::zmq_z85_encode(key.data(), frames[6].data<std::uint8_t>(), 32);
    const bool known = curve && clients_.contains(key.data());
    if (!known && frames.size() > 3)
        log_event(LogLevel::kWarn, "refused a connection over TCP",
                  {{"client", frames[3].to_string_view()}, {"key", key.data()}});
    const std::string id = frames.size() > 1 ? frames[1].to_string() : "";
    const std::array<std::string, 6> reply{
        "1.0", id, known ? "200" : "400", known ? "" : "No access", known ? key.data() : "", ""};
    for (std::size_t index = 0; index < reply.size(); ++index) {
        const auto flags =
            index + 1 < reply.size() ? zmq::send_flags::sndmore : zmq::send_flags::none;
        EW_ASSERT(socket_.send(zmq::buffer(reply[index]), flags).has_value());
    }
}

}  // namespace export_worker::transport
