#include "daemon/format/product_reader.hpp"

#include <simdjson.h>

#include <algorithm>
#include <deque>

#include "base/text.hpp"

namespace export_worker::format {
namespace {

namespace ondemand = simdjson::ondemand;

// Paths by their dotted segments. A key with dots in it walks several steps at once.
struct Node {
    struct Child {
        std::string segment;
        std::unique_ptr<Node> node;
    };
    std::vector<Child> children;     // Sorted by segment.
    std::vector<std::size_t> slots;  // Of the paths that end here.

    Node& add(std::string_view segment) {
        auto at = std::ranges::lower_bound(children, segment, std::less<>(), &Child::segment);
        if (at == children.end() || at->segment != segment)
            at = children.insert(at, {std::string(segment), std::make_unique<Node>()});
        return *at->node;
    }
    // `cursor`: where the search of the key before ended. Objects are stored with sorted keys, so
    // the next one is mostly found at once.
    const Node* find(std::string_view key, std::size_t& cursor) const {
        if (cursor < children.size() && children[cursor].segment == key)
            return children[cursor++].node.get();
        const auto at = std::ranges::lower_bound(children, key, std::less<>(), &Child::segment);
        if (at == children.end()) return nullptr;
        if (at->segment != key) return nullptr;
        cursor = static_cast<std::size_t>(at - children.begin()) + 1;
        return at->node.get();
    }
};

std::string_view trimmed(std::string_view raw) {
    const std::size_t end = raw.find_last_not_of(" \t\r\n");
    return raw.substr(0, end == std::string_view::npos ? 0 : end + 1);
}

}  // namespace

struct ProductReader::State {
    Node root;
    std::size_t slot_count = 0;
    ondemand::parser parser;
    std::vector<Value> values;
    std::vector<Value> variant_values;  // slot_count of each variant, one behind the other.
    std::vector<Variant> variants;
    Value labels;
    std::vector<std::string_view> label_texts;
    std::deque<std::string> joined;  // Texts of lists; a deque, because values point into it.
    std::size_t joined_used = 0;

    std::string& new_text() {
        if (joined_used == joined.size()) joined.emplace_back();
        std::string& out = joined[joined_used++];
        out.clear();
        return out;
    }

    void reset() {
        std::ranges::fill(values, Value{});
        variant_values.clear();
        variants.clear();
        labels = {};
        label_texts.clear();
        joined_used = 0;
    }

    void take_text(ondemand::value value, Value& out) {
        out.kind = Value::Kind::kText;
        out.raw = trimmed(value.raw_json_token());
        const std::string_view inside = out.raw.substr(1, out.raw.size() - 2);
        out.text = inside.find('\\') == std::string_view::npos
                       ? inside
                       : std::string_view(value.get_string());
    }

    // Scalars joined with '|'; `texts` gets the texts among them. False: something deeper is there.
    bool join(ondemand::array array, std::string& out, std::vector<std::string_view>* texts) {
        bool first = true;
        for (ondemand::value item : array) {
            Value value;
            const ondemand::json_type type = item.type();
            if (type == ondemand::json_type::array || type == ondemand::json_type::object)
                return false;
            take(item, value);
            if (!first) out += '|';
            first = false;
            out += value.text;
            if (texts != nullptr && value.kind == Value::Kind::kText) texts->push_back(value.text);
        }
        return true;
    }

    void take_list(ondemand::value value, Value& out, std::vector<std::string_view>* texts) {
        ondemand::array array = value.get_array();
        out.raw = trimmed(array.raw_json());
        array.reset();
        std::string& text = new_text();
        if (join(array, text, texts)) {
            out.kind = Value::Kind::kList;
            out.text = text;
        } else {
            out.kind = Value::Kind::kJson;
            out.text = out.raw;
        }
    }

    void take(ondemand::value value, Value& out) {
        switch (value.type()) {
            case ondemand::json_type::string: return take_text(value, out);
            case ondemand::json_type::array: return take_list(value, out, nullptr);
            case ondemand::json_type::object: {
                ondemand::object object = value.get_object();
                out.kind = Value::Kind::kJson;
                out.raw = out.text = trimmed(object.raw_json());
                return;
            }
            case ondemand::json_type::number: out.kind = Value::Kind::kNumber; break;
            case ondemand::json_type::boolean: out.kind = Value::Kind::kBoolean; break;
            case ondemand::json_type::null:
                out.kind = Value::Kind::kNull;
                out.raw = "null";
                return;
        }
        out.raw = out.text = trimmed(value.raw_json_token());
    }

    static const Node* step(const Node& node, std::string_view key, std::size_t& cursor) {
        if (key.find('.') == std::string_view::npos) return node.find(key, cursor);
        const Node* at = &node;
        while (at != nullptr) {
            const std::size_t dot = key.find('.');
            std::size_t fresh = 0;
            at = at->find(key.substr(0, dot), fresh);
            if (dot == std::string_view::npos) return at;
            key.remove_prefix(dot + 1);
        }
        return nullptr;
    }

    void read_properties(ondemand::object object, const Node& node, std::span<Value> out,
                         std::uint8_t keys) {
        std::size_t cursor = 0;
        for (ondemand::field field : object) {
            const std::string_view plain = key_without_escapes(field.key().raw());
            const Node* found = plain.data() != nullptr ? step(node, plain, cursor)
                                                        : step(node, field.unescaped_key(), cursor);
            if (found == nullptr) continue;
            Value taken;
            ondemand::value value = field.value();
            const bool is_object = value.type() == ondemand::json_type::object;
            if (!found->slots.empty()) {
                if (is_object) {
                    // Its text, and then what is inside.
                    ondemand::object inner = value.get_object();
                    taken.kind = Value::Kind::kJson;
                    taken.raw = taken.text = trimmed(inner.raw_json());
                    inner.reset();
                    place(*found, taken, out, keys);
                    if (!found->children.empty())
                        read_properties(inner, *found, out, static_cast<std::uint8_t>(keys + 1));
                    continue;
                }
                take(value, taken);
                place(*found, taken, out, keys);
            } else if (is_object) {
                read_properties(value.get_object(), *found, out,
                                static_cast<std::uint8_t>(keys + 1));
            }
        }
    }

    static void place(const Node& node, Value taken, std::span<Value> out, std::uint8_t keys) {
        taken.keys = keys;
        for (const std::size_t slot : node.slots) {
            if (out[slot].kind == Value::Kind::kAbsent || keys < out[slot].keys) out[slot] = taken;
        }
    }

    // The key that begins at `raw`; without data when there are escapes in it.
    static std::string_view key_without_escapes(const char* raw) {
        const char* end = raw;
        while (*end != '"') {
            if (*end++ == '\\') return {};
        }
        return {raw, static_cast<std::size_t>(end - raw)};
    }

    void read_variants(ondemand::array array) {
        for (ondemand::object object : array) {
            const std::size_t first = variant_values.size();
            variant_values.resize(first + slot_count);
            Variant variant;
            for (ondemand::field field : object) {
                const std::string_view key = field.unescaped_key();
                if (key == "key") {
                    variant.key = field.value().get_string();
                } else if (key == "isPublished") {
                    if (field.value().type() == ondemand::json_type::boolean)
                        variant.is_published = bool(field.value().get_bool());
                } else if (key == "properties") {
                    read_properties(field.value().get_object(), root,
                                    std::span(variant_values).subspan(first, slot_count), 0);
                }
            }
            variants.push_back(variant);
        }
        // Only now, because the values have moved while they grew in number.
        for (std::size_t index = 0; index < variants.size(); ++index) {
            variants[index].values =
                std::span<const Value>(variant_values).subspan(index * slot_count, slot_count);
        }
    }

    void read(simdjson::padded_string_view text) {
        ondemand::document document = parser.iterate(text);
        for (ondemand::field field : document.get_object()) {
            const std::string_view key = field.unescaped_key();
            if (key == "properties") {
                read_properties(field.value().get_object(), root, values, 0);
            } else if (key == "variants") {
                read_variants(field.value().get_array());
            } else if (key == "labels") {
                take_list(field.value(), labels, &label_texts);
            }
        }
    }
};

ProductReader::ProductReader(const std::vector<std::string>& paths)
    : state_(std::make_unique<State>()) {
    state_->slot_count = paths.size();
    state_->values.resize(paths.size());
    for (std::size_t slot = 0; slot < paths.size(); ++slot) {
        Node* node = &state_->root;
        std::string_view rest = paths[slot];
        for (;;) {
            const std::size_t dot = rest.find('.');
            node = &node->add(rest.substr(0, dot));
            if (dot == std::string_view::npos) break;
            rest.remove_prefix(dot + 1);
        }
        node->slots.push_back(slot);
    }
}

ProductReader::~ProductReader() = default;

Result<void> ProductReader::read(model::Product& product) {
    state_->reset();
    product.body.reserve(product.body.size() + simdjson::SIMDJSON_PADDING);
    try {
        state_->read(simdjson::padded_string_view(product.body.data(), product.body.size(),
                                                  product.body.capacity()));
    } catch (const simdjson::simdjson_error& error) {
        return fail(ErrorCode::kDataLoss, "product " + printable(product.key) +
                                              ": the stored text is not what an import wrote (" +
                                              error.what() + ")");
    }
    return {};
}

std::span<const Value> ProductReader::values() const {
    return state_->values;
}
const std::vector<ProductReader::Variant>& ProductReader::variants() const {
    return state_->variants;
}
const Value& ProductReader::labels() const {
    return state_->labels;
}
bool ProductReader::has_label(std::string_view label) const {
    return std::ranges::find(state_->label_texts, label) != state_->label_texts.end();
}

}  // namespace export_worker::format
