// Whose rows a query may see. Every query over tenants' data takes one, so that forgetting it does
// not compile.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace export_worker::model {

class OrganizationScope {
public:
    [[nodiscard]] static OrganizationScope one(std::string_view organization_id) {
        return OrganizationScope(std::string(organization_id));
    }
    // Operators on the control socket only.
    [[nodiscard]] static OrganizationScope every() { return OrganizationScope(std::nullopt); }
    // nullopt: every organization.
    [[nodiscard]] const std::optional<std::string>& organization_id() const {
        return organization_id_;
    }

private:
    explicit OrganizationScope(std::optional<std::string> organization_id)
        : organization_id_(std::move(organization_id)) {}
    std::optional<std::string> organization_id_;
};

}  // namespace export_worker::model
