#include "protocol/message/validate.hpp"

#include "protocol/message/validating_visitor.hpp"

namespace export_worker::message {
namespace {

class PlainVisitor final : public ValidatingVisitor<PlainVisitor> {
public:
    using ValidatingVisitor::ValidatingVisitor;
    void on_key(std::size_t, std::string_view) {}
    void on_text(std::size_t, std::string_view) {}
    void on_unsigned(std::size_t, std::uint64_t) {}
    void on_map(std::size_t) {}
    void on_other(std::size_t) {}
};

}  // namespace

Result<void> validate_object(std::string_view bytes) {
    PlainVisitor visitor(bytes.size());
    if (!visit_whole(bytes, visitor)) {
        return fail(ErrorCode::kInvalidArgument,
                    "expected one msgpack object, found " + visitor.problem());
    }
    return {};
}

}  // namespace export_worker::message
