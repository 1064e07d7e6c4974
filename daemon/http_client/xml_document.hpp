// XML answers of object stores and of STS: small, flat, without attributes that matter.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace export_worker::http {

// One element, with its whole document kept alive.
class XmlElement {
public:
    // Errors: kInvalidArgument for what is no XML document.
    [[nodiscard]] static Result<XmlElement> parse(std::string_view text);

    [[nodiscard]] std::string_view name() const;  // Without a namespace prefix.
    // Text of the element at "Child/Grandchild"; empty when there is none.
    [[nodiscard]] std::string text(std::string_view path) const;
    // The children of that name.
    [[nodiscard]] std::vector<XmlElement> children(std::string_view name) const;
    // The element at "Child/Grandchild"; false in has() when there is none.
    [[nodiscard]] bool has(std::string_view path) const;

private:
    struct Node;
    explicit XmlElement(std::shared_ptr<const Node> node) : node_(std::move(node)) {}
    std::shared_ptr<const Node> node_;
};

}  // namespace export_worker::http
