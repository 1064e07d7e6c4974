// Private to protocol/message: the text under one key of a top-level map, and a sink for msgpack's
// packer.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace export_worker::message {

// nullopt when `bytes` is no map, the key is absent, or its value is not text. Stops at the first
// match.
[[nodiscard]] std::optional<std::string_view> find_top_level_text(std::string_view bytes,
                                                                  std::string_view key);

// Lets msgpack's packer write into a std::string, which outlives it.
class StringSink {
public:
    explicit StringSink(std::string& out) : out_(out) {}
    void write(const char* data, std::size_t size) { out_.append(data, size); }

private:
    std::string& out_;
};

}  // namespace export_worker::message
