#include "protocol/message/reply.hpp"

#include <msgpack.hpp>

#include "base/assert.hpp"
#include "base/shared_limits.hpp"
#include "protocol/message/find_text.hpp"
#include "protocol/message/limits.hpp"

namespace export_worker::message {
namespace {

using Packer = msgpack::packer<StringSink>;

// A reply to a link fits the first block; the library's default is one the allocator has to look
// for.
constexpr std::size_t kZoneBytes = 1000;

void pack_head(Packer& packer, std::uint32_t count, std::string_view id, bool ok) {
    packer.pack_map(count);
    packer.pack("v");
    packer.pack(1U);
    packer.pack("id");
    packer.pack(id);
    packer.pack("ok");
    packer.pack(ok);
}

void pack_served_by(Packer& packer, const ServedBy* served_by) {
    if (served_by == nullptr) return;
    packer.pack("served_by");
    packer.pack_map(4);
    packer.pack("plugin");
    packer.pack(served_by->plugin);
    packer.pack("version");
    packer.pack(served_by->version);
    packer.pack("generation");
    packer.pack(served_by->generation);
    packer.pack("build_id");
    packer.pack(served_by->build_id);
}

constexpr std::uint32_t one_more_if(bool there) {
    return there ? 1U : 0U;
}

std::string_view text_of(const msgpack::object& value) {
    return value.type == msgpack::type::STR
               ? std::string_view(value.via.str.ptr, value.via.str.size)
               : std::string_view();
}

const msgpack::object* find(const msgpack::object& map, std::string_view key) {
    if (map.type != msgpack::type::MAP) return nullptr;
    for (const auto& [name, value] : map.via.map) {
        if (text_of(name) == key) return &value;
    }
    return nullptr;
}

WireError read_error(const msgpack::object& map) {
    WireError error;
    if (const auto* code = find(map, "code")) {
        // A code of a newer daemon: the caller can still print the text.
        error.code = parse_wire_code(text_of(*code)).value_or(WireCode::kInternal);
    }
    if (const auto* message = find(map, "message")) error.message = text_of(*message);
    if (const auto* retryable = find(map, "retryable")) {
        error.retryable = retryable->type == msgpack::type::BOOLEAN && retryable->via.boolean;
    }
    error.executed = Executed::kUnknown;
    if (const auto* executed = find(map, "executed")) {
        if (text_of(*executed) == "no") error.executed = Executed::kNo;
        if (text_of(*executed) == "yes") error.executed = Executed::kYes;
    }
    if (const auto* after = find(map, "retry_after_ms");
        after != nullptr && after->type == msgpack::type::POSITIVE_INTEGER) {
        error.retry_after_ms =
            static_cast<std::uint32_t>(std::min<std::uint64_t>(after->via.u64, 0xffff'ffffU));
    }
    if (const auto* field = find(map, "field")) error.field = text_of(*field);
    if (const auto* details = find(map, "details")) {
        StringSink buffer(error.details);
        Packer(buffer).pack(*details);
    }
    return error;
}

std::optional<ServedBy> read_served_by(const msgpack::object& reply) {
    const auto* served_by = find(reply, "served_by");
    if (served_by == nullptr || served_by->type != msgpack::type::MAP) return std::nullopt;
    ServedBy out;
    if (const auto* plugin = find(*served_by, "plugin")) out.plugin = text_of(*plugin);
    if (const auto* version = find(*served_by, "version")) out.version = text_of(*version);
    if (const auto* build_id = find(*served_by, "build_id")) out.build_id = text_of(*build_id);
    const auto* generation = find(*served_by, "generation");
    if (generation != nullptr && generation->type == msgpack::type::POSITIVE_INTEGER)
        out.generation = generation->via.u64;
    return out;
}

}  // namespace

void encode_result(std::string& out, std::string_view id, std::string_view result,
                   const ServedBy* served_by) {
    out.clear();
    StringSink buffer(out);
    Packer packer(buffer);
    pack_head(packer, 4 + one_more_if(served_by != nullptr), id, true);
    packer.pack("result");
    out.append(result);
    pack_served_by(packer, served_by);
}

void encode_error(std::string& out, std::string_view id, const WireError& error,
                  const ServedBy* served_by) {
    out.clear();
    StringSink buffer(out);
    Packer packer(buffer);
    pack_head(packer, 4 + one_more_if(served_by != nullptr), id, false);
    packer.pack("error");
    packer.pack_map(4 + one_more_if(error.retry_after_ms.has_value()) +
                    one_more_if(!error.details.empty()) + one_more_if(!error.field.empty()));
    packer.pack("code");
    packer.pack(to_string(error.code));
    packer.pack("message");
    packer.pack(error.message);
    packer.pack("retryable");
    packer.pack(error.retryable);
    packer.pack("executed");
    packer.pack(to_string(error.executed));
    if (error.retry_after_ms) {
        packer.pack("retry_after_ms");
        packer.pack(*error.retry_after_ms);
    }
    if (!error.field.empty()) {
        packer.pack("field");
        packer.pack(error.field);
    }
    if (!error.details.empty()) {
        packer.pack("details");
        out.append(error.details);
    }
    pack_served_by(packer, served_by);
}

Result<Reply> decode_reply(std::string_view bytes) {
    const auto refuse = [](std::string what) {
        return fail(ErrorCode::kInvalidArgument, "reply: " + std::move(what));
    };
    if (bytes.size() > limits::kTransportMessageBytesMax) return refuse("too large");
    // References into `bytes` for text: the objects themselves die with this function.
    const auto by_reference = [](msgpack::type::object_type, std::size_t, void*) { return true; };
    const std::size_t nodes_max = bytes.size();
    try {
        std::size_t used = 0;
        bool referenced = false;
        msgpack::zone zone(kZoneBytes);
        const msgpack::object map = msgpack::unpack(
            zone, bytes.data(), bytes.size(), used, referenced, by_reference, nullptr,
            msgpack::unpack_limit(nodes_max, nodes_max, bytes.size(), bytes.size(), 0,
                                  limits::kReplyDepthMax));
        const auto* version = find(map, "v");
        const auto* ok = find(map, "ok");
        if (version == nullptr || version->type != msgpack::type::POSITIVE_INTEGER ||
            version->via.u64 != 1 || ok == nullptr || ok->type != msgpack::type::BOOLEAN) {
            return refuse("expected a map with v = 1 and ok");
        }
        Reply reply;
        if (const auto* id = find(map, "id")) reply.id = text_of(*id);
        reply.ok = ok->via.boolean;
        reply.served_by = read_served_by(map);
        if (!reply.ok) {
            const auto* error = find(map, "error");
            if (error == nullptr) return refuse("neither result nor error");
            reply.error = read_error(*error);
            return reply;
        }
        // encode_result() puts the result right behind its key; find it there instead of packing it
        // again.
        for (const auto& [name, value] : map.via.map) {
            if (text_of(name) != "result") continue;
            const char* begin = name.via.str.ptr + name.via.str.size;
            std::size_t end = static_cast<std::size_t>(begin - bytes.data());
            msgpack::null_visitor skip;
            // The whole map has been read before.
            EW_ASSERT(msgpack::parse(bytes.data(), bytes.size(), end, skip));
            reply.result = {begin, end - static_cast<std::size_t>(begin - bytes.data())};
            return reply;
        }
        return refuse("neither result nor error");
    } catch (const std::exception& error) {
        return refuse(std::string("not msgpack: ") + error.what());
    }
}

std::string_view reply_id(std::string_view bytes) {
    return find_top_level_text(bytes, "id").value_or(std::string_view());
}

}  // namespace export_worker::message
