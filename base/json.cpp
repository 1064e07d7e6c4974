#include "base/json.hpp"

#include <algorithm>
#include <utility>
#include <vector>

template class nlohmann::basic_json<>;

namespace export_worker {

using nlohmann::json;

namespace {

// The parser takes a zero byte for the end of the text and ignores what follows it.
bool has_zero_byte(std::string_view text) {
    return text.find('\0') != std::string_view::npos;
}

// nlohmann's SAX events to a value. Its own callback for parse() looks through the whole parent
// each time a container closes; this does not.
class BoundedReader final : public json::json_sax_t {
public:
    explicit BoundedReader(const JsonBounds& bounds) : bounds_(bounds) {}

    bool null() override { return place(nullptr); }
    bool boolean(bool value) override { return place(value); }
    bool number_integer(number_integer_t value) override { return place(value); }
    bool number_unsigned(number_unsigned_t value) override { return place(value); }
    bool number_float(number_float_t value, const string_t& /*text*/) override {
        return place(value);
    }
    bool string(string_t& value) override { return place(std::move(value)); }
    bool binary(binary_t& /*value*/) override { return stop("a text holds no binary values"); }
    bool start_object(std::size_t /*elements*/) override { return open(json::object()); }
    bool start_array(std::size_t /*elements*/) override { return open(json::array()); }
    bool end_object() override { return close(); }
    bool end_array() override { return close(); }
    bool key(string_t& name) override {
        if (name.size() > bounds_.name_bytes_max)
            return stop("a name of more than " + std::to_string(bounds_.name_bytes_max) + " bytes");
        auto& members = *open_.back()->get_ptr<json::object_t*>();
        const auto [at, is_new] = members.try_emplace(std::move(name));
        if (!is_new && bounds_.names_unique) return stop("an object names a member twice");
        member_ = &at->second;
        return true;
    }
    bool parse_error(std::size_t position, const std::string& /*token*/,
                     const json::exception& /*error*/) override {
        return stop("not JSON at byte " + std::to_string(position));
    }

    // What was read; the reason why nothing was, when `problem` is not empty.
    json root;
    std::string problem;

private:
    bool stop(std::string why) {
        problem = std::move(why);
        return false;
    }
    // Stores a value where it belongs; nullptr when there may be no more.
    json* store(json value) {
        if (++values_ > bounds_.values_max) {
            (void)stop("more than " + std::to_string(bounds_.values_max) + " values");
            return nullptr;
        }
        if (open_.empty()) return &(root = std::move(value));
        if (open_.back()->is_object()) return &(*member_ = std::move(value));
        auto& elements = *open_.back()->get_ptr<json::array_t*>();
        return &elements.emplace_back(std::move(value));
    }
    bool place(json value) { return store(std::move(value)) != nullptr; }
    bool open(json container) {
        if (open_.size() >= bounds_.depth_max)
            return stop("nested deeper than " + std::to_string(bounds_.depth_max));
        json* const stored = store(std::move(container));
        if (stored != nullptr) open_.push_back(stored);
        return stored != nullptr;
    }
    bool close() {
        open_.pop_back();
        return true;
    }

    const JsonBounds& bounds_;
    std::size_t values_ = 0;
    // The containers around the next value. An array grows only between its elements, so that none
    // of these pointers goes stale.
    std::vector<json*> open_;
    json* member_ = nullptr;  // Where the value of the last key goes.
};

}  // namespace

Result<json> parse_json(std::string_view text, const JsonBounds& bounds) {
    if (has_zero_byte(text)) return fail(ErrorCode::kInvalidArgument, "JSON: a zero byte");
    BoundedReader reader(bounds);
    if (!json::sax_parse(text.begin(), text.end(), &reader))
        return fail(ErrorCode::kInvalidArgument, "JSON: " + reader.problem);
    return std::move(reader.root);
}

json parse_json(std::string_view text) {
    if (has_zero_byte(text)) return json(json::value_t::discarded);
    return json::parse(text.begin(), text.end(), nullptr, false);
}

json parse_json_or_throw(std::string_view text) {
    if (!has_zero_byte(text)) return json::parse(text.begin(), text.end());
    // Another control character, which the parser refuses where it stands.
    std::string refused(text);
    std::ranges::replace(refused, '\0', '\x01');
    return json::parse(refused);
}

std::string dump_json(const json& value) {
    return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

json parse_msgpack(std::string_view bytes) {
    return json::from_msgpack(bytes.begin(), bytes.end(), true, false);
}

std::string dump_msgpack(const json& value) {
    std::string bytes;
    json::to_msgpack(value, bytes);
    return bytes;
}

}  // namespace export_worker
