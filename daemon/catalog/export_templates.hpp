// The saved templates of exports. [any-thread], durable when they return.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace export_worker::catalog {

struct ExportTemplate {
    std::string name;
    std::string body_json;  // An object; see model::check_export_template().
    std::int64_t updated_us = 0;
};

// Errors: those of catalog_store.hpp.
class ExportTemplates {
public:
    virtual ~ExportTemplates() = default;

    // Adds or replaces; the time of the change is the store's. kConflict: kExportTemplatesMax are
    // there already.
    [[nodiscard]] virtual Result<void> put(std::string_view organization_id,
                                           const ExportTemplate& entry) = 0;
    // kNotFound when there is none of that name.
    [[nodiscard]] virtual Result<ExportTemplate> find(std::string_view organization_id,
                                                      std::string_view name) = 0;
    // Those of the organization, in the order of their names' bytes.
    [[nodiscard]] virtual Result<std::vector<ExportTemplate>> list(
        std::string_view organization_id) = 0;
    // kNotFound as above.
    [[nodiscard]] virtual Result<void> drop(std::string_view organization_id,
                                            std::string_view name) = 0;
};

}  // namespace export_worker::catalog
