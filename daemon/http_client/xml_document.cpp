#include "daemon/http_client/xml_document.hpp"

#include <pugixml.hpp>

namespace export_worker::http {

struct XmlElement::Node {
    std::shared_ptr<const pugi::xml_document> document;
    pugi::xml_node node;
};

Result<XmlElement> XmlElement::parse(std::string_view text) {
    auto document = std::make_shared<pugi::xml_document>();
    // No DTD is read, so there is nothing external and nothing that expands.
    const auto parsed = document->load_buffer(text.data(), text.size(), pugi::parse_default);
    const pugi::xml_node root = document->document_element();
    if (!parsed || !root)
        return fail(ErrorCode::kInvalidArgument,
                    std::string("expected an XML document: ") +
                        (parsed ? "there is no element" : parsed.description()));
    return XmlElement(std::make_shared<const Node>(Node{std::move(document), root}));
}

std::string_view XmlElement::name() const {
    const std::string_view whole = node_->node.name();
    const std::size_t colon = whole.find(':');
    return colon == std::string_view::npos ? whole : whole.substr(colon + 1);
}

std::string XmlElement::text(std::string_view path) const {
    const std::string copy(path);
    return node_->node.first_element_by_path(copy.c_str()).text().get();
}

bool XmlElement::has(std::string_view path) const {
    const std::string copy(path);
    return !node_->node.first_element_by_path(copy.c_str()).empty();
}

std::vector<XmlElement> XmlElement::children(std::string_view name) const {
    const std::string copy(name);
    std::vector<XmlElement> out;
    for (const pugi::xml_node child : node_->node.children(copy.c_str()))
        out.push_back(XmlElement(std::make_shared<const Node>(Node{node_->document, child})));
    return out;
}

}  // namespace export_worker::http
